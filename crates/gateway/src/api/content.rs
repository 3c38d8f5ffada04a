//! What a body says, as guardrails and the cache read it: a document, or the texts of a form.

use std::ops::Range;

use serde_json::Value;
use stead_dialects::chat::Head;

use super::error::ApiError;
use crate::scan::{self, Scanned};

/// What a body says.
pub(super) enum Content {
    /// A document.
    Json(Value),
    /// A form: a list of its texts, and where each lies.
    Form(Value, Vec<Range<usize>>),
}

impl Content {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is not what it says it is.
    pub(super) fn of(request: &Scanned) -> Result<Self, ApiError> {
        let Some(texts) = request.form_texts()? else {
            let body = serde_json::from_slice(&request.body).map_err(|error| {
                ApiError::invalid("invalid_body", format!("the body is no JSON: {error}"))
            })?;
            return Ok(Self::Json(body));
        };
        let mut list = Vec::with_capacity(texts.len());
        for text in &texts {
            let bytes = request.body.get(text.span.clone()).unwrap_or_default();
            let said = std::str::from_utf8(bytes).map_err(|_| {
                let message = format!("the part `{}` of the form is no text in UTF-8", text.name);
                ApiError::invalid("invalid_body", message)
            })?;
            list.push(Value::from(said));
        }
        let spans = texts.into_iter().map(|text| text.span).collect();
        Ok(Self::Form(Value::Array(list), spans))
    }

    /// What it says, which has to be put back.
    pub(super) fn take(&mut self) -> Value {
        match self {
            Self::Json(body) | Self::Form(body, _) => std::mem::take(body),
        }
    }

    /// What it says from now on.
    pub(super) fn put(&mut self, said: Value) {
        match self {
            Self::Json(body) | Self::Form(body, _) => *body = said,
        }
    }

    /// Whether a document has a member that is neither null nor false.
    pub(super) fn asks_for(&self, member: &str) -> bool {
        match self {
            Self::Json(body) => body
                .get(member)
                .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))),
            Self::Form(..) => false,
        }
    }

    /// The same request with what this says.
    pub(super) fn rescanned(&self, request: &Scanned) -> Result<Scanned, ApiError> {
        match self {
            Self::Json(body) => {
                let head = Head {
                    model: request.path_model(),
                    stream: request.fields.stream,
                };
                scan::scan(body.to_string().into(), request.wire, head)
            }
            Self::Form(said, spans) => {
                let said = said.as_array().map(Vec::as_slice).unwrap_or_default();
                let texts = said.iter().filter_map(|text| text.as_str().map(str::to_owned));
                request.with_form_texts(&spans.iter().cloned().zip(texts).collect::<Vec<_>>())
            }
        }
    }
}
