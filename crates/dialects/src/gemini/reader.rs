//! Reading requests.
//! <https://ai.google.dev/api/generate-content#method:-models.generatecontent>

use serde_json::Value;

use super::{part_reader::PartReader, reader_config, reader_tools, signature};
use crate::{
    chat::{Content, Extra, Head, Message, Part, Request, Role, TranslateError, Wire, refuse},
    fields::{Fields, camel},
};

/// Members of the body that have a place in the form.
const KNOWN: [&str; 7] = [
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "serviceTier",
];

/// Reads the body of `generateContent`.
pub(super) fn request(body: &[u8], head: Head<'_>) -> Result<Request, TranslateError> {
    let body = parse(body)?;
    from_value(&body, head, "")
}

/// Reads the body of `countTokens`: contents alone, or a whole request as `generateContentRequest`.
///
/// <https://ai.google.dev/api/tokens#method:-models.counttokens>
///
/// # Errors
/// As for a request.
pub fn count_tokens_request(body: &[u8], model: &str) -> Result<Request, TranslateError> {
    const WHOLE: &str = "generateContentRequest";
    let body = parse(body)?;
    let head = Head {
        model: Some(model),
        stream: false,
    };
    match Fields::new(&body, "")?.get(WHOLE) {
        Some(request) => from_value(request, head, WHOLE),
        None => from_value(&body, head, ""),
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Value, TranslateError> {
    serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))
}

fn from_value(body: &Value, head: Head<'_>, path: &str) -> Result<Request, TranslateError> {
    let fields = Fields::new(body, path)?;
    let model = match head.model {
        Some(model) => model,
        None => fields.required("model")?,
    };
    let mut request = Request {
        model: model.strip_prefix("models/").unwrap_or(model).to_owned(),
        stream: head.stream,
        include_usage: true,
        service_tier: fields.text("serviceTier")?.and_then(service_tier),
        ..Request::default()
    };
    if let Some(system) = fields.get("systemInstruction") {
        let system = system_instruction(system, fields.param("systemInstruction"))?;
        request.messages.push(system);
    }
    conversation(&fields, &mut request)?;
    if let Some(config) = fields.object("generationConfig")? {
        reader_config::read(&config, &mut request)?;
    }
    reader_tools::read(&fields, &mut request)?;
    keep(&fields, &KNOWN, &mut request.extra);
    Ok(request)
}

/// Reads `contents`. SDKs keep each chunk of a streamed answer as a content of its own; they are one message.
fn conversation(body: &Fields<'_>, request: &mut Request) -> Result<(), TranslateError> {
    let mut reader = PartReader::default();
    let first = request.messages.len();
    for content in body.objects("contents")? {
        let known = reader.extra.len();
        let message = message(&content, &mut reader)?;
        let last = request
            .messages
            .get_mut(first..)
            .and_then(<[Message]>::last_mut)
            .filter(|last| last.role == Role::Assistant && message.role == Role::Assistant);
        let place = if let Some(last) = last {
            join(last, message.parts);
            // Its parts have other places now.
            "contents".to_owned()
        } else {
            request.messages.push(message);
            format!("contents[{}]", request.messages.len() - first - 1)
        };
        for extra in reader.extra.iter_mut().skip(known) {
            if let Some(name) = extra.name.strip_prefix(content.path()) {
                extra.name = format!("{place}{name}");
            }
        }
    }
    request.extra = reader.extra;
    Ok(())
}

/// Adds the next chunk of an answer: a text or thought goes on where the one before it has no signature.
fn join(message: &mut Message, parts: Vec<Part>) {
    for (index, part) in parts.into_iter().enumerate() {
        let last = message.parts.last_mut().map(|last| &mut last.content);
        match (last, part.content) {
            (
                Some(Content::Reasoning {
                    text,
                    signature: signature @ None,
                }),
                Content::Reasoning {
                    text: more,
                    signature: given,
                },
            ) if index == 0 && !is_of_text(given.as_deref()) => {
                text.push_str(&more);
                *signature = given;
            }
            (Some(Content::Text { text, .. }), Content::Text { text: more, .. }) if index == 0 => {
                text.push_str(&more);
            }
            (_, content) => message.parts.push(Part::new(content)),
        }
    }
}

fn is_of_text(signature: Option<&str>) -> bool {
    signature
        .and_then(signature::own)
        .is_some_and(|own| own.is_of_text)
}

/// Keeps members that the form has no place for.
pub(super) fn keep(fields: &Fields<'_>, known: &[&str], extra: &mut Vec<Extra>) {
    for (name, value) in fields.others(known) {
        let name = fields.param(&camel(name));
        extra.push(Extra {
            wire: Wire::Gemini,
            essential: is_essential(&name, value),
            name,
            value: value.clone(),
        });
    }
}

/// Whether an answer without it would not be what was asked for.
fn is_essential(name: &str, value: &Value) -> bool {
    match name {
        "cachedContent"
        | "generationConfig.responseFormat"
        | "generationConfig.responseMimeType"
        | "generationConfig.translationConfig" => true,
        "generationConfig.responseModalities" => value
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind != "TEXT")),
        _ => false,
    }
}

/// `standard` is what OpenAI calls `default`.
fn service_tier(tier: &str) -> Option<String> {
    match tier.to_ascii_lowercase().as_str() {
        "unspecified" | "service_tier_unspecified" | "" => None,
        "standard" => Some("default".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// A content, or a text alone, which SDKs take too.
fn system_instruction(value: &Value, path: String) -> Result<Message, TranslateError> {
    if let Value::String(text) = value {
        return Ok(Message::text(Role::System, text));
    }
    let content = Fields::new(value, path)?;
    let mut parts = Vec::new();
    for part in content.objects("parts")? {
        parts.push(Part::text(part.text("text")?.map_or_else(
            || refuse(part.path(), "must be text: instructions have no other parts"),
            Ok,
        )?));
    }
    Ok(Message {
        role: Role::System,
        parts,
        name: None,
    })
}

fn message(content: &Fields<'_>, reader: &mut PartReader) -> Result<Message, TranslateError> {
    let role = match content.text("role")? {
        None | Some("user" | "") => Role::User,
        Some("model") => Role::Assistant,
        Some("function") => Role::Tool,
        Some(_) => return refuse(content.param("role"), "must be user or model"),
    };
    let mut parts = Vec::new();
    for (index, part) in content.list("parts").iter().enumerate() {
        let path = format!("{}[{index}]", content.param("parts"));
        reader.read(part, path, &mut parts)?;
    }
    Ok(Message {
        role,
        parts,
        name: None,
    })
}
