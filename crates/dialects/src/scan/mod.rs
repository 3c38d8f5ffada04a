//! Reading the few fields that matter from JSON bodies, without building the value.

use std::ops::Range;

use bytes::Bytes;

use crate::Usage;

/// What a gateway must know of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFields {
    /// The model's name, with escapes resolved.
    pub model: String,
    /// Where the model's value lies in the body, quotes included.
    pub model_span: Range<usize>,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// Where the value of `stream_options` lies, when it is there.
    pub stream_options_span: Option<Range<usize>>,
    /// `n`: how many answers.
    pub choices: Option<u64>,
    /// `user`.
    pub user: Option<String>,
    /// Whether `tools` is there and not empty.
    pub has_tools: bool,
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {position}")]
pub struct ScanError {
    /// What is wrong, lowercase.
    pub message: String,
    /// The byte of the body where it is wrong, from 0.
    pub position: usize,
}

/// Reads the fields of a chat, completions or embeddings request, and checks that the body is one JSON object.
///
/// # Errors
/// Malformed JSON, or `model` absent or no text, or a field of the wrong type.
pub fn chat_request(body: &[u8]) -> Result<RequestFields, ScanError> {
    let _ = body;
    Ok(RequestFields::default())
}

/// The body with another model's name; everything else stays byte for byte. `span` is
/// [`RequestFields::model_span`] of the same body.
pub fn replace_model(body: &Bytes, span: Range<usize>, new: &str) -> Bytes {
    let _ = (span, new);
    body.clone()
}

/// The body with `stream_options.include_usage` set to true.
pub fn with_usage(body: &Bytes, fields: &RequestFields) -> Bytes {
    let _ = fields;
    body.clone()
}

/// The `usage` of an OpenAI answer or chunk; `None` when it has none (or null).
pub fn usage(json: &[u8]) -> Option<Usage> {
    let _ = json;
    None
}

/// Whether a chunk of a stream carries the first of an answer: text, reasoning, a refusal or a tool call.
pub fn first_content(data: &str) -> bool {
    let _ = data;
    false
}
