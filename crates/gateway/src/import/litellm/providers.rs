//! Providers: which of Stead's types each of `LiteLLM`'s is, where it answers, and by which credential.
//! The prefixes are those of <https://docs.litellm.ai/docs/providers>.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::{
    Scope, Source,
    deployment::{Price, credential},
    object,
};
use crate::import::section::Section;

/// `LiteLLM`'s prefix, Stead's type, and the variable that holds the key when nothing else is said.
const VENDORS: [(&str, &str, &str); 36] = [
    ("openai", "openai", "OPENAI_API_KEY"),
    ("text-completion-openai", "openai", "OPENAI_API_KEY"),
    ("azure", "azure-openai", "AZURE_API_KEY"),
    ("azure_text", "azure-openai", "AZURE_API_KEY"),
    ("azure_ai", "openai-compatible", "AZURE_AI_API_KEY"),
    ("anthropic", "anthropic", "ANTHROPIC_API_KEY"),
    ("gemini", "gemini", "GEMINI_API_KEY"),
    ("vertex_ai", "vertex", ""),
    ("vertex_ai_beta", "vertex", ""),
    ("bedrock", "bedrock", ""),
    ("bedrock_converse", "bedrock", ""),
    ("ollama", "ollama", ""),
    ("ollama_chat", "ollama", ""),
    ("mistral", "mistral", "MISTRAL_API_KEY"),
    ("cohere", "cohere", "COHERE_API_KEY"),
    ("cohere_chat", "cohere", "COHERE_API_KEY"),
    ("hosted_vllm", "vllm", "HOSTED_VLLM_API_KEY"),
    ("vllm", "vllm", ""),
    ("groq", "groq", "GROQ_API_KEY"),
    ("deepseek", "deepseek", "DEEPSEEK_API_KEY"),
    ("together_ai", "together", "TOGETHERAI_API_KEY"),
    ("fireworks_ai", "fireworks", "FIREWORKS_AI_API_KEY"),
    ("openrouter", "openrouter", "OPENROUTER_API_KEY"),
    ("xai", "xai", "XAI_API_KEY"),
    ("perplexity", "perplexity", "PERPLEXITYAI_API_KEY"),
    ("huggingface", "huggingface", "HUGGINGFACE_API_KEY"),
    ("lm_studio", "lm-studio", "LM_STUDIO_API_KEY"),
    ("llamafile", "llama-cpp", ""),
    ("infinity", "openai-compatible", "INFINITY_API_KEY"),
    ("litellm_proxy", "openai-compatible", "LITELLM_PROXY_API_KEY"),
    ("custom_openai", "openai-compatible", ""),
    ("openai_like", "openai-compatible", "OPENAI_LIKE_API_KEY"),
    ("nvidia_nim", "openai-compatible", "NVIDIA_NIM_API_KEY"),
    ("cerebras", "openai-compatible", "CEREBRAS_API_KEY"),
    ("sambanova", "openai-compatible", "SAMBANOVA_API_KEY"),
    ("deepinfra", "openai-compatible", "DEEPINFRA_API_KEY"),
];

/// Addresses of vendors that are no type of their own.
const ADDRESSES: [(&str, &str); 4] = [
    ("nvidia_nim", "https://integrate.api.nvidia.com/v1"),
    ("cerebras", "https://api.cerebras.ai/v1"),
    ("sambanova", "https://api.sambanova.ai/v1"),
    ("deepinfra", "https://api.deepinfra.com/v1/openai"),
];

/// How names of models without a prefix begin, and whose they are.
const NAMES: [(&str, &str); 14] = [
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("dall-e", "openai"),
    ("whisper", "openai"),
    ("tts-", "openai"),
    ("omni-moderation", "openai"),
    ("ft:", "openai"),
    ("claude-", "anthropic"),
    ("command", "cohere"),
    ("gemini-", "vertex_ai"),
];

/// A provider, as far as one differs from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Provider {
    kind: &'static str,
    /// Absent where the type has one of its own.
    base_url: Option<String>,
    /// Keys of the Secret's data with their sources.
    credential: Vec<(&'static str, Source)>,
    private: bool,
}

/// Reads which provider a deployment is at, and the model's name there; `None` when that is nobody Stead knows.
pub(super) fn read(
    parameters: &mut Section<'_>,
    model: &str,
    scope: &mut Scope<'_>,
) -> Option<(Provider, String)> {
    let path = parameters.at("model");
    let address = address(parameters, scope);
    let named = parameters.text("custom_llm_provider", &mut scope.notes);
    let (prefix, name) = split(model, named.as_deref());
    let vendor = VENDORS.iter().find(|(known, ..)| Some(*known) == prefix);
    let key = parameters.text("api_key", &mut scope.notes);
    if parameters.take("api_version").is_some() {
        let text = "Azure's version 1 of the API needs none";
        scope.notes.changed(parameters.at("api_version"), text);
    }
    let aws = amazon(parameters, scope);
    let google = google(parameters, scope);
    let Some((prefix, kind, variable)) = vendor else {
        return stranger(prefix, name, address, key.as_deref(), &path, scope);
    };
    let mut provider = match *kind {
        "bedrock" => bedrock(aws, &path, scope)?,
        "vertex" => vertex(google, &path, scope)?,
        kind => ordinary(kind, prefix, address, &path, scope)?,
    };
    if provider.credential.is_empty() && !matches!(*kind, "bedrock" | "vertex") {
        let usual = (!variable.is_empty()).then(|| Source::Variable((*variable).to_owned()));
        let given = match key {
            Some(text) => credential(&text),
            // A server of one's own mostly wants none.
            None => usual.filter(|_| !provider.private),
        };
        provider
            .credential
            .extend(given.map(|source| ("api-key", source)));
    }
    warn_of_plain_http(&provider, &path, scope);
    Some((provider, name.to_owned()))
}

/// The vendor's prefix and the model's own name.
fn split<'a>(model: &'a str, named: Option<&'a str>) -> (Option<&'a str>, &'a str) {
    let known = |prefix: &str| VENDORS.iter().any(|(known, ..)| *known == prefix);
    if let Some(named) = named {
        let bare = model.strip_prefix(named).and_then(|rest| rest.strip_prefix('/'));
        return (Some(named), bare.unwrap_or(model));
    }
    if let Some((prefix, rest)) = model.split_once('/') {
        // A second prefix says by which of the vendor's APIs, which Stead knows by itself.
        let rest = ["converse/", "invoke/", "responses/", "chat/"]
            .iter()
            .find_map(|api| rest.strip_prefix(api).filter(|_| known(prefix)));
        let rest = rest.or_else(|| model.split_once('/').map(|(_, rest)| rest));
        return (Some(prefix), rest.unwrap_or(model));
    }
    let vendor = NAMES.iter().find(|(begin, _)| model.starts_with(begin));
    (vendor.map(|(_, vendor)| *vendor), model)
}

fn address(parameters: &mut Section<'_>, scope: &mut Scope<'_>) -> Option<String> {
    for field in ["api_base", "base_url"] {
        if let Some(text) = parameters.text(field, &mut scope.notes) {
            return scope.resolve(&parameters.at(field), &text);
        }
    }
    None
}

/// A vendor that is no type of Stead's: with an address it may speak `OpenAI`'s API.
fn stranger(
    prefix: Option<&str>,
    name: &str,
    address: Option<String>,
    key: Option<&str>,
    path: &str,
    scope: &mut Scope<'_>,
) -> Option<(Provider, String)> {
    let who = prefix.map_or_else(|| "nobody".to_owned(), |prefix| format!("{prefix:?}"));
    let Some(address) = address else {
        let text = format!(
            "Stead has no provider type for {who}, and there is no api_base to take for an OpenAI-compatible one"
        );
        scope.notes.missing(path, text);
        return None;
    };
    let text = format!(
        "Stead has no provider type for {who}; it is taken for an OpenAI-compatible one at its api_base"
    );
    scope.notes.changed(path, text);
    let credential = key.and_then(credential).map(|source| ("api-key", source));
    let provider = Provider {
        kind: "openai-compatible",
        private: is_private(&address),
        base_url: Some(address),
        credential: credential.into_iter().collect(),
    };
    Some((provider, name.to_owned()))
}

fn ordinary(
    kind: &'static str,
    prefix: &str,
    address: Option<String>,
    path: &str,
    scope: &mut Scope<'_>,
) -> Option<Provider> {
    let usual = ADDRESSES.iter().find(|(known, _)| *known == prefix);
    let address = address.or_else(|| usual.map(|(_, address)| (*address).to_owned()));
    let elsewhere = address
        .as_deref()
        .is_some_and(|address| !address.contains("api.openai.com"));
    let kind = if kind == "openai" && elsewhere {
        "openai-compatible"
    } else {
        kind
    };
    if address.is_none() && matches!(kind, "azure-openai" | "openai-compatible") {
        let text = format!("a provider of type {kind} needs an address: give api_base");
        scope.notes.missing(path, text);
        return None;
    }
    let base_url = address.map(|address| match kind {
        // The deployment is the model's name, and the version has no place in the address.
        "azure-openai" => origin(&address),
        "ollama" => address
            .trim_end_matches("/api/generate")
            .trim_end_matches('/')
            .to_owned(),
        _ => address.trim_end_matches('/').to_owned(),
    });
    let local = matches!(kind, "ollama" | "vllm" | "llama-cpp" | "lm-studio");
    Some(Provider {
        kind,
        private: base_url.as_deref().map_or(local, is_private),
        base_url,
        credential: Vec::new(),
    })
}

/// Region and keys.
fn amazon(
    parameters: &mut Section<'_>,
    scope: &mut Scope<'_>,
) -> (Option<String>, Vec<(&'static str, Source)>) {
    let mut region = None;
    for field in ["aws_region_name", "region_name"] {
        if let Some(text) = parameters.text(field, &mut scope.notes) {
            region = region.or(scope.resolve(&parameters.at(field), &text));
        }
    }
    let table = [
        ("aws_access_key_id", "access-key-id"),
        ("aws_secret_access_key", "secret-access-key"),
        ("aws_session_token", "session-token"),
    ];
    let keys = table.into_iter().filter_map(|(field, key)| {
        let text = parameters.text(field, &mut scope.notes)?;
        Some((key, Source::of(&text)))
    });
    let keys = keys.collect();
    (region, keys)
}

fn bedrock(
    (region, mut credential): (Option<String>, Vec<(&'static str, Source)>),
    path: &str,
    scope: &mut Scope<'_>,
) -> Option<Provider> {
    let region = region
        .or_else(|| scope.variable("AWS_REGION_NAME"))
        .or_else(|| scope.variable("AWS_REGION"));
    let Some(region) = region else {
        scope
            .notes
            .missing(path, "Bedrock needs a region: give aws_region_name");
        return None;
    };
    if credential.is_empty() {
        credential = vec![
            ("access-key-id", Source::Variable("AWS_ACCESS_KEY_ID".into())),
            (
                "secret-access-key",
                Source::Variable("AWS_SECRET_ACCESS_KEY".into()),
            ),
        ];
    }
    Some(Provider {
        kind: "bedrock",
        base_url: Some(format!("https://bedrock-runtime.{region}.amazonaws.com")),
        credential,
        private: false,
    })
}

/// Project, location and the service account's key.
fn google(parameters: &mut Section<'_>, scope: &mut Scope<'_>) -> [Option<String>; 3] {
    ["vertex_project", "vertex_location", "vertex_credentials"].map(|field| {
        let text = parameters.text(field, &mut scope.notes)?;
        if field == "vertex_credentials" {
            return Some(text);
        }
        scope.resolve(&parameters.at(field), &text)
    })
}

fn vertex(
    [project, location, key]: [Option<String>; 3],
    path: &str,
    scope: &mut Scope<'_>,
) -> Option<Provider> {
    let project = project.or_else(|| scope.variable("VERTEXAI_PROJECT"));
    let location = location.or_else(|| scope.variable("VERTEXAI_LOCATION"));
    let (Some(project), Some(location)) = (project, location) else {
        scope.notes.missing(
            path,
            "Vertex AI needs a project and a location: give vertex_project and vertex_location",
        );
        return None;
    };
    let host = if location == "global" {
        "aiplatform.googleapis.com".to_owned()
    } else {
        format!("{location}-aiplatform.googleapis.com")
    };
    let source = match key {
        Some(text) if text.starts_with(super::ENVIRONMENT) => Source::of(&text),
        Some(text) if text.trim_start().starts_with('{') => Source::Inline(text),
        Some(file) => Source::File(file),
        None => Source::Variable("GOOGLE_APPLICATION_CREDENTIALS_JSON".into()),
    };
    Some(Provider {
        kind: "vertex",
        base_url: Some(format!(
            "https://{host}/v1/projects/{project}/locations/{location}"
        )),
        credential: vec![("api-key", source)],
        private: false,
    })
}

fn origin(address: &str) -> String {
    Url::parse(address).map_or_else(|_| address.to_owned(), |url| url.origin().ascii_serialization())
}

/// Whether an address is, as far as it tells, of this machine or a private network.
fn is_private(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_private() || ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Some(Host::Domain(name)) => {
            let inside = [".local", ".internal", ".lan", ".svc", ".localhost", ".home.arpa"];
            !name.contains('.') || inside.iter().any(|end| name.ends_with(end))
        }
        None => false,
    }
}

fn warn_of_plain_http(provider: &Provider, path: &str, scope: &mut Scope<'_>) {
    let plain = provider
        .base_url
        .as_deref()
        .is_some_and(|address| address.starts_with("http:"));
    if plain && !provider.private && !provider.credential.is_empty() {
        let text = "a credential is not sent over plain http to a public address: give an https address, or set \
                    network: Private on the provider if it is on a network of your own";
        scope.notes.todo(path, text);
    }
}

/// The providers of all deployments, each once, with their names.
#[derive(Default)]
pub(super) struct Providers {
    names: BTreeMap<Provider, String>,
    /// In the order in which they came.
    order: Vec<Provider>,
    prices: BTreeMap<String, Map<String, Value>>,
}

impl Providers {
    /// The name of a provider.
    pub(super) fn name(&mut self, provider: &Provider) -> String {
        if let Some(name) = self.names.get(provider) {
            return name.clone();
        }
        let host = provider.base_url.as_deref().and_then(|address| {
            let host = Url::parse(address).ok()?.host_str()?.to_owned();
            let label = host.split('.').next().unwrap_or_default().to_owned();
            let numeric = host
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b':');
            let label = if numeric {
                host.replace(['.', ':'], "-")
            } else {
                label
            };
            Some(super::super::renamed(&label).unwrap_or(label))
        });
        let mut candidates = vec![provider.kind.to_owned()];
        candidates.extend(host.map(|host| format!("{}-{host}", provider.kind)));
        candidates.extend(
            (2..)
                .take(1_000)
                .map(|number| format!("{}-{number}", provider.kind)),
        );
        let taken = |name: &String| self.names.values().any(|known| known == name);
        let free = candidates.into_iter().find(|name| !taken(name));
        let name = free.unwrap_or_else(|| format!("{}-{}", provider.kind, self.order.len()));
        self.names.insert(provider.clone(), name.clone());
        self.order.push(provider.clone());
        name
    }

    /// Keeps the price of a model.
    pub(super) fn price(&mut self, provider: &str, model: &str, price: &Price) {
        let million = |dollars: f64| (dollars * 1e12).round() / 1e6;
        let mut tokens = json!({"input": million(price.input), "output": million(price.output)});
        if let (Some(cached), Some(tokens)) = (price.cached, tokens.as_object_mut()) {
            tokens.insert("cached".into(), million(cached).into());
        }
        let prices = self.prices.entry(provider.to_owned()).or_default();
        prices.insert(model.to_owned(), tokens);
    }

    /// The objects; their Secrets' values are kept in the scope.
    pub(super) fn objects(&self, scope: &mut Scope<'_>) -> Vec<Value> {
        let all = self.order.iter().filter_map(|provider| {
            let name = self.names.get(provider)?;
            Some(self.object(provider, name, scope))
        });
        all.collect()
    }

    fn object(&self, provider: &Provider, name: &str, scope: &mut Scope<'_>) -> Value {
        let mut spec = Map::new();
        spec.insert("type".into(), provider.kind.into());
        if let Some(address) = &provider.base_url {
            spec.insert("baseUrl".into(), address.as_str().into());
        }
        if let Some((key, _)) = provider.credential.first() {
            let single = provider.credential.len() == 1;
            let reference = if single {
                json!({"name": name, "key": key})
            } else {
                json!({"name": name})
            };
            spec.insert("credential".into(), json!({"secretRef": reference}));
        }
        for (key, source) in &provider.credential {
            scope.keep(name, key, source);
        }
        if provider.private {
            spec.insert("network".into(), "Private".into());
        }
        let prices = self.prices.get(name).into_iter().flatten();
        let prices: Vec<Value> = prices
            .map(|(model, tokens)| json!({"model": model, "perMillionTokens": tokens}))
            .collect();
        if !prices.is_empty() {
            spec.insert("prices".into(), prices.into());
        }
        object("ModelProvider", name, &Value::Object(spec))
    }
}
