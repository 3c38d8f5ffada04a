//! Reading the few fields that matter from JSON bodies, without building the value.

mod form;
mod json;
mod prompt;
mod rewrite;

use std::{borrow::Cow, ops::Range};

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::{
    Usage,
    chat::{Head, Wire},
};
pub use form::{FormText, boundary, form_request, form_texts, replace_form_model, replace_form_texts};
use json::{Scanner, error};
pub use prompt::prompt;

pub(crate) use rewrite::{Change, list, object};

/// What a gateway must know of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFields {
    /// The model's name, with escapes resolved.
    pub model: String,
    /// Where the model's value lies in the body, quotes included; empty when the path names the model.
    pub model_span: Range<usize>,
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// The largest of all limits of the output that the request names, since a provider may mind another one than
    /// [`max_tokens`](Self::max_tokens).
    pub longest_output: Option<u64>,
    /// Where such limits lie that are null, which is none, in OpenAI's dialects.
    pub null_limits: Vec<Range<usize>>,
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

/// Reads the fields of a chat, completions or embeddings request of OpenAI's dialect, and checks that the body is one
/// JSON object.
///
/// # Errors
/// See [`request`].
pub fn chat_request(body: &[u8]) -> Result<RequestFields, ScanError> {
    request(body, Wire::OpenAi, Head::default())
}

/// Reads the fields of a request of any client's dialect, and checks that the body is one JSON object.
///
/// Of a key that occurs twice the last one counts, as for `serde_json`; but `model` may occur once only, since a
/// provider that reads the first one would otherwise serve a model that was never checked. What the path says
/// (`head`) needs no field.
///
/// # Errors
/// Malformed JSON, `model` absent, twice or no text, or a field of the wrong type.
pub fn request(body: &[u8], wire: Wire, head: Head<'_>) -> Result<RequestFields, ScanError> {
    let mut reader = Reader {
        body,
        wire,
        in_path: head.model.is_some(),
        fields: RequestFields {
            model: head.model.unwrap_or_default().to_owned(),
            stream: head.stream || matches!(wire, Wire::Ollama | Wire::OllamaGenerate),
            ..RequestFields::default()
        },
        max_tokens: None,
        max_completion_tokens: None,
    };
    Scanner::new(body)?.whole_object(|key, value| reader.member(key, value))?;
    let mut fields = reader.fields;
    if fields.model.is_empty() {
        return error("the request names no model", 0);
    }
    fields.max_tokens = reader.max_completion_tokens.or(reader.max_tokens);
    Ok(fields)
}

struct Reader<'a> {
    body: &'a [u8],
    wire: Wire,
    /// Whether the path names the model.
    in_path: bool,
    fields: RequestFields,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

impl Reader<'_> {
    fn member(&mut self, key: Range<usize>, value: Range<usize>) -> Result<(), ScanError> {
        match text(self.body, key)?.as_ref() {
            "model" if !self.in_path => self.model(value)?,
            "stream" if !self.in_path => {
                let stream = self.read(value, "stream must be true or false", Value::as_bool)?;
                self.fields.stream = stream.unwrap_or(self.fields.stream);
            }
            "generationConfig" | "generation_config" if self.wire == Wire::Gemini => {
                let choices = self.inner_count(value.clone(), &["candidateCount", "candidate_count"])?;
                self.fields.choices = self.fields.choices.max(choices);
                let limit = self.inner_count(value, &["maxOutputTokens", "max_output_tokens"])?;
                self.max_tokens = self.longest(limit);
            }
            "options" if matches!(self.wire, Wire::Ollama | Wire::OllamaGenerate) => {
                let limit = self.inner_count(value, &["num_predict"])?;
                self.max_tokens = self.longest(limit);
            }
            "max_output_tokens" if self.wire == Wire::Responses => {
                self.max_completion_tokens = self.limit(value, "max_output_tokens")?;
            }
            "max_tokens" => self.max_tokens = self.limit(value, "max_tokens")?,
            "max_completion_tokens" => {
                self.max_completion_tokens = self.limit(value, "max_completion_tokens")?;
            }
            "n" => self.fields.choices = self.count(value, "n")?,
            "user" => {
                self.fields.user = self.read(value, "user must be a text", |user| {
                    user.as_str().map(str::to_owned)
                })?;
            }
            "tools" => {
                let tools = self.body.get(value).unwrap_or_default();
                self.fields.has_tools = tools.first() == Some(&b'[')
                    && !tools
                        .iter()
                        .skip(1)
                        .all(|byte| byte.is_ascii_whitespace() || *byte == b']');
            }
            "stream_options" => self.stream_options(value)?,
            _ => {}
        }
        Ok(())
    }

    fn model(&mut self, value: Range<usize>) -> Result<(), ScanError> {
        if !self.fields.model_span.is_empty() {
            return error("the request names its model twice", value.start);
        }
        if self.body.get(value.start) != Some(&b'"') {
            return error("model must be a text", value.start);
        }
        self.fields.model = text(self.body, value.clone())?.into_owned();
        if self.fields.model.is_empty() {
            return error("model must not be empty", value.start);
        }
        self.fields.model_span = value;
        Ok(())
    }

    /// A limit of the output.
    fn limit(&mut self, value: Range<usize>, name: &str) -> Result<Option<u64>, ScanError> {
        let limit = self.count(value.clone(), name)?;
        if limit.is_none() {
            self.fields.null_limits.push(value);
        }
        Ok(self.longest(limit))
    }

    fn longest(&mut self, limit: Option<u64>) -> Option<u64> {
        self.fields.longest_output = self.fields.longest_output.max(limit);
        limit
    }

    fn count(&self, value: Range<usize>, name: &str) -> Result<Option<u64>, ScanError> {
        self.read(
            value,
            &format!("{name} must be a whole number that is not negative"),
            Value::as_u64,
        )
    }

    /// A count inside an object; one that is no count is the dialect's to refuse.
    fn inner_count(&self, value: Range<usize>, names: &[&str]) -> Result<Option<u64>, ScanError> {
        let found = self.read(value, "this must be an object", |object| {
            let object = object.as_object()?;
            Some(names.iter().find_map(|name| object.get(*name)?.as_u64()))
        })?;
        Ok(found.flatten())
    }

    fn stream_options(&mut self, value: Range<usize>) -> Result<(), ScanError> {
        const MESSAGE: &str = "stream_options must be an object, and its include_usage true or false";
        let include_usage = self.read(value.clone(), MESSAGE, |options| {
            match options.as_object()?.get("include_usage") {
                None | Some(Value::Null) => Some(None),
                Some(flag) => flag.as_bool().map(Some),
            }
        })?;
        self.fields.include_usage = include_usage.flatten();
        self.fields.stream_options_span = Some(value);
        Ok(())
    }

    /// Reads a small value; null counts as absent.
    fn read<T>(
        &self,
        span: Range<usize>,
        message: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ScanError> {
        let start = span.start;
        match serde_json::from_slice(self.body.get(span).unwrap_or_default()) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => read(&value).map_or_else(|| error(message, start), |value| Ok(Some(value))),
            Err(_) => error(message, start),
        }
    }
}

/// The text of a string's span, with escapes resolved.
fn text(body: &[u8], span: Range<usize>) -> Result<Cow<'_, str>, ScanError> {
    let start = span.start;
    let quoted = body.get(span).unwrap_or_default();
    let inside = quoted
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or_default();
    if !inside.contains(&b'\\')
        && let Ok(text) = std::str::from_utf8(inside)
    {
        return Ok(Cow::Borrowed(text));
    }
    serde_json::from_slice(quoted)
        .map(Cow::Owned)
        .or_else(|_| error("malformed text", start))
}

/// What to change in a body before it is sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edits<'a> {
    /// The model's name for the provider.
    pub model: Option<&'a str>,
    /// Sets `stream_options.include_usage` to true.
    pub include_usage: bool,
    /// Limits the output of a request that has no limit: the member's name, and tokens.
    pub output_limit: Option<(&'a str, u64)>,
}

/// The body with edits; everything else stays byte for byte. `fields` must come from the same body.
pub fn edit(body: &Bytes, fields: &RequestFields, edits: &Edits<'_>) -> Bytes {
    let mut splices = Vec::new();
    if let Some(model) = edits.model.filter(|model| *model != fields.model) {
        splices.push((fields.model_span.clone(), Value::from(model).to_string()));
    }
    if edits.include_usage && fields.include_usage != Some(true) {
        splices.push(usage_splice(body, fields));
    }
    if let Some((name, limit)) = edits.output_limit {
        splices.push((
            fields.model_span.end..fields.model_span.end,
            format!(r#","{name}":{limit}"#),
        ));
        // A later null would win over it.
        splices.extend(
            fields
                .null_limits
                .iter()
                .map(|span| (span.clone(), limit.to_string())),
        );
    }
    splices.sort_by_key(|(span, _)| span.start);
    splice(body, &splices)
}

/// The body with another model's name; everything else stays byte for byte. `span` is
/// [`RequestFields::model_span`] of the same body; one that lies outside leaves the body as it is.
pub fn replace_model(body: &Bytes, span: Range<usize>, new: &str) -> Bytes {
    splice(body, &[(span, Value::from(new).to_string())])
}

fn usage_splice(body: &Bytes, fields: &RequestFields) -> (Range<usize>, String) {
    const WANTED: &str = r#"{"include_usage":true}"#;
    let Some(span) = fields.stream_options_span.clone() else {
        let end = fields.model_span.end;
        return (end..end, format!(r#","stream_options":{WANTED}"#));
    };
    let options = body
        .get(span.clone())
        .and_then(|options| serde_json::from_slice(options).ok());
    let options = match options {
        Some(Value::Object(mut options)) => {
            options.insert("include_usage".to_owned(), Value::Bool(true));
            Value::Object(options).to_string()
        }
        _ => WANTED.to_owned(),
    };
    (span, options)
}

/// Puts texts in place of spans, which are in order and do not overlap.
fn splice(body: &Bytes, splices: &[(Range<usize>, String)]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 64);
    let mut from = 0;
    for (span, text) in splices {
        let (Some(before), true) = (
            body.get(from..span.start),
            span.end >= span.start && span.end <= body.len(),
        ) else {
            return body.clone();
        };
        out.extend_from_slice(before);
        out.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.freeze()
}

/// The `usage` of an OpenAI answer or chunk; `None` when it has none (or null), or is malformed.
pub fn usage(json: &[u8]) -> Option<Usage> {
    let mut found = None;
    let scanner = Scanner::new(json).ok()?;
    let whole = scanner.whole_object(|key, value| {
        if text(json, key)?.as_ref() == "usage" {
            found = json
                .get(value)
                .and_then(|value| serde_json::from_slice::<Value>(value).ok());
        }
        Ok(())
    });
    whole.ok()?;
    Usage::from_openai(&found?)
}

/// Whether a chunk of a stream carries the first of an answer: text, reasoning, a refusal or a tool call.
pub fn first_content(data: &str) -> bool {
    const FIELDS: [&str; 7] = [
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
    ];
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return false;
    };
    let choices = chunk
        .get("choices")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    choices.iter().any(|choice| {
        let delta = choice.get("delta");
        is_filled(choice.get("text"))
            || FIELDS
                .iter()
                .any(|field| is_filled(delta.and_then(|delta| delta.get(field))))
    })
}

fn is_filled(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(elements)) => !elements.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
    }
}
