//! Requests.

use serde_json::{Map, Value, json};

use super::{NAME, messages, tools};
use crate::chat::{
    Effort, OutputFormat, Reasoning, Request, Sampling, Sent, Target, TranslateError, Wire, refuse,
};

/// Members of a chat request of Mistral that a client may set under their own names, whatever its dialect.
const OWN: [&str; 8] = [
    "safe_prompt",
    "prompt_mode",
    "prediction",
    "guardrails",
    "prompt_cache_key",
    "min_tokens",
    "prompt_logprobs",
    "top_prompt_logprobs",
];

/// Writes a request. A stream tells its usage in its last chunk without being asked.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let mut notes = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), target.model.into());
    let messages = messages::write(request, &mut notes)?;
    body.insert("messages".to_owned(), Value::Array(messages));
    if request.stream {
        body.insert("stream".to_owned(), true.into());
    }
    tools::write(request, &mut body, &mut notes)?;
    sampling(&request.sampling, &mut body, &mut notes);
    if let Some(top) = request.logprobs {
        body.insert("logprobs".to_owned(), true.into());
        if top > 0 {
            body.insert("top_logprobs".to_owned(), top.into());
        }
    }
    if let Some(format) = request.output.as_ref().and_then(format) {
        body.insert("response_format".to_owned(), format);
    }
    let reasoning = request.reasoning.as_ref();
    if let Some(effort) = reasoning.and_then(|reasoning| effort(reasoning, &mut notes)) {
        body.insert("reasoning_effort".to_owned(), effort.as_str().into());
    }
    if !request.metadata.is_empty() {
        body.insert("metadata".to_owned(), json!(request.metadata));
    }
    if request.user.is_some() {
        notes.push(format!(
            "user was left out: {NAME} does not ask who the end user is"
        ));
    }
    match request.service_tier.as_deref() {
        None => {}
        Some("auto") => {
            body.insert("service_tier".to_owned(), "auto".into());
        }
        Some("default") => {
            body.insert("service_tier".to_owned(), "standard_only".into());
        }
        Some(other) => notes.push(format!(
            "service_tier {other} was left out: {NAME} has no such tier"
        )),
    }
    extras(request, &mut body, &mut notes)?;
    Ok(Sent {
        path: "chat/completions".to_owned(),
        body: Value::Object(body).to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

fn sampling(sampling: &Sampling, body: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repetition_penalty", sampling.repetition_penalty),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    let counts = [
        ("max_tokens", sampling.max_tokens),
        ("top_k", sampling.top_k),
        ("n", sampling.choices),
    ];
    for (name, value) in counts {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    match sampling.seed.map(u64::try_from) {
        Some(Ok(seed)) => {
            body.insert("random_seed".to_owned(), seed.into());
        }
        Some(Err(_)) => notes.push(format!("seed was left out: {NAME} takes none below 0")),
        None => {}
    }
    if !sampling.stop.is_empty() {
        body.insert("stop".to_owned(), json!(sampling.stop));
    }
    let absent = [
        ("min_p", sampling.min_p.is_some()),
        ("logit_bias", !sampling.logit_bias.is_empty()),
    ];
    for (name, _) in absent.iter().filter(|(_, is_set)| *is_set) {
        notes.push(format!("{name} was left out: {NAME} has no such parameter"));
    }
}

/// A schema must have a name.
fn format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut out = Map::new();
            out.insert("name".to_owned(), name.as_deref().unwrap_or("answer").into());
            if let Some(description) = description {
                out.insert("description".to_owned(), description.as_str().into());
            }
            out.insert("schema".to_owned(), schema.clone());
            if let Some(strict) = strict {
                out.insert("strict".to_owned(), (*strict).into());
            }
            Some(json!({"type": "json_schema", "json_schema": out}))
        }
    }
}

/// Mistral takes all of OpenAI's words, and no budgets.
fn effort(reasoning: &Reasoning, notes: &mut Vec<String>) -> Option<Effort> {
    if let Some(budget) = reasoning.budget_tokens.filter(|_| reasoning.effort.is_none()) {
        let effort = match budget {
            0 => Effort::None,
            1..=2_048 => Effort::Low,
            2_049..=8_192 => Effort::Medium,
            _ => Effort::High,
        };
        notes.push(format!(
            "the budget for thinking became reasoning_effort {}: {NAME} takes words only",
            effort.as_str()
        ));
        return Some(effort);
    }
    reasoning.effort
}

/// Parameters of Mistral's own that a client set, and notes for those of other dialects.
fn extras(
    request: &Request,
    body: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    for extra in request.extra.iter().filter(|extra| !extra.is_neutral()) {
        match extra.name.as_str() {
            name if OWN.contains(&name) || extra.wire == Wire::Mistral => {
                body.insert(name.to_owned(), extra.value.clone());
            }
            name if extra.essential => return refuse(name, format!("{NAME} cannot do this")),
            name => notes.push(format!("{name} was left out: {NAME} has no such parameter")),
        }
    }
    Ok(())
}
