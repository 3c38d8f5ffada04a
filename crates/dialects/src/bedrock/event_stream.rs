//! Amazon's event stream: the binary framing of `application/vnd.amazon.eventstream`.
//!
//! A message is: its whole length, the length of its headers (both four bytes, big-endian), a CRC-32 of these eight
//! bytes, the headers, the payload, a CRC-32 of all before it. After "Event stream encoding" in the Amazon Lex V2
//! Developer Guide and Smithy's "Amazon Event Stream Specification".
//!
//! *Invariants:* a message whose checksum is wrong is never handed out; nothing is allocated for a length that was not
//! checked.

use crate::sse::DEFAULT_LIMIT;

/// The bytes of a message without headers and payload.
const OVERHEAD: usize = 16;
/// The bytes before the headers.
const PRELUDE: usize = 12;
/// The most bytes of headers, after the specification.
const MOST_HEADERS: usize = 128 * 1024;

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Names and values in order.
    pub headers: Vec<(String, Header)>,
    /// What it carries; JSON in Bedrock's streams.
    pub payload: Vec<u8>,
}

/// A header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// Types 0 (true) and 1 (false).
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Short(i16),
    /// Type 4.
    Integer(i32),
    /// Type 5.
    Long(i64),
    /// Type 6.
    Bytes(Vec<u8>),
    /// Type 7.
    Text(String),
    /// Type 8: milliseconds since 1970.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

/// Why a stream could not be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The checksum of the lengths is wrong.
    #[error("the lengths of an event do not match their checksum")]
    PreludeChecksum,
    /// The checksum of the message is wrong.
    #[error("an event does not match its checksum")]
    MessageChecksum,
    /// The lengths contradict each other.
    #[error("the lengths of an event are impossible")]
    Lengths,
    /// A header is malformed.
    #[error("a header of an event is malformed")]
    Header,
    /// One message is larger than the limit.
    #[error("an event of the stream is larger than {DEFAULT_LIMIT} bytes")]
    TooLarge,
}

impl Message {
    /// The text of a header; `None` when it is absent or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(known, value)| match value {
            Header::Text(text) if known == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// An event as Bedrock sends it: a name and a JSON payload.
    pub fn event(name: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self::typed("event", ":event-type", name, payload.into())
    }

    /// An exception as Bedrock sends it inside a stream.
    pub fn exception(name: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self::typed("exception", ":exception-type", name, payload.into())
    }

    fn typed(kind: &str, header: &str, name: &str, payload: Vec<u8>) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), Header::Text(value.to_owned()));
        Self {
            headers: vec![
                text(header, name),
                text(":content-type", "application/json"),
                text(":message-type", kind),
            ],
            payload,
        }
    }

    /// The message in wire form. Names and values of headers are cut at what their lengths can say (255 and 65,535
    /// bytes).
    pub fn encode(&self) -> Vec<u8> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            put_header(&mut headers, name, value);
        }
        let whole = OVERHEAD + headers.len() + self.payload.len();
        let mut out = Vec::with_capacity(whole);
        out.extend_from_slice(&u32::try_from(whole).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out.extend_from_slice(&headers);
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }
}

fn put_header(out: &mut Vec<u8>, name: &str, value: &Header) {
    let name = name.as_bytes().get(..255).unwrap_or(name.as_bytes());
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name);
    let long = |out: &mut Vec<u8>, kind: u8, bytes: &[u8]| {
        let bytes = bytes.get(..65_535).unwrap_or(bytes);
        out.push(kind);
        out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    let fixed = |out: &mut Vec<u8>, kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    match value {
        Header::Bool(value) => fixed(out, u8::from(!value), &[]),
        Header::Byte(value) => fixed(out, 2, &value.to_be_bytes()),
        Header::Short(value) => fixed(out, 3, &value.to_be_bytes()),
        Header::Integer(value) => fixed(out, 4, &value.to_be_bytes()),
        Header::Long(value) => fixed(out, 5, &value.to_be_bytes()),
        Header::Bytes(value) => long(out, 6, value),
        Header::Text(value) => long(out, 7, value.as_bytes()),
        Header::Timestamp(value) => fixed(out, 8, &value.to_be_bytes()),
        Header::Uuid(value) => fixed(out, 9, value),
    }
}

/// Cuts a byte stream into messages, however its chunks are split. Messages above 8 MiB are refused.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes and appends the messages that they complete.
    ///
    /// # Errors
    /// See [`Error`]; the stream must then be given up, since nobody knows where its next message begins.
    pub fn push(&mut self, chunk: &[u8], messages: &mut Vec<Message>) -> Result<(), Error> {
        self.buffer.extend_from_slice(chunk);
        let mut rest = self.buffer.as_slice();
        while let Some(whole) = length(rest)? {
            let Some((message, tail)) = rest.split_at_checked(whole) else {
                break;
            };
            messages.push(read(message)?);
            rest = tail;
        }
        let used = self.buffer.len() - rest.len();
        self.buffer.drain(..used);
        Ok(())
    }

    /// Whether bytes of an unfinished message are held: at the end of a stream, it was cut off.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// The length of the message at the front, once its prelude is there and checked.
fn length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some(prelude) = bytes.get(..PRELUDE) else {
        return Ok(None);
    };
    let (lengths, checksum) = prelude.split_at(8);
    if crc32fast::hash(lengths) != number(checksum) {
        return Err(Error::PreludeChecksum);
    }
    let (whole, headers) = lengths.split_at(4);
    let (whole, headers) = (number(whole) as usize, number(headers) as usize);
    if whole > DEFAULT_LIMIT {
        return Err(Error::TooLarge);
    }
    if headers > MOST_HEADERS || whole < OVERHEAD || headers > whole - OVERHEAD {
        return Err(Error::Lengths);
    }
    Ok(Some(whole))
}

/// Reads a whole message whose lengths are checked.
fn read(message: &[u8]) -> Result<Message, Error> {
    let (content, checksum) = message
        .split_at_checked(message.len() - 4)
        .ok_or(Error::Lengths)?;
    if crc32fast::hash(content) != number(checksum) {
        return Err(Error::MessageChecksum);
    }
    let headers = number(content.get(4..8).ok_or(Error::Lengths)?) as usize;
    let body = content.get(PRELUDE..).ok_or(Error::Lengths)?;
    let (headers, payload) = body.split_at_checked(headers).ok_or(Error::Lengths)?;
    Ok(Message {
        headers: Reader(headers).headers().ok_or(Error::Header)?,
        payload: payload.to_vec(),
    })
}

/// A big-endian number of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn headers(mut self) -> Option<Vec<(String, Header)>> {
        let mut headers = Vec::new();
        while !self.0.is_empty() {
            let [size] = self.array()?;
            let name = std::str::from_utf8(self.take(size.into())?).ok()?.to_owned();
            headers.push((name, self.value()?));
        }
        Some(headers)
    }

    fn value(&mut self) -> Option<Header> {
        let [kind] = self.array()?;
        Some(match kind {
            0 => Header::Bool(true),
            1 => Header::Bool(false),
            2 => Header::Byte(i8::from_be_bytes(self.array()?)),
            3 => Header::Short(i16::from_be_bytes(self.array()?)),
            4 => Header::Integer(i32::from_be_bytes(self.array()?)),
            5 => Header::Long(i64::from_be_bytes(self.array()?)),
            6 => Header::Bytes(self.long()?.to_vec()),
            7 => Header::Text(std::str::from_utf8(self.long()?).ok()?.to_owned()),
            8 => Header::Timestamp(i64::from_be_bytes(self.array()?)),
            9 => Header::Uuid(self.array()?),
            _ => return None,
        })
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let size = u16::from_be_bytes(self.array()?);
        self.take(size.into())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        prop_oneof![
            any::<bool>().prop_map(Header::Bool),
            any::<i8>().prop_map(Header::Byte),
            any::<i16>().prop_map(Header::Short),
            any::<i32>().prop_map(Header::Integer),
            any::<i64>().prop_map(Header::Long),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Header::Bytes),
            "\\PC{0,20}".prop_map(Header::Text),
            any::<i64>().prop_map(Header::Timestamp),
            any::<[u8; 16]>().prop_map(Header::Uuid),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        let headers = prop::collection::vec(("[a-z:-]{1,20}", header()), 0..6);
        (headers, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(headers, payload)| Message { headers, payload })
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Message>, Error> {
        let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
        for chunk in chunks {
            decoder.push(chunk, &mut messages)?;
        }
        assert!(!decoder.is_mid_message());
        Ok(messages)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_however_it_is_split(
            messages in prop::collection::vec(message(), 0..4), size in 1_usize..50,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(decode(&chunks).unwrap(), messages);
        }

        #[test]
        fn one_flipped_bit_is_an_error_or_leaves_the_message_unfinished(
            message in message(), position in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let mut bytes = message.encode();
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
            prop_assert!(decoder.push(&bytes, &mut messages).is_err());
            prop_assert!(messages.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Decoder::default().push(&bytes, &mut Vec::new());
        }

        #[test]
        fn no_headers_panic(headers in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Reader(&headers).headers();
        }
    }

    #[test]
    fn impossible_lengths_are_errors_before_anything_is_read() {
        let prelude = |whole: u32, headers: u32| {
            let mut bytes = [whole.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            Decoder::default().push(&bytes, &mut Vec::new())
        };
        assert_eq!(prelude(15, 0), Err(Error::Lengths));
        assert_eq!(prelude(40, 25), Err(Error::Lengths));
        assert_eq!(prelude(1 << 20, 1 << 18), Err(Error::Lengths));
        assert_eq!(prelude(u32::MAX, 0), Err(Error::TooLarge));
        assert_eq!(prelude(40, 24), Ok(()));
    }
}
