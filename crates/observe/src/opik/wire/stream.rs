//! Streams of JSON lines.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use stead_kernel::Error;

use super::OpikError;

/// A line per item, as `application/octet-stream`.
pub(crate) fn ndjson<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<Response, OpikError> {
    let mut text = Vec::new();
    for item in items {
        serde_json::to_writer(&mut text, &item)
            .map_err(|error| Error::internal("an item could not be written").because(error))?;
        text.push(b'\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response())
}
