//! Files of `/v1/files` that a chat names: what they hold is put in the place of their ids, so that any provider can be
//! told it (<https://platform.openai.com/docs/guides/pdf-files>, <https://docs.anthropic.com/en/docs/build-with-claude/files>).
//!
//! *Invariants:* a file is read as the caller would read it, who sees no other project's; a body without an id that was
//! made here is not touched, and ids of a provider's own files go on to it.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use memchr::memmem;
use serde_json::{Map, Value, json};
use stead_dialects::chat::Wire;
use stead_kernel::{Body, PROJECT_HEADER};

use super::{caller::Caller, error::ApiError};
use crate::Gateway;

/// The most bytes of all files that one request names (OpenAI's limit), and the most files.
const LARGEST: usize = 32 << 20;
const MOST: usize = 20;
/// The largest answer that describes a file, in bytes.
const DESCRIPTION_LIMIT: usize = 64 << 10;
/// What ids that were made here begin with; 32 hex digits follow, which no provider's ids have.
const PREFIX: &str = "file-";

/// What may follow: results of batches are called after them.
const ENDS: [&str; 3] = ["", "-output", "-error"];

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A PDF.
    Document(Bytes),
    /// A picture, with its media type.
    Picture(&'static str, Bytes),
    /// UTF-8.
    Text(String),
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    name: String,
    content: Content,
}

/// The body with the contents of the files that it names.
///
/// # Errors
/// A file that is not there, is too large, or is no document, picture or text; a place that cannot hold it.
pub(super) async fn put_in(
    gateway: &Gateway,
    caller: &Caller,
    wire: Wire,
    body: Bytes,
) -> Result<Bytes, ApiError> {
    let list = match wire {
        Wire::Responses => "input",
        Wire::OpenAi | Wire::Anthropic => "messages",
        _ => return Ok(body),
    };
    if memmem::find(&body, b"\"file_id\"").is_none() || memmem::find(&body, b"\"file-").is_none() {
        return Ok(body);
    }
    // What cannot be read at all is refused as everywhere.
    let Ok(Value::Object(mut top)) = serde_json::from_slice::<Value>(&body) else {
        return Ok(body);
    };
    let Some(said) = top.get_mut(list) else {
        return Ok(body);
    };
    let mut ids = BTreeSet::new();
    find(said, &mut ids);
    if ids.is_empty() {
        return Ok(body);
    }
    if ids.len() > MOST {
        let message = format!("a request may name {MOST} files at most");
        return Err(ApiError::invalid("too_many_files", message).param("file_id"));
    }
    let (mut files, mut left) = (BTreeMap::new(), LARGEST);
    for id in ids {
        let file = read(gateway, caller, &id, &mut left).await?;
        files.insert(id, file);
    }
    replace(said, &files)?;
    Ok(Value::Object(top).to_string().into())
}

/// Whether an id was made here.
fn is_ours(id: &str) -> bool {
    let Some((digits, rest)) = id.strip_prefix(PREFIX).and_then(|id| id.split_at_checked(32)) else {
        return false;
    };
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    digits.bytes().all(is_digit) && ENDS.contains(&rest)
}

fn id_in(members: &Map<String, Value>) -> Option<&str> {
    let id = members.get("file_id")?.as_str()?;
    is_ours(id).then_some(id)
}

/// All ids in a value that were made here.
fn find(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find(item, ids)),
        Value::Object(members) => {
            ids.extend(id_in(members).map(str::to_owned));
            members.values().for_each(|value| find(value, ids));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn read(gateway: &Gateway, caller: &Caller, id: &str, left: &mut usize) -> Result<Stored, ApiError> {
    let described = fetch(gateway, caller, &format!("/v1/files/{id}"), id, DESCRIPTION_LIMIT).await?;
    let described: Value = serde_json::from_slice(&described).unwrap_or_default();
    let bytes = described.get("bytes").and_then(Value::as_u64).unwrap_or(0);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let Some(rest) = left.checked_sub(bytes) else {
        let message = format!("the files of a request may have {LARGEST} bytes at most");
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "request_too_large",
            message,
        )
        .param("file_id"));
    };
    *left = rest;
    let content = fetch(gateway, caller, &format!("/v1/files/{id}/content"), id, bytes).await?;
    let name = described.get("filename").and_then(Value::as_str);
    let Some(content) = recognise(content) else {
        let message = format!("the file `{id}` is neither a PDF, a picture nor text");
        return Err(ApiError::invalid("unsupported_file", message).param("file_id"));
    };
    Ok(Stored {
        name: name.unwrap_or(id).to_owned(),
        content,
    })
}

/// Asks for a file as the caller would.
async fn fetch(
    gateway: &Gateway,
    caller: &Caller,
    path: &str,
    id: &str,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let unreadable =
        || ApiError::unavailable("file_unavailable", format!("the file `{id}` cannot be read now"));
    let request = Request::get(path)
        .header(PROJECT_HEADER, caller.project())
        .body(Body::empty())
        .map_err(|_| unreadable())?;
    let response = gateway.models.call(caller.identity(), request).await;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                "file_not_found",
                format!("there is no file `{id}` here"),
            )
            .param("file_id"));
        }
        _ => return Err(unreadable()),
    }
    let read = Limited::new(response.into_body(), limit).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|_| unreadable())
}

/// What a content is, by its beginning: whoever uploads a file may say anything of it.
fn recognise(content: Bytes) -> Option<Content> {
    const PICTURES: [(&[u8], &str); 4] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"RIFF", "image/webp"),
    ];
    if content.starts_with(b"%PDF-") {
        return Some(Content::Document(content));
    }
    let picture = PICTURES.iter().find(|(sign, _)| content.starts_with(sign));
    if let Some((_, sort)) = picture {
        let is_webp = content.get(8..12) == Some(b"WEBP");
        if *sort != "image/webp" || is_webp {
            return Some(Content::Picture(sort, content));
        }
    }
    let text = String::from_utf8(content.into()).ok()?;
    (!text.contains('\0')).then_some(Content::Text(text))
}

/// Puts files in the place of their ids.
fn replace(value: &mut Value, files: &BTreeMap<String, Stored>) -> Result<(), ApiError> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, files)),
        Value::Object(members) => {
            let known = |holder: &Map<String, Value>| files.get(id_in(holder)?).cloned();
            let inner = |name: &str| members.get(name).and_then(Value::as_object).and_then(known);
            let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
            let part = match kind {
                "file" => inner("file").map(|file| chat_part(&file)),
                "input_file" => known(members).map(|file| input_part(&file)),
                "input_image" => known(members)
                    .map(|file| input_image(&file, members.get("detail")))
                    .transpose()?,
                "document" | "image" => {
                    let file = inner("source");
                    if let Some(file) = file {
                        let source = source(&file, kind)?;
                        members.insert("source".to_owned(), source);
                    }
                    None
                }
                _ => None,
            };
            if let Some(part) = part {
                *value = part;
                return Ok(());
            }
            members.values_mut().try_for_each(|value| replace(value, files))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn data_url(sort: &str, content: &[u8]) -> String {
    format!("data:{sort};base64,{}", STANDARD.encode(content))
}

fn titled(file: &Stored, text: &str) -> String {
    format!("{}\n\n{text}", file.name)
}

/// A part of a message of OpenAI's chat completions.
fn chat_part(file: &Stored) -> Value {
    match &file.content {
        Content::Document(content) => json!({"type": "file", "file": {
            "filename": file.name, "file_data": data_url("application/pdf", content),
        }}),
        Content::Picture(sort, content) => {
            json!({"type": "image_url", "image_url": {"url": data_url(sort, content)}})
        }
        Content::Text(text) => json!({"type": "text", "text": titled(file, text)}),
    }
}

/// A part of a message of OpenAI's responses.
fn input_part(file: &Stored) -> Value {
    match &file.content {
        Content::Document(content) => json!({
            "type": "input_file", "filename": file.name, "file_data": data_url("application/pdf", content),
        }),
        Content::Picture(sort, content) => {
            json!({"type": "input_image", "image_url": data_url(sort, content)})
        }
        Content::Text(text) => json!({"type": "input_text", "text": titled(file, text)}),
    }
}

fn input_image(file: &Stored, detail: Option<&Value>) -> Result<Value, ApiError> {
    let Content::Picture(sort, content) = &file.content else {
        return Err(no_picture(file));
    };
    let mut part = json!({"type": "input_image", "image_url": data_url(sort, content)});
    if let (Some(detail), Value::Object(members)) = (detail, &mut part) {
        members.insert("detail".to_owned(), detail.clone());
    }
    Ok(part)
}

/// A `source` of Anthropic's messages.
fn source(file: &Stored, kind: &str) -> Result<Value, ApiError> {
    match (kind, &file.content) {
        ("image", Content::Picture(sort, content)) => {
            Ok(json!({"type": "base64", "media_type": sort, "data": STANDARD.encode(content)}))
        }
        ("image", _) => Err(no_picture(file)),
        (_, Content::Document(content)) => {
            Ok(json!({"type": "base64", "media_type": "application/pdf", "data": STANDARD.encode(content)}))
        }
        (_, Content::Text(text)) => Ok(json!({"type": "text", "media_type": "text/plain", "data": text})),
        (_, Content::Picture(..)) => {
            let message = format!("the file {} is a picture: name it in an image", file.name);
            Err(ApiError::invalid("unsupported_file", message).param("source.file_id"))
        }
    }
}

fn no_picture(file: &Stored) -> ApiError {
    let message = format!("the file {} is no picture", file.name);
    ApiError::invalid("unsupported_file", message).param("file_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "file-0198c0de000070008000000000000000";

    fn put(mut value: Value, content: Content) -> Result<Value, String> {
        let file = Stored {
            name: "a.x".into(),
            content,
        };
        let files = BTreeMap::from([(ID.to_owned(), file)]);
        replace(&mut value, &files).map_err(|error| error.message.clone())?;
        Ok(value)
    }

    #[test]
    fn a_file_takes_the_form_that_its_place_has() {
        let pdf = || Content::Document(Bytes::from_static(b"%PDF-"));
        let png = || Content::Picture("image/png", Bytes::from_static(b"x"));
        let text = || Content::Text("hi".into());
        let table = [
            (
                json!([{"content": [{"type": "file", "file": {"file_id": ID}}]}]),
                pdf(),
                json!([{"content": [{"type": "file", "file": {"filename": "a.x", "file_data": "data:application/pdf;base64,JVBERi0="}}]}]),
            ),
            (
                json!({"type": "file", "file": {"file_id": ID}}),
                png(),
                json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}),
            ),
            (
                json!({"type": "file", "file": {"file_id": ID}}),
                text(),
                json!({"type": "text", "text": "a.x\n\nhi"}),
            ),
            (
                json!({"type": "input_file", "file_id": ID}),
                text(),
                json!({"type": "input_text", "text": "a.x\n\nhi"}),
            ),
            (
                json!({"type": "input_image", "file_id": ID, "detail": "low"}),
                png(),
                json!({"type": "input_image", "image_url": "data:image/png;base64,eA==", "detail": "low"}),
            ),
            (
                json!({"type": "document", "title": "t", "source": {"type": "file", "file_id": ID}}),
                text(),
                json!({"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}),
            ),
            (
                json!({"type": "tool_result", "content": [{"type": "image", "source": {"type": "file", "file_id": ID}}]}),
                png(),
                json!({"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}]}),
            ),
            (
                json!({"type": "input_file", "file_id": "file-6F2ksmvXxt4VdoqmHRw6kL"}),
                text(),
                json!({"type": "input_file", "file_id": "file-6F2ksmvXxt4VdoqmHRw6kL"}),
            ),
        ];
        for (given, content, expected) in table {
            assert_eq!(put(given.clone(), content), Ok(expected), "{given}");
        }
        for (given, content) in [
            (json!({"type": "input_image", "file_id": ID}), pdf()),
            (json!({"type": "image", "source": {"file_id": ID}}), text()),
            (json!({"type": "document", "source": {"file_id": ID}}), png()),
        ] {
            assert!(put(given.clone(), content).is_err(), "{given}");
        }
    }

    #[test]
    fn a_content_is_known_by_its_beginning() {
        let sort = |bytes: &'static [u8]| {
            recognise(Bytes::from_static(bytes)).map(|content| match content {
                Content::Document(_) => "pdf",
                Content::Picture(sort, _) => sort,
                Content::Text(_) => "text",
            })
        };
        let table = [
            (&b"%PDF-1.7"[..], Some("pdf")),
            (b"\x89PNG\r\n\x1a\n..", Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF....WEBPVP8 ", Some("image/webp")),
            (b"RIFF....WAVEfmt ", Some("text")),
            (b"a,b\n", Some("text")),
            (b"\x00\x01", None),
            (b"\xff\xfe", None),
        ];
        for (content, expected) in table {
            assert_eq!(sort(content), expected, "{content:?}");
        }
    }

    #[test]
    fn only_ids_that_were_made_here_are_looked_up() {
        let mut ids = BTreeSet::new();
        find(
            &json!([{"a": {"file_id": ID}}, {"file_id": "file-abc"}, {"file_id": "file_011CNha8iCJcU1wXNR6q4V8w"},
                {"other": ID}, {"file_id": format!("{ID}-output")}, {"file_id": format!("{ID}-x")}]),
            &mut ids,
        );
        assert_eq!(
            ids.into_iter().collect::<Vec<_>>(),
            [ID.to_owned(), format!("{ID}-output")]
        );
    }
}
