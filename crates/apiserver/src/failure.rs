//! Failures as Kubernetes answers them: a `Status` with a code, a reason, details and causes.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Reason, http::status};
use stead_resource::FieldError;

use crate::{kinds::ResourceType, store::StoreError};

/// A request that was not done.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
    /// Whether another writer was faster.
    race: bool,
}

/// A result with a [`Failure`].
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Map::new(),
            race: false,
        }
    }

    fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// Says which object it is about.
    pub(crate) fn about(self, kind: &ResourceType, name: &str) -> Self {
        self.named(&kind.group, &kind.plural, name)
    }

    fn named(mut self, group: &str, resource: &str, name: &str) -> Self {
        if !name.is_empty() {
            self = self.detail("name", name);
        }
        if !group.is_empty() {
            self = self.detail("group", group);
        }
        self.detail("kind", resource)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn forbidden(kind: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", kind.qualified());
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(kind, name)
    }

    pub(crate) fn not_found(kind: &ResourceType, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(kind, name)
    }

    fn namespace_not_found(namespace: &str) -> Self {
        let message = format!("namespaces {namespace:?} not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).named("", "namespaces", namespace)
    }

    /// A path that leads nowhere.
    pub(crate) fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let message = format!("only the following media types are accepted: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn unsupported_media_type(supported: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {supported}"
        );
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::oversized(format!("the request is too large: the limit is {limit} bytes"))
    }

    pub(crate) fn oversized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub(crate) fn exists(kind: &ResourceType, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(kind, name)
    }

    pub(crate) fn conflict(kind: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            kind.qualified()
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(kind, name)
    }

    /// The object has another version than the writer saw.
    pub(crate) fn changed(kind: &ResourceType, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self {
            race: true,
            ..Self::conflict(kind, name, why)
        }
    }

    /// Others own fields that an apply would change.
    pub(crate) fn apply_conflicts(conflicts: &[stead_resource::apply::Conflict]) -> Self {
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|conflict| {
                json!({"reason": "FieldManagerConflict", "message": conflict.message(), "field": conflict.field})
            })
            .collect();
        let noun = if conflicts.len() == 1 {
            "conflict"
        } else {
            "conflicts"
        };
        let list: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        let message = format!(
            "Apply failed with {} {noun}: {}",
            conflicts.len(),
            list.join(", ")
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).detail("causes", causes)
    }

    /// A watch or a page from a version that is not kept any more.
    pub(crate) fn expired() -> Self {
        let message = "too old resource version: the changes since then are not kept any more; list again";
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(crate) fn invalid(kind: &ResourceType, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let list = match texts.as_slice() {
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| {
                json!({"reason": error.kind.reason(), "message": error.message(), "field": error.path})
            })
            .collect();
        let message = format!("{} {name:?} is invalid: {list}", kind.qualified_kind());
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .about(kind, name)
            .detail("causes", causes);
        failure = failure.detail("kind", kind.kind.as_str());
        failure
    }

    /// A patch that does not fit the object.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// What a write to an object ran into.
    pub(crate) fn from_write(error: StoreError, kind: &ResourceType, namespace: &str, name: &str) -> Self {
        match error {
            StoreError::Exists => Self::exists(kind, name),
            StoreError::Missing => Self::not_found(kind, name),
            StoreError::Conflict => Self::changed(kind, name),
            StoreError::NamespaceMissing => Self::namespace_not_found(namespace),
            StoreError::NamespaceTerminating => {
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                let cause = json!({
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"),
                    "field": "metadata.namespace",
                });
                Self::forbidden(kind, name, &why).detail("causes", vec![cause])
            }
            StoreError::DefinitionTerminating => {
                let message = format!(
                    "create not allowed while the definition of {} is being deleted",
                    kind.qualified()
                );
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about(kind, name)
            }
            other => other.into(),
        }
    }

    /// Whether another writer was faster, so that another try may do.
    pub(crate) fn is_race(&self) -> bool {
        self.race
    }

    /// Whether the object is there already.
    pub(crate) fn is_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether the object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == StatusCode::NOT_FOUND
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        });
        if let Some(status) = status.as_object_mut() {
            if !self.details.is_empty() {
                status.insert("details".into(), Value::Object(self.details.clone()));
            }
            status.insert("code".into(), self.code.as_u16().into());
        }
        status
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = self.status().to_string();
        let mut response = (self.code, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.code == StatusCode::SERVICE_UNAVAILABLE || self.code == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (code, reason) = match &error {
            StoreError::Expired => return Self::expired(),
            StoreError::Full
            | StoreError::Closed
            | StoreError::Io(_)
            | StoreError::NotEmpty
            | StoreError::Missing
            | StoreError::NamespaceMissing
            | StoreError::DefinitionTerminating
            | StoreError::NamespaceTerminating => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            StoreError::Exists | StoreError::Conflict => (StatusCode::CONFLICT, "Conflict"),
            StoreError::Busy => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            StoreError::Damaged(_) | StoreError::Broken(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
        };
        Self::new(code, reason, format!("the state could not be used: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = match error.reason() {
            Reason::Invalid => "Invalid",
            Reason::TooLarge => "RequestEntityTooLarge",
            Reason::Unauthenticated => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Expired",
            Reason::Exhausted => "TooManyRequests",
            Reason::Unavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
            Reason::Unsupported => "NotImplemented",
            Reason::Internal => "InternalError",
        };
        let code = match error.reason() {
            Reason::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            reason => status(reason),
        };
        let mut message = error.full_message();
        if let Some(hint) = error.get_hint() {
            message.push_str("; ");
            message.push_str(hint);
        }
        Self::new(code, reason, message)
    }
}
