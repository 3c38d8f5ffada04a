//! Request bodies: JSON or bytes, compressed with gzip or not.

use std::io::Read;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, header},
};
use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;
use stead_kernel::{
    Error,
    http::{BodyError, read_body},
};

use super::OpikError;
use crate::opik::Opik;

/// How much longer than the limit of a request a body may be once it is not compressed any more.
const EXPANSION: usize = 8;
/// Bodies beyond so many bytes are read off the runtime.
const INLINE: usize = 16 << 10;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Opik> for Json<T> {
    type Rejection = OpikError;

    async fn from_request(request: Request, opik: &Opik) -> Result<Self, OpikError> {
        let (parts, body) = request.into_parts();
        let compressed = is_gzip(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, opik.body_limit).await;
        let bytes = bytes.map_err(|error| unread(error, opik.body_limit))?;
        let limit = opik.body_limit.saturating_mul(EXPANSION);
        let parse = move || {
            if !compressed {
                return parse(&bytes);
            }
            parse(&inflate(&bytes, limit)?)
        };
        if !compressed && parts.headers.get(header::CONTENT_LENGTH).is_some_and(is_short) {
            return parse().map(Self);
        }
        let done = tokio::task::spawn_blocking(parse).await;
        done.map_err(|error| Error::internal("reading a body was cut off").because(error))?
            .map(Self)
    }
}

fn is_short(length: &HeaderValue) -> bool {
    let length = length.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    length.is_some_and(|length| length <= INLINE)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, OpikError> {
    // A body that may be absent reads as null.
    let bytes = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| OpikError::invalid(format!("Unable to process JSON: {error}")))
}

/// A whole body, inflated off the runtime where it is compressed.
pub(crate) async fn plain_body(
    headers: &HeaderMap,
    body: Body,
    opik: &Opik,
) -> Result<bytes::Bytes, OpikError> {
    let compressed = is_gzip(headers)?;
    let bytes = read_body(headers, body, opik.body_limit).await;
    let bytes = bytes.map_err(|error| unread(error, opik.body_limit))?;
    if !compressed {
        return Ok(bytes);
    }
    let limit = opik.body_limit.saturating_mul(EXPANSION);
    let plain = tokio::task::spawn_blocking(move || inflate(&bytes, limit)).await;
    let plain = plain.map_err(|error| Error::internal("inflating a body was cut off").because(error))?;
    Ok(plain?.into())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, OpikError> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => Err(OpikError::invalid(
            "the body must be plain or compressed with gzip",
        )),
    }
}

/// What is compressed with gzip, of at most `limit` bytes once it is not.
pub(crate) fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, OpikError> {
    let mut plain = Vec::with_capacity(bytes.len().saturating_mul(6).min(limit));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|error| OpikError::invalid(format!("the body is no gzip: {error}")))?;
    if plain.len() > limit {
        return Err(Error::too_large(format!("the body is longer than {limit} bytes once inflated")).into());
    }
    Ok(plain)
}

fn unread(error: BodyError, limit: usize) -> OpikError {
    match error {
        BodyError::TooLarge => Error::too_large(format!("the body is longer than {limit} bytes"))
            .hint("an admin can raise `bodyLimit`")
            .into(),
        BodyError::Incomplete => OpikError::invalid("the body ended before it was complete"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_body_that_grows_beyond_the_limit_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 100_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(inflate(&bytes, 100_000).unwrap().len(), 100_000);
        assert!(inflate(&bytes, 99_999).is_err());
        assert!(inflate(b"no gzip", 10).is_err());
    }
}
