//! The types of providers: which API each speaks, where, and how it wants to be signed in to.
//!
//! *Invariant:* what differs between two types is a column of one table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stead_dialects::{chat::Wire, flavors};

/// An API that providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProviderType {
    /// The engine in this process, with every ready `Model` of the project.
    Embedded,
    /// The API of `OpenAI`, at its own address.
    #[serde(rename = "openai")]
    OpenAi,
    /// `OpenAI`'s models on Azure. The address is the resource's: `https://NAME.openai.azure.com`.
    #[serde(rename = "azure-openai")]
    AzureOpenAi,
    /// The Messages API of Anthropic.
    Anthropic,
    /// Google's Gemini API, with an API key.
    Gemini,
    /// Google's Vertex AI. The address is the region's and project's:
    /// `https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION`; the Secret holds the key file
    /// of a service account.
    Vertex,
    /// Amazon Bedrock. The address is the region's: `https://bedrock-runtime.REGION.amazonaws.com`; the Secret holds
    /// `access-key-id` and `secret-access-key` (and `session-token`), or an API key of Bedrock.
    Bedrock,
    /// Ollama.
    Ollama,
    /// Mistral's API.
    Mistral,
    /// Cohere's API, version 2.
    Cohere,
    /// vLLM.
    Vllm,
    /// `SGLang`.
    Sglang,
    /// The server of llama.cpp.
    LlamaCpp,
    /// Hugging Face's text embeddings inference.
    Tei,
    /// LM Studio.
    LmStudio,
    /// Groq.
    Groq,
    /// `DeepSeek`.
    #[serde(rename = "deepseek")]
    DeepSeek,
    /// Together AI.
    Together,
    /// Fireworks AI.
    Fireworks,
    /// `OpenRouter`.
    #[serde(rename = "openrouter")]
    OpenRouter,
    /// xAI.
    Xai,
    /// Perplexity.
    Perplexity,
    /// Hugging Face's inference providers.
    #[serde(rename = "huggingface")]
    HuggingFace,
    /// Anything else that speaks the API of `OpenAI`.
    #[serde(rename = "openai-compatible")]
    OpenAiCompatible,
}

/// How a provider wants to see its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// This header, with the credential as it is.
    Header(&'static str),
    /// Amazon's signature of version 4 over each request; a single key is a bearer token.
    Amazon,
    /// A token that Google gives for a service account's key.
    Google,
}

/// How a provider's models are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// `GET models`, as `OpenAI` does it: `{"data": [{"id"}]}`.
    OpenAi,
    /// `GET models?limit=1000`, the same form.
    Anthropic,
    /// `GET models?pageSize=1000`: `{"models": [{"name": "models/…"}]}`.
    Gemini,
    /// `GET /api/tags`: `{"models": [{"name"}]}`.
    Ollama,
    /// `GET models?page_size=1000`: `{"models": [{"name"}]}`.
    Cohere,
    /// Not at all; `spec.models` says what there is.
    None,
}

/// What is true of all providers of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The type as resources spell it; also the name of its flavour of `OpenAI`'s dialect.
    pub(crate) name: &'static str,
    /// The chat dialect it speaks best.
    pub(crate) wire: Wire,
    /// Its address, where it is another one than that of its flavour of `OpenAI`'s dialect.
    own_base: Option<&'static str>,
    /// What follows the host in an address that the spec gives without a path.
    pub(crate) path: &'static str,
    pub(crate) scheme: Scheme,
    pub(crate) listing: Listing,
    /// Whether it offers `OpenAI`'s responses API besides, unless the spec says otherwise.
    pub(crate) responses: bool,
    /// What an address looks like, for types that have none of their own.
    pub(crate) example: &'static str,
}

const OPENAI: Facts = Facts {
    name: "openai",
    wire: Wire::OpenAi,
    own_base: None,
    path: "/v1",
    scheme: Scheme::Bearer,
    listing: Listing::OpenAi,
    responses: true,
    example: "http://10.0.0.5:8000/v1",
};

const AZURE_OPENAI: Facts = Facts {
    name: "azure-openai",
    path: "/openai/v1",
    scheme: Scheme::Header("api-key"),
    example: "https://NAME.openai.azure.com",
    ..OPENAI
};

const ANTHROPIC: Facts = Facts {
    wire: Wire::Anthropic,
    own_base: Some("https://api.anthropic.com/v1"),
    scheme: Scheme::Header("x-api-key"),
    listing: Listing::Anthropic,
    ..flavor("anthropic")
};

const GEMINI: Facts = Facts {
    wire: Wire::Gemini,
    own_base: Some("https://generativelanguage.googleapis.com/v1beta"),
    path: "/v1beta",
    scheme: Scheme::Header("x-goog-api-key"),
    listing: Listing::Gemini,
    ..flavor("gemini")
};

const VERTEX: Facts = Facts {
    name: "vertex",
    wire: Wire::Gemini,
    own_base: None,
    path: "",
    scheme: Scheme::Google,
    listing: Listing::None,
    responses: false,
    example: "https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION",
};

const BEDROCK: Facts = Facts {
    name: "bedrock",
    wire: Wire::Bedrock,
    own_base: None,
    path: "",
    scheme: Scheme::Amazon,
    listing: Listing::None,
    responses: false,
    example: "https://bedrock-runtime.us-east-1.amazonaws.com",
};

const OLLAMA: Facts = Facts {
    listing: Listing::Ollama,
    ..flavor("ollama")
};

const MISTRAL: Facts = Facts {
    wire: Wire::Mistral,
    ..flavor("mistral")
};

const COHERE: Facts = Facts {
    wire: Wire::Cohere,
    own_base: Some("https://api.cohere.com/v2"),
    path: "/v2",
    listing: Listing::Cohere,
    ..flavor("cohere")
};

const TEI: Facts = Facts {
    listing: Listing::None,
    ..flavor("tei")
};

const PERPLEXITY: Facts = Facts {
    path: "",
    listing: Listing::None,
    ..flavor("perplexity")
};

/// `OpenAI`'s API, where a flavour of it says.
const fn flavor(name: &'static str) -> Facts {
    Facts {
        name,
        responses: false,
        ..OPENAI
    }
}

/// `OpenAI`'s API at no address of its own.
const fn anywhere(name: &'static str, listing: Listing) -> Facts {
    Facts {
        name,
        listing,
        responses: false,
        ..OPENAI
    }
}

impl ProviderType {
    /// Every type, for tables and conformance tests.
    pub(crate) const ALL: [Self; 24] = [
        Self::Embedded,
        Self::OpenAi,
        Self::AzureOpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::Bedrock,
        Self::Ollama,
        Self::Mistral,
        Self::Cohere,
        Self::Vllm,
        Self::Sglang,
        Self::LlamaCpp,
        Self::Tei,
        Self::LmStudio,
        Self::Groq,
        Self::DeepSeek,
        Self::Together,
        Self::Fireworks,
        Self::OpenRouter,
        Self::Xai,
        Self::Perplexity,
        Self::HuggingFace,
        Self::OpenAiCompatible,
    ];

    /// What is true of all providers of this type.
    pub(crate) const fn facts(self) -> Facts {
        match self {
            Self::Embedded => anywhere("embedded", Listing::None),
            Self::OpenAi => OPENAI,
            Self::AzureOpenAi => AZURE_OPENAI,
            Self::Anthropic => ANTHROPIC,
            Self::Gemini => GEMINI,
            Self::Vertex => VERTEX,
            Self::Bedrock => BEDROCK,
            Self::Ollama => OLLAMA,
            Self::Mistral => MISTRAL,
            Self::Cohere => COHERE,
            Self::Vllm => flavor("vllm"),
            Self::Sglang => flavor("sglang"),
            Self::LlamaCpp => flavor("llama-cpp"),
            Self::Tei => TEI,
            Self::LmStudio => flavor("lm-studio"),
            Self::Groq => flavor("groq"),
            Self::DeepSeek => flavor("deepseek"),
            Self::Together => flavor("together"),
            Self::Fireworks => flavor("fireworks"),
            Self::OpenRouter => flavor("openrouter"),
            Self::Xai => flavor("xai"),
            Self::Perplexity => PERPLEXITY,
            Self::HuggingFace => flavor("huggingface"),
            Self::OpenAiCompatible => anywhere("openai-compatible", Listing::OpenAi),
        }
    }

    /// Its address, unless the spec has one.
    pub(crate) fn base(self) -> Option<&'static str> {
        let facts = self.facts();
        facts.own_base.or_else(|| flavors::find(facts.name)?.base)
    }

    /// The type as resources spell it.
    pub(crate) const fn as_str(self) -> &'static str {
        self.facts().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_name_in_tables_is_its_name_in_resources() {
        for kind in ProviderType::ALL {
            let spelled = serde_json::to_value(kind).unwrap();
            assert_eq!(spelled, kind.as_str());
        }
    }

    #[test]
    fn every_address_is_one_that_paths_can_be_appended_to() {
        for kind in ProviderType::ALL {
            let facts = kind.facts();
            if let Some(base) = kind.base() {
                assert!(base.starts_with("http") && !base.ends_with('/'), "{base}");
            }
            assert!(facts.path.is_empty() || facts.path.starts_with('/'));
        }
    }
}
