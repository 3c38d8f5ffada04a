//! Lists of models, as Ollama's clients see them.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models>,
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#show-model-information>,
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#list-running-models>

use serde_json::{Map, Value, json};

use super::{insert, time::rfc3339};

/// A model that clients may use. What is not known of it is left out or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it changed, in seconds since 1970.
    pub modified: i64,
    /// Its size in bytes; 0 when it is not on this machine.
    pub size: u64,
    /// The SHA-256 of its content in hexadecimal.
    pub digest: &'a str,
    /// The format of its file: `gguf`.
    pub format: &'a str,
    /// The family: `llama`.
    pub family: &'a str,
    /// How many parameters: `8.0B`.
    pub parameters: &'a str,
    /// How it is quantized: `Q4_K_M`.
    pub quantization: &'a str,
    /// The most tokens of its context.
    pub context: Option<u64>,
    /// What it can do: `completion`, `tools`, `vision`, `embedding`, `thinking`.
    pub capabilities: &'a [&'a str],
}

/// A model that is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// The model.
    pub model: Listed<'a>,
    /// When it will be unloaded, in seconds since 1970.
    pub expires: i64,
    /// How many of its bytes are in the memory of GPUs.
    pub size_in_gpu: u64,
}

/// The body of `GET /api/tags`.
pub fn tags(models: &[Listed<'_>]) -> Vec<u8> {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            let mut out = identity(model);
            insert(&mut out, "modified_at", rfc3339(model.modified).into());
            if !model.capabilities.is_empty() {
                insert(&mut out, "capabilities", json!(model.capabilities));
            }
            out
        })
        .collect();
    body(&json!({ "models": models }))
}

/// The body of `GET /api/ps`.
pub fn ps(models: &[Loaded<'_>]) -> Vec<u8> {
    let models: Vec<Value> = models
        .iter()
        .map(|loaded| {
            let mut out = identity(&loaded.model);
            insert(&mut out, "expires_at", rfc3339(loaded.expires).into());
            insert(&mut out, "size_vram", loaded.size_in_gpu.into());
            if let Some(context) = loaded.model.context {
                insert(&mut out, "context_length", context.into());
            }
            out
        })
        .collect();
    body(&json!({ "models": models }))
}

/// The body of `POST /api/show`.
pub fn show(model: &Listed<'_>) -> Vec<u8> {
    let mut known = Map::new();
    if !model.family.is_empty() {
        known.insert("general.architecture".to_owned(), model.family.into());
        if let Some(context) = model.context {
            known.insert(format!("{}.context_length", model.family), context.into());
        }
    }
    body(&json!({
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": details(model),
        "model_info": known,
        "capabilities": model.capabilities,
        "modified_at": rfc3339(model.modified),
    }))
}

/// The body of `GET /api/version`; clients compare it with the version of Ollama that they need.
pub fn version(version: &str) -> Vec<u8> {
    body(&json!({ "version": version }))
}

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn identity(model: &Listed<'_>) -> Value {
    json!({
        "name": model.name,
        "model": model.name,
        "size": model.size,
        "digest": model.digest,
        "details": details(model),
    })
}

fn details(model: &Listed<'_>) -> Value {
    let families: Vec<&str> = Some(model.family)
        .filter(|family| !family.is_empty())
        .into_iter()
        .collect();
    json!({
        "parent_model": "",
        "format": model.format,
        "family": model.family,
        "families": families,
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    })
}
