//! Writing requests: all but messages and tools.

use super::{message, tools};
use crate::{
    chat::{Effort, OutputFormat, Reasoning, Request, Sent, Target, TranslateError, Wire},
    flavors::{self, Feature, Flavor, Operation},
    json::Object,
};

/// Writes a request.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let flavor = flavors::of(target.flavor);
    let mut notes = Vec::new();
    let mut body = Vec::with_capacity(1024);
    let mut root = Object::new(&mut body);
    root.text("model", target.model);
    message::write(root.list("messages"), &request.messages, flavor, &mut notes)?;
    stream(&mut root, request);
    sampling(&mut root, request, flavor, &mut notes);
    tools::write(&mut root, request, flavor, &mut notes)?;
    if let Some(output) = &request.output {
        format(root.object("response_format"), output);
    }
    if let Some(effort) = request
        .reasoning
        .as_ref()
        .and_then(|given| effort(given, &mut notes))
    {
        root.text("reasoning_effort", effort.as_str());
    }
    root.text_if("user", request.user.as_deref());
    rest(&mut root, request, flavor, &mut notes);
    request.note_foreign_extras(Wire::OpenAi, flavor.vendor, &mut notes)?;
    drop(root);
    let adapted = flavors::adapt(flavor, Operation::Chat, &body.into())?;
    notes.extend(adapted.notes);
    Ok(Sent {
        path: "chat/completions".to_owned(),
        body: adapted.body.into(),
        headers: Vec::new(),
        notes,
    })
}

/// A stream always tells its usage: the gateway counts, whatever the client wants to see.
fn stream(root: &mut Object<'_>, request: &Request) {
    if !request.stream {
        return;
    }
    root.flag("stream", true);
    let mut options = root.object("stream_options");
    options.flag("include_usage", true);
    for (name, value) in request.extras_of(Wire::OpenAi) {
        if let Some(option) = name.strip_prefix("stream_options.") {
            options.entry(option, value);
        }
    }
}

fn sampling(root: &mut Object<'_>, request: &Request, flavor: &Flavor, notes: &mut Vec<String>) {
    let given = &request.sampling;
    root.number_if("temperature", given.temperature)
        .number_if("top_p", given.top_p)
        .number_if("frequency_penalty", given.frequency_penalty)
        .number_if("presence_penalty", given.presence_penalty)
        .count_if(flavor.limit, given.max_tokens)
        .count_if("n", given.choices);
    if let Some(seed) = given.seed {
        root.value("seed", &seed);
    }
    if !given.stop.is_empty() {
        root.value("stop", &given.stop);
    }
    if !given.logit_bias.is_empty() {
        let mut bias = root.object("logit_bias");
        for (token, value) in &given.logit_bias {
            bias.entry_number(token, *value);
        }
    }
    if let Some(top) = request.logprobs {
        root.flag("logprobs", true);
        if top > 0 {
            root.count("top_logprobs", top.into());
        }
    }
    let samplers = [
        ("min_p", given.min_p),
        ("repetition_penalty", given.repetition_penalty),
    ];
    if flavor.has(Feature::Samplers) {
        root.count_if("top_k", given.top_k);
        for (name, value) in samplers {
            root.number_if(name, value);
        }
        return;
    }
    let names = samplers
        .into_iter()
        .filter_map(|(name, value)| value.map(|_| name))
        .chain(given.top_k.map(|_| "top_k"));
    for name in names {
        notes.push(format!(
            "{name} was left out: {} has no such parameter",
            flavor.vendor
        ));
    }
}

fn format(mut object: Object<'_>, output: &OutputFormat) {
    match output {
        OutputFormat::Text => {
            object.text("type", "text");
        }
        OutputFormat::JsonObject => {
            object.text("type", "json_object");
        }
        OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            object.text("type", "json_schema");
            object
                .object("json_schema")
                .text("name", name.as_deref().unwrap_or("answer"))
                .text_if("description", description.as_deref())
                .value("schema", schema)
                .flag_if("strict", *strict);
        }
    }
}

/// Budgets become the word whose budget is nearest, as others translate them.
pub(crate) fn effort(reasoning: &Reasoning, notes: &mut Vec<String>) -> Option<Effort> {
    let effort = match (reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::Max), _) => {
            notes.push("reasoning effort max became xhigh, the highest of OpenAI's API".to_owned());
            return Some(Effort::XHigh);
        }
        (Some(effort), _) => return Some(effort),
        // Anthropic's and Gemini's way to say that nothing is asked for; models that do not reason refuse the field.
        (None, None | Some(0)) => return None,
        (None, Some(1..=2047)) => Effort::Low,
        (None, Some(2048..=8191)) => Effort::Medium,
        (None, Some(_)) => Effort::High,
    };
    let budget = reasoning.budget_tokens.unwrap_or(0);
    notes.push(format!(
        "a reasoning budget of {budget} tokens became the effort {}: OpenAI's API takes words",
        effort.as_str()
    ));
    Some(effort)
}

/// Service tier, metadata and what only this dialect has.
fn rest(root: &mut Object<'_>, request: &Request, flavor: &Flavor, notes: &mut Vec<String>) {
    root.text_if("service_tier", request.service_tier.as_deref());
    let is_stored = request
        .extras_of(Wire::OpenAi)
        .any(|(name, value)| name == "store" && value == true);
    if is_stored && !request.metadata.is_empty() {
        root.value("metadata", &request.metadata);
    } else if !request.metadata.is_empty() {
        notes.push(format!(
            "metadata was left out: {} keeps it of stored answers only",
            flavor.vendor
        ));
    }
    for (name, value) in request.extras_of(Wire::OpenAi) {
        if !name.starts_with("stream_options.") {
            root.entry(name, value);
        }
    }
}
