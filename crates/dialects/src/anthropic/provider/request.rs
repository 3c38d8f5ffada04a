//! Writing requests: all but messages and tools.

use super::{VENDOR, models, tools, turns};
use crate::{
    chat::{
        Content, Effort, Message, OutputFormat, Request, Sent, Source, Target, TranslateError, Wire, refuse,
    },
    json::Object,
};

/// What uploaded files need ("Files API").
const FILES_BETA: &str = "files-api-2025-04-14";

/// Writes a request.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    if request.logprobs.is_some() {
        return refuse("logprobs", format!("{VENDOR} gives no log probabilities"));
    }
    if request.sampling.choices.is_some_and(|choices| choices != 1) {
        return refuse("n", format!("must be 1: {VENDOR} gives one answer a request"));
    }
    let mut notes = Vec::new();
    let mut body = Vec::with_capacity(1024);
    let mut root = Object::new(&mut body);
    root.text("model", target.model)
        .count("max_tokens", max_tokens(request, target));
    turns::write(&mut root, &request.messages, &mut notes)?;
    if request.stream {
        root.flag("stream", true);
    }
    models::sampling(&mut root, request, target.model, &mut notes);
    tools::write(&mut root, request, &mut notes)?;
    stop(&mut root, request, &mut notes);
    output_config(&mut root, request, &mut notes);
    rest(&mut root, request, &mut notes);
    request.note_foreign_extras(Wire::Anthropic, VENDOR, &mut notes)?;
    drop(root);
    let headers = if has_files(&request.messages) {
        vec![("anthropic-beta", FILES_BETA.to_owned())]
    } else {
        Vec::new()
    };
    Ok(Sent {
        path: "messages".to_owned(),
        body,
        headers,
        notes,
    })
}

/// The limit includes the thoughts, so that a budget for them comes on top of the default.
fn max_tokens(request: &Request, target: Target<'_>) -> u64 {
    let budget = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.budget_tokens)
        .unwrap_or(0);
    request
        .sampling
        .max_tokens
        .unwrap_or_else(|| target.default_max_tokens.saturating_add(budget))
}

fn has_files(messages: &[Message]) -> bool {
    let is_file = |content: &Content| {
        matches!(
            content,
            Content::Image {
                source: Source::File { .. },
                ..
            } | Content::Document {
                source: Source::File { .. },
                ..
            }
        )
    };
    messages
        .iter()
        .flat_map(|message| &message.parts)
        .any(|part| match &part.content {
            Content::ToolResult { content, .. } => content.iter().any(|part| is_file(&part.content)),
            content => is_file(content),
        })
}

fn stop(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) {
    let (blank, usable): (Vec<&str>, Vec<&str>) = request
        .sampling
        .stop
        .iter()
        .map(String::as_str)
        .partition(|text| text.trim().is_empty());
    if !blank.is_empty() {
        notes.push(format!(
            "stop texts of white space were left out: {VENDOR} does not take them"
        ));
    }
    if !usable.is_empty() {
        root.value("stop_sequences", &usable);
    }
}

/// The form of the answer and the effort.
fn output_config(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) {
    let schema = match &request.output {
        Some(OutputFormat::JsonObject) => {
            notes.push(format!(
                "response_format json_object is not enforced: {VENDOR} enforces a json_schema only"
            ));
            None
        }
        Some(OutputFormat::JsonSchema {
            schema, description, ..
        }) => {
            if description.is_some() {
                notes.push(
                    "response_format.json_schema.description was left out: describe the answer in the schema"
                        .to_owned(),
                );
            }
            Some(schema)
        }
        Some(OutputFormat::Text) | None => None,
    };
    let effort = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.effort)
        .and_then(|given| effort(given, notes));
    if schema.is_none() && effort.is_none() {
        return;
    }
    let mut config = root.object("output_config");
    if let Some(schema) = schema {
        config
            .object("format")
            .text("type", "json_schema")
            .value("schema", schema);
    }
    config.text_if("effort", effort);
}

fn effort(effort: Effort, notes: &mut Vec<String>) -> Option<&'static str> {
    match effort {
        Effort::None => {
            notes.push("reasoning_effort none was left out: set thinking to turn thinking off".to_owned());
            None
        }
        Effort::Minimal => {
            notes.push(format!(
                "reasoning_effort minimal became low, the lowest of {VENDOR}"
            ));
            Some("low")
        }
        Effort::Low | Effort::Medium | Effort::High | Effort::XHigh | Effort::Max => Some(effort.as_str()),
    }
}

/// The budget for thinking, the user, the service tier and what only this dialect has.
fn rest(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) {
    match request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.budget_tokens)
    {
        Some(0) => {
            root.object("thinking").text("type", "disabled");
        }
        Some(budget) => {
            root.object("thinking")
                .text("type", "enabled")
                .count("budget_tokens", budget);
        }
        None => {}
    }
    if let Some(user) = &request.user {
        root.object("metadata").text("user_id", user);
    }
    if !request.metadata.is_empty() {
        notes.push(format!(
            "metadata was left out: {VENDOR} keeps no metadata of answers"
        ));
    }
    match request.service_tier.as_deref() {
        None => {}
        Some("auto") => {
            root.text("service_tier", "auto");
        }
        Some("default") => {
            root.text("service_tier", "standard_only");
        }
        Some(other) => notes.push(format!(
            "service_tier {other} was left out: {VENDOR} has no such tier"
        )),
    }
    for (name, value) in request.extras_of(Wire::Anthropic) {
        root.entry(name, value);
    }
}
