//! Cohere's `POST /v2/rerank`. <https://docs.cohere.com/reference/rerank>

use serde_json::{Value, json};

use super::{Answer, Request, ranked, sent};
use crate::{
    chat::{Sent, TranslateError},
    cohere::{billed, number},
};

/// Version 2 does not send documents back; they are those of the request.
pub(super) fn request(request: &Request, model: &str) -> Sent {
    let mut body = json!({"model": model, "query": request.query, "documents": request.documents});
    if let Value::Object(members) = &mut body {
        for (name, value) in [
            ("top_n", request.top_n),
            ("max_tokens_per_doc", request.max_tokens_per_doc),
        ] {
            members.extend(value.map(|value| (name.to_owned(), value.into())));
        }
    }
    sent(&body, Vec::new())
}

pub(super) fn answer(body: &Value) -> Result<Answer, TranslateError> {
    let meta = body.get("meta").unwrap_or(&Value::Null);
    Ok(Answer {
        id: body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        results: ranked(body.get("results"), "relevance_score")?,
        usage: billed(meta),
        search_units: meta.pointer("/billed_units/search_units").and_then(number),
    })
}
