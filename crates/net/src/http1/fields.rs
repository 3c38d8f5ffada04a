//! The fields of a head.
//!
//! *Invariant:* pure; values share the bytes of their head.

use std::io;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::broken;

/// The most fields of a head.
pub(crate) const FIELDS: usize = 100;

/// Where the fields lie in the bytes of which they were parsed.
pub(crate) struct Places(Vec<(HeaderName, usize, usize)>);

impl Places {
    /// Of fields that were parsed from `input`.
    ///
    /// # Errors
    /// When a field has no proper name.
    pub(crate) fn of(fields: &[httparse::Header<'_>], input: &[u8]) -> io::Result<Self> {
        let place = |field: &httparse::Header<'_>| {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let start = match field.value {
                [] => 0,
                value => value.as_ptr().addr() - input.as_ptr().addr(),
            };
            name.map(|name| (name, start, start + field.value.len()))
        };
        let places: Result<_, _> = fields.iter().map(place).collect();
        places.map(Self).map_err(|_| broken("a field has no name"))
    }

    /// The fields, once the head was taken from its input.
    ///
    /// # Errors
    /// When a value is no text.
    pub(crate) fn fields(self, head: &Bytes) -> io::Result<HeaderMap> {
        let mut fields = HeaderMap::with_capacity(self.0.len());
        for (name, start, end) in self.0 {
            let value = HeaderValue::from_maybe_shared(head.slice(start..end))
                .map_err(|_| broken("a field is no text"))?;
            fields.append(name, value);
        }
        Ok(fields)
    }
}

/// Appends a field to a head.
pub(crate) fn put(head: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Whether a list of tokens has one.
pub(crate) fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value.as_bytes().split(|byte| *byte == b',');
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether the other side closes after this message (RFC 9112, section 9.6).
pub(crate) fn closes(fields: &HeaderMap) -> bool {
    let mut values = fields.get_all(header::CONNECTION).iter();
    values.any(|value| has_token(value, "close"))
}

/// The length that a head tells.
///
/// # Errors
/// When it is no number, or two different ones.
pub(crate) fn content_length(fields: &HeaderMap) -> io::Result<Option<u64>> {
    let mut found = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        let digits = value.to_str().unwrap_or_default();
        let length = digits
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .ok_or_else(|| broken("its length is no number"))?;
        if found.replace(length).is_some_and(|other| other != length) {
            return Err(broken("it has two lengths"));
        }
    }
    Ok(found)
}
