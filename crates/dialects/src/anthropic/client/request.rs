//! Reading requests: all but messages.

use std::collections::BTreeMap;

use super::message::{self, cache};
use crate::{
    chat::{
        Cache, Effort, Extra, Function, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice, Wire,
    },
    json::{Fault, Json},
};

/// Parameters that have their place in the form.
const KNOWN: [&str; 16] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "metadata",
    "service_tier",
    "output_config",
    "cache_control",
];

/// Parameters without which the answer would not be what was asked for.
const ESSENTIAL: [&str; 2] = ["container", "mcp_servers"];

/// Reads a request.
pub(super) fn read(root: &Json<'_>) -> Result<Request, Fault> {
    let choice = root.get("tool_choice");
    let serial = choice
        .map(|choice| choice.flag_of("disable_parallel_tool_use"))
        .transpose()?;
    let metadata = root.get("metadata");
    let user = metadata.map(|metadata| metadata.text_of("user_id")).transpose()?;
    let mut request = Request {
        model: root.text_in("model")?.to_owned(),
        messages: message::read(root)?,
        tools: root
            .list_of("tools")?
            .iter()
            .map(tool)
            .collect::<Result<_, _>>()?,
        tool_choice: choice.map(tool_choice).transpose()?,
        parallel_tool_calls: serial.flatten().map(|serial| !serial),
        output: None,
        reasoning: None,
        sampling: sampling(root)?,
        logprobs: None,
        stream: root.flag_of("stream")?.unwrap_or_default(),
        include_usage: true,
        user: user.flatten().map(ToOwned::to_owned),
        metadata: BTreeMap::new(),
        service_tier: service_tier(root)?,
        extra: extra(root)?,
    };
    thinking(root, &mut request)?;
    output_config(root, &mut request)?;
    if root.get("cache_control").is_some() {
        mark_end(&mut request, cache(root)?);
    }
    Ok(request)
}

/// A mark on the request itself is one on its last block ("Prompt caching", automatic).
fn mark_end(request: &mut Request, mark: Option<Cache>) {
    let last = request
        .messages
        .last_mut()
        .and_then(|message| message.parts.last_mut());
    if let Some(part) = last.filter(|part| part.cache.is_none()) {
        part.cache = mark;
    }
}

fn service_tier(root: &Json<'_>) -> Result<Option<String>, Fault> {
    Ok(root.text_of("service_tier")?.map(|tier| match tier {
        "standard_only" => "default".to_owned(),
        tier => tier.to_owned(),
    }))
}

fn extra(root: &Json<'_>) -> Result<Vec<Extra>, Fault> {
    let unknown = root
        .members()?
        .iter()
        .filter(|(name, value)| !matches!(value, Json::Null) && !KNOWN.contains(&name.as_ref()));
    Ok(unknown
        .map(|(name, value)| parameter(name.as_ref().to_owned(), value))
        .collect())
}

fn parameter(name: String, value: &Json<'_>) -> Extra {
    Extra {
        wire: Wire::Anthropic,
        essential: ESSENTIAL.contains(&name.as_str()),
        value: value.to_value(),
        name,
    }
}

fn sampling(root: &Json<'_>) -> Result<Sampling, Fault> {
    let mut stop = Vec::new();
    for text in root.list_of("stop_sequences")? {
        stop.push(text.text()?.to_owned());
    }
    let max_tokens = root.count_of("max_tokens")?;
    if max_tokens == Some(0) {
        return Err(Fault::member(
            root,
            "max_tokens",
            "must be a whole number above 0",
        ));
    }
    Ok(Sampling {
        temperature: root.number_of("temperature")?,
        top_p: root.number_of("top_p")?,
        top_k: root.count_of("top_k")?,
        stop,
        max_tokens,
        ..Sampling::default()
    })
}

/// Tools of the caller have no type or `custom`; all others are Anthropic's own.
fn tool(tool: &Json<'_>) -> Result<Tool, Fault> {
    tool.members()?;
    if tool.text_of("type")?.unwrap_or("custom") != "custom" {
        return Ok(Tool::Native {
            wire: Wire::Anthropic,
            definition: tool.to_value(),
        });
    }
    let name = tool.text_in("name")?;
    if name.is_empty() {
        return Err(Fault::member(tool, "name", "must not be empty"));
    }
    let schema = tool.require("input_schema")?;
    schema.members()?;
    Ok(Tool::Function(Function {
        name: name.to_owned(),
        description: tool.text_of("description")?.map(ToOwned::to_owned),
        parameters: Some(schema.to_value()),
        strict: tool.flag_of("strict")?,
        cache: cache(tool)?,
    }))
}

fn tool_choice(choice: &Json<'_>) -> Result<ToolChoice, Fault> {
    match choice.str_of("type") {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("any") => Ok(ToolChoice::Required),
        Some("none") => Ok(ToolChoice::None),
        Some("tool") => Ok(ToolChoice::Named(choice.text_in("name")?.to_owned())),
        _ => Err(Fault::member(choice, "type", "must be auto, any, tool or none")),
    }
}

/// `thinking`: `enabled` with a budget, `disabled`, or `adaptive`, which no other dialect can say.
fn thinking(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    let Some(thinking) = root.get("thinking") else {
        return Ok(());
    };
    let mut reasoning = Reasoning {
        include: match thinking.text_of("display")? {
            Some("omitted") => Some(false),
            Some(_) => Some(true),
            None => None,
        },
        ..Reasoning::default()
    };
    match thinking.str_of("type") {
        Some("enabled") => reasoning.budget_tokens = Some(thinking.require("budget_tokens")?.count()?),
        Some("disabled") => reasoning.budget_tokens = Some(0),
        Some(_) => request.extra.push(parameter("thinking".to_owned(), thinking)),
        None => {
            return Err(Fault::member(
                thinking,
                "type",
                "must be enabled, disabled or adaptive",
            ));
        }
    }
    request.reasoning = Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default());
    Ok(())
}

/// `output_config`: `effort` and `format`.
fn output_config(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    let Some(config) = root.get("output_config") else {
        return Ok(());
    };
    for (name, value) in config.members()? {
        match name.as_ref() {
            "effort" => {
                let effort = Effort::parse(value.text()?)
                    .ok_or_else(|| value.fault("must be low, medium, high, xhigh or max"))?;
                request.reasoning.get_or_insert_default().effort = Some(effort);
            }
            "format" => request.output = Some(output(value)?),
            name => request
                .extra
                .push(parameter(format!("output_config.{name}"), value)),
        }
    }
    Ok(())
}

fn output(format: &Json<'_>) -> Result<OutputFormat, Fault> {
    if format.str_of("type") != Some("json_schema") {
        return Err(Fault::member(format, "type", "must be json_schema"));
    }
    let schema = format.require("schema")?;
    schema.members()?;
    Ok(OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: schema.to_value(),
        strict: Some(true),
    })
}
