//! Heads of plain requests, and of the answers to them.
//!
//! *Invariant:* pure; a request about whose end or meaning one could be of two minds is none of the plain ones.

use std::{mem::MaybeUninit, ops::Range};

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;

use crate::http1::{
    fields::{self, FIELDS, Places},
    writing::Length,
};

/// The longest head.
const HEAD_LIMIT: usize = 16 << 10;
/// The longest body.
pub(super) const BODY_LIMIT: usize = 64 << 10;

/// What lies at the beginning of the input.
#[derive(Debug)]
pub(super) enum Found {
    /// Less than a head.
    Less,
    /// A head, whose request is whole once there are so many bytes.
    Begun(usize),
    /// A plain request.
    Plain(Box<Asked>),
    /// What is not for here: another version, no HTTP at all, another protocol that is wished for, a body that is long
    /// or whose length is not told beforehand, a client that waits to be told to go on.
    Other,
}

/// A plain request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request<bytes::Bytes>,
    /// Whether another one may follow.
    pub(super) keep: bool,
}

/// Takes a request with its body from the input; leaves all of what is not plain.
pub(super) fn take(input: &mut BytesMut) -> Found {
    let mut places = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let head = match parsed.parse_with_uninit_headers(input, &mut places) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD_LIMIT => return Found::Less,
        _ => return Found::Other,
    };
    let method = parsed.method.map(|method| Method::from_bytes(method.as_bytes()));
    let (Some(Ok(method)), Some(1), Some(target)) = (method, parsed.version, parsed.path) else {
        return Found::Other;
    };
    let begin = target.as_ptr().addr() - input.as_ptr().addr();
    let target = begin..begin + target.len();
    let Some(length) = plain_length(parsed.headers).filter(|_| method != Method::CONNECT) else {
        return Found::Other;
    };
    if input.len() < head + length {
        return Found::Begun(head + length);
    }
    let Ok(places) = Places::of(parsed.headers, input) else {
        return Found::Other;
    };
    complete(input, (head, length), (method, target), places)
}

fn complete(
    input: &mut BytesMut,
    (head, length): (usize, usize),
    (method, target): (Method, Range<usize>),
    places: Places,
) -> Found {
    // What cannot be read stays whole for whoever says so.
    let bytes = input.split_to(head + length).freeze();
    let target = bytes.slice(target);
    let (Ok(target), Ok(fields)) = (Uri::from_maybe_shared(target), places.fields(&bytes)) else {
        let rest = std::mem::take(input);
        *input = BytesMut::from(bytes);
        input.unsplit(rest);
        return Found::Other;
    };
    let keep = !fields::closes(&fields);
    let mut request = Request::new(bytes.slice(head..));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = fields;
    Found::Plain(Box::new(Asked { request, keep }))
}

/// How long the body is; `None` when the request is none of the plain ones.
fn plain_length(fields: &[httparse::Header<'_>]) -> Option<usize> {
    let mut length = None;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            17 if is("transfer-encoding") => return None,
            14 if is("content-length") => {
                let digits = std::str::from_utf8(field.value).ok()?;
                let whole = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
                let told = digits.parse().ok().filter(|told| whole && *told <= BODY_LIMIT)?;
                if length.replace(told).is_some() {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(length.unwrap_or(0))
}

/// The head of an answer to `method`, and how its body is told; `keep` says whether another answer may follow.
pub(super) fn of_answer<B: Body>(
    response: &Response<B>,
    method: &Method,
    keep: bool,
    date: &[u8],
) -> (BytesMut, Length) {
    let status = response.status();
    let (told, length) = lengths(response, method);
    let mut head = BytesMut::with_capacity(256 + response.headers().len() * 48);
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(status.as_str().as_bytes());
    head.put_u8(b' ');
    head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    for (name, value) in response.headers() {
        let is_ours = *name == header::CONTENT_LENGTH
            || *name == header::TRANSFER_ENCODING
            || *name == header::CONNECTION
            || *name == header::DATE;
        if !is_ours {
            fields::put(&mut head, name, value.as_bytes());
        }
    }
    match (told, length) {
        (Some(told), _) => fields::put(&mut head, &header::CONTENT_LENGTH, told.to_string().as_bytes()),
        (None, Length::Chunked) => fields::put(&mut head, &header::TRANSFER_ENCODING, b"chunked"),
        (None, Length::Known(_)) => {}
    }
    if !keep {
        fields::put(&mut head, &header::CONNECTION, b"close");
    }
    fields::put(&mut head, &header::DATE, date);
    head.put_slice(b"\r\n");
    (head, length)
}

/// The length that the head tells, and the one that goes out (RFC 9110, section 8.6; RFC 9112, section 6.3).
fn lengths<B: Body>(response: &Response<B>, method: &Method) -> (Option<u64>, Length) {
    let status = response.status();
    let bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bare || status.is_informational() {
        return (None, Length::Known(0));
    }
    let told = told(response.headers());
    let exact = response.body().size_hint().exact();
    if *method == Method::HEAD {
        return (told.or(exact.filter(|exact| *exact > 0)), Length::Known(0));
    }
    match (exact, told) {
        (Some(exact), _) => (Some(exact), Length::Known(exact)),
        (None, Some(told)) => (Some(told), Length::Known(told)),
        (None, None) => (None, Length::Chunked),
    }
}

fn told(fields: &HeaderMap) -> Option<u64> {
    fields::content_length(fields).ok().flatten()
}
