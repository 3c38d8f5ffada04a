//! Jina's `POST /v1/rerank` (<https://api.jina.ai/redoc#tag/rerank>), as vLLM
//! (<https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>, "Re-rank API"), llama.cpp
//! (<https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>) and Together
//! (<https://docs.together.ai/reference/rerank>) speak it too.

use serde_json::{Value, json};

use super::{Answer, Request, ranked, sent};
use crate::{
    Usage,
    chat::{Sent, TranslateError},
};

/// Documents are not asked back: they are those of the request.
pub(super) fn request(request: &Request, model: &str) -> Sent {
    let mut notes = Vec::new();
    if request.max_tokens_per_doc.is_some() {
        notes.push("max_tokens_per_doc was left out: only Cohere's API has it".to_owned());
    }
    let mut body = json!({
        "model": model,
        "query": request.query,
        "documents": request.documents,
        "return_documents": false,
    });
    if let Value::Object(members) = &mut body {
        members.extend(request.top_n.map(|most| ("top_n".to_owned(), most.into())));
    }
    sent(&body, notes)
}

/// `usage` has `total_tokens`, and `prompt_tokens` in some.
pub(super) fn answer(body: &Value) -> Result<Answer, TranslateError> {
    let usage = body.get("usage").unwrap_or(&Value::Null);
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    Ok(Answer {
        id: body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        results: ranked(body.get("results"), "relevance_score")?,
        usage: count("prompt_tokens")
            .or_else(|| count("total_tokens"))
            .map(|input| Usage {
                input,
                ..Usage::default()
            }),
        search_units: None,
    })
}
