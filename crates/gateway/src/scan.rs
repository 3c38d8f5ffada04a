//! What a request asks for, found without building its document.
//!
//! *Invariant:* every byte that is not replaced on purpose reaches the provider as the client wrote it.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::HeaderValue;
use stead_dialects::{
    chat::{Head, Request, TranslateError, Wire, refuse},
    flavors::{self, StreamUsage},
    scan::{self, Edits, FormText, RequestFields, ScanError},
};

use crate::{
    api::error::ApiError,
    operation::{Makes, Operation},
    provider::ProviderType,
};

/// A request's body and what was found in it.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    pub(crate) body: Bytes,
    pub(crate) fields: RequestFields,
    /// The dialect that it is in.
    pub(crate) wire: Wire,
    /// Whether the path and not the body names the model.
    in_path: bool,
    /// The content type of a form; `None` for JSON.
    pub(crate) form: Option<HeaderValue>,
    /// Whether the parsed form was changed, so that the body is no longer what is sent.
    rewritten: bool,
    /// The limit of the output, where the client sets none and a quota needs one.
    output_limit: Option<u64>,
    parsed: OnceLock<Result<Arc<Request>, TranslateError>>,
}

/// Reads the fields of a body, and checks that all of it is JSON.
pub(crate) fn scan(body: Bytes, wire: Wire, head: Head<'_>) -> Result<Scanned, ApiError> {
    if body.trim_ascii().is_empty() {
        let message = "the request has no body; it must be a JSON object";
        return Err(ApiError::invalid("invalid_body", message));
    }
    match scan::request(&body, wire, head) {
        Ok(fields) => Ok(Scanned {
            body,
            fields,
            wire,
            in_path: head.model.is_some(),
            form: None,
            rewritten: false,
            output_limit: None,
            parsed: OnceLock::new(),
        }),
        Err(error) => Err(refusal(&body, &error)),
    }
}

/// Reads the fields of a form with an upload.
pub(crate) fn scan_form(body: Bytes, content_type: &HeaderValue) -> Result<Scanned, ApiError> {
    let boundary = content_type.to_str().ok().and_then(scan::boundary);
    let Some(boundary) = boundary else {
        let message = "the body must be a form: multipart/form-data with a boundary";
        return Err(ApiError::invalid("invalid_body", message));
    };
    match scan::form_request(&body, boundary) {
        Ok(fields) => Ok(Scanned {
            body,
            fields,
            wire: Wire::OpenAi,
            in_path: false,
            form: Some(content_type.clone()),
            rewritten: false,
            output_limit: None,
            parsed: OnceLock::new(),
        }),
        Err(error) => Err(malformed(&error)),
    }
}

fn malformed(error: &ScanError) -> ApiError {
    let message = format!("the form cannot be used: {}", error.message);
    ApiError::invalid("invalid_body", message)
}

/// Says where it is wrong as an editor counts.
fn refusal(body: &[u8], error: &ScanError) -> ApiError {
    let before = body.get(..error.position.min(body.len())).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let message = format!(
        "the body cannot be used: {} (line {line}, column {column})",
        error.message
    );
    let refused = ApiError::invalid("invalid_body", message);
    if error.message.contains("model") {
        refused.param("model")
    } else {
        refused
    }
}

impl Scanned {
    /// The request in the form that every dialect is read into; made when it is first asked for.
    pub(crate) fn request(&self) -> Result<&Arc<Request>, &TranslateError> {
        let parsed = self.parsed.get_or_init(|| {
            let Some(dialect) = stead_dialects::client(self.wire).filter(|_| self.form.is_none()) else {
                return refuse("body", "this API cannot be translated into another one");
            };
            let head = Head {
                model: self.in_path.then_some(self.fields.model.as_str()),
                stream: self.fields.stream,
            };
            let mut request = dialect.request(&self.body, head)?;
            self.apply_limit(&mut request);
            Ok(Arc::new(request))
        });
        parsed.as_ref()
    }

    fn apply_limit(&self, request: &mut Request) {
        request.sampling.max_tokens = request.sampling.max_tokens.or(self.output_limit);
    }

    /// Limits the output of a request whose client does not.
    pub(crate) fn limit_output(&mut self, tokens: u64) {
        self.output_limit = Some(tokens);
        if let Some(Ok(request)) = self.parsed.get_mut() {
            request_limit(request, tokens);
        }
        // There the limit lies deeper than an edit reaches.
        self.rewritten |= matches!(self.wire, Wire::Gemini | Wire::Ollama | Wire::OllamaGenerate);
    }

    /// Whether the body is a form and not JSON.
    pub(crate) fn is_form(&self) -> bool {
        self.form.is_some()
    }

    /// The texts of a form; `None` of a document.
    pub(crate) fn form_texts(&self) -> Result<Option<Vec<FormText>>, ApiError> {
        let boundary = self
            .form
            .as_ref()
            .and_then(|sort| scan::boundary(sort.to_str().ok()?));
        boundary
            .map(|boundary| scan::form_texts(&self.body, boundary).map_err(|error| malformed(&error)))
            .transpose()
    }

    /// The same form with other texts at places of [`form_texts`](Self::form_texts).
    pub(crate) fn with_form_texts(&self, texts: &[(Range<usize>, String)]) -> Result<Self, ApiError> {
        let Some(sort) = &self.form else {
            return Ok(self.clone());
        };
        scan_form(scan::replace_form_texts(&self.body, texts), sort)
    }

    /// The model, where the path names it.
    pub(crate) fn path_model(&self) -> Option<&str> {
        self.in_path.then_some(self.fields.model.as_str())
    }

    /// Whether the body may be sent on as it is to a provider of the same dialect.
    pub(crate) fn is_original(&self) -> bool {
        !self.rewritten
    }

    /// Whether the client wants the usage at the end of a stream.
    pub(crate) fn includes_usage(&self) -> bool {
        self.fields.include_usage == Some(true)
    }

    /// Whether the usage at the end of a stream is for the gateway only.
    pub(crate) fn hides_usage(&self, operation: Operation) -> bool {
        self.wire == Wire::OpenAi
            && self.fields.stream
            && !self.includes_usage()
            && matches!(operation, Operation::Chat | Operation::Completions)
    }

    /// Whether a provider has to be asked for the usage that the client did not ask for; some tell it always.
    fn injects_usage(&self, kind: ProviderType, operation: Operation) -> bool {
        let flavor = flavors::find(kind.as_str());
        let asked = flavor.is_none_or(|flavor| flavor.stream_usage == StreamUsage::Asked);
        asked && self.hides_usage(operation)
    }

    /// The body for a provider: its own name of the model, usage at the end of a stream, and a limit of the output
    /// where one is needed.
    pub(crate) fn body_for(&self, model: &str, kind: ProviderType, operation: Operation) -> Bytes {
        if self.form.is_some() {
            return scan::replace_form_model(&self.body, &self.fields, model);
        }
        let inject = self.injects_usage(kind, operation);
        let limit = self
            .output_limit
            .filter(|_| operation.facts().makes == Makes::Text);
        if !inject && limit.is_none() && (model == self.fields.model || self.in_path) {
            return self.body.clone();
        }
        let edits = Edits {
            model: Some(model).filter(|_| !self.in_path),
            include_usage: inject,
            output_limit: limit.map(|limit| (self.limit_name(kind, operation), limit)),
        };
        scan::edit(&self.body, &self.fields, &edits)
    }

    /// What the limit of the output is called. `OpenAI`'s newer models know `max_completion_tokens` only, most other
    /// servers of its API `max_tokens` only
    /// (<https://platform.openai.com/docs/api-reference/chat/create#chat_create-max_completion_tokens>).
    fn limit_name(&self, kind: ProviderType, operation: Operation) -> &'static str {
        match (self.wire, kind) {
            (Wire::Responses, _) => "max_output_tokens",
            (Wire::OpenAi, ProviderType::OpenAi | ProviderType::AzureOpenAi)
                if operation == Operation::Chat =>
            {
                "max_completion_tokens"
            }
            _ => "max_tokens",
        }
    }
}

fn request_limit(request: &mut Arc<Request>, tokens: u64) {
    let request = Arc::make_mut(request);
    request.sampling.max_tokens = request.sampling.max_tokens.or(Some(tokens));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> Result<Scanned, ApiError> {
        scan(
            Bytes::copy_from_slice(text.as_bytes()),
            Wire::OpenAi,
            Head::default(),
        )
    }

    #[test]
    fn only_the_models_name_is_replaced() {
        let text = " {\"messages\" : [ {\"model\":\"not this\"} ], \"model\":\"chat\" , \"n\":1.0}\n";
        let found = scanned(&text.replace(", \"n\":1.0", "")).unwrap();
        assert_eq!(
            found.body_for("m\"x", ProviderType::OpenAi, Operation::Chat),
            text.replace(", \"n\":1.0", "").replace("\"chat\"", "\"m\\\"x\"")
        );
        let same = scanned(r#"{"model":"a"}"#).unwrap();
        assert_eq!(
            same.body_for("a", ProviderType::OpenAi, Operation::Chat).as_ptr(),
            same.body.as_ptr()
        );
    }

    #[test]
    fn usage_is_asked_for_unless_the_client_does() {
        let cases = [
            (r#"{"model":"a","stream":true}"#, Operation::Chat, true),
            (r#"{"model":"a","stream":true}"#, Operation::Embeddings, false),
            (
                r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
                Operation::Chat,
                false,
            ),
            (r#"{"model":"a"}"#, Operation::Chat, false),
        ];
        for (text, operation, injects) in cases {
            let found = scanned(text).unwrap();
            assert_eq!(found.hides_usage(operation), injects, "{text}");
            let body = found.body_for("a", ProviderType::OpenAi, operation);
            let body = String::from_utf8_lossy(&body);
            let asks = body.contains(r#""include_usage":true"#);
            assert_eq!(asks, injects || found.includes_usage(), "{text}");
            let body = found.body_for("a", ProviderType::Mistral, operation);
            let body = String::from_utf8_lossy(&body);
            assert!(
                body.contains("stream_options") == found.includes_usage(),
                "it tells its usage always"
            );
        }
    }

    #[test]
    fn an_output_without_a_limit_gets_one_in_the_providers_words() {
        let limited = |text: &str, kind, operation| {
            let mut found = scanned(text).unwrap();
            found.limit_output(9);
            String::from_utf8(found.body_for("a", kind, operation).to_vec()).unwrap()
        };
        let chat = Operation::Chat;
        let table = [
            (
                r#"{"model":"a","n":1}"#,
                ProviderType::OpenAi,
                chat,
                r#"{"model":"a","max_completion_tokens":9,"n":1}"#,
            ),
            (
                r#"{"model":"a"}"#,
                ProviderType::Vllm,
                chat,
                r#"{"model":"a","max_tokens":9}"#,
            ),
            (
                r#"{"model":"a","max_tokens":null}"#,
                ProviderType::OpenAi,
                Operation::Completions,
                r#"{"model":"a","max_tokens":9,"max_tokens":9}"#,
            ),
            (
                r#"{"model":"a"}"#,
                ProviderType::OpenAi,
                Operation::Embeddings,
                r#"{"model":"a"}"#,
            ),
        ];
        for (text, kind, operation, expected) in table {
            assert_eq!(limited(text, kind, operation), expected);
        }
        let mut found = scanned(r#"{"model":"a","messages":[]}"#).unwrap();
        found.limit_output(9);
        assert_eq!(found.request().unwrap().sampling.max_tokens, Some(9));
    }

    #[test]
    fn bad_bodies_get_one_sentence_with_the_place() {
        for text in [
            "",
            "  ",
            "[]",
            "{\"model\":\"a\",}",
            "{\"model\":\"a\"",
            "{}",
            "{\"model\":5}",
        ] {
            let error = scanned(text).unwrap_err();
            assert_eq!(
                (error.status.as_u16(), &*error.code),
                (400, "invalid_body"),
                "{text}"
            );
        }
        let error = scanned("{\n  \"model\": oops}").unwrap_err();
        assert!(error.message.contains("line 2, column 12"), "{}", error.message);
    }
}
