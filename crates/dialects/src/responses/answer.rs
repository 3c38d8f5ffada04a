//! Writing response objects.

use super::{
    items::{self, Item},
    tools,
};
use crate::{
    Usage,
    chat::{Answer, ErrorBody, ErrorKind, OutputFormat, Request, Stop, View},
    json::Object,
};

/// How far a response is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status<'s> {
    /// Made in the background, and not begun.
    Queued,
    InProgress,
    /// Over; why, when the provider said so.
    Over(Option<&'s Stop>),
    Failed(&'s ErrorBody),
}

impl Status<'_> {
    /// The response's `status`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Over(_) if self.incomplete().is_some() => "incomplete",
            Self::Over(_) => "completed",
            Self::Failed(_) => "failed",
        }
    }

    /// Why it is incomplete.
    fn incomplete(self) -> Option<&'static str> {
        match self {
            Self::Over(Some(Stop::Length | Stop::ContextWindow)) => Some("max_output_tokens"),
            Self::Over(Some(Stop::ContentFilter)) => Some("content_filter"),
            _ => None,
        }
    }

    /// The status of its items.
    pub(super) fn of_items(self) -> &'static str {
        match self {
            Self::Failed(_) => "incomplete",
            status => status.word(),
        }
    }
}

/// What a response object says.
pub(super) struct Response<'r> {
    pub(super) id: &'r str,
    pub(super) view: &'r View,
    pub(super) status: Status<'r>,
    pub(super) items: &'r [Item],
    pub(super) usage: Option<Usage>,
    pub(super) service_tier: Option<&'r str>,
}

/// The response's id for clients.
pub(super) fn response_id(given: &str, view: &View) -> String {
    let id = if given.is_empty() { &view.id } else { given };
    if id.starts_with("resp_") {
        id.to_owned()
    } else {
        format!("resp_{id}")
    }
}

/// Writes a whole answer. The gateway keeps responses under the id that it gave them.
pub(super) fn write(answer: &Answer, view: &View, out: &mut Vec<u8>) {
    let response = Response {
        id: &response_id(&answer.id, view),
        view,
        status: Status::Over(answer.choices.first().and_then(|choice| choice.stop.as_ref())),
        items: &items::of_answer(answer),
        usage: answer.usage,
        service_tier: answer.service_tier.as_deref(),
    };
    response.write(Object::new(out));
}

/// A response that is made in the background and was not begun
/// (<https://platform.openai.com/docs/guides/background>).
pub fn queued(view: &View) -> Vec<u8> {
    let mut out = Vec::new();
    let response = Response {
        id: &response_id("", view),
        view,
        status: Status::Queued,
        items: &[],
        usage: None,
        service_tier: None,
    };
    response.write(Object::new(&mut out));
    out
}

impl Response<'_> {
    /// Writes the object.
    pub(super) fn write(&self, mut root: Object<'_>) {
        let request = self.view.request.as_ref();
        root.text("id", self.id)
            .text("object", "response")
            .value("created_at", &self.view.created)
            .text("status", self.status.word())
            .flag("background", matches!(self.status, Status::Queued));
        self.outcome(&mut root);
        root.null("instructions")
            .text("model", &self.view.model)
            .value("max_output_tokens", &request.sampling.max_tokens);
        let mut output = root.list("output");
        for (place, item) in self.items.iter().enumerate() {
            items::write(
                output.object(),
                item,
                &item.id(self.id, place),
                self.status.of_items(),
            );
        }
        drop(output);
        tools::write(&mut root, request);
        repeat(&mut root, request);
        match self.service_tier.or(request.service_tier.as_deref()) {
            Some(tier) => root.text("service_tier", tier),
            None => root.text("service_tier", "default"),
        };
        match &self.usage {
            Some(tokens) => usage(root.object("usage"), tokens),
            None => {
                root.null("usage");
            }
        }
    }

    fn outcome(&self, root: &mut Object<'_>) {
        match self.status {
            Status::Failed(error) => {
                root.object("error")
                    .text("code", code(error))
                    .text("message", &error.message);
            }
            Status::Queued | Status::InProgress | Status::Over(_) => {
                root.null("error");
            }
        }
        match self.status.incomplete() {
            Some(reason) => {
                root.object("incomplete_details").text("reason", reason);
            }
            None => {
                root.null("incomplete_details");
            }
        }
    }
}

/// The codes that a response's `error` may have.
fn code(error: &ErrorBody) -> &'static str {
    match error.kind {
        ErrorKind::RateLimit | ErrorKind::Billing => "rate_limit_exceeded",
        ErrorKind::Invalid | ErrorKind::ContextLength | ErrorKind::ContentFilter | ErrorKind::TooLarge => {
            "invalid_prompt"
        }
        ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::NotFound
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unsupported
        | ErrorKind::Api => "server_error",
    }
}

/// What a response repeats of its request.
fn repeat(root: &mut Object<'_>, request: &Request) {
    let extra = |name: &str| {
        request
            .extra
            .iter()
            .find(|extra| extra.name == name)
            .and_then(|extra| extra.value.as_str())
    };
    root.value("previous_response_id", &extra("previous_response_id"))
        .text("truncation", extra("truncation").unwrap_or("disabled"))
        .number("temperature", request.sampling.temperature.unwrap_or(1.0))
        .number("top_p", request.sampling.top_p.unwrap_or(1.0))
        .value("metadata", &request.metadata)
        .value("user", &request.user);
    let effort = request.reasoning.as_ref().and_then(|reasoning| reasoning.effort);
    let has_summary = request
        .reasoning
        .as_ref()
        .is_some_and(|reasoning| reasoning.include == Some(true));
    root.object("reasoning")
        .value("effort", &effort.map(crate::chat::Effort::as_str))
        .value("summary", &has_summary.then_some("auto"));
    let mut text = root.object("text");
    let mut format = text.object("format");
    match &request.output {
        None | Some(OutputFormat::Text) => {
            format.text("type", "text");
        }
        Some(OutputFormat::JsonObject) => {
            format.text("type", "json_object");
        }
        Some(OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        }) => {
            format
                .text("type", "json_schema")
                .text("name", name.as_deref().unwrap_or("answer"))
                .value("description", description)
                .value("schema", schema)
                .flag("strict", strict.unwrap_or_default());
        }
    }
}

/// A `usage` object.
fn usage(mut object: Object<'_>, tokens: &Usage) {
    object.count("input_tokens", tokens.input);
    object
        .object("input_tokens_details")
        .count("cached_tokens", tokens.cached_input)
        .count("cache_write_tokens", tokens.cache_write);
    object.count("output_tokens", tokens.output);
    object
        .object("output_tokens_details")
        .count("reasoning_tokens", tokens.reasoning);
    object.count("total_tokens", tokens.input.saturating_add(tokens.output));
}
