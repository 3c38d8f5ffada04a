//! Reading requests.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>,
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-completion>

use serde_json::Value;

use super::options;
use crate::{
    calls::Calls,
    chat::{Content, Function, Message, Part, Request, Role, Source, Tool, TranslateError, refuse},
    fields::Fields,
};

/// Members of both requests that have a place in the form.
const KNOWN: [&str; 13] = [
    "model",
    "stream",
    "options",
    "format",
    "think",
    "logprobs",
    "top_logprobs",
    "messages",
    "tools",
    "prompt",
    "system",
    "images",
    "context",
];

/// Beginnings of media in base64, and their types; Ollama sends no type along.
const SIGNATURES: [(&str, &str); 4] = [
    ("iVBORw0KGgo", "image/png"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("/9j/", "image/jpeg"),
];

/// Reads the body of `/api/chat`.
pub(super) fn chat(body: &[u8]) -> Result<Request, TranslateError> {
    let body = parse(body)?;
    let fields = Fields::new(&body, "")?;
    let mut request = common(&fields)?;
    let mut calls = Calls::default();
    for given in fields.objects("messages")? {
        let message = message(&given, &mut calls)?;
        request.messages.push(message);
    }
    for given in fields.objects("tools")? {
        request.tools.push(tool(&given)?);
    }
    Ok(request)
}

/// Reads the body of `/api/generate`: a conversation of one prompt.
pub(super) fn generate(body: &[u8]) -> Result<Request, TranslateError> {
    let body = parse(body)?;
    let fields = Fields::new(&body, "")?;
    let mut request = common(&fields)?;
    let is_given = |name: &str| match fields.get(name) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    for (name, reason) in [
        ("suffix", "filling in before a suffix cannot be translated"),
        ("template", "a prompt template of one model cannot be translated"),
        ("raw", "a prompt without a template cannot be translated"),
        (
            "context",
            "its tokens belong to one model; send the conversation to /api/chat",
        ),
    ] {
        if is_given(name) {
            return refuse(name, reason);
        }
    }
    request
        .extra
        .retain(|extra| !matches!(extra.name.as_str(), "suffix" | "template" | "raw"));
    if let Some(system) = fields.text("system")?.filter(|system| !system.is_empty()) {
        request.messages.push(Message::text(Role::System, system));
    }
    let mut parts = images(&fields)?;
    let prompt = fields.text("prompt")?.filter(|prompt| !prompt.is_empty());
    parts.extend(prompt.map(Part::text));
    if !parts.is_empty() {
        request.messages.push(Message {
            role: Role::User,
            parts,
            name: None,
        });
    }
    Ok(request)
}

fn parse(body: &[u8]) -> Result<Value, TranslateError> {
    serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))
}

fn common(fields: &Fields<'_>) -> Result<Request, TranslateError> {
    let mut request = Request {
        model: fields.required("model")?.to_owned(),
        stream: fields.flag("stream")?.unwrap_or(true),
        include_usage: true,
        output: options::read_format(fields)?,
        reasoning: options::read_think(fields)?,
        logprobs: logprobs(fields)?,
        ..Request::default()
    };
    if let Some(given) = fields.object("options")? {
        options::read(&given, &mut request)?;
    }
    options::keep(fields, &KNOWN, &mut request.extra);
    Ok(request)
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<u32>, TranslateError> {
    let count = fields.count("top_logprobs")?.unwrap_or(0);
    if fields.flag("logprobs")? != Some(true) {
        return Ok(None);
    }
    u32::try_from(count).map_or_else(
        |_| refuse("top_logprobs", "is too large"),
        |count| Ok(Some(count)),
    )
}

fn message(given: &Fields<'_>, calls: &mut Calls) -> Result<Message, TranslateError> {
    let role = match given.required("role")?.to_lowercase().as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return refuse(given.param("role"), "must be system, user, assistant or tool"),
    };
    let mut parts = Vec::new();
    if let Some(text) = given.text("thinking")?.filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Reasoning {
            text: text.to_owned(),
            signature: None,
        }));
    }
    let mut content = images(given)?;
    let text = given.text("content")?.filter(|text| !text.is_empty());
    content.extend(text.map(Part::text));
    if role == Role::Tool {
        let (id, name) = calls.result(given.text("tool_call_id")?, given.text("tool_name")?);
        parts.push(Part::new(Content::ToolResult {
            id,
            name,
            content,
            is_error: false,
        }));
    } else {
        parts.append(&mut content);
    }
    for call in given.objects("tool_calls")? {
        parts.push(Part::new(tool_call(&call, calls)?));
    }
    Ok(Message {
        role,
        parts,
        name: None,
    })
}

fn tool_call(call: &Fields<'_>, calls: &mut Calls) -> Result<Content, TranslateError> {
    let Some(function) = call.object("function")? else {
        return refuse(call.param("function"), "must be an object");
    };
    let name = function.required("name")?;
    let arguments = match function.get("arguments") {
        None => "{}".to_owned(),
        Some(arguments @ Value::Object(_)) => arguments.to_string(),
        Some(_) => return refuse(function.param("arguments"), "must be an object"),
    };
    Ok(Content::ToolCall {
        id: calls.call(call.text("id")?, name),
        name: name.to_owned(),
        arguments,
        signature: None,
    })
}

fn images(given: &Fields<'_>) -> Result<Vec<Part>, TranslateError> {
    let images = given.texts("images")?;
    Ok(images
        .into_iter()
        .map(|data| {
            let media_type = SIGNATURES
                .iter()
                .find(|(start, _)| data.starts_with(start))
                .map_or("image/jpeg", |(_, media_type)| *media_type)
                .to_owned();
            Part::new(Content::Image {
                source: Source::Base64 { media_type, data },
                detail: None,
            })
        })
        .collect())
}

fn tool(given: &Fields<'_>) -> Result<Tool, TranslateError> {
    if given.text("type")?.unwrap_or("function") != "function" {
        return refuse(given.param("type"), "must be function");
    }
    let Some(function) = given.object("function")? else {
        return refuse(given.param("function"), "must be an object");
    };
    let parameters = function.object("parameters")?;
    Ok(Tool::Function(Function {
        name: function.required("name")?.to_owned(),
        description: function.text("description")?.map(str::to_owned),
        parameters: parameters.and_then(|_| function.get("parameters").cloned()),
        strict: None,
        cache: None,
    }))
}
