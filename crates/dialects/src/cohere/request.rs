//! Requests.

use serde_json::{Map, Value, json};

use super::{NAME, messages, tools};
use crate::chat::{
    Effort, OutputFormat, Reasoning, Request, Sampling, Sent, Target, TranslateError, Wire, refuse,
};

/// Members of a chat request of Cohere that a client may set under their own names, whatever its dialect.
const OWN: [&str; 5] = [
    DOCUMENTS,
    "citation_options",
    "safety_mode",
    "strict_tools",
    "priority",
];

const DOCUMENTS: &str = "documents";

/// The most stop texts.
const MOST_STOPS: usize = 5;

/// Writes a request.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let mut notes = Vec::new();
    let mut body = Map::new();
    body.insert("model".to_owned(), target.model.into());
    let conversation = messages::write(request, &mut notes)?;
    body.insert("messages".to_owned(), Value::Array(conversation.messages));
    body.insert("stream".to_owned(), request.stream.into());
    tools::write(request, &mut body, &mut notes)?;
    sampling(&request.sampling, &mut body, &mut notes)?;
    numbers(&request.sampling, &mut body, &mut notes);
    logprobs(request, &mut body, &mut notes);
    let output = request.output.as_ref();
    if let Some(format) = output.and_then(|output| format(output, &mut notes)) {
        body.insert("response_format".to_owned(), format);
    }
    let reasoning = request.reasoning.as_ref();
    if let Some(thinking) = reasoning.and_then(|reasoning| thinking(reasoning, &mut notes)) {
        body.insert("thinking".to_owned(), thinking);
    }
    let tier = request.service_tier.as_deref();
    let absent = [
        ("user", request.user.is_some()),
        ("metadata", !request.metadata.is_empty()),
        ("service_tier", tier.is_some_and(|tier| tier != "auto")),
    ];
    note_absent(&absent, &mut notes);
    if !conversation.documents.is_empty() {
        body.insert(DOCUMENTS.to_owned(), Value::Array(conversation.documents));
    }
    extras(request, &mut body, &mut notes)?;
    Ok(Sent {
        path: "chat".to_owned(),
        body: Value::Object(body).to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

fn note_absent(absent: &[(&str, bool)], notes: &mut Vec<String>) {
    for (name, _) in absent.iter().filter(|(_, is_set)| *is_set) {
        notes.push(format!("{name} was left out: {NAME} has no such parameter"));
    }
}

fn sampling(
    sampling: &Sampling,
    body: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    if sampling.choices.is_some_and(|count| count != 1) {
        return refuse("n", format!("must be 1: {NAME} gives one answer a request"));
    }
    if let Some(limit) = sampling.max_tokens {
        body.insert("max_tokens".to_owned(), limit.into());
    }
    if let Some(top_k) = sampling.top_k {
        if top_k > 500 {
            notes.push(format!("top_k {top_k} became 500, the highest of {NAME}"));
        }
        body.insert("k".to_owned(), top_k.min(500).into());
    }
    match sampling.seed.map(u64::try_from) {
        Some(Ok(seed)) => {
            body.insert("seed".to_owned(), seed.into());
        }
        Some(Err(_)) => notes.push(format!("seed was left out: {NAME} takes none below 0")),
        None => {}
    }
    if sampling.stop.len() > MOST_STOPS {
        return refuse(
            "stop",
            format!("must have at most {MOST_STOPS} texts: {NAME} takes no more"),
        );
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), json!(sampling.stop));
    }
    let repetition = sampling.repetition_penalty;
    let absent = [
        ("min_p", sampling.min_p.is_some()),
        (
            "repetition_penalty",
            repetition.is_some_and(|penalty| (penalty - 1.0).abs() > f64::EPSILON),
        ),
        ("logit_bias", !sampling.logit_bias.is_empty()),
    ];
    note_absent(&absent, notes);
    Ok(())
}

/// Temperature, `p` and penalties, within Cohere's ranges.
fn numbers(sampling: &Sampling, body: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let penalty = |value: Option<f64>| value.filter(|value| *value != 0.0);
    let frequency = penalty(sampling.frequency_penalty);
    let mut presence = penalty(sampling.presence_penalty);
    if presence.is_some() && frequency.is_some() {
        presence = None;
        notes.push(format!(
            "presence_penalty was left out: {NAME} takes one of presence_penalty and frequency_penalty"
        ));
    }
    let numbers = [
        (
            "temperature",
            "temperature",
            sampling.temperature,
            (0.0, f64::MAX),
        ),
        ("top_p", "p", sampling.top_p, (0.01, 0.99)),
        ("frequency_penalty", "frequency_penalty", frequency, (0.0, 1.0)),
        ("presence_penalty", "presence_penalty", presence, (0.0, 1.0)),
    ];
    for (name, own, value, (least, most)) in numbers {
        let Some(value) = value else { continue };
        let fit = value.clamp(least, most);
        // `top_p` 1 asks for nothing, and 0.99 is as near as it gets.
        if (fit - value).abs() > 0.011 {
            notes.push(format!(
                "{name} {value} became {fit}, the nearest that {NAME} takes"
            ));
        }
        body.insert(own.to_owned(), fit.into());
    }
}

fn logprobs(request: &Request, body: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let Some(alternatives) = request.logprobs else {
        return;
    };
    if alternatives > 0 {
        notes.push(format!(
            "top_logprobs was left out: {NAME} gives those of the chosen tokens only"
        ));
    }
    body.insert("logprobs".to_owned(), true.into());
}

/// A schema's name has no place and no meaning, and a schema is always enforced.
fn format(output: &OutputFormat, notes: &mut Vec<String>) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema {
            name: _,
            description,
            schema,
            strict: _,
        } => {
            if description.is_some() {
                notes.push(
                    "the description of response_format was left out: describe the answer in the schema"
                        .to_owned(),
                );
            }
            Some(json!({"type": "json_object", "json_schema": schema}))
        }
    }
}

/// Models of Cohere that think do so unless it is turned off; a budget is in tokens and above 0.
fn thinking(reasoning: &Reasoning, notes: &mut Vec<String>) -> Option<Value> {
    match (reasoning.budget_tokens, reasoning.effort) {
        (Some(0), _) | (None, Some(Effort::None)) => Some(json!({"type": "disabled"})),
        (Some(budget), _) => Some(json!({"type": "enabled", "token_budget": budget})),
        (None, Some(effort)) => {
            if effort < Effort::High {
                notes.push(format!(
                    "reasoning_effort {} became thinking without a budget: {NAME} knows on, off and budgets",
                    effort.as_str()
                ));
            }
            Some(json!({"type": "enabled"}))
        }
        (None, None) => None,
    }
}

/// Parameters of Cohere's own that a client set, and notes for those of other dialects.
fn extras(
    request: &Request,
    body: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    for extra in request.extra.iter().filter(|extra| !extra.is_neutral()) {
        match (extra.name.as_str(), &extra.value) {
            (DOCUMENTS, Value::Array(more)) => {
                let documents = body.entry(DOCUMENTS).or_insert_with(|| json!([]));
                if let Value::Array(documents) = documents {
                    documents.extend(more.iter().cloned());
                }
            }
            (name, value) if OWN.contains(&name) || extra.wire == Wire::Cohere => {
                body.insert(name.to_owned(), value.clone());
            }
            (name, _) if extra.essential => return refuse(name, format!("{NAME} cannot do this")),
            (name, _) => notes.push(format!("{name} was left out: {NAME} has no such parameter")),
        }
    }
    Ok(())
}
