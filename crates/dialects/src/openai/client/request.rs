//! Reading requests: all but messages and tools.

use std::collections::BTreeMap;

use super::{message, tools};
use crate::{
    chat::{Effort, Extra, OutputFormat, Reasoning, Request, Sampling, Wire},
    json::{Fault, Json},
};

/// Parameters that have their place in the form.
const KNOWN: [&str; 35] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "logprobs",
    "top_logprobs",
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "service_tier",
    // Refused.
    "functions",
    "function_call",
    // Without effect.
    "include_reasoning",
    "separate_reasoning",
    "usage",
];

/// Parameters without which the answer would not be what was asked for.
const ESSENTIAL: [&str; 4] = ["audio", "modalities", "moderation", "web_search_options"];

/// Reads a request.
pub(super) fn read(root: &Json<'_>) -> Result<Request, Fault> {
    for (name, instead) in [("functions", "tools"), ("function_call", "tool_choice")] {
        if let Some(value) = root.get(name) {
            return Err(value.fault(format!("{name} is deprecated; use {instead}")));
        }
    }
    let options = root.get("stream_options");
    if let Some(options) = options {
        options.members()?;
    }
    let include_usage = options
        .map(|options| options.flag_of("include_usage"))
        .transpose()?;
    let user = match root.text_of("safety_identifier")? {
        Some(user) => Some(user),
        None => root.text_of("user")?,
    };
    let mut request = Request {
        model: root.text_in("model")?.to_owned(),
        messages: message::read(root.require("messages")?)?,
        tools: tools::read(root.list_of("tools")?)?,
        tool_choice: root.get("tool_choice").map(tools::choice).transpose()?,
        parallel_tool_calls: root.flag_of("parallel_tool_calls")?,
        output: root.get("response_format").map(output).transpose()?,
        reasoning: None,
        sampling: sampling(root)?,
        logprobs: logprobs(root)?,
        stream: root.flag_of("stream")?.unwrap_or_default(),
        include_usage: include_usage.flatten().unwrap_or_default(),
        user: user.map(ToOwned::to_owned),
        metadata: metadata(root)?,
        service_tier: root.text_of("service_tier")?.map(ToOwned::to_owned),
        extra: extra(root)?,
    };
    reasoning(root, &mut request)?;
    Ok(request)
}

fn extra(root: &Json<'_>) -> Result<Vec<Extra>, Fault> {
    let mut extra = Vec::new();
    for (name, value) in root.members()? {
        let name = name.as_ref();
        if matches!(value, Json::Null) || KNOWN.contains(&name) || asks_for_the_usual(name, value) {
            continue;
        }
        extra.push(Extra {
            wire: Wire::OpenAi,
            name: name.to_owned(),
            value: value.to_value(),
            essential: ESSENTIAL.contains(&name),
        });
    }
    if let Some(Json::Object(options)) = root.get("stream_options") {
        for (name, value) in options.iter().filter(|(name, _)| name != "include_usage") {
            extra.push(Extra {
                wire: Wire::OpenAi,
                name: format!("stream_options.{name}"),
                value: value.to_value(),
                essential: false,
            });
        }
    }
    Ok(extra)
}

fn asks_for_the_usual(name: &str, value: &Json<'_>) -> bool {
    match name {
        "modalities" => value.items().iter().all(|item| item.as_str() == Some("text")),
        "verbosity" => value.as_str() == Some("medium"),
        _ => false,
    }
}

fn not_negative(root: &Json<'_>, key: &'static str) -> Result<Option<f64>, Fault> {
    match root.number_of(key)? {
        Some(number) if number < 0.0 => {
            Err(Fault::member(root, key, "must be a number that is not negative"))
        }
        number => Ok(number),
    }
}

fn sampling(root: &Json<'_>) -> Result<Sampling, Fault> {
    let seed = root.get("seed").map(|seed| {
        seed.number()?;
        match seed {
            Json::Number(number) => number.as_i64(),
            _ => None,
        }
        .ok_or_else(|| seed.fault("must be a whole number"))
    });
    let mut logit_bias = BTreeMap::new();
    if let Some(bias) = root.get("logit_bias") {
        for (token, value) in bias.members()? {
            logit_bias.insert(token.as_ref().to_owned(), value.number()?);
        }
    }
    let choices = root.count_of("n")?;
    if choices == Some(0) {
        return Err(Fault::member(root, "n", "must be a whole number above 0"));
    }
    Ok(Sampling {
        temperature: not_negative(root, "temperature")?,
        top_p: not_negative(root, "top_p")?,
        // Some servers take -1 for all tokens.
        top_k: root
            .number_of("top_k")?
            .filter(|number| *number > 0.0)
            .and(root.u64_of("top_k")),
        min_p: not_negative(root, "min_p")?,
        seed: seed.transpose()?,
        stop: stop(root)?,
        frequency_penalty: root.number_of("frequency_penalty")?,
        presence_penalty: root.number_of("presence_penalty")?,
        repetition_penalty: not_negative(root, "repetition_penalty")?,
        logit_bias,
        max_tokens: max_tokens(root)?,
        choices,
    })
}

fn max_tokens(root: &Json<'_>) -> Result<Option<u64>, Fault> {
    for name in ["max_completion_tokens", "max_tokens"] {
        if let Some(value) = root.get(name) {
            return match value.as_u64() {
                Some(limit) if limit > 0 => Ok(Some(limit)),
                _ => Err(value.fault("must be a whole number above 0")),
            };
        }
    }
    Ok(None)
}

fn stop(root: &Json<'_>) -> Result<Vec<String>, Fault> {
    let Some(stop) = root.get("stop") else {
        return Ok(Vec::new());
    };
    let texts: Option<Vec<&str>> = match stop {
        Json::Text(text) => Some(vec![text]),
        Json::List(texts) => texts.iter().map(Json::as_str).collect(),
        _ => None,
    };
    match texts {
        Some(texts) => Ok(texts.into_iter().map(ToOwned::to_owned).collect()),
        None => Err(stop.fault("must be a text or a list of texts")),
    }
}

fn logprobs(root: &Json<'_>) -> Result<Option<u32>, Fault> {
    let top = root.count_of("top_logprobs")?.unwrap_or(0);
    if root.flag_of("logprobs")? == Some(true) {
        return Ok(Some(u32::try_from(top).unwrap_or(u32::MAX)));
    }
    if top > 0 {
        return Err(Fault::member(root, "top_logprobs", "needs logprobs: true"));
    }
    Ok(None)
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

/// `response_format`, after the chapter "Structured outputs".
fn output(format: &Json<'_>) -> Result<OutputFormat, Fault> {
    match format.str_of("type") {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let given = format.require("json_schema")?;
            given.members()?;
            let schema = given.require("schema")?;
            schema.members()?;
            Ok(OutputFormat::JsonSchema {
                name: given.text_of("name")?.map(ToOwned::to_owned),
                description: given.text_of("description")?.map(ToOwned::to_owned),
                schema: schema.to_value(),
                strict: given.flag_of("strict")?,
            })
        }
        _ => Err(Fault::member(
            format,
            "type",
            "must be text, json_object or json_schema",
        )),
    }
}

fn effort(value: &Json<'_>) -> Result<Effort, Fault> {
    Effort::parse(value.text()?)
        .ok_or_else(|| value.fault("must be none, minimal, low, medium, high, xhigh or max"))
}

/// `reasoning_effort`, OpenRouter's `reasoning` and Anthropic's `thinking`, which many clients send in this dialect.
fn reasoning(root: &Json<'_>, request: &mut Request) -> Result<(), Fault> {
    let mut reasoning = Reasoning {
        effort: root.get("reasoning_effort").map(effort).transpose()?,
        ..Reasoning::default()
    };
    if let Some(given) = root.get("reasoning") {
        given.members()?;
        if let Some(given) = given.get("effort") {
            reasoning.effort = Some(effort(given)?);
        }
        reasoning.budget_tokens = given.count_of("max_tokens")?;
        reasoning.include = given.flag_of("exclude")?.map(|exclude| !exclude);
        match given.flag_of("enabled")? {
            Some(false) => reasoning.effort = Some(Effort::None),
            Some(true) if reasoning.effort.is_none() && reasoning.budget_tokens.is_none() => {
                reasoning.effort = Some(Effort::Medium);
            }
            _ => {}
        }
    }
    if let Some(thinking) = root.get("thinking") {
        match thinking.str_of("type") {
            Some("enabled") if thinking.get("budget_tokens").is_some() => {
                reasoning.budget_tokens = thinking.count_of("budget_tokens")?;
            }
            Some("disabled") => reasoning.budget_tokens = Some(0),
            Some(_) => request.extra.push(Extra {
                wire: Wire::Anthropic,
                name: "thinking".to_owned(),
                value: thinking.to_value(),
                essential: false,
            }),
            None => {
                return Err(Fault::member(
                    thinking,
                    "type",
                    "must be enabled, disabled or adaptive",
                ));
            }
        }
    }
    request.reasoning = Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default());
    Ok(())
}
