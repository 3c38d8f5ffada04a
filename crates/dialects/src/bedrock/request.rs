//! Requests.

use serde_json::{Map, Value, json};

use super::{
    NAME, messages,
    model::{self, Accepts, Additional, Family},
    sigv4::encode,
    tools,
};
use crate::chat::{OutputFormat, Request, Sent, Target, TranslateError, Wire, refuse};

/// Members of a Converse request that a client may set under their own names, whatever its dialect: no other API has
/// parameters of these names.
const OWN: [&str; 6] = [
    "guardrailConfig",
    "performanceConfig",
    "requestMetadata",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    ADDITIONAL,
];

const ADDITIONAL: &str = "additionalModelRequestFields";

/// Writes a request.
pub(super) fn write(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let family = Family::of(target.model);
    let mut notes = Vec::new();
    if request.sampling.choices.is_some_and(|count| count != 1) {
        return refuse("n", format!("must be 1: {NAME} gives one answer a request"));
    }
    if request.logprobs.is_some() {
        return refuse("logprobs", format!("{NAME} gives no log probabilities"));
    }
    let conversation = messages::write(request, family, &mut notes)?;
    let mut additional = model::additional(request, family, &mut notes);
    let mut body = Map::new();
    body.insert("messages".to_owned(), Value::Array(conversation.messages));
    if !conversation.system.is_empty() {
        body.insert("system".to_owned(), Value::Array(conversation.system));
    }
    if let Some(config) = tools::write(request, family, &conversation.called, &mut notes)? {
        if additional.claude_thinks && has_forced_tool(&config) {
            notes.push("Claude refuses a required tool together with thinking".to_owned());
        }
        body.insert("toolConfig".to_owned(), config);
    }
    let accepts = model::accepts(target.model, family, additional.claude_thinks);
    if matches!(accepts, Accepts::Thinking | Accepts::Nothing) && additional.fields.remove("top_k").is_some()
    {
        notes.push(left_out("top_k"));
    }
    let inference = inference(request, accepts, &mut notes);
    if !inference.is_empty() {
        body.insert("inferenceConfig".to_owned(), Value::Object(inference));
    }
    if let Some(output) = output(request, &additional, &mut notes) {
        body.insert("outputConfig".to_owned(), output);
    }
    rest(request, family, &mut body, &mut notes);
    extras(request, &mut body, &mut additional.fields, &mut notes)?;
    if !additional.fields.is_empty() {
        body.insert(ADDITIONAL.to_owned(), Value::Object(additional.fields));
    }
    let verb = if request.stream {
        "converse-stream"
    } else {
        "converse"
    };
    Ok(Sent {
        path: format!("model/{}/{verb}", encode(target.model.as_bytes())),
        body: Value::Object(body).to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

fn has_forced_tool(config: &Value) -> bool {
    config
        .get("toolChoice")
        .is_some_and(|choice| choice.get("any").is_some() || choice.get("tool").is_some())
}

/// `inferenceConfig`, and notes for what it has no place for.
fn inference(request: &Request, accepts: Accepts, notes: &mut Vec<String>) -> Map<String, Value> {
    let sampling = &request.sampling;
    let mut out = Map::new();
    if let Some(limit) = sampling.max_tokens {
        out.insert("maxTokens".to_owned(), limit.into());
    }
    for (name, own, value) in [
        ("temperature", "temperature", sampling.temperature),
        ("top_p", "topP", sampling.top_p),
    ] {
        let Some(value) = value else { continue };
        let is_taken = match accepts {
            Accepts::Everything => true,
            Accepts::One => name == "temperature" || sampling.temperature.is_none(),
            Accepts::Thinking => name == "top_p" && value >= 0.95,
            Accepts::Nothing => false,
        };
        if !is_taken {
            // 1 is what it is anyway.
            notes.extend(((value - 1.0).abs() > f64::EPSILON).then(|| left_out(name)));
            continue;
        }
        if value > 1.0 {
            notes.push(format!("{name} {value} was lowered to 1, the highest of {NAME}"));
        }
        out.insert(own.to_owned(), value.clamp(0.0, 1.0).into());
    }
    let (blank, usable): (Vec<&String>, Vec<&String>) =
        sampling.stop.iter().partition(|text| text.trim().is_empty());
    if !blank.is_empty() {
        notes.push("stop texts of white space were left out: models on Bedrock do not take them".to_owned());
    }
    if !usable.is_empty() {
        out.insert("stopSequences".to_owned(), json!(usable));
    }
    let absent = [
        ("min_p", sampling.min_p.is_some()),
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", is_set(sampling.frequency_penalty)),
        ("presence_penalty", is_set(sampling.presence_penalty)),
        (
            "repetition_penalty",
            sampling
                .repetition_penalty
                .is_some_and(|penalty| (penalty - 1.0).abs() > f64::EPSILON),
        ),
        ("logit_bias", !sampling.logit_bias.is_empty()),
    ];
    for (name, _) in absent.iter().filter(|(_, is_set)| *is_set) {
        notes.push(format!("{name} was left out: {NAME} has no such parameter"));
    }
    out
}

fn left_out(name: &str) -> String {
    format!("{name} was left out: this model does not take it, or not with what else is asked")
}

fn is_set(penalty: Option<f64>) -> bool {
    penalty.is_some_and(|penalty| penalty != 0.0)
}

/// `outputConfig`: a schema that the answer must fit, and Claude's effort.
fn output(request: &Request, additional: &Additional, notes: &mut Vec<String>) -> Option<Value> {
    let mut out = Map::new();
    match &request.output {
        None | Some(OutputFormat::Text) => {}
        Some(OutputFormat::JsonObject) => notes.push(format!(
            "response_format json_object is not enforced: {NAME} enforces a json_schema only"
        )),
        Some(OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict: _,
        }) => {
            let mut definition = Map::new();
            definition.insert("schema".to_owned(), schema.to_string().into());
            for (key, value) in [("name", name), ("description", description)] {
                if let Some(value) = value {
                    definition.insert(key.to_owned(), value.as_str().into());
                }
            }
            let format = json!({"type": "json_schema", "structure": {"jsonSchema": definition}});
            out.insert("textFormat".to_owned(), format);
        }
    }
    if let Some(effort) = additional.effort {
        out.insert("effort".to_owned(), effort.into());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// The user, metadata and the tier; which stop text came is asked for where it is told.
fn rest(request: &Request, family: Family, body: &mut Map<String, Value>, notes: &mut Vec<String>) {
    if request.user.is_some() {
        notes.push(format!(
            "user was left out: {NAME} does not ask who the end user is"
        ));
    }
    if !request.metadata.is_empty() {
        body.insert("requestMetadata".to_owned(), json!(request.metadata));
    }
    match request.service_tier.as_deref() {
        None | Some("auto") => {}
        Some(tier @ ("default" | "flex" | "priority" | "reserved")) => {
            body.insert("serviceTier".to_owned(), json!({"type": tier}));
        }
        Some(other) => notes.push(format!(
            "service_tier {other} was left out: {NAME} has no such tier"
        )),
    }
    if family.is_claude() && !request.sampling.stop.is_empty() {
        body.insert(
            "additionalModelResponseFieldPaths".to_owned(),
            json!(["/stop_sequence"]),
        );
    }
}

/// Parameters of Converse's own that a client set, and notes for those of other dialects.
fn extras(
    request: &Request,
    body: &mut Map<String, Value>,
    additional: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    for extra in request.extra.iter().filter(|extra| !extra.is_neutral()) {
        match (&extra.value, extra.name.as_str()) {
            (Value::Object(fields), ADDITIONAL) => additional.extend(fields.clone()),
            (_, ADDITIONAL) => return refuse(ADDITIONAL, "must be an object"),
            (value, name) if OWN.contains(&name) || extra.wire == Wire::Bedrock => {
                body.insert(name.to_owned(), value.clone());
            }
            (_, name) if extra.essential => return refuse(name, format!("{NAME} cannot do this")),
            (_, name) => notes.push(format!("{name} was left out: {NAME} has no such parameter")),
        }
    }
    Ok(())
}
