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
    while let Some(part) = part(body, from, delimiter.as_bytes())? {
        let value = part.value;
        let text = |range: &Range<usize>| {
            let bytes = body.get(range.clone()).unwrap_or_default();
            std::str::from_utf8(bytes).map(str::trim).unwrap_or_default()
        };
        match part.name.as_str() {
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
        from = part.next;
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

/// A part of a form that is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormText {
    /// Its name.
    pub name: String,
    /// Where it lies in the body.
    pub span: Range<usize>,
}

/// The parts of a form that are no uploads, or uploads of texts, in order; `model` is none of them.
///
/// # Errors
/// When it is no form of this boundary.
pub fn form_texts(body: &[u8], boundary: &str) -> Result<Vec<FormText>, ScanError> {
    let delimiter = format!("--{boundary}");
    let (mut texts, mut from) = (Vec::new(), 0);
    while let Some(part) = part(body, from, delimiter.as_bytes())? {
        from = part.next;
        if part.is_text && part.name != "model" {
            texts.push(FormText {
                name: part.name,
                span: part.value,
            });
        }
    }
    Ok(texts)
}

/// The form with other texts at places of [`form_texts`], in order. A text must not hold the boundary.
pub fn replace_form_texts(body: &Bytes, texts: &[(Range<usize>, String)]) -> Bytes {
    splice(body, texts)
}

/// A part of a form.
struct Part {
    name: String,
    /// Whether it is no upload, or one of a text.
    is_text: bool,
    /// Where its value lies.
    value: Range<usize>,
    /// Where the next delimiter is.
    next: usize,
}

/// The part whose delimiter is at `from` or later; `None` at the end.
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
    let lines = after.get(..head).unwrap_or_default();
    let value = start + head + 4;
    let mut closing = b"\r\n".to_vec();
    closing.extend_from_slice(delimiter);
    let Some(length) = memmem::find(body.get(value..).unwrap_or_default(), &closing) else {
        return error("a part of the form is not closed", value);
    };
    Ok(Some(Part {
        name: parameter(lines, "name").unwrap_or_default(),
        is_text: parameter(lines, "filename").is_none() || is_text(lines),
        value: value..value + length,
        next: value + length + 2,
    }))
}

/// Whether a part's head says that it is a text.
fn is_text(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let sort = head
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("content-type:"))
        .unwrap_or_default();
    let sort = sort.trim_start();
    sort.starts_with("text/") || sort.starts_with("application/json")
}

/// What a part's head says of its disposition by this name.
fn parameter(head: &[u8], wanted: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let disposition = head.lines().find(|line| {
        let line = line.trim_start().to_ascii_lowercase();
        line.starts_with("content-disposition:")
    });
    let mut parameters = disposition.into_iter().flat_map(|line| line.split(';')).skip(1);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        // `filename*` is the same in another encoding (<https://www.rfc-editor.org/rfc/rfc5987>).
        let name = name.trim().trim_end_matches('*');
        name.eq_ignore_ascii_case(wanted)
            .then(|| value.trim().trim_matches('"').to_owned())
    })
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
    fn the_texts_of_a_form_are_found_and_replaced() {
        let form = FORM.replace(
            "--b--",
            "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nI am Ada\r\n\
             --b\r\nContent-Disposition: form-data; name=\"notes\"; filename=\"n.txt\"\r\nContent-Type: text/plain\r\n\r\n\
             so\r\n--b--",
        );
        let texts = form_texts(form.as_bytes(), "b").unwrap();
        let found: Vec<(&str, &str)> = texts
            .iter()
            .map(|text| (text.name.as_str(), &form[text.span.clone()]))
            .collect();
        assert_eq!(
            found,
            [("stream", "true"), ("prompt", "I am Ada"), ("notes", "so")]
        );
        let other = [(texts[1].span.clone(), "I am [NAME_1]".to_owned())];
        let replaced = replace_form_texts(&Bytes::from(form.clone()), &other);
        assert_eq!(replaced, form.replace("Ada", "[NAME_1]"));
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
