//! Reading messages: roles, content parts, tool calls and their results.

use crate::{
    chat::{Cache, Citation, Content, Message, Part, Role, Source, Vendor},
    json::{Fault, Json},
    openai::reasoning,
};

/// Reads the conversation.
pub(super) fn read(messages: &Json<'_>) -> Result<Vec<Message>, Fault> {
    messages.list()?.iter().map(message).collect()
}

fn message(message: &Json<'_>) -> Result<Message, Fault> {
    message.members()?;
    let role = match message.str_of("role") {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some("function") => {
            return Err(Fault::member(
                message,
                "role",
                "function messages are deprecated; use tool",
            ));
        }
        _ => {
            return Err(Fault::member(
                message,
                "role",
                "must be system, developer, user, assistant or tool",
            ));
        }
    };
    let mut parts = match role {
        Role::System | Role::Developer | Role::User => content(message)?,
        Role::Assistant => assistant(message)?,
        Role::Tool => vec![tool_result(message)?],
    };
    if let (Some(last), Some(mark)) = (parts.last_mut(), cache(message)?) {
        last.cache = Some(mark);
    }
    Ok(Message {
        role,
        parts,
        // The name of a tool message is the function's.
        name: match role {
            Role::Tool => None,
            _ => message.text_of("name")?.map(ToOwned::to_owned),
        },
    })
}

fn assistant(message: &Json<'_>) -> Result<Vec<Part>, Fault> {
    if let Some(call) = message.get("function_call") {
        return Err(call.fault("function_call is deprecated; use tool_calls"));
    }
    if let Some(audio) = message.get("audio") {
        return Err(
            audio.fault("earlier sound cannot be referred to: only the provider that made it knows it")
        );
    }
    let mut parts = Vec::new();
    reasoning::read(message, &mut parts)?;
    if message.get("content").is_some() {
        parts.extend(content(message)?);
    }
    let citations: Vec<Citation> = message
        .items_of("annotations")
        .iter()
        .filter_map(citation)
        .collect();
    let text = parts.iter_mut().find_map(|part| match &mut part.content {
        Content::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(known) = text {
        known.extend(citations);
    }
    if let Some(refusal) = message.text_of("refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Refusal(refusal.to_owned())));
    }
    for call in message.list_of("tool_calls")? {
        parts.push(tool_call(call)?);
    }
    Ok(parts)
}

/// `{"type": "url_citation", "url_citation": {"start_index", "end_index", "title", "url"}}`.
pub(in crate::openai) fn citation(annotation: &Json<'_>) -> Option<Citation> {
    let given = annotation.get("url_citation")?;
    let text = |key: &str| given.str_of(key).map(ToOwned::to_owned);
    Some(Citation {
        url: text("url"),
        title: text("title"),
        quote: text("content"),
        start: given.u64_of("start_index"),
        end: given.u64_of("end_index"),
    })
}

fn filled<'j>(object: &'j Json<'_>, key: &'static str) -> Result<&'j str, Fault> {
    object
        .str_of(key)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Fault::member(object, key, "must be a text that is not empty"))
}

fn tool_call(call: &Json<'_>) -> Result<Part, Fault> {
    let id = filled(call, "id")?;
    let Some(function) = call.get("function").filter(|function| function.is_object()) else {
        return Err(Fault::member(
            call,
            "function",
            "must be an object; other calls cannot be translated",
        ));
    };
    let arguments = match function.get("arguments") {
        None => "",
        Some(arguments) => match arguments.as_str() {
            Some(text) => text,
            None => return Err(arguments.fault("must be a JSON object as text")),
        },
    };
    Ok(Part::new(Content::ToolCall {
        id: id.to_owned(),
        name: filled(function, "name")?.to_owned(),
        arguments: arguments.to_owned(),
        signature: signature(call),
    }))
}

/// Where Google's OpenAI-compatible endpoint has the signature of a call.
pub(crate) fn signature(call: &Json<'_>) -> Option<String> {
    let google = call.get("extra_content")?.get("google")?;
    Some(Vendor::Gemini.mark(google.str_of("thought_signature")?))
}

fn tool_result(message: &Json<'_>) -> Result<Part, Fault> {
    Ok(Part::new(Content::ToolResult {
        id: filled(message, "tool_call_id")?.to_owned(),
        name: message.text_of("name")?.map(ToOwned::to_owned),
        content: content(message)?,
        is_error: false,
    }))
}

/// A text or a list of parts; empty texts go.
fn content(message: &Json<'_>) -> Result<Vec<Part>, Fault> {
    match message.get("content") {
        Some(Json::Text(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Json::Text(text)) => Ok(vec![Part::text(text.as_ref())]),
        Some(Json::List(parts)) => {
            let mut read = Vec::with_capacity(parts.len());
            for given in parts {
                let content = part(given)?;
                let is_empty = matches!(&content, Content::Text { text, .. } if text.is_empty());
                if !is_empty {
                    read.push(Part {
                        content,
                        cache: cache(given)?,
                    });
                }
            }
            Ok(read)
        }
        _ => Err(Fault::member(
            message,
            "content",
            "must be a text or a list of parts",
        )),
    }
}

/// Anthropic's mark, which LiteLLM and OpenRouter take in this dialect: `{"type": "ephemeral", "ttl"}`.
pub(super) fn cache(object: &Json<'_>) -> Result<Option<Cache>, Fault> {
    match object.get("cache_control") {
        Some(mark) => Ok(Some(Cache {
            ttl: mark.text_of("ttl")?.map(ToOwned::to_owned),
        })),
        None => Ok(None),
    }
}

fn part(part: &Json<'_>) -> Result<Content, Fault> {
    match part.str_of("type") {
        Some("text") => Ok(Content::Text {
            text: part.text_in("text")?.to_owned(),
            citations: Vec::new(),
        }),
        Some("refusal") => Ok(Content::Refusal(part.text_in("refusal")?.to_owned())),
        Some("image_url") => image(part.require("image_url")?),
        Some("input_audio") => audio(part.require("input_audio")?),
        Some("file") => file(part.require("file")?),
        Some("video_url") => Ok(Content::Video {
            source: address(part.require("video_url")?)?,
        }),
        _ => Err(Fault::member(
            part,
            "type",
            "must be text, refusal, image_url, input_audio, file or video_url",
        )),
    }
}

/// Some clients send the address without an object around it.
fn address(given: &Json<'_>) -> Result<Source, Fault> {
    let url = match given {
        Json::Text(_) => given,
        _ => given.require("url")?,
    };
    data_address(url)
}

fn data_address(url: &Json<'_>) -> Result<Source, Fault> {
    match Source::from_url(url.text()?) {
        Source::Url { url: text, .. } if text.starts_with("data:") => {
            Err(url.fault("must be a data: address with base64, as data:image/png;base64,…"))
        }
        Source::Base64 { media_type, data } if media_type == "image/jpg" => Ok(Source::Base64 {
            media_type: "image/jpeg".to_owned(),
            data,
        }),
        source => Ok(source),
    }
}

fn image(image: &Json<'_>) -> Result<Content, Fault> {
    Ok(Content::Image {
        source: address(image)?,
        detail: image.text_of("detail")?.map(ToOwned::to_owned),
    })
}

fn audio(audio: &Json<'_>) -> Result<Content, Fault> {
    Ok(Content::Audio {
        source: Source::Base64 {
            media_type: format!("audio/{}", audio.text_in("format")?),
            data: audio.text_in("data")?.to_owned(),
        },
        transcript: None,
    })
}

fn file(file: &Json<'_>) -> Result<Content, Fault> {
    let name = file.text_of("filename")?;
    let source = match (file.get("file_data"), file.text_of("file_id")?) {
        (Some(data), _) => file_data(data, name)?,
        (None, Some(id)) => Source::File { id: id.to_owned() },
        (None, None) => {
            return Err(Fault::member(file, "file_data", "must be given, or a file_id"));
        }
    };
    Ok(Content::Document {
        source,
        name: name.map(ToOwned::to_owned),
        context: None,
        cite: false,
    })
}

/// A `data:` address, an address, or base64 alone when the name says what it is.
fn file_data(data: &Json<'_>, name: Option<&str>) -> Result<Source, Fault> {
    let text = data.text()?;
    let is_pdf = name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdf"));
    if text.starts_with("data:") || text.starts_with("https://") || text.starts_with("http://") {
        data_address(data)
    } else if is_pdf {
        Ok(Source::Base64 {
            media_type: "application/pdf".to_owned(),
            data: text.to_owned(),
        })
    } else {
        Err(data.fault("must be a data: address"))
    }
}
