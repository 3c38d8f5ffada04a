//! `/api/embed`, and `/api/embeddings` that came before it.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings>,
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embedding>

use serde_json::{Value, json};

use super::{insert, note};
use crate::{
    Usage,
    chat::{Sent, Target, TranslateError, refuse},
    embeddings::{Answer, Encoding, Request, vector},
    fields::Fields,
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/api/embed`: several texts.
    Embed,
    /// `/api/embeddings`: one prompt.
    Embeddings,
}

/// Reads a client's request; the notes tell what was left out.
///
/// # Errors
/// Names the field that is malformed.
pub fn request(body: &[u8], form: Form) -> Result<(Request, Vec<String>), TranslateError> {
    let body: Value =
        serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
    let fields = Fields::new(&body, "")?;
    let (input, known) = match form {
        Form::Embed => (
            "input",
            ["model", "input", "dimensions", "truncate", "keep_alive"],
        ),
        Form::Embeddings => ("prompt", ["model", "prompt", "prompt", "truncate", "keep_alive"]),
    };
    let inputs = fields.texts(input)?;
    if inputs.is_empty() {
        return refuse(input, "must not be empty");
    }
    let mut notes = Vec::new();
    if fields.flag("truncate")? == Some(false) {
        note(
            &mut notes,
            "truncate was left out: the provider decides on texts that are too long",
        );
    }
    for (name, value) in fields.others(&known) {
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty {
            notes.push(format!("{name} was left out: only Ollama's embeddings have it"));
        }
    }
    let request = Request {
        model: fields.required("model")?.to_owned(),
        inputs,
        dimensions: fields.count("dimensions")?.filter(|count| *count > 0),
        encoding: Encoding::Float,
        user: None,
    };
    Ok((request, notes))
}

/// Writes an answer to a client; `model` is the name that it knows.
pub fn answer(answer: &Answer, model: &str, form: Form) -> Vec<u8> {
    let out = match form {
        Form::Embed => {
            let mut out = json!({"model": model, "embeddings": answer.vectors});
            if let Some(usage) = &answer.usage {
                insert(&mut out, "prompt_eval_count", usage.input.into());
            }
            out
        }
        Form::Embeddings => {
            let none = Vec::new();
            json!({"embedding": answer.vectors.first().unwrap_or(&none)})
        }
    };
    out.to_string().into_bytes()
}

/// Writes a request to a provider: `embed`.
pub fn provider_request(request: &Request, target: Target<'_>) -> Sent {
    let mut body = json!({"model": target.model, "input": request.inputs});
    if let Some(dimensions) = request.dimensions {
        insert(&mut body, "dimensions", dimensions.into());
    }
    let mut notes = Vec::new();
    if request.user.is_some() {
        note(&mut notes, "user was left out: Ollama has no such parameter");
    }
    Sent {
        path: "embed".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    }
}

/// Reads a provider's answer.
///
/// # Errors
/// When it is none.
pub fn provider_answer(body: &[u8]) -> Result<Answer, TranslateError> {
    let body: Value =
        serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
    let Some(rows) = body.get("embeddings").and_then(Value::as_array) else {
        return refuse("embeddings", "must be a list: this is no answer with embeddings");
    };
    let vectors = rows
        .iter()
        .map(|row| vector(Some(row), "embeddings"))
        .collect::<Result<_, _>>()?;
    Ok(Answer {
        model: body
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        vectors,
        usage: body
            .get("prompt_eval_count")
            .and_then(Value::as_u64)
            .map(|input| Usage {
                input,
                ..Usage::default()
            }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Form, answer, provider_answer, provider_request, request};
    use crate::chat::Target;

    #[test]
    fn embeddings_come_and_go() {
        let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 2, "truncate": true, "options": {"num_ctx": 1}});
        let (read, notes) = request(body.to_string().as_bytes(), Form::Embed).expect("a request");
        assert_eq!(notes, ["options was left out: only Ollama's embeddings have it"]);
        let target = Target {
            model: "nomic",
            default_max_tokens: 0,
            flavor: "",
        };
        let sent: Value = serde_json::from_slice(&provider_request(&read, target).body).expect("JSON");
        assert_eq!(
            sent,
            json!({"model": "nomic", "input": ["a", "b"], "dimensions": 2})
        );
        let reply = json!({"model": "nomic", "embeddings": [[0.5, 1.0], [2.0, 3.0]], "prompt_eval_count": 4});
        let read = provider_answer(reply.to_string().as_bytes()).expect("an answer");
        let shown: Value = serde_json::from_slice(&answer(&read, "m", Form::Embed)).expect("JSON");
        assert_eq!(
            shown,
            json!({"model": "m", "embeddings": [[0.5, 1.0], [2.0, 3.0]], "prompt_eval_count": 4})
        );
        let shown: Value = serde_json::from_slice(&answer(&read, "m", Form::Embeddings)).expect("JSON");
        assert_eq!(shown, json!({"embedding": [0.5, 1.0]}));
        assert!(request(b"{\"model\":\"m\"}", Form::Embeddings).is_err());
        assert!(provider_answer(b"{}").is_err());
    }
}
