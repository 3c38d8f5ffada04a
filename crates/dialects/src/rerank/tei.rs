//! `POST /rerank` of Hugging Face's text-embeddings-inference.
//! <https://huggingface.github.io/text-embeddings-inference/#/Text%20Embeddings%20Inference/rerank>

use serde_json::{Value, json};

use super::{Answer, Request, ranked, sent};
use crate::chat::{Sent, TranslateError};

/// A server has one model, and gives all results; texts that are too long are cut, as the others do.
pub(super) fn request(request: &Request) -> Sent {
    let mut notes = Vec::new();
    if request.max_tokens_per_doc.is_some() {
        notes.push(
            "max_tokens_per_doc was left out: text-embeddings-inference cuts at the model's limit".to_owned(),
        );
    }
    let body = json!({
        "query": request.query,
        "texts": request.documents,
        "raw_scores": false,
        "return_text": false,
        "truncate": true,
    });
    sent(&body, notes)
}

/// A list of `index` and `score`; tokens are not counted.
pub(super) fn answer(body: &Value) -> Result<Answer, TranslateError> {
    Ok(Answer {
        results: ranked(Some(body), "score")?,
        ..Answer::default()
    })
}
