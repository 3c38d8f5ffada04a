//! Embedding models as sentence-transformers publishes them: safetensors with `config.json`, `tokenizer.json` and what
//! says how vectors are made of states, all shown as the GGUF file that llama.cpp would make of them.
//!
//! The files beside the weights lie in the header's `__metadata__` (`kernel::ports::PACKED_FILES`).
//!
//! Format: <https://github.com/huggingface/safetensors#format>. Names of tensors:
//! <https://github.com/huggingface/transformers/blob/main/src/transformers/models/bert/modeling_bert.py>; of their likes in
//! GGUF: <https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py>.
//!
//! *Invariant:* the header's length is held against the file's and a limit before it is read, and every tensor's
//! extent against its shape and the file.

mod header;

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path};

use serde_json::Value as Json;

use crate::{
    error::{Error, Result},
    gguf::{Gguf, Value},
};

/// Whether a file begins like safetensors: the header's length, then an object.
pub(crate) fn is_at(path: &Path) -> Result<bool> {
    let mut head = [0; 9];
    match File::open(path)?.read_exact_at(&mut head, 0) {
        Ok(()) => Ok(!head.starts_with(b"GGUF") && head.ends_with(b"{")),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file.
pub(crate) fn open(path: &Path) -> Result<Gguf> {
    let file = File::open(path)?;
    let header = header::read(&file)?;
    Gguf::assemble(file, metadata(&header.beside)?, header.tensors, header.data)
}

/// The keys that a GGUF file of the model would have.
fn metadata(beside: &HashMap<String, String>) -> Result<HashMap<String, Value>> {
    let json = |name: &str| -> Result<Option<Json>> {
        let Some(text) = beside.get(name) else {
            return Ok(None);
        };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| Error::damaged(format!("its {name} is no JSON: {error}")))
    };
    let Some(config) = json("config.json")? else {
        return Err(Error::unsupported(
            "it is a safetensors file without its config.json",
        ));
    };
    let Some(tokenizer) = beside.get("tokenizer.json") else {
        return Err(Error::unsupported(
            "it is a safetensors file without its tokenizer.json",
        ));
    };
    let mut keys = of_config(&config)?;
    keys.insert(
        "tokenizer.huggingface.json".to_owned(),
        Value::Text(tokenizer.clone()),
    );
    if let Some(limit) = json("sentence_bert_config.json")?
        .as_ref()
        .and_then(|limits| limits.get("max_seq_length"))
        && let Some(limit) = limit.as_u64()
    {
        keys.insert("stead.limit".to_owned(), Value::Integer(limit.into()));
    }
    let modules = json("modules.json")?;
    let unit = makes_unit_vectors(modules.as_ref())?;
    keys.insert("stead.unit".to_owned(), Value::Bool(unit));
    let pooling = pooling(json("1_Pooling/config.json")?.as_ref())?;
    keys.insert("bert.pooling_type".to_owned(), Value::Integer(pooling));
    Ok(keys)
}

fn of_config(config: &Json) -> Result<HashMap<String, Value>> {
    let text = |name: &str| config.get(name).and_then(Json::as_str);
    let kind = text("model_type").unwrap_or("none");
    if kind != "bert" {
        return Err(Error::unsupported(format!("its architecture is `{kind}`")));
    }
    if text("position_embedding_type").is_some_and(|sort| sort != "absolute") {
        return Err(Error::unsupported("its positions are relative"));
    }
    if text("hidden_act").is_some_and(|function| !function.starts_with("gelu")) {
        return Err(Error::unsupported("its activation is none of GELU's"));
    }
    let mut keys = HashMap::from([("general.architecture".to_owned(), Value::Text(kind.to_owned()))]);
    for (theirs, ours) in [
        ("hidden_size", "bert.embedding_length"),
        ("num_hidden_layers", "bert.block_count"),
        ("intermediate_size", "bert.feed_forward_length"),
        ("num_attention_heads", "bert.attention.head_count"),
        ("max_position_embeddings", "bert.context_length"),
    ] {
        let Some(number) = config.get(theirs).and_then(Json::as_u64) else {
            return Err(Error::damaged(format!("its config.json has no `{theirs}`")));
        };
        keys.insert(ours.to_owned(), Value::Integer(number.into()));
    }
    if let Some(tokens) = config.get("vocab_size").and_then(Json::as_u64) {
        keys.insert("stead.vocabulary".to_owned(), Value::Integer(tokens.into()));
    }
    if let Some(epsilon) = config.get("layer_norm_eps").and_then(Json::as_f64) {
        keys.insert(
            "bert.attention.layer_norm_epsilon".to_owned(),
            Value::Number(epsilon),
        );
    }
    Ok(keys)
}

/// Whether the last module makes vectors of length one. Modules that compute something else are refused.
fn makes_unit_vectors(modules: Option<&Json>) -> Result<bool> {
    let mut unit = false;
    for module in modules.and_then(Json::as_array).into_iter().flatten() {
        let kind = module.get("type").and_then(Json::as_str).unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" | "Pooling" | "Dropout" => {}
            "Normalize" => unit = true,
            other => return Err(Error::unsupported(format!("it has a module `{other}`"))),
        }
    }
    Ok(unit)
}

/// The number that GGUF has for a way of pooling: 1 for the mean of the states, 2 for the first one.
fn pooling(config: Option<&Json>) -> Result<i128> {
    let Some(Json::Object(config)) = config else {
        return Ok(1);
    };
    let asked: Vec<&str> = match config.get("pooling_mode") {
        Some(mode) => mode.as_str().into_iter().collect(),
        None => config
            .iter()
            .filter(|(name, on)| name.starts_with("pooling_mode_") && **on == Json::Bool(true))
            .map(|(name, _)| name.trim_start_matches("pooling_mode_"))
            .collect(),
    };
    match asked.as_slice() {
        ["mean" | "mean_tokens"] => Ok(1),
        ["cls" | "cls_token"] => Ok(2),
        other => Err(Error::unsupported(format!(
            "its states are pooled by {}",
            other.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ways_of_pooling_are_read() {
        for (config, number) in [
            (json!(null), Some(1)),
            (
                json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}),
                Some(1),
            ),
            (json!({"pooling_mode_cls_token": true}), Some(2)),
            (json!({"pooling_mode": "cls"}), Some(2)),
            (json!({"pooling_mode_max_tokens": true}), None),
            (
                json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}),
                None,
            ),
            (json!({}), None),
        ] {
            assert_eq!(pooling(Some(&config)).ok(), number, "{config}");
        }
    }

    #[test]
    fn modules_say_whether_vectors_have_length_one() {
        let modules = |kinds: &[&str]| -> Json { kinds.iter().map(|kind| json!({"type": kind})).collect() };
        let usual = modules(&[
            "sentence_transformers.models.Transformer",
            "a.Pooling",
            "a.Normalize",
        ]);
        assert_eq!(makes_unit_vectors(Some(&usual)), Ok(true));
        assert_eq!(
            makes_unit_vectors(Some(&modules(&["a.Transformer", "a.Pooling"]))),
            Ok(false)
        );
        assert_eq!(makes_unit_vectors(None), Ok(false));
        assert!(makes_unit_vectors(Some(&modules(&["a.Transformer", "a.Dense"]))).is_err());
    }
}
