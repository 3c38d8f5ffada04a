//! Where the body of an answer ends (RFC 9112, sections 6.3 and 7.1).
//!
//! *Invariant:* pure; bytes that are no body are an error, never a panic, and no length is believed before its bytes
//! are there.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use crate::http1::broken;

/// The longest line that tells a chunk's size, with extensions, which are passed over.
const LINE_LIMIT: usize = 4 << 10;
/// The most bytes of fields after the last chunk, which are passed over.
const TRAILER_LIMIT: usize = 16 << 10;

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Known(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Everything until the other side closes.
    UntilClose,
}

/// Where one is in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the line with a size.
    Size,
    /// So many bytes before the end of a chunk.
    Content(u64),
    /// Before the line break after a chunk.
    Break,
    /// After the last chunk and so many bytes of fields.
    Trailer(usize),
    /// After the end.
    Over,
}

/// What the bytes that are there hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A piece of the body.
    Piece(Bytes),
    /// The end of the body.
    End,
    /// Nothing whole.
    More,
}

impl Framing {
    /// Before the first chunk.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size);
    /// No body.
    pub(super) const NONE: Self = Self::Known(0);

    /// How long the rest is, if that is known.
    pub(super) fn known(self) -> Option<u64> {
        match self {
            Self::Known(left) => Some(left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece from the beginning of the input.
    ///
    /// # Errors
    /// When the bytes are not framed as they should be.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> io::Result<Step> {
        match self {
            Self::Known(0) => Ok(Step::End),
            Self::Known(left) => Ok(piece(left, input)),
            Self::UntilClose if input.is_empty() => Ok(Step::More),
            Self::UntilClose => Ok(Step::Piece(input.split().freeze())),
            Self::Chunked(chunk) => {
                chunk.advance(input)?;
                Ok(match chunk {
                    Chunk::Content(left) => piece(left, input),
                    Chunk::Over => Step::End,
                    Chunk::Size | Chunk::Break | Chunk::Trailer(_) => Step::More,
                })
            }
        }
    }

    /// Whether the end is reached, as far as the input tells.
    ///
    /// # Errors
    /// As [`step`](Self::step) would have one.
    pub(super) fn is_over(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        match self {
            Self::Known(left) => Ok(*left == 0),
            Self::UntilClose => Ok(false),
            Self::Chunked(chunk) => {
                chunk.advance(input)?;
                Ok(*chunk == Chunk::Over)
            }
        }
    }
}

impl Chunk {
    /// Goes on to the next content or the end, as far as the input has whole lines. An error leaves all as it is.
    fn advance(&mut self, input: &mut BytesMut) -> io::Result<()> {
        while !matches!(self, Self::Content(1..) | Self::Over) {
            if *self == Self::Content(0) {
                *self = Self::Break;
            }
            let Some(line) = line(input)? else { break };
            *self = self.after(line)?;
            let used = line.len() + 2;
            input.advance(used);
        }
        Ok(())
    }

    /// Where one is after a line.
    fn after(self, line: &[u8]) -> io::Result<Self> {
        match self {
            Self::Size => Ok(match size(line)? {
                0 => Self::Trailer(0),
                size => Self::Content(size),
            }),
            Self::Break if line.is_empty() => Ok(Self::Size),
            Self::Break => Err(broken("a chunk is longer than its size")),
            Self::Trailer(_) if line.is_empty() => Ok(Self::Over),
            Self::Trailer(read) if read + line.len() > TRAILER_LIMIT => {
                Err(broken("the fields after the last chunk are too long"))
            }
            Self::Trailer(read) => Ok(Self::Trailer(read + line.len())),
            Self::Content(_) | Self::Over => Ok(self),
        }
    }
}

fn piece(left: &mut u64, input: &mut BytesMut) -> Step {
    if input.is_empty() {
        return Step::More;
    }
    let whole = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= u64::try_from(whole).unwrap_or(*left);
    Step::Piece(input.split_to(whole).freeze())
}

/// The first line without its end, if it is whole.
fn line(input: &BytesMut) -> io::Result<Option<&[u8]>> {
    let looked_at = input.get(..LINE_LIMIT).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', looked_at) else {
        return if input.len() < LINE_LIMIT {
            Ok(None)
        } else {
            Err(broken("a line of the body is too long"))
        };
    };
    let line = looked_at.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    line.map(Some)
        .ok_or_else(|| broken("a line of the body ends in the wrong way"))
}

/// The size that a line tells, before its extensions.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let parsed = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    parsed.ok_or_else(|| broken("a chunk has no size"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body that comes in these pieces; the rest is what was not used.
    fn read(mut framing: Framing, pieces: &[&[u8]]) -> io::Result<(Vec<u8>, bool, Vec<u8>)> {
        let (mut input, mut body) = (BytesMut::new(), Vec::new());
        let mut over = false;
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match framing.step(&mut input)? {
                    Step::Piece(piece) => body.extend_from_slice(&piece),
                    Step::End => {
                        over = true;
                        break;
                    }
                    Step::More => break,
                }
            }
        }
        Ok((body, over, input.to_vec()))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for (framing, text, body, over, rest) in [
            (Framing::NONE, "x", "", true, "x"),
            (Framing::Known(3), "abcd", "abc", true, "d"),
            (Framing::Known(5), "abcd", "abcd", false, ""),
            (Framing::UntilClose, "abcd", "abcd", false, ""),
            (Framing::CHUNKED, "0\r\n\r\nx", "", true, "x"),
            (Framing::CHUNKED, "3\r\nabc\r\n0\r\n\r\n", "abc", true, ""),
            (
                Framing::CHUNKED,
                "3;a=\"b\"\r\nabc\r\nA \r\n0123456789\r\n0\r\n\r\n",
                "abc0123456789",
                true,
                "",
            ),
            (
                Framing::CHUNKED,
                "1\r\na\r\n0\r\nexpires: never\r\n\r\n",
                "a",
                true,
                "",
            ),
            (Framing::CHUNKED, "4\r\nabc", "abc", false, ""),
            (Framing::CHUNKED, "3\r\nabc\r\n0\r\n", "abc", false, ""),
        ] {
            let read = read(framing, &[text.as_bytes()]).expect(text);
            assert_eq!(read, (body.into(), over, rest.into()), "{text}");
        }
    }

    #[test]
    fn a_body_that_is_framed_wrongly_is_an_error() {
        let long = format!("1;{}", "x".repeat(LINE_LIMIT));
        let trailers = format!("0\r\n{}", format!("a: {}\r\n", "x".repeat(1000)).repeat(20));
        for text in [
            "\r\n",
            "x\r\n",
            "+3\r\nabc",
            "-1\r\n",
            "3 3\r\n",
            "3\nabc",
            "10000000000000000\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "é\r\n",
            &long,
            &trailers,
        ] {
            read(Framing::CHUNKED, &[text.as_bytes()]).expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_was_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nrest");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();
            let (body, over, rest) = read(Framing::CHUNKED, &pieces).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(over);
            prop_assert_eq!(rest, b"rest");
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(Framing::CHUNKED, &[&bytes]);
            let _ = read(Framing::CHUNKED, &[b"5\r\n", &bytes]);
        }
    }
}
