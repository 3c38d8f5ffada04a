//! Reading fields from bodies of `multipart/form-data` (<https://www.rfc-editor.org/rfc/rfc7578>), which OpenAI's API
//! takes where a file is uploaded.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::{RequestFields, ScanError, json::error, splice};

/// The most parts of a form that are read.
const PART_LIMIT: usize = 64;

/// The boundary in a content type; `None` when it is no form.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let found = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value.trim())
    })?;
    let bare = found.trim_matches('"');
    (!bare.is_empty() && bare.len() <= 70).then_some(bare)
}

/// Reads `model`, `stream` and `n` of a form.
///
/// # Errors
/// When it is no form of this boundary, or `model` is absent, twice or empty.
pub fn form_request(body: &[u8], boundary: &str) -> Result<RequestFields, ScanError> {
    let mut fields = RequestFields::default();
    let mut from = 0;
    let delimiter = format!("--{boundary}");
    let mut count = 0;
    while let Some((name, value, next)) = part(body, from, delimiter.as_bytes())? {
        let text = |range: &Range<usize>| {
            let bytes = body.get(range.clone()).unwrap_or_default();
            std::str::from_utf8(bytes).map(str::trim).unwrap_or_default()
        };
        match name.as_str() {
            "model" if !fields.model_span.is_empty() => {
                return error("the request names its model twice", value.start);
            }
            "model" => {
                text(&value).clone_into(&mut fields.model);
                fields.model_span = value;
            }
            "stream" => fields.stream = text(&value) == "true",
            "n" => fields.choices = text(&value).parse().ok(),
            _ => {}
        }
        from = next;
        count += 1;
        if count > PART_LIMIT {
            return error("the form has too many parts", from);
        }
    }
    if fields.model.is_empty() {
        return error("the request names no model", 0);
    }
    Ok(fields)
}

/// The form with another model; `fields` must come from the same body.
pub fn replace_form_model(body: &Bytes, fields: &RequestFields, model: &str) -> Bytes {
    splice(body, &[(fields.model_span.clone(), model.to_owned())])
}

type Part = (String, Range<usize>, usize);

/// The part whose delimiter is at `from` or later: its name, where its value lies, and where the next delimiter is.
fn part(body: &[u8], from: usize, delimiter: &[u8]) -> Result<Option<Part>, ScanError> {
    let rest = body.get(from..).unwrap_or_default();
    let Some(at) = memmem::find(rest, delimiter) else {
        return error("the form does not end as its boundary says", from);
    };
    let start = from + at + delimiter.len();
    let after = body.get(start..).unwrap_or_default();
    if after.starts_with(b"--") {
        return Ok(None);
    }
    let Some(head) = memmem::find(after, b"\r\n\r\n") else {
        return error("a part of the form has no end of its head", start);
    };
    let name = name(after.get(..head).unwrap_or_default());
    let value = start + head + 4;
    let mut closing = b"\r\n".to_vec();
    closing.extend_from_slice(delimiter);
    let Some(length) = memmem::find(body.get(value..).unwrap_or_default(), &closing) else {
        return error("a part of the form is not closed", value);
    };
    Ok(Some((name, value..value + length, value + length + 2)))
}

/// The name in a part's head; empty when it has none.
fn name(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    let disposition = head.lines().find(|line| {
        let line = line.trim_start().to_ascii_lowercase();
        line.starts_with("content-disposition:")
    });
    let parameters = disposition.into_iter().flat_map(|line| line.split(';')).skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("name"))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\nRIFF--\r\n--\r\n--b\r\ncontent-disposition: form-data; name=model\r\n\r\n\
        p/whisper\r\n--b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b--\r\n";

    #[test]
    fn a_form_is_read_and_its_model_replaced() {
        let fields = form_request(FORM.as_bytes(), "b").unwrap();
        assert_eq!((fields.model.as_str(), fields.stream), ("p/whisper", true));
        let replaced = replace_form_model(&Bytes::from_static(FORM.as_bytes()), &fields, "w");
        assert_eq!(replaced, FORM.replace("p/whisper", "w"));
    }

    #[test]
    fn the_boundary_is_found_in_every_spelling() {
        let cases = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"",
                Some("a b"),
            ),
            ("application/json", None),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
        ];
        for (text, expected) in cases {
            assert_eq!(boundary(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused_wherever_it_is_cut() {
        let end = FORM.rfind("--b--").unwrap() + 5;
        for cut in 0..end {
            let body = FORM.as_bytes().get(..cut).unwrap();
            assert!(form_request(body, "b").is_err(), "{cut}");
        }
        assert!(form_request(b"--b--", "b").is_err());
    }
}
