//! Forms with uploads, read as they come (<https://www.rfc-editor.org/rfc/rfc7578>,
//! <https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1>).
//!
//! *Invariant:* no more than a piece of the body and a delimiter are in memory.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use memchr::memmem;
use stead_kernel::{Body, Error, Result};

/// The most bytes of the head of a part.
const HEAD_LIMIT: usize = 8 << 10;

/// What the head of a part says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) filename: Option<String>,
}

/// A form that is being read.
pub(super) struct Form {
    body: Body,
    /// What was read and not yet given away.
    buffer: BytesMut,
    /// A line's end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    is_inside: bool,
    is_over: bool,
}

impl Form {
    pub(super) fn new(body: Body, boundary: &str) -> Self {
        Self {
            body,
            // The first delimiter may be at the very beginning, where no line ends before it.
            buffer: BytesMut::from(&b"\r\n"[..]),
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            is_inside: true,
            is_over: false,
        }
    }

    /// The next part; what is left of the one before is passed over. `None` after the last one.
    pub(super) async fn part(&mut self) -> Result<Option<Part>> {
        while self.piece().await?.is_some() {}
        if self.is_over {
            return Ok(None);
        }
        self.fill(2).await?;
        if self.buffer.starts_with(b"--") {
            self.is_over = true;
            return Ok(None);
        }
        let end = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(Error::invalid("the head of a part of the form is too long"));
            }
            self.more().await?;
        };
        let head = self.buffer.split_to(end + 4);
        self.is_inside = true;
        parse(&String::from_utf8_lossy(&head)).map(Some)
    }

    /// The next bytes of the present part; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>> {
        while self.is_inside {
            match memmem::find(&self.buffer, &self.delimiter) {
                Some(0) => {
                    let _ = self.buffer.split_to(self.delimiter.len());
                    self.is_inside = false;
                }
                Some(place) => return Ok(Some(self.buffer.split_to(place).freeze())),
                None => {
                    // The delimiter may have begun in the last bytes.
                    let free = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
                    if free > 0 {
                        return Ok(Some(self.buffer.split_to(free).freeze()));
                    }
                    self.more().await?;
                }
            }
        }
        Ok(None)
    }

    /// The rest of the present part as a text of at most `limit` bytes.
    pub(super) async fn text(&mut self, limit: usize) -> Result<String> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await? {
            text.extend_from_slice(&piece);
            if text.len() > limit {
                return Err(Error::invalid("a field of the form is too long"));
            }
        }
        String::from_utf8(text).map_err(|_| Error::invalid("a field of the form is no UTF-8 text"))
    }

    async fn fill(&mut self, bytes: usize) -> Result<()> {
        while self.buffer.len() < bytes {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<()> {
        let incomplete = || Error::invalid("the body ended before the form was complete");
        loop {
            let frame = self.body.frame().await.ok_or_else(incomplete)?;
            let frame = frame.map_err(|_| incomplete())?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
                return Ok(());
            }
        }
    }
}

/// Reads the head of a part.
fn parse(head: &str) -> Result<Part> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    });
    let disposition = disposition.unwrap_or_default();
    let name = parameter(disposition, "name");
    let name = name.ok_or_else(|| Error::invalid("a part of the form has no name"))?;
    Ok(Part {
        name,
        filename: parameter(disposition, "filename"),
    })
}

/// A parameter of a header's value; the text of one in quotes may hold what otherwise separates.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (text, after) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = after.find(';').unwrap_or(after.len());
            let (text, after) = after.split_at(end);
            (text.trim().to_owned(), after)
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = after.split_once(';')?.1;
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((text, quoted.get(place + 1..)?)),
            // Only what must be escaped is: browsers of old send `C:\file` as it is.
            '\\' => match letters.next()? {
                (_, escaped @ ('"' | '\\')) => text.push(escaped),
                (_, other) => text.extend(['\\', other]),
            },
            letter => text.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    fn form(bytes: &[u8], cuts: &[usize]) -> Form {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
            rest = after;
        }
        pieces.push(Ok(Bytes::copy_from_slice(rest)));
        Form::new(Body::from_stream(stream::iter(pieces)), "b0")
    }

    async fn read(mut form: Form) -> Result<Vec<(Part, Vec<u8>)>> {
        let mut parts = Vec::new();
        while let Some(part) = form.part().await? {
            let mut content = Vec::new();
            while let Some(piece) = form.piece().await? {
                content.extend_from_slice(&piece);
            }
            parts.push((part, content));
        }
        Ok(parts)
    }

    #[test]
    fn names_are_read_as_clients_write_them() {
        let table = [
            ("form-data; name=\"a\"", Some(("a", None))),
            (
                "form-data; name=file; filename=\"a;\\\"b\\\".jsonl\"",
                Some(("file", Some("a;\"b\".jsonl"))),
            ),
            (
                "form-data; filename=\"C:\\x\"; name=\"f\"",
                Some(("f", Some("C:\\x"))),
            ),
            ("form-data", None),
            ("form-data; name=\"a", None),
        ];
        for (value, expected) in table {
            let part = parse(&format!(
                "Content-Type: x\r\nContent-Disposition: {value}\r\n\r\n"
            ))
            .ok();
            let found = part
                .as_ref()
                .map(|part| (part.name.as_str(), part.filename.as_deref()));
            assert_eq!(found, expected, "{value}");
        }
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_is_refused() {
        let whole = b"--b0\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--b0--\r\n";
        assert_eq!(read(form(whole, &[])).await.unwrap().len(), 1);
        for end in 0..whole.len() - 4 {
            assert!(read(form(&whole[..end], &[])).await.is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn however_a_form_is_cut_its_parts_are_the_same(
            content in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), any::<u8>()], 0..60),
            cuts in prop::collection::vec(0_usize..20, 0..20),
        ) {
            prop_assume!(memmem::find(&[&content[..], b"\r\n--b"].concat(), b"\r\n--b0").is_none());
            let body = [
                b"preamble\r\n--b0\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b0\r\n\
                  Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
                &content[..],
                b"\r\n--b0--\r\n",
            ].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let parts = runtime.block_on(read(form(&body, &cuts))).unwrap();
            prop_assert_eq!(parts.len(), 2);
            prop_assert_eq!(&parts[0].1[..], &b"batch"[..]);
            prop_assert_eq!(&parts[1].1, &content);
        }
    }
}
