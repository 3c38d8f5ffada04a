//! Which model was asked, and of which provider. Pure.

use crate::otlp::attributes::Attributes;

/// Where the model is named, the most exact first: what answered is priced, not what was asked for.
const MODELS: [&str; 10] = [
    // https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    "gen_ai.response.model",
    "llm.response.model_name",
    "gen_ai.request.model",
    // OpenLLMetry before it took the names above.
    "gen_ai.response_model",
    "gen_ai.request_model",
    // https://arize-ai.github.io/openinference/spec/semantic_conventions.html
    "llm.model_name",
    "llm.request.model_name",
    "embedding.model_name",
    // https://langfuse.com/integrations/native/opentelemetry#property-mapping
    "langfuse.observation.model.name",
    // https://ai-sdk.dev/docs/ai-sdk-core/telemetry
    "ai.model.id",
];

/// Where the provider is named: by whom a model is served (`llm.provider`) before whose model it is (`llm.system`).
const PROVIDERS: [&str; 6] = [
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "llm.vendor",
    "ai.model.provider",
];

/// Providers as the conventions name them (`gen_ai.provider.name`'s well-known values, `gen_ai.system`'s older ones,
/// `OpenInference`'s `llm.provider`), in lower case, and as Opik does
/// (<https://www.comet.com/docs/opik/tracing/cost_tracking>).
const NAMES: [(&str, &str); 26] = [
    ("amazon bedrock", "bedrock"),
    ("amazon_bedrock", "bedrock"),
    ("aws", "bedrock"),
    ("aws.bedrock", "bedrock"),
    ("aws_bedrock", "bedrock"),
    ("az.ai.inference", "azure"),
    ("az.ai.openai", "azure"),
    ("azure", "azure"),
    ("azure.ai.inference", "azure"),
    ("azure.ai.openai", "azure"),
    ("azure_openai", "azure"),
    ("gcp.gemini", "google_ai"),
    ("gcp.gen_ai", "google_ai"),
    ("gcp.vertex_ai", "google_vertexai"),
    ("gemini", "google_ai"),
    ("google", "google_ai"),
    ("google.generative-ai", "google_ai"),
    ("google.vertex", "google_vertexai"),
    ("mistral_ai", "mistral"),
    ("mistralai", "mistral"),
    ("openai.chat", "openai"),
    ("openai.responses", "openai"),
    ("vertex_ai", "google_vertexai"),
    ("vertexai", "google_vertexai"),
    ("x_ai", "xai"),
    ("x.ai", "xai"),
];

/// The model and its provider.
pub(super) fn model(told: &mut Attributes) -> (Option<String>, Option<String>) {
    let model = told.take_text(&MODELS);
    let named = told.take_text(&PROVIDERS).map(|name| provider(&name));
    // Whose model it is can be in its name (`openai/gpt-4o`), and in the address that was asked.
    let prefix = || {
        let (prefix, _) = model.as_deref()?.split_once('/')?;
        Some(provider(prefix))
    };
    let host = || {
        let is_asked = model.is_some();
        told.text("server.address")
            .filter(|_| is_asked)
            .map(str::to_owned)
    };
    let provider = named.or_else(prefix).or_else(host);
    (model, provider)
}

fn provider(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let known = NAMES.iter().find(|(own, _)| *own == name);
    known.map_or(name, |(_, opiks)| (*opiks).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_convention_names_the_model_and_its_provider() {
        for (told, expected_model, expected_provider) in [
            (json!({}), None, None),
            (
                json!({"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                    "gen_ai.response.model": "gpt-4o-2024-08-06"}),
                Some("gpt-4o-2024-08-06"),
                Some("openai"),
            ),
            (
                json!({"gen_ai.system": "Anthropic", "gen_ai.request.model": "claude"}),
                Some("claude"),
                Some("anthropic"),
            ),
            (
                json!({"gen_ai.provider.name": "aws.bedrock", "gen_ai.system": "x", "gen_ai.request.model": "m"}),
                Some("m"),
                Some("bedrock"),
            ),
            (
                json!({"llm.provider": "google", "llm.system": "vertexai", "llm.model_name": "gemini-2.5-pro"}),
                Some("gemini-2.5-pro"),
                Some("google_ai"),
            ),
            (
                json!({"llm.model_name": "anthropic/claude"}),
                Some("anthropic/claude"),
                Some("anthropic"),
            ),
            (
                json!({"gen_ai.request.model": "m", "server.address": "api.groq.com"}),
                Some("m"),
                Some("api.groq.com"),
            ),
            (json!({"server.address": "db.local"}), None, None),
            (
                json!({"langfuse.observation.model.name": "m", "ai.model.provider": "openai.chat"}),
                Some("m"),
                Some("openai"),
            ),
        ] {
            let (model, provider) = model(&mut Attributes::of(told.clone()));
            assert_eq!(model.as_deref(), expected_model, "{told}");
            assert_eq!(provider.as_deref(), expected_provider, "{told}");
        }
        assert!(NAMES.windows(2).all(|pair| pair[0].0 != pair[1].0));
    }
}
