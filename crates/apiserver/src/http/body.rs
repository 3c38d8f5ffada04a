//! Reading request bodies.

use axum::http::{Request, header};
use serde_json::Value;
use stead_kernel::{
    Body,
    http::{BodyError, read_body},
};

use super::protobuf;
use crate::failure::{Failure, Outcome};

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
    read_body(&parts.headers, body, limit)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => Failure::too_large(limit),
            BodyError::Incomplete => Failure::bad_request("the body broke off"),
        })
}

/// Reads an object in JSON, YAML or protobuf; null when there is no body.
pub(super) async fn object(request: Request<Body>, limit: usize) -> Outcome<Value> {
    let parse: fn(&[u8]) -> Outcome<Value> = match media_type(&request).as_str() {
        "" | "application/json" => json,
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml,
        "application/vnd.kubernetes.protobuf" => protobuf::parse,
        _ => return Err(Failure::unsupported_media_type(OBJECTS)),
    };
    let bytes = bytes(request, limit).await?;
    // Options, for one, may be left out.
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    parse(&bytes)
}

/// Parses JSON.
pub(super) fn json(bytes: &[u8]) -> Outcome<Value> {
    // The message has a place, never the text, which may be a secret.
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::bad_request(format!("the body is no JSON: {}", place(&error))))
}

/// Parses YAML, and so JSON.
pub(super) fn yaml(bytes: &[u8]) -> Outcome<Value> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::bad_request("the body is no UTF-8 text"))?;
    serde_saphyr::from_str(text)
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
