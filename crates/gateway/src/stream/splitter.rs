//! Server-sent events as they lie on the wire: where each one ends
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// The largest event; a longer one is no event of a model's API.
const EVENT_LIMIT: usize = 8 << 20;

/// Cuts bytes into whole events without changing them.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: Bytes,
    /// How much of the buffer is known to hold no end of an event.
    scanned: usize,
    /// Where the line begins that the scan is in.
    line: usize,
}

/// An event was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl Splitter {
    /// Adds bytes.
    pub(super) fn feed(&mut self, data: Bytes) -> Result<(), TooLong> {
        if self.buffer.is_empty() {
            self.buffer = data;
        } else {
            if self.buffer.len() + data.len() > EVENT_LIMIT {
                return Err(TooLong);
            }
            let old = std::mem::take(&mut self.buffer);
            let mut joined = old.try_into_mut().unwrap_or_else(|old| BytesMut::from(&old[..]));
            joined.extend_from_slice(&data);
            self.buffer = joined.freeze();
        }
        Ok(())
    }

    /// The next whole event, with the blank line that ends it.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let end = self.find_end()?;
        self.scanned = 0;
        self.line = 0;
        Some(self.buffer.split_to(end))
    }

    /// Whether bytes of an unfinished event are left.
    pub(super) fn has_rest(&self) -> bool {
        !self.buffer.trim_ascii().is_empty()
    }

    fn find_end(&mut self) -> Option<usize> {
        let bytes: &[u8] = &self.buffer;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', bytes.get(self.scanned..)?) {
            let at = self.scanned + at;
            let next = match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => at + 2,
                // Whether a line feed follows is not known yet.
                (Some(b'\r'), None) => return None,
                (Some(_) | None, _) => at + 1,
            };
            let blank = at == self.line;
            self.scanned = next;
            self.line = next;
            if blank {
                return Some(next);
            }
        }
        self.scanned = bytes.len();
        None
    }
}

/// The data of an event; `None` when it has none (a comment, or a blank line).
pub(super) fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut found: Option<Cow<'_, [u8]>> = None;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let Some(rest) = line.strip_prefix(b"data:") else {
            continue;
        };
        let value = rest.strip_prefix(b" ").unwrap_or(rest);
        found = Some(match found {
            None => Cow::Borrowed(value),
            Some(before) => {
                let mut joined = before.into_owned();
                joined.push(b'\n');
                joined.extend_from_slice(value);
                Cow::Owned(joined)
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.feed(Bytes::copy_from_slice(piece)).unwrap();
            while let Some(event) = splitter.next() {
                events.push(event.to_vec());
            }
        }
        events
    }

    #[test]
    fn every_line_ending_ends_an_event() {
        for text in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r:",
        ] {
            let events = split(&[text.as_bytes()]);
            assert_eq!(events.len(), 2, "{text:?}");
            assert_eq!(data(&events[0]).as_deref(), Some(&b"a"[..]));
            assert_eq!(data(&events[1]).as_deref(), Some(&b"b"[..]));
        }
    }

    #[test]
    fn data_of_several_lines_is_joined_and_comments_have_none() {
        let cases: [(&[u8], Option<&[u8]>); 5] = [
            (b"data: a\ndata:b\n\n", Some(b"a\nb")),
            (b"event: x\nid: 1\ndata:  a\n\n", Some(b" a")),
            (b": ping\n\n", None),
            (b"\n", None),
            (b"data:\n\n", Some(b"")),
        ];
        for (event, expected) in cases {
            assert_eq!(data(event).as_deref(), expected);
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut splitter = Splitter::default();
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let refused = (0..10).any(|_| {
            let refused = splitter.feed(piece.clone()).is_err();
            splitter.next();
            refused
        });
        assert!(refused);
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_events(
            texts in proptest::collection::vec("[a-z\r\n:]{0,12}", 1..8),
            cuts in proptest::collection::vec(0_usize..100, 0..12),
        ) {
            let whole: Vec<u8> = texts
                .iter()
                .flat_map(|text| format!("data: {text}\n\n").into_bytes())
                .collect();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (whole.len() + 1)).collect();
            places.extend([0, whole.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            prop_assert_eq!(split(&pieces), split(&[&whole]));
        }
    }
}
