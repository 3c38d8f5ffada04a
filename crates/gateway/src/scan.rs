//! What a request asks for, found without building its document.
//!
//! *Invariant:* every byte that is not replaced on purpose reaches the provider as the client wrote it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;
use stead_dialects::{
    chat::{Head, Request, TranslateError, Wire, refuse},
    scan::{self, Edits, RequestFields, ScanError},
};

use crate::{api::error::ApiError, operation::Operation};

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
            parsed: OnceLock::new(),
        }),
        Err(error) => {
            let message = format!("the form cannot be used: {}", error.message);
            Err(ApiError::invalid("invalid_body", message))
        }
    }
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
            dialect.request(&self.body, head).map(Arc::new)
        });
        parsed.as_ref()
    }

    /// The same request with its parsed form replaced: that is what is sent, not the body.
    #[expect(dead_code, reason = "guardrails and prompts will rewrite requests")]
    pub(crate) fn rewrite(&mut self, request: Request) {
        self.rewritten = true;
        self.parsed = OnceLock::from(Ok(Arc::new(request)));
    }

    /// Whether the body may be sent on as it is to a provider of the same dialect.
    pub(crate) fn is_original(&self) -> bool {
        !self.rewritten
    }

    /// Whether the client wants the usage at the end of a stream.
    pub(crate) fn includes_usage(&self) -> bool {
        self.fields.include_usage == Some(true)
    }

    /// Whether the provider has to be asked for the usage that the client did not ask for.
    pub(crate) fn injects_usage(&self, operation: Operation) -> bool {
        self.wire == Wire::OpenAi
            && self.fields.stream
            && !self.includes_usage()
            && matches!(operation, Operation::Chat | Operation::Completions)
    }

    /// The body for a provider: its own name of the model, and usage at the end of a stream.
    pub(crate) fn body_for(&self, model: &str, operation: Operation) -> Bytes {
        if self.form.is_some() {
            return scan::replace_form_model(&self.body, &self.fields, model);
        }
        let inject = self.injects_usage(operation);
        if !inject && (model == self.fields.model || self.in_path) {
            return self.body.clone();
        }
        let edits = Edits {
            model: Some(model),
            include_usage: inject,
        };
        scan::edit(&self.body, &self.fields, &edits)
    }
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
            found.body_for("m\"x", Operation::Chat),
            text.replace(", \"n\":1.0", "").replace("\"chat\"", "\"m\\\"x\"")
        );
        let same = scanned(r#"{"model":"a"}"#).unwrap();
        assert_eq!(same.body_for("a", Operation::Chat).as_ptr(), same.body.as_ptr());
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
            assert_eq!(found.injects_usage(operation), injects, "{text}");
            let body = found.body_for("a", operation);
            let body = String::from_utf8_lossy(&body);
            let asks = body.contains(r#""include_usage":true"#);
            assert_eq!(asks, injects || found.includes_usage(), "{text}");
        }
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
