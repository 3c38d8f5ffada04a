//! A chat completions request as a Messages request.

use serde_json::{Map, Value, json};

use super::{TranslateError, Translated, messages, refuse, sampling, tools};

/// What becomes of a parameter that is translated by none of the functions here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Translated elsewhere in this module, or without effect.
    Known,
    /// Left out with this reason.
    Reported(&'static str),
    /// Refused with this reason, because the answer would lack what was asked for.
    Refused(&'static str),
}

/// Every parameter of the chat completions API. Anything else is reported as unknown.
const PARAMETERS: &[(&str, Fate)] = &[
    ("model", Fate::Known),
    ("messages", Fate::Known),
    ("max_tokens", Fate::Known),
    ("max_completion_tokens", Fate::Known),
    ("temperature", Fate::Known),
    ("top_p", Fate::Known),
    ("top_k", Fate::Known),
    ("stop", Fate::Known),
    ("stream", Fate::Known),
    ("stream_options", Fate::Known),
    ("tools", Fate::Known),
    ("tool_choice", Fate::Known),
    ("parallel_tool_calls", Fate::Known),
    ("response_format", Fate::Known),
    ("reasoning_effort", Fate::Known),
    ("thinking", Fate::Known),
    ("user", Fate::Known),
    ("safety_identifier", Fate::Known),
    ("service_tier", Fate::Known),
    ("n", Fate::Known),
    (
        "frequency_penalty",
        Fate::Reported("Anthropic's API has no penalties"),
    ),
    (
        "presence_penalty",
        Fate::Reported("Anthropic's API has no penalties"),
    ),
    ("logit_bias", Fate::Reported("Anthropic's API has no logit bias")),
    ("seed", Fate::Reported("Anthropic's API takes no seed")),
    (
        "metadata",
        Fate::Reported("Anthropic's API keeps no metadata of completions"),
    ),
    ("store", Fate::Reported("Anthropic's API stores no completions")),
    (
        "prediction",
        Fate::Reported("Anthropic's API takes no predicted output"),
    ),
    ("verbosity", Fate::Reported("Anthropic's API has no verbosity")),
    (
        "prompt_cache_key",
        Fate::Reported("Anthropic's API takes no cache keys"),
    ),
    (
        "prompt_cache_options",
        Fate::Reported("Anthropic's API takes no cache options in this form"),
    ),
    (
        "prompt_cache_retention",
        Fate::Reported("Anthropic's API takes no cache options in this form"),
    ),
    (
        "logprobs",
        Fate::Refused("Anthropic's API gives no log probabilities"),
    ),
    (
        "top_logprobs",
        Fate::Refused("Anthropic's API gives no log probabilities"),
    ),
    ("audio", Fate::Refused("Anthropic's API gives no audio")),
    (
        "modalities",
        Fate::Refused("Anthropic's API answers with text only"),
    ),
    (
        "moderation",
        Fate::Refused("Anthropic's API moderates no requests in this form"),
    ),
    (
        "web_search_options",
        Fate::Refused("web search of Anthropic's API is not offered in this dialect"),
    ),
    ("functions", Fate::Refused("functions are deprecated; use tools")),
    (
        "function_call",
        Fate::Refused("functions are deprecated; use tool_choice"),
    ),
];

/// Translates a chat completions request.
///
/// `default_max_tokens` is used when the request sets no limit, which Messages requires. The body's `model` is taken
/// as it is.
///
/// # Errors
/// Names the field that is malformed, or that Messages cannot express and without which the answer would not be what
/// was asked for.
pub fn request_from_openai(body: &Value, default_max_tokens: u32) -> Result<Translated, TranslateError> {
    let Value::Object(request) = body else {
        return refuse("body", "must be a JSON object");
    };
    let mut warnings = Vec::new();
    check_parameters(request, &mut warnings)?;
    let Some(model) = request.get("model").and_then(Value::as_str) else {
        return refuse("model", "must be a text");
    };
    let mut out = Map::new();
    out.insert("model".to_owned(), model.into());
    out.insert(
        "max_tokens".to_owned(),
        max_tokens(request, default_max_tokens)?.into(),
    );
    let conversation = messages::translate(request.get("messages"), &mut warnings)?;
    if !conversation.system.is_empty() {
        out.insert("system".to_owned(), conversation.system.into());
    }
    out.insert("messages".to_owned(), conversation.messages.into());
    if flag(request, "stream")? {
        out.insert("stream".to_owned(), Value::Bool(true));
    }
    sampling::translate(request, model, &mut out, &mut warnings)?;
    tools::translate(request, &mut out, &mut warnings)?;
    stop(request, &mut out, &mut warnings)?;
    output_config(request, &mut out, &mut warnings)?;
    rest(request, &mut out, &mut warnings)?;
    Ok(Translated {
        body: Value::Object(out),
        warnings,
    })
}

fn check_parameters(request: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<(), TranslateError> {
    for (name, value) in request {
        match PARAMETERS
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, fate)| *fate)
        {
            _ if is_neutral(name, value) => {}
            Some(Fate::Known) => {}
            Some(Fate::Reported(reason)) => warnings.push(format!("{name} was left out: {reason}")),
            Some(Fate::Refused(reason)) => return refuse(name, reason),
            None => warnings.push(format!("{name} was left out: it is not a known parameter")),
        }
    }
    Ok(())
}

/// Whether the value asks for nothing: what it would be if it were absent.
fn is_neutral(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => name != "seed" && number.as_f64() == Some(0.0),
        Value::Array(elements) => elements
            .iter()
            .all(|element| name == "modalities" && element == "text"),
        Value::Object(members) => name != "web_search_options" && members.is_empty(),
        Value::String(text) => name == "verbosity" && text == "medium",
        Value::Bool(true) => false,
    }
}

fn flag(request: &Map<String, Value>, name: &str) -> Result<bool, TranslateError> {
    match request.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => refuse(name, "must be true or false"),
    }
}

fn max_tokens(request: &Map<String, Value>, default: u32) -> Result<u64, TranslateError> {
    for name in ["max_completion_tokens", "max_tokens"] {
        if let Some(value) = request.get(name).filter(|value| !value.is_null()) {
            return match value.as_u64() {
                Some(limit) if limit > 0 => Ok(limit),
                _ => refuse(name, "must be a whole number above 0"),
            };
        }
    }
    Ok(default.into())
}

fn stop(
    request: &Map<String, Value>,
    out: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let wanted: Vec<&str> = match request.get("stop") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => match texts.iter().map(Value::as_str).collect() {
            Some(texts) => texts,
            None => return refuse("stop", "must be a text or a list of texts"),
        },
        Some(_) => return refuse("stop", "must be a text or a list of texts"),
    };
    let (blank, usable): (Vec<&str>, Vec<&str>) = wanted.into_iter().partition(|text| text.trim().is_empty());
    if !blank.is_empty() {
        warnings
            .push("stop texts of white space were left out: Anthropic's API does not take them".to_owned());
    }
    if !usable.is_empty() {
        out.insert("stop_sequences".to_owned(), json!(usable));
    }
    Ok(())
}

/// `response_format` and `reasoning_effort`.
fn output_config(
    request: &Map<String, Value>,
    out: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut config = Map::new();
    if let Some(format) = request.get("response_format").filter(|format| !format.is_null()) {
        match format.get("type").and_then(Value::as_str) {
            Some("text") => {}
            Some("json_object") => warnings.push(
                "response_format json_object is not enforced: Anthropic's API enforces a json_schema only"
                    .to_owned(),
            ),
            Some("json_schema") => {
                config.insert("format".to_owned(), schema(format, warnings)?);
            }
            _ => return refuse("response_format.type", "must be text, json_object or json_schema"),
        }
    }
    if let Some(effort) = effort(request, warnings)? {
        config.insert("effort".to_owned(), effort.into());
    }
    if !config.is_empty() {
        out.insert("output_config".to_owned(), Value::Object(config));
    }
    Ok(())
}

fn schema(format: &Value, warnings: &mut Vec<String>) -> Result<Value, TranslateError> {
    const PARAM: &str = "response_format.json_schema";
    let Some(Value::Object(given)) = format.get("json_schema") else {
        return refuse(PARAM, "must be an object");
    };
    let Some(schema @ Value::Object(_)) = given.get("schema") else {
        return refuse(format!("{PARAM}.schema"), "must be an object");
    };
    if given.get("description").is_some_and(Value::is_string) {
        warnings.push(format!(
            "{PARAM}.description was left out: describe the answer in the schema"
        ));
    }
    Ok(json!({"type": "json_schema", "schema": schema}))
}

fn effort(
    request: &Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<Option<&'static str>, TranslateError> {
    match request.get("reasoning_effort") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(effort)) => match effort.as_str() {
            "none" => {
                warnings
                    .push("reasoning_effort none was left out: set thinking to turn thinking off".to_owned());
                Ok(None)
            }
            "minimal" => {
                warnings
                    .push("reasoning_effort minimal became low, the lowest of Anthropic's API".to_owned());
                Ok(Some("low"))
            }
            "low" => Ok(Some("low")),
            "medium" => Ok(Some("medium")),
            "high" => Ok(Some("high")),
            "xhigh" => Ok(Some("xhigh")),
            "max" => Ok(Some("max")),
            _ => refuse(
                "reasoning_effort",
                "must be none, minimal, low, medium, high, xhigh or max",
            ),
        },
        Some(_) => refuse("reasoning_effort", "must be a text"),
    }
}

/// The number of answers, the user, the service tier, `thinking` (Anthropic's own) and `stream_options`.
fn rest(
    request: &Map<String, Value>,
    out: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<(), TranslateError> {
    if let Some(count) = request.get("n").filter(|count| !count.is_null())
        && count.as_u64() != Some(1)
    {
        return refuse("n", "must be 1: Anthropic's API gives one answer a request");
    }
    let user = ["safety_identifier", "user"]
        .into_iter()
        .find_map(|name| request.get(name)?.as_str());
    if let Some(user) = user {
        out.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    match request.get("service_tier").and_then(Value::as_str) {
        None => {}
        Some("auto") => {
            out.insert("service_tier".to_owned(), "auto".into());
        }
        Some("default") => {
            out.insert("service_tier".to_owned(), "standard_only".into());
        }
        Some(other) => warnings.push(format!(
            "service_tier {other} was left out: Anthropic's API has no such tier"
        )),
    }
    if let Some(thinking) = request.get("thinking").filter(|thinking| thinking.is_object()) {
        out.insert("thinking".to_owned(), thinking.clone());
    }
    match request.get("stream_options") {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => refuse("stream_options", "must be an object"),
    }
}
