//! Reading requests: all but the input.

use std::collections::BTreeMap;

use super::{input, tools};
use crate::{
    chat::{Effort, Extra, Message, OutputFormat, Reasoning, Request, Role, Sampling, Wire},
    json::{Fault, Json},
};

/// Parameters that have their place in the form, or are the gateway's.
const KNOWN: [&str; 21] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "stream",
    "stream_options",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "include",
    "truncation",
    // Kept by the gateway.
    "store",
];

/// Parameters without which the answer would not be what was asked for. The first two are gone once the gateway has
/// put the conversation into the request.
const ESSENTIAL: [&str; 4] = ["previous_response_id", "conversation", "background", "prompt"];

/// Reads a request.
pub(super) fn read(root: &Json<'_>) -> Result<Request, Fault> {
    let mut messages = Vec::new();
    if let Some(text) = root.text_of("instructions")?.filter(|text| !text.is_empty()) {
        messages.push(Message::text(Role::System, text));
    }
    input::read(root.require("input")?, &mut messages)?;
    let user = match root.text_of("safety_identifier")? {
        Some(user) => Some(user),
        None => root.text_of("user")?,
    };
    let mut request = Request {
        model: root.text_in("model")?.to_owned(),
        messages,
        tools: tools::read(root.list_of("tools")?)?,
        tool_choice: None,
        parallel_tool_calls: root.flag_of("parallel_tool_calls")?,
        output: None,
        reasoning: root.get("reasoning").map(reasoning).transpose()?,
        sampling: sampling(root)?,
        logprobs: None,
        stream: root.flag_of("stream")?.unwrap_or_default(),
        include_usage: true,
        user: user.map(ToOwned::to_owned),
        metadata: metadata(root)?,
        service_tier: root.text_of("service_tier")?.map(ToOwned::to_owned),
        extra: extra(root)?,
    };
    choice(root, &mut request)?;
    text(root, &mut request)?;
    include(root, &mut request)?;
    if let Some(truncation) = root
        .text_of("truncation")?
        .filter(|truncation| *truncation != "disabled")
    {
        request
            .extra
            .push(parameter("truncation", &Json::Text(truncation.into())));
    }
    Ok(request)
}

/// `tool_choice`: a choice of one of OpenAI's own tools has no place in the form.
fn choice(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    let Some(given) = root.get("tool_choice") else {
        return Ok(());
    };
    request.tool_choice = tools::choice(given)?;
    if request.tool_choice.is_none() {
        request.extra.push(Extra {
            essential: true,
            ..parameter("tool_choice", given)
        });
    }
    Ok(())
}

fn parameter(name: &str, value: &Json<'_>) -> Extra {
    Extra {
        wire: Wire::Responses,
        name: name.to_owned(),
        value: value.to_value(),
        essential: ESSENTIAL.contains(&name) && !matches!(value, Json::Bool(false)),
    }
}

fn extra(root: &Json<'_>) -> Result<Vec<Extra>, Fault> {
    let unknown = root
        .members()?
        .iter()
        .filter(|(name, value)| !matches!(value, Json::Null) && !KNOWN.contains(&name.as_ref()));
    Ok(unknown.map(|(name, value)| parameter(name, value)).collect())
}

fn sampling(root: &Json<'_>) -> Result<Sampling, Fault> {
    let max_tokens = root.count_of("max_output_tokens")?;
    if max_tokens == Some(0) {
        return Err(Fault::member(
            root,
            "max_output_tokens",
            "must be a whole number above 0",
        ));
    }
    Ok(Sampling {
        temperature: root.number_of("temperature")?,
        top_p: root.number_of("top_p")?,
        max_tokens,
        ..Sampling::default()
    })
}

fn metadata(root: &Json<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut metadata = BTreeMap::new();
    if let Some(given) = root.get("metadata") {
        for (key, value) in given.members()? {
            metadata.insert(key.as_ref().to_owned(), value.text()?.to_owned());
        }
    }
    Ok(metadata)
}

/// `reasoning`: `effort`, and `summary`, which asks for the thoughts.
fn reasoning(given: &Json<'_>) -> Result<Reasoning, Fault> {
    given.members()?;
    let effort = given.get("effort").map(|effort| {
        Effort::parse(effort.text()?)
            .ok_or_else(|| effort.fault("must be none, minimal, low, medium, high, xhigh or max"))
    });
    let has_summary = given
        .get("summary")
        .or_else(|| given.get("generate_summary"))
        .is_some();
    Ok(Reasoning {
        effort: effort.transpose()?,
        budget_tokens: None,
        include: has_summary.then_some(true),
    })
}

/// `text`: `format` and `verbosity`.
fn text(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    let Some(text) = root.get("text") else {
        return Ok(());
    };
    for (name, value) in text.members()? {
        match (name.as_ref(), value) {
            (_, Json::Null) => {}
            ("format", format) => request.output = Some(output(format)?),
            ("verbosity", Json::Text(word)) if word == "medium" => {}
            (name, value) => request.extra.push(parameter(&format!("text.{name}"), value)),
        }
    }
    Ok(())
}

fn output(format: &Json<'_>) -> Result<OutputFormat, Fault> {
    match format.str_of("type") {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let schema = format.require("schema")?;
            schema.members()?;
            Ok(OutputFormat::JsonSchema {
                name: format.text_of("name")?.map(ToOwned::to_owned),
                description: format.text_of("description")?.map(ToOwned::to_owned),
                schema: schema.to_value(),
                strict: format.flag_of("strict")?,
            })
        }
        _ => Err(Fault::member(
            format,
            "type",
            "must be text, json_object or json_schema",
        )),
    }
}

/// `include`: what the answer shall have besides. Encrypted reasoning is always there where there is some.
fn include(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    for wanted in root.list_of("include")? {
        match wanted.text()? {
            // Other dialects give what they have without being asked, so that there is nothing to tell about it.
            name @ "reasoning.encrypted_content" => request
                .extra
                .push(parameter(&format!("include.{name}"), &Json::Null)),
            "message.output_text.logprobs" => {
                let top = root.count_of("top_logprobs")?.unwrap_or(0);
                request.logprobs = Some(u32::try_from(top).unwrap_or(u32::MAX));
            }
            name => request
                .extra
                .push(parameter(&format!("include.{name}"), &Json::Bool(true))),
        }
    }
    Ok(())
}
