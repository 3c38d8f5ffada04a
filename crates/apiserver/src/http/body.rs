//! Reading request bodies.

use std::time::Duration;

use axum::http::{Request, header};
use serde_json::Value;
use stead_kernel::{
    Body,
    http::{BodyError, read_body},
};

use tokio::time::timeout;

use super::{json::Parsed, protobuf};
use crate::failure::{Failure, Outcome};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);
/// The media types of objects.
const OBJECTS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The media type of a request, without parameters, in lower case; empty when absent.
pub(super) fn media_type<B>(request: &Request<B>) -> String {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

/// Reads the whole body; `TooLarge` above the limit.
pub(super) async fn bytes(request: Request<Body>, limit: usize) -> Outcome<bytes::Bytes> {
    let (parts, body) = request.into_parts();
    let read = read_body(&parts.headers, body, limit);
    timeout(PATIENCE, read)
        .await
        .map_err(|_| Failure::timed_out())?
        .map_err(|error| match error {
            BodyError::TooLarge => Failure::too_large(limit),
            BodyError::Incomplete => Failure::bad_request("the body broke off"),
        })
}

/// Reads an object in JSON, YAML or protobuf; null when there is no body.
pub(super) async fn object(request: Request<Body>, limit: usize) -> Outcome<Parsed> {
    let parse: fn(&[u8]) -> Outcome<Parsed> = match media_type(&request).as_str() {
        "" | "application/json" => json,
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml,
        "application/vnd.kubernetes.protobuf" => |bytes| protobuf::parse(bytes).map(plain),
        _ => return Err(Failure::unsupported_media_type(OBJECTS)),
    };
    let bytes = bytes(request, limit).await?;
    // Options, for one, may be left out.
    if bytes.is_empty() {
        return Ok(Parsed::default());
    }
    parse(&bytes)
}

fn plain(value: Value) -> Parsed {
    Parsed {
        value,
        duplicates: Vec::new(),
    }
}

/// Parses JSON.
pub(super) fn json(bytes: &[u8]) -> Outcome<Parsed> {
    // The message has a place, never the text, which may be a secret.
    super::json::parse(bytes)
        .map_err(|error| Failure::bad_request(format!("the body is no JSON: {}", place(&error))))
}

/// Parses YAML, and so JSON. Of members that occur twice, the last one counts.
pub(super) fn yaml(bytes: &[u8]) -> Outcome<Parsed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::bad_request("the body is no UTF-8 text"))?;
    super::json::parse_yaml(text)
        .map_err(|_| Failure::bad_request("the body is no YAML document of one object"))
}

fn place(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data => "unexpected text",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}
