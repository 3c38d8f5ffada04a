//! Frames: how a record lies in a segment.
//!
//! `length u32 · crc u32 · kind u8 · id [u8; 16] · payload`, numbers little-endian; the length is the payload's, the
//! CRC-32 (IEEE) covers kind, id and payload.

/// The bytes before a payload.
pub(super) const HEADER: usize = 25;
/// The largest payload; a larger length means that the bytes are no frame.
pub(super) const PAYLOAD_LIMIT: usize = 64 << 20;

/// What a frame says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is about to be dispatched; the payload is the row to bill if nothing more is heard.
    Reservation,
    /// It ended; the payload is its row.
    Settlement,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Reservation => 1,
            Self::Settlement => 2,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Reservation),
            2 => Some(Self::Settlement),
            _ => None,
        }
    }
}

/// The id of a request.
pub(super) type Id = [u8; 16];

/// A frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) id: Id,
    pub(super) payload: &'a [u8],
}

/// What the bytes at some place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// A whole frame and how many bytes it takes.
    Frame(Frame<'a>, usize),
    /// The beginning of one, as far as one can tell.
    Incomplete,
    /// No frame.
    Broken,
}

/// Puts a frame into the buffer, whose former content is dropped; `payload` writes the payload.
pub(super) fn encode(buffer: &mut Vec<u8>, kind: Kind, id: Id, payload: impl FnOnce(&mut Vec<u8>)) {
    buffer.clear();
    buffer.extend_from_slice(&[0; 8]);
    buffer.push(kind.byte());
    buffer.extend_from_slice(&id);
    payload(buffer);
    let length = u32::try_from(buffer.len() - HEADER).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(buffer.get(8..).unwrap_or_default());
    for (place, byte) in buffer
        .iter_mut()
        .zip(length.to_le_bytes().into_iter().chain(crc.to_le_bytes()))
    {
        *place = byte;
    }
}

/// Reads the frame at the beginning of the bytes.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Decoded::Incomplete;
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > PAYLOAD_LIMIT {
        return Decoded::Broken;
    }
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else {
        return Decoded::Incomplete;
    };
    let Some(covered) = rest.get(..length + HEADER - 8) else {
        return Decoded::Incomplete;
    };
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return Decoded::Broken;
    }
    parse(covered).map_or(Decoded::Broken, |frame| Decoded::Frame(frame, HEADER + length))
}

fn parse(covered: &[u8]) -> Option<Frame<'_>> {
    let (kind, rest) = covered.split_first()?;
    let (id, payload) = rest.split_first_chunk::<16>()?;
    Some(Frame {
        kind: Kind::of(*kind)?,
        id: *id,
        payload,
    })
}
