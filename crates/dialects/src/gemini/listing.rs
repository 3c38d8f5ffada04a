//! Lists of models and counts of tokens, as Gemini's clients see them.
//! <https://ai.google.dev/api/models>, <https://ai.google.dev/api/tokens>

use serde_json::{Value, json};

use super::insert;

/// A model that clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its name, without `models/`.
    pub name: &'a str,
    /// What it is.
    pub description: Option<&'a str>,
    /// The most tokens of a prompt.
    pub input_tokens: Option<u64>,
    /// The most tokens of an answer.
    pub output_tokens: Option<u64>,
    /// What it is called with (`generateContent`, `embedContent`).
    pub methods: &'a [&'a str],
}

/// The body of `GET /v1beta/models`.
pub fn models(list: &[Listed<'_>]) -> Vec<u8> {
    let models: Vec<Value> = list.iter().map(render).collect();
    json!({ "models": models }).to_string().into_bytes()
}

/// The body of `GET /v1beta/models/NAME`.
pub fn model(model: &Listed<'_>) -> Vec<u8> {
    render(model).to_string().into_bytes()
}

fn render(model: &Listed<'_>) -> Value {
    let mut out = json!({
        "name": format!("models/{}", model.name),
        "baseModelId": model.name,
        "version": "",
        "displayName": model.name,
        "supportedGenerationMethods": model.methods,
    });
    if let Some(description) = model.description {
        insert(&mut out, "description", description.into());
    }
    for (name, limit) in [
        ("inputTokenLimit", model.input_tokens),
        ("outputTokenLimit", model.output_tokens),
    ] {
        if let Some(limit) = limit {
            insert(&mut out, name, limit.into());
        }
    }
    out
}

/// The body of an answer to `countTokens`.
pub fn count_tokens_answer(tokens: u64) -> Vec<u8> {
    json!({ "totalTokens": tokens }).to_string().into_bytes()
}
