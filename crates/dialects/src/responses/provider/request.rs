//! Writing requests ("Create a model response"): all but the conversation and the tools.

use super::{NAME, conversation, tools};
use crate::{
    chat::{Effort, OutputFormat, Request, Sent, Target, TranslateError, Wire, refuse},
    json::Object,
    openai::effort,
};

/// Parameters of chat completions that this API has under the same name.
const SHARED: [&str; 3] = ["prompt_cache_key", "prompt_cache_retention", "safety_identifier"];

/// Writes a request. A stream tells its usage at its end without being asked.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let mut notes = Vec::new();
    let mut body = Vec::with_capacity(1024);
    let mut root = Object::new(&mut body);
    root.text("model", target.model);
    conversation::write(root.list("input"), &request.messages, &mut notes)?;
    if request.stream {
        root.flag("stream", true);
    }
    sampling(&mut root, request, &mut notes)?;
    tools::write(&mut root, request)?;
    text(&mut root, request);
    let effort = reasoning(&mut root, request, &mut notes);
    include(&mut root, request, effort);
    root.flag("store", is_stored(request));
    if !request.metadata.is_empty() {
        root.value("metadata", &request.metadata);
    }
    root.text_if("user", request.user.as_deref())
        .text_if("service_tier", request.service_tier.as_deref());
    rest(&mut root, request, &mut notes)?;
    drop(root);
    Ok(Sent {
        path: "responses".to_owned(),
        body,
        headers: Vec::new(),
        notes,
    })
}

fn sampling(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) -> Result<(), TranslateError> {
    let given = &request.sampling;
    if given.choices.is_some_and(|choices| choices > 1) {
        return refuse("n", format!("{NAME} gives one answer to a request"));
    }
    root.count_if("max_output_tokens", given.max_tokens)
        .number_if("temperature", given.temperature)
        .number_if("top_p", given.top_p);
    if let Some(top) = request.logprobs.filter(|top| *top > 0) {
        root.count("top_logprobs", top.into());
    }
    let absent = [
        ("stop", !given.stop.is_empty()),
        ("seed", given.seed.is_some()),
        ("frequency_penalty", given.frequency_penalty.is_some()),
        ("presence_penalty", given.presence_penalty.is_some()),
        ("repetition_penalty", given.repetition_penalty.is_some()),
        ("logit_bias", !given.logit_bias.is_empty()),
        ("top_k", given.top_k.is_some()),
        ("min_p", given.min_p.is_some()),
    ];
    for (name, _) in absent.iter().filter(|(_, is_set)| *is_set) {
        notes.push(format!("{name} was left out: {NAME} has no such parameter"));
    }
    Ok(())
}

/// `text`: the form of the answer, and how much is said.
fn text(root: &mut Object<'_>, request: &Request) {
    let verbosity = request
        .extras_of(Wire::OpenAi)
        .filter(|(name, _)| *name == "verbosity");
    let own = request
        .extras_of(Wire::Responses)
        .filter_map(|(name, value)| Some((name.strip_prefix("text.")?, value)));
    let extras: Vec<_> = own.chain(verbosity).collect();
    if request.output.is_none() && extras.is_empty() {
        return;
    }
    let mut text = root.object("text");
    if let Some(output) = &request.output {
        format(text.object("format"), output);
    }
    for (name, value) in extras {
        text.entry(name, value);
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
            object
                .text("type", "json_schema")
                .text("name", name.as_deref().unwrap_or("answer"))
                .text_if("description", description.as_deref())
                .value("schema", schema)
                .flag_if("strict", *strict);
        }
    }
}

/// `reasoning`. Returns the effort, where one is asked for.
fn reasoning(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) -> Option<Effort> {
    let given = request.reasoning.as_ref()?;
    let effort = effort(given, notes);
    let includes = given.include == Some(true);
    if effort.is_some() || includes {
        let mut object = root.object("reasoning");
        object.text_if("effort", effort.map(Effort::as_str));
        if includes {
            object.text("summary", "auto");
        }
    }
    effort
}

/// `include`. Encrypted reasoning is asked for where the model reasons: others refuse to give some
/// (<https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items>).
fn include(root: &mut Object<'_>, request: &Request, effort: Option<Effort>) {
    let given = request.reasoning.as_ref();
    let reasons = effort.is_some_and(|effort| effort != Effort::None)
        || given.and_then(|given| given.include) == Some(true)
        || conversation::has_encrypted(&request.messages);
    let mut names = Vec::new();
    if reasons {
        names.push("reasoning.encrypted_content");
    }
    if request.logprobs.is_some() {
        names.push("message.output_text.logprobs");
    }
    for (name, _) in request.extras_of(Wire::Responses) {
        if let Some(name) = name.strip_prefix("include.").filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        root.value("include", &names);
    }
}

/// Chat completions keep an answer only when `store` says so; what clients of responses want kept the gateway keeps.
fn is_stored(request: &Request) -> bool {
    request
        .extras_of(Wire::OpenAi)
        .any(|(name, value)| name == "store" && value == true)
}

/// What only OpenAI's dialects have.
fn rest(root: &mut Object<'_>, request: &Request, notes: &mut Vec<String>) -> Result<(), TranslateError> {
    for (name, value) in request.extras_of(Wire::Responses) {
        if !name.starts_with("text.") && !name.starts_with("include.") {
            root.entry(name, value);
        }
    }
    for extra in request.extra.iter().filter(|extra| !extra.is_neutral()) {
        match (extra.wire, extra.name.as_str()) {
            (Wire::Responses, _) | (Wire::OpenAi, "store" | "verbosity") => {}
            (Wire::OpenAi, name) if SHARED.contains(&name) => {
                root.entry(name, &extra.value);
            }
            // How a stream is told, of which this API has nothing to choose.
            (Wire::OpenAi, name) if name.starts_with("stream_options.") => {}
            (_, name) if extra.essential => return refuse(name, format!("{NAME} cannot do this")),
            (_, name) => notes.push(format!("{name} was left out: {NAME} has no such parameter")),
        }
    }
    Ok(())
}
