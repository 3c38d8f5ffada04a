//! Embeddings in a form that belongs to no vendor, and OpenAI's dialect of it.
//! <https://platform.openai.com/docs/api-reference/embeddings/create>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    Usage,
    chat::{TranslateError, refuse},
    fields::Fields,
};

/// A request for embeddings of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The model as the client named it.
    pub model: String,
    /// What to embed, in order.
    pub inputs: Vec<String>,
    /// How long vectors shall be; the model's own length when absent.
    pub dimensions: Option<u64>,
    /// How vectors are written.
    pub encoding: Encoding,
    /// The end user, for the provider's abuse detection.
    pub user: Option<String>,
}

/// How vectors are written in OpenAI's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// Base64 of 32-bit little-endian numbers, which OpenAI's SDKs ask for by default.
    Base64,
}

/// Embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The model as the provider names it; empty when it does not say.
    pub model: String,
    /// One vector for each input, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What it took; `None` when the provider did not count.
    pub usage: Option<Usage>,
}

impl Request {
    /// Reads OpenAI's dialect.
    ///
    /// # Errors
    /// Names the field that is malformed, or lists of token ids, which belong to one vendor's tokenizer.
    pub fn from_openai(body: &[u8]) -> Result<Self, TranslateError> {
        let body: Value =
            serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
        let fields = Fields::new(&body, "")?;
        let inputs = match fields.get("input") {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(inputs)) => {
                match inputs.iter().map(Value::as_str).collect::<Option<Vec<_>>>() {
                    Some(texts) => texts.into_iter().map(str::to_owned).collect(),
                    None => {
                        return refuse(
                            "input",
                            "must be texts: token ids belong to the tokenizer of one vendor",
                        );
                    }
                }
            }
            _ => return refuse("input", "must be a text or a list of texts"),
        };
        if inputs.is_empty() {
            return refuse("input", "must not be empty");
        }
        let encoding = match fields.text("encoding_format")? {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => return refuse("encoding_format", "must be float or base64"),
        };
        Ok(Self {
            model: fields.required("model")?.to_owned(),
            inputs,
            dimensions: fields.count("dimensions")?,
            encoding,
            user: fields.text("user")?.map(str::to_owned),
        })
    }

    /// Writes OpenAI's dialect, vectors asked for as numbers.
    pub fn to_openai(&self, model: &str) -> Value {
        let mut body = json!({"model": model, "input": self.inputs, "encoding_format": "float"});
        if let Value::Object(members) = &mut body {
            members.extend(
                self.dimensions
                    .map(|count| ("dimensions".to_owned(), count.into())),
            );
            members.extend(
                self.user
                    .as_ref()
                    .map(|user| ("user".to_owned(), user.as_str().into())),
            );
        }
        body
    }
}

impl Answer {
    /// Reads OpenAI's dialect.
    ///
    /// # Errors
    /// When it is no answer with embeddings.
    pub fn from_openai(body: &[u8]) -> Result<Self, TranslateError> {
        let body: Value =
            serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
        let Some(data) = body.get("data").and_then(Value::as_array) else {
            return refuse("data", "must be a list: this is no answer with embeddings");
        };
        let mut rows: Vec<(u64, Vec<f32>)> = Vec::with_capacity(data.len());
        for (place, row) in (0_u64..).zip(data) {
            let index = row.get("index").and_then(Value::as_u64).unwrap_or(place);
            rows.push((index, vector(row.get("embedding"), "data.embedding")?));
        }
        rows.sort_by_key(|(index, _)| *index);
        Ok(Self {
            model: body
                .get("model")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            vectors: rows.into_iter().map(|(_, vector)| vector).collect(),
            usage: body.get("usage").and_then(Usage::from_openai),
        })
    }

    /// Writes OpenAI's dialect; `model` is the name that the client knows.
    pub fn to_openai(&self, model: &str, encoding: Encoding) -> Value {
        let rows: Vec<Value> = self
            .vectors
            .iter()
            .enumerate()
            .map(|(index, vector)| {
                let embedding = match encoding {
                    Encoding::Float => json!(vector),
                    Encoding::Base64 => {
                        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                        STANDARD.encode(bytes).into()
                    }
                };
                json!({"object": "embedding", "index": index, "embedding": embedding})
            })
            .collect();
        let tokens = self.usage.map_or(0, |usage| usage.input);
        json!({
            "object": "list",
            "data": rows,
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
    }
}

/// Reads a vector: numbers, or base64 of 32-bit little-endian ones.
pub(crate) fn vector(value: Option<&Value>, param: &str) -> Result<Vec<f32>, TranslateError> {
    let numbers: Option<Vec<f32>> = match value {
        Some(Value::Array(numbers)) => numbers.iter().map(|number| number.as_f64().map(narrow)).collect(),
        Some(Value::String(text)) => STANDARD.decode(text).ok().map(|bytes| {
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|chunk| f32::from_le_bytes(*chunk))
                .collect()
        }),
        _ => None,
    };
    numbers.map_or_else(|| refuse(param, "must be a list of numbers"), Ok)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "vectors are of 32-bit numbers; JSON has no such type"
)]
fn narrow(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answer, Encoding, Request};

    #[test]
    fn vectors_are_the_same_in_both_encodings() {
        let answer = Answer {
            model: "m".to_owned(),
            vectors: vec![vec![0.25, -1.5], vec![1e-7]],
            usage: None,
        };
        for encoding in [Encoding::Float, Encoding::Base64] {
            let body = answer.to_openai("m", encoding).to_string();
            let read = Answer::from_openai(body.as_bytes()).expect("an answer");
            assert_eq!(read.vectors, answer.vectors, "{encoding:?}");
        }
    }

    #[test]
    fn token_ids_are_refused_and_texts_are_not() {
        let read = |input: serde_json::Value| {
            let body = json!({"model": "m", "input": input, "encoding_format": "base64", "dimensions": 8});
            Request::from_openai(body.to_string().as_bytes())
        };
        let request = read(json!("a")).expect("one text");
        assert_eq!((request.inputs.len(), request.encoding), (1, Encoding::Base64));
        assert_eq!(request.to_openai("n")["dimensions"], 8);
        for input in [
            json!([1, 2]),
            json!([[1], [2]]),
            json!([]),
            json!(null),
            json!([["a"]]),
        ] {
            assert_eq!(read(input).expect_err("refused").param, "input");
        }
    }
}
