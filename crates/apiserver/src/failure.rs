//! Failures as Kubernetes answers them: a `Status` with a code, a reason, details and causes.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use stead_kernel::{AccessRequest, Error, Reason, http::status};
use stead_resource::FieldError;

use crate::{kinds::ResourceType, store::StoreError};

/// A request that was not done.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: Box<str>,
    details: Map<String, Value>,
    form: Form,
    /// Whether another writer was faster.
    race: bool,
    more: Option<Box<More>>,
}

/// How a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Details, if there are any.
    Plain,
    /// Details, though there may be none.
    Detailed,
    /// A text of nothing but the message.
    Page,
}

/// What few failures have.
#[derive(Debug, Clone, Default)]
struct More {
    /// Where a list goes on all the same.
    rest: String,
    /// What the sender should know besides.
    warnings: Vec<String>,
}

/// A result with a [`Failure`].
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into().into_boxed_str(),
            details: Map::new(),
            form: Form::Plain,
            race: false,
            more: None,
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

    /// What a user may not do, in the words of the original first and then in those of whoever decided.
    pub(crate) fn denied(user: &str, kind: &ResourceType, asked: &AccessRequest<'_>, why: Error) -> Self {
        if why.reason() != Reason::Forbidden {
            return Self::from(why).about(kind, asked.name.unwrap_or_default());
        }
        let name = asked.name.unwrap_or_default();
        let about = match name {
            "" => kind.qualified(),
            name => format!("{} {name:?}", kind.qualified()),
        };
        let resource = match asked.subresource {
            "" => asked.resource.to_owned(),
            part => format!("{}/{part}", asked.resource),
        };
        // What is asked about a namespace is asked in it.
        let of_namespaces = (*kind.storage == *crate::kinds::NAMESPACES && !name.is_empty()).then_some(name);
        let place = match asked.project.or(of_namespaces) {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{about} is forbidden: User {user:?} cannot {} resource {resource:?} in API group {:?} {place}: {}",
            asked.verb.as_str(),
            asked.group,
            Self::from(why).message
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(kind, name)
    }

    /// The client has too much under way.
    pub(crate) fn too_many_requests() -> Self {
        let message = "Too many requests, please try again later.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).detail("retryAfterSeconds", 1)
    }

    /// What was asked for, or sent, took too long.
    pub(crate) fn timed_out() -> Self {
        let message = "Timeout: request did not complete within the allotted timeout";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// There is no object of that name, of a kind that is named by its group and plural.
    pub(crate) fn named_not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{plural}.{group} {name:?} not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
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
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).detailed()
    }

    /// A path that nobody knows, as the original's outermost handler says it.
    pub(crate) fn no_such_page() -> Self {
        Self {
            form: Form::Page,
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", "404 page not found\n")
        }
    }

    /// Tells details, though there may be none.
    fn detailed(self) -> Self {
        Self {
            form: Form::Detailed,
            ..self
        }
    }

    /// Adds what the sender should know besides.
    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        if !warnings.is_empty() {
            self.more.get_or_insert_default().warnings = warnings;
        }
        self
    }

    /// What the sender should know besides.
    pub(crate) fn warnings(&self) -> &[String] {
        self.more
            .as_ref()
            .map(|more| more.warnings.as_slice())
            .unwrap_or_default()
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).detailed()
    }

    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let message = format!("only the following media types are accepted: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// The same, as the original's outer handler says it.
    pub(crate) fn not_acceptable_at_all(offered: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message).detailed()
    }

    /// The same as the original's handlers of core kinds tell it.
    pub(crate) fn of_core(mut self) -> Self {
        if self.code == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            self.message = "415: Unsupported Media Type".into();
            return self.detailed();
        }
        self
    }

    /// The answer has no such form.
    pub(crate) fn unacceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// A version is asked for that the state has not reached.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
            .detail("causes", vec![cause])
            .detail("retryAfterSeconds", 1)
    }

    /// What the original's handlers answer where they gave no thought to a reason.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// A JSON patch that could not be carried out.
    pub(crate) fn rejected() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).detailed()
    }

    /// Parameters of a request that contradict each other or have unknown values; `options` as `ListOptions`.
    pub(crate) fn invalid_options(options: &str, errors: &[FieldError]) -> Self {
        Self::faults(&format!("{options}.meta.k8s.io"), "", errors)
            .detail("group", "meta.k8s.io")
            .detail("kind", options)
    }

    /// A request for a token that cannot be.
    pub(crate) fn invalid_token_request(errors: &[FieldError]) -> Self {
        Self::faults("TokenRequest.authentication.k8s.io", "", errors)
            .detail("group", "authentication.k8s.io")
            .detail("kind", "TokenRequest")
    }

    /// A patch whose result is no object of the kind. The result is not repeated: it may be a Secret.
    pub(crate) fn unfit_patch(why: &str) -> Self {
        let error = FieldError::new("patch", stead_resource::FieldErrorKind::Invalid, why);
        Self::faults("", "", &[error])
    }

    fn faults(kind: &str, name: &str, errors: &[FieldError]) -> Self {
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
        let message = format!("{kind} {name:?} is invalid: {list}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).detail("causes", causes)
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

    /// An apply names an object by its id, and there is none.
    pub(crate) fn no_such_uid(kind: &ResourceType, name: &str, uid: &str) -> Self {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        Self::conflict(kind, name, &why)
    }

    /// What cannot be done with a part of an object.
    pub(crate) fn not_supported(kind: &ResourceType, action: &str) -> Self {
        let message = format!(
            "{action} is not supported on resources of kind {:?}",
            kind.qualified()
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about(kind, "")
    }

    /// The object is not the one that a deletion was meant for.
    pub(crate) fn precondition(kind: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.kind);
        Self::new(StatusCode::CONFLICT, "Conflict", message)
            .detail("name", name)
            .detail("kind", kind.kind.as_str())
    }

    /// An update of another object than is there.
    pub(crate) fn other_uid(kind: &ResourceType, name: &str, (wanted, found): (&str, &str)) -> Self {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
        Self::conflict(kind, name, &why)
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
        let message = stead_resource::apply::ApplyError::Conflicts(conflicts.to_vec()).to_string();
        Self::new(StatusCode::CONFLICT, "Conflict", message).detail("causes", causes)
    }

    /// A watch or a page from a version that is not kept any more.
    pub(crate) fn expired() -> Self {
        let message = "too old resource version: the changes since then are not kept any more; list again";
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A watch from a version that is not kept any more.
    pub(crate) fn expired_watch(asked: u64, kept: u64) -> Self {
        let message = format!("too old resource version: {asked} ({kept})");
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A list of a version that is not kept any more.
    pub(crate) fn expired_list() -> Self {
        let message = "The resourceVersion for the provided list is too old.";
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A page of a version that is not kept any more; with `rest`, the list goes on in the newest one.
    pub(crate) fn expired_page(rest: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
                       a new list without the continue parameter, or use the continue token in this response to \
                       retrieve the remainder of the results. Continuing with the provided token results in an \
                       inconsistent list - objects that were created, modified, or deleted between the time the first \
                       chunk was returned and now may show up in the list.";
        let mut failure = Self::new(StatusCode::GONE, "Expired", message);
        failure.more.get_or_insert_default().rest = rest.into();
        failure
    }

    pub(crate) fn invalid(kind: &ResourceType, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_as(kind, &kind.kind, name, errors)
    }

    /// The same for an object that says of itself that it is of another kind of the group.
    pub(crate) fn invalid_as(kind: &ResourceType, told: &str, name: &str, errors: &[FieldError]) -> Self {
        let group = kind.told_group();
        Self::faults(&crate::kinds::qualified(told, group), name, errors).named(group, told, name)
    }

    /// An update that does not say which version it was made against, of a kind for which it must.
    pub(crate) fn unconditional(kind: &ResourceType, name: &str) -> Self {
        let path = "metadata.resourceVersion";
        let error = FieldError::new(
            path,
            stead_resource::FieldErrorKind::Invalid,
            "must be specified for an update",
        );
        Self::faults(&kind.qualified(), name, &[error.with_value(0)]).about(kind, name)
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
        });
        if let Some(more) = self.more.as_ref().filter(|more| !more.rest.is_empty()) {
            crate::object::metadata_mut(&mut status).insert("continue".into(), more.rest.clone().into());
        }
        if let Some(status) = status.as_object_mut() {
            if !self.reason.is_empty() {
                status.insert("reason".into(), self.reason.into());
            }
            if self.form == Form::Detailed || !self.details.is_empty() {
                status.insert("details".into(), Value::Object(self.details.clone()));
            }
            status.insert("code".into(), self.code.as_u16().into());
        }
        status
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.form == Form::Page {
            return (self.code, self.message).into_response();
        }
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
