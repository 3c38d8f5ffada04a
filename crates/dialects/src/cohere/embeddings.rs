//! Cohere's `POST /v2/embed`. <https://docs.cohere.com/reference/embed>

use serde_json::{Value, json};

use super::answer::billed;
use crate::{
    chat::{Sent, Target, TranslateError, refuse},
    embeddings::{Answer, Request, vector},
};

/// The most texts of one request.
pub const MOST_TEXTS: usize = 96;

/// Writes a request. Cohere wants to know what texts are for, which OpenAI's dialect does not say: they become
/// documents that are searched.
///
/// # Errors
/// More than [`MOST_TEXTS`] texts.
pub fn request(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    if request.inputs.len() > MOST_TEXTS {
        return refuse(
            "input",
            format!("must be at most {MOST_TEXTS} texts: Cohere's API takes no more at once"),
        );
    }
    let mut body = json!({
        "model": target.model,
        "input_type": "search_document",
        "texts": request.inputs,
        "embedding_types": ["float"],
    });
    if let Value::Object(members) = &mut body {
        members.extend(
            request
                .dimensions
                .map(|count| ("output_dimension".to_owned(), count.into())),
        );
    }
    let mut notes = vec!["input_type became search_document: OpenAI's embeddings have none".to_owned()];
    if request.user.is_some() {
        notes.push("user was left out: Cohere's API does not ask who the end user is".to_owned());
    }
    Ok(Sent {
        path: "embed".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

/// Reads an answer.
///
/// # Errors
/// When it is none.
pub fn answer(body: &[u8]) -> Result<Answer, TranslateError> {
    let body: Value =
        serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
    // Without `embedding_types` they would be the list itself.
    let rows = body
        .pointer("/embeddings/float")
        .or_else(|| body.get("embeddings"))
        .and_then(Value::as_array);
    let Some(rows) = rows else {
        return refuse(
            "embeddings.float",
            "must be a list: this is no answer with embeddings",
        );
    };
    Ok(Answer {
        model: String::new(),
        vectors: rows
            .iter()
            .map(|row| vector(Some(row), "embeddings.float"))
            .collect::<Result<_, _>>()?,
        usage: body.get("meta").and_then(billed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sent_as_documents_and_vectors_come_back_in_order() {
        let asked = Request {
            model: "m".to_owned(),
            inputs: vec!["a".to_owned(), "b".to_owned()],
            dimensions: Some(2),
            ..Request::default()
        };
        let target = Target {
            model: "embed-v4.0",
            default_max_tokens: 0,
            flavor: "cohere",
        };
        let sent = request(&asked, target).expect("a request");
        assert_eq!(sent.path, "embed");
        assert_eq!(
            serde_json::from_slice::<Value>(&sent.body).expect("JSON"),
            json!({"model": "embed-v4.0", "input_type": "search_document", "texts": ["a", "b"],
                "embedding_types": ["float"], "output_dimension": 2})
        );
        // The example of the reference, shortened.
        let body = json!({"id": "5807ee2e", "embeddings": {"float": [[0.5, -1.0], [0.25, 2.0]]}, "texts": ["a", "b"],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2.0}},
            "response_type": "embeddings_by_type"});
        let answer = answer(body.to_string().as_bytes()).expect("an answer");
        assert_eq!(answer.vectors, [[0.5, -1.0], [0.25, 2.0]]);
        assert_eq!(
            answer.usage.map(|usage| (usage.input, usage.output)),
            Some((2, 0))
        );
        let many = Request {
            inputs: vec![String::new(); 97],
            ..Request::default()
        };
        assert_eq!(request(&many, target).expect_err("too many").param, "input");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"embeddings": {"float": [["x"]]}}"#,
            r#"{"message": "no"}"#,
        ] {
            assert!(answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
