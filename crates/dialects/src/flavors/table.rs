//! The flavours.

use super::{
    Credential::{Bearer, Header, Optional},
    Feature::{self, AllowedTools, CacheMarks, Developer, ImageData, ImageUrls, MoreMedia, Samplers},
    Flavor,
    Operation::{
        self, Chat, Completions, Embeddings, Images, Models, Moderations, Rerank, Responses, Speech,
        Transcription,
    },
    Rule::{self, Cannot, Efforts, Ignores, NoNames, NoSchemas, Renamed, Without},
    StreamUsage::{Always, Asked},
    Thoughts,
};

/// A limit by its older name, which every server but OpenAI's own models takes.
const OLD_LIMIT: Rule = Renamed("max_completion_tokens", "max_tokens");

const PICTURES: &[Feature] = &[ImageUrls, ImageData];

/// Servers of one's own.
const SELF_HOSTED: &[Feature] = &[Samplers, MoreMedia, ImageUrls, ImageData];

const EVERYTHING: &[Operation] = &[
    Chat,
    Responses,
    Completions,
    Embeddings,
    Images,
    Speech,
    Transcription,
    Moderations,
    Models,
];

const OPENAI: Flavor = Flavor {
    name: "openai",
    vendor: "OpenAI's API",
    base: Some("https://api.openai.com/v1"),
    credential: Bearer,
    variable: Some("OPENAI_API_KEY"),
    operations: EVERYTHING,
    features: &[Developer, AllowedTools, ImageUrls, ImageData],
    limit: "max_completion_tokens",
    stream_usage: Asked,
    reasoning: &[],
    thoughts: Thoughts::Omitted,
    rules: &[],
    embedding_rules: &[],
    source: "https://platform.openai.com/docs/api-reference/chat/create",
};

/// What a server takes of which nothing is known: what all take.
pub(super) const COMPATIBLE: Flavor = Flavor {
    name: "openai-compatible",
    vendor: "the provider",
    base: None,
    credential: Optional,
    variable: None,
    features: PICTURES,
    limit: "max_tokens",
    reasoning: &["reasoning_content", "reasoning"],
    ..OPENAI
};

const MISTRAL_RULES: &[Rule] = &[
    OLD_LIMIT,
    Renamed("seed", "random_seed"),
    Without("stream_options"),
    Without("user"),
    Without("safety_identifier"),
    Without("logit_bias"),
    Without("store"),
    Without("verbosity"),
    Cannot("modalities"),
    Cannot("audio"),
    Cannot("web_search_options"),
    NoNames,
];

const COHERE_RULES: &[Rule] = &[
    OLD_LIMIT,
    Without("store"),
    Without("metadata"),
    Without("logit_bias"),
    Without("prediction"),
    Without("service_tier"),
    Without("parallel_tool_calls"),
    Without("top_logprobs"),
    Cannot("n"),
    Cannot("modalities"),
    Cannot("audio"),
    Efforts(&["none", "high"]),
];

const GROQ_RULES: &[Rule] = &[
    Cannot("logprobs"),
    Without("top_logprobs"),
    Without("logit_bias"),
    Cannot("n"),
    NoNames,
];

const CEREBRAS_RULES: &[Rule] = &[
    Without("frequency_penalty"),
    Without("presence_penalty"),
    Without("logit_bias"),
    Without("service_tier"),
];

const DEEPSEEK_RULES: &[Rule] = &[
    OLD_LIMIT,
    NoSchemas,
    Ignores("n"),
    Ignores("seed"),
    Ignores("logit_bias"),
    Ignores("parallel_tool_calls"),
    Ignores("service_tier"),
];

const PERPLEXITY_RULES: &[Rule] = &[
    OLD_LIMIT,
    Ignores("n"),
    Ignores("seed"),
    Ignores("logit_bias"),
    Ignores("logprobs"),
    Ignores("parallel_tool_calls"),
];

const SAMBANOVA_RULES: &[Rule] = &[
    OLD_LIMIT,
    Ignores("n"),
    Ignores("seed"),
    Ignores("logit_bias"),
    Ignores("logprobs"),
    Ignores("presence_penalty"),
    Ignores("frequency_penalty"),
];

const OLLAMA_RULES: &[Rule] = &[OLD_LIMIT, Ignores("n"), Ignores("logit_bias"), Ignores("user")];

/// Every flavour.
pub(super) const ALL: &[Flavor] = &[
    OPENAI,
    Flavor {
        name: "azure-openai",
        vendor: "Azure OpenAI",
        base: None,
        credential: Header("api-key"),
        variable: Some("AZURE_OPENAI_API_KEY"),
        operations: &[
            Chat,
            Responses,
            Completions,
            Embeddings,
            Images,
            Speech,
            Transcription,
            Models,
        ],
        source: "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        ..OPENAI
    },
    COMPATIBLE,
    Flavor {
        name: "vllm",
        vendor: "vLLM",
        base: Some("http://127.0.0.1:8000/v1"),
        operations: &[
            Chat,
            Responses,
            Completions,
            Embeddings,
            Rerank,
            Transcription,
            Models,
        ],
        features: SELF_HOSTED,
        reasoning: &["reasoning", "reasoning_content"],
        thoughts: Thoughts::Content,
        rules: &[Ignores("user"), Ignores("store")],
        source: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        ..COMPATIBLE
    },
    Flavor {
        name: "sglang",
        vendor: "SGLang",
        base: Some("http://127.0.0.1:30000/v1"),
        operations: &[Chat, Responses, Completions, Embeddings, Rerank, Models],
        features: SELF_HOSTED,
        reasoning: &["reasoning_content"],
        thoughts: Thoughts::Content,
        source: "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
        ..COMPATIBLE
    },
    Flavor {
        name: "llama-cpp",
        vendor: "llama.cpp",
        base: Some("http://127.0.0.1:8080/v1"),
        operations: &[Chat, Completions, Embeddings, Rerank, Models],
        features: SELF_HOSTED,
        reasoning: &["reasoning_content"],
        thoughts: Thoughts::Content,
        rules: &[OLD_LIMIT],
        source: "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        ..COMPATIBLE
    },
    Flavor {
        name: "tei",
        vendor: "text-embeddings-inference",
        base: Some("http://127.0.0.1:8081/v1"),
        operations: &[Embeddings, Rerank],
        features: &[],
        source: "https://huggingface.github.io/text-embeddings-inference/",
        ..COMPATIBLE
    },
    Flavor {
        name: "lm-studio",
        vendor: "LM Studio",
        base: Some("http://127.0.0.1:1234/v1"),
        operations: &[Chat, Responses, Completions, Embeddings, Models],
        features: &[Samplers, ImageData],
        rules: &[OLD_LIMIT],
        source: "https://lmstudio.ai/docs/developer/openai-compat",
        ..COMPATIBLE
    },
    Flavor {
        name: "ollama",
        vendor: "Ollama",
        base: Some("http://127.0.0.1:11434/v1"),
        operations: &[Chat, Responses, Completions, Embeddings, Models],
        reasoning: &["reasoning"],
        rules: OLLAMA_RULES,
        source: "https://docs.ollama.com/api/openai-compatibility",
        ..COMPATIBLE
    },
    Flavor {
        name: "groq",
        vendor: "Groq's API",
        base: Some("https://api.groq.com/openai/v1"),
        credential: Bearer,
        variable: Some("GROQ_API_KEY"),
        operations: &[Chat, Responses, Speech, Transcription, Models],
        limit: "max_completion_tokens",
        reasoning: &["reasoning"],
        rules: GROQ_RULES,
        source: "https://console.groq.com/docs/openai",
        ..COMPATIBLE
    },
    Flavor {
        name: "deepseek",
        vendor: "DeepSeek's API",
        base: Some("https://api.deepseek.com/v1"),
        credential: Bearer,
        variable: Some("DEEPSEEK_API_KEY"),
        operations: &[Chat, Models],
        features: &[],
        reasoning: &["reasoning_content"],
        thoughts: Thoughts::Content,
        rules: DEEPSEEK_RULES,
        source: "https://api-docs.deepseek.com/api/create-chat-completion",
        ..COMPATIBLE
    },
    Flavor {
        name: "together",
        vendor: "Together's API",
        base: Some("https://api.together.xyz/v1"),
        credential: Bearer,
        variable: Some("TOGETHER_API_KEY"),
        operations: &[
            Chat,
            Completions,
            Embeddings,
            Rerank,
            Images,
            Speech,
            Transcription,
            Models,
        ],
        features: &[Samplers, ImageUrls, ImageData],
        reasoning: &["reasoning"],
        rules: &[OLD_LIMIT],
        source: "https://docs.together.ai/docs/openai-api-compatibility",
        ..COMPATIBLE
    },
    Flavor {
        name: "fireworks",
        vendor: "Fireworks' API",
        base: Some("https://api.fireworks.ai/inference/v1"),
        credential: Bearer,
        variable: Some("FIREWORKS_API_KEY"),
        operations: &[Chat, Responses, Completions, Embeddings, Rerank, Models],
        features: &[Samplers, ImageUrls, ImageData],
        reasoning: &["reasoning_content"],
        thoughts: Thoughts::Content,
        source: "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        ..COMPATIBLE
    },
    Flavor {
        name: "openrouter",
        vendor: "OpenRouter's API",
        base: Some("https://openrouter.ai/api/v1"),
        credential: Bearer,
        variable: Some("OPENROUTER_API_KEY"),
        operations: &[Chat, Responses, Completions, Embeddings, Models],
        features: &[Samplers, CacheMarks, MoreMedia, ImageUrls, ImageData],
        reasoning: &["reasoning"],
        thoughts: Thoughts::Details,
        source: "https://openrouter.ai/docs/api-reference/overview",
        ..COMPATIBLE
    },
    Flavor {
        name: "xai",
        vendor: "xAI's API",
        base: Some("https://api.x.ai/v1"),
        credential: Bearer,
        variable: Some("XAI_API_KEY"),
        operations: &[Chat, Responses, Completions, Images, Models],
        limit: "max_completion_tokens",
        reasoning: &["reasoning_content"],
        rules: &[Without("logit_bias")],
        source: "https://docs.x.ai/docs/api-reference",
        ..COMPATIBLE
    },
    Flavor {
        name: "perplexity",
        vendor: "Perplexity's API",
        base: Some("https://api.perplexity.ai"),
        credential: Bearer,
        variable: Some("PERPLEXITY_API_KEY"),
        operations: &[Chat],
        rules: PERPLEXITY_RULES,
        source: "https://docs.perplexity.ai/guides/chat-completions-guide",
        ..COMPATIBLE
    },
    Flavor {
        name: "huggingface",
        vendor: "Hugging Face's router",
        base: Some("https://router.huggingface.co/v1"),
        credential: Bearer,
        variable: Some("HF_TOKEN"),
        operations: &[Chat, Responses, Models],
        rules: &[OLD_LIMIT],
        source: "https://huggingface.co/docs/inference-providers/tasks/chat-completion",
        ..COMPATIBLE
    },
    Flavor {
        name: "mistral",
        vendor: "Mistral's API",
        base: Some("https://api.mistral.ai/v1"),
        credential: Bearer,
        variable: Some("MISTRAL_API_KEY"),
        operations: &[Chat, Embeddings, Transcription, Moderations, Models],
        stream_usage: Always,
        reasoning: &[],
        rules: MISTRAL_RULES,
        embedding_rules: &[Renamed("dimensions", "output_dimension"), Without("user")],
        source: "https://docs.mistral.ai/api/endpoint/chat",
        ..COMPATIBLE
    },
    Flavor {
        name: "cohere",
        vendor: "Cohere's compatibility API",
        base: Some("https://api.cohere.ai/compatibility/v1"),
        credential: Bearer,
        variable: Some("COHERE_API_KEY"),
        operations: &[Chat, Embeddings],
        features: &[Developer, ImageUrls, ImageData],
        reasoning: &[],
        rules: COHERE_RULES,
        source: "https://docs.cohere.com/docs/compatibility-api",
        ..COMPATIBLE
    },
    Flavor {
        name: "jina",
        vendor: "Jina's API",
        base: Some("https://api.jina.ai/v1"),
        credential: Bearer,
        variable: Some("JINA_API_KEY"),
        operations: &[Embeddings, Rerank],
        features: &[],
        source: "https://api.jina.ai/redoc",
        ..COMPATIBLE
    },
    Flavor {
        name: "nvidia-nim",
        vendor: "NVIDIA NIM",
        base: Some("https://integrate.api.nvidia.com/v1"),
        credential: Bearer,
        variable: Some("NVIDIA_API_KEY"),
        operations: &[Chat, Completions, Embeddings, Models],
        features: &[Samplers, ImageUrls, ImageData],
        reasoning: &["reasoning_content"],
        rules: &[OLD_LIMIT],
        source: "https://docs.nvidia.com/nim/large-language-models/latest/api-reference.html",
        ..COMPATIBLE
    },
    Flavor {
        name: "cerebras",
        vendor: "Cerebras' API",
        base: Some("https://api.cerebras.ai/v1"),
        credential: Bearer,
        variable: Some("CEREBRAS_API_KEY"),
        operations: &[Chat, Completions, Models],
        features: &[],
        limit: "max_completion_tokens",
        reasoning: &["reasoning"],
        rules: CEREBRAS_RULES,
        source: "https://inference-docs.cerebras.ai/resources/openai",
        ..COMPATIBLE
    },
    Flavor {
        name: "sambanova",
        vendor: "SambaNova's API",
        base: Some("https://api.sambanova.ai/v1"),
        credential: Bearer,
        variable: Some("SAMBANOVA_API_KEY"),
        operations: &[Chat, Embeddings, Transcription, Models],
        rules: SAMBANOVA_RULES,
        source: "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
        ..COMPATIBLE
    },
];
