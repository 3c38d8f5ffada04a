//! Blocks: what several entries tell at length, compressed together, which is smaller and faster than each alone.
//!
//! A block is a byte that says how it is compressed (1: zstd; 2: zstd with the dictionary of this file), then: how many
//! slots there are (2 bytes), for each its kind (1 byte), the entry's id (16) and the length of its body (4), and the
//! bodies, in the form of `codec`. All numbers begin with their lowest byte. A slot whose entry is gone has the id of zeros.
//!
//! *Invariant:* a slot's body never changes; what an entry tells anew gets a new slot in a new block.

use std::cell::RefCell;

use stead_kernel::ports::traces::Kind;
use uuid::Uuid;
use zstd::bulk::{Compressor, Decompressor};

/// What texts of traces often hold, for blocks of few entries. Another text needs another number.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");
/// Blocks below so many bytes are compressed with the dictionary.
const SHORT: usize = 4 << 10;
const LEVEL: i32 = 1;
const PLAIN: u8 = 1;
const WITH_DICTIONARY: u8 = 2;
/// A block takes no more slots once it has so many, or so many bytes.
const SLOTS: usize = 32;
const BYTES: usize = 48 << 10;
/// Bytes of a slot before the bodies.
const SLOT: usize = 21;
/// No block is longer once it is unpacked.
const LONGEST: usize = 1 << 30;

struct Tools {
    plain: Compressor<'static>,
    short: Compressor<'static>,
}

struct Openers {
    plain: Decompressor<'static>,
    short: Decompressor<'static>,
}

thread_local! {
    /// What compresses is larger than most blocks, so that a thread keeps it.
    static TOOLS: RefCell<Option<Tools>> = const { RefCell::new(None) };
    static OPENERS: RefCell<Option<Openers>> = const { RefCell::new(None) };
}

/// A block in the making.
#[derive(Default)]
pub(super) struct Builder {
    slots: Vec<(Kind, Uuid, u32)>,
    bodies: Vec<u8>,
}

impl Builder {
    /// Whether it has no slot.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the next slot is better in the next block.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= SLOTS || self.bodies.len() >= BYTES
    }

    /// Adds an entry's body; returns its slot.
    pub(super) fn push(&mut self, kind: Kind, id: Uuid, body: &[u8]) -> usize {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.slots.push((kind, id, length));
        self.bodies.extend_from_slice(body);
        self.slots.len() - 1
    }

    /// The block's bytes; the builder is empty again.
    pub(super) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(2 + self.slots.len() * SLOT + self.bodies.len());
        let count = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
        plain.extend(count.to_le_bytes());
        for (kind, id, length) in self.slots.drain(..) {
            plain.push(u8::from(kind == Kind::Span));
            plain.extend(id.as_bytes());
            plain.extend(length.to_le_bytes());
        }
        plain.append(&mut self.bodies);
        compress(&plain)
    }
}

/// A block, unpacked.
pub(super) struct Block {
    plain: Vec<u8>,
    /// The kind and id of each slot, and where its body begins and ends.
    slots: Vec<(Kind, Uuid, usize, usize)>,
}

impl Block {
    /// Unpacks a block; `None` when the bytes are none.
    pub(super) fn open(bytes: &[u8]) -> Option<Self> {
        let plain = decompress(bytes)?;
        let count = usize::from(u16::from_le_bytes(*plain.first_chunk::<2>()?));
        let mut at = count.checked_mul(SLOT)?.checked_add(2)?;
        let heads = plain.get(2..at)?;
        let mut slots = Vec::with_capacity(count);
        for head in heads.chunks_exact(SLOT) {
            let (kind, rest) = head.split_first()?;
            let (id, length) = rest.split_first_chunk::<16>()?;
            let length = u32::from_le_bytes(length.try_into().ok()?);
            let end = at.checked_add(usize::try_from(length).ok()?)?;
            let kind = if *kind == 0 { Kind::Trace } else { Kind::Span };
            slots.push((kind, Uuid::from_bytes(*id), at, end));
            at = end;
        }
        (at == plain.len()).then_some(Self { plain, slots })
    }

    /// A slot's body.
    pub(super) fn body(&self, slot: usize) -> Option<&[u8]> {
        let (_, _, from, to) = self.slots.get(slot)?;
        self.plain.get(*from..*to)
    }

    /// The entries that have a slot, with their bodies.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Kind, Uuid, &[u8])> {
        let there = self.slots.iter().filter(|(_, id, ..)| !id.is_nil());
        there.filter_map(|(kind, id, from, to)| Some((*kind, *id, self.plain.get(*from..*to)?)))
    }

    /// The block's bytes without what these slots hold; the others keep their numbers.
    pub(super) fn without(&self, gone: &[usize]) -> std::io::Result<Vec<u8>> {
        let mut builder = Builder::default();
        for (slot, (kind, id, ..)) in self.slots.iter().enumerate() {
            if gone.contains(&slot) {
                builder.push(*kind, Uuid::nil(), &[]);
            } else {
                builder.push(*kind, *id, self.body(slot).unwrap_or_default());
            }
        }
        builder.finish()
    }
}

fn compress(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    TOOLS.with_borrow_mut(|kept| {
        let tools = match kept {
            Some(tools) => tools,
            None => kept.insert(Tools {
                plain: Compressor::new(LEVEL)?,
                short: Compressor::with_dictionary(LEVEL, DICTIONARY)?,
            }),
        };
        let (how, tool) = if plain.len() < SHORT {
            (WITH_DICTIONARY, &mut tools.short)
        } else {
            (PLAIN, &mut tools.plain)
        };
        let mut bytes = vec![0; zstd::zstd_safe::compress_bound(plain.len()) + 1];
        let (first, rest) = bytes.split_first_mut().ok_or(std::io::ErrorKind::OutOfMemory)?;
        *first = how;
        let length = tool.compress_to_buffer(plain, rest)?;
        bytes.truncate(length + 1);
        bytes.shrink_to_fit();
        Ok(bytes)
    })
}

fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let (how, bytes) = bytes.split_first()?;
    let length = Decompressor::<'static>::upper_bound(bytes)?;
    if length > LONGEST {
        return None;
    }
    OPENERS.with_borrow_mut(|kept| {
        let openers = match kept {
            Some(openers) => openers,
            None => kept.insert(Openers {
                plain: Decompressor::new().ok()?,
                short: Decompressor::with_dictionary(DICTIONARY).ok()?,
            }),
        };
        match *how {
            PLAIN => openers.plain.decompress(bytes, length).ok(),
            WITH_DICTIONARY => openers.short.decompress(bytes, length).ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(1 + number as u128)
    }

    proptest! {
        #[test]
        fn bodies_come_back_as_they_were_and_what_is_taken_out_is_gone(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..40),
            gone in 0_usize..40,
        ) {
            let mut builder = Builder::default();
            for (number, body) in bodies.iter().enumerate() {
                prop_assert_eq!(builder.push(Kind::Span, id(number), body), number);
            }
            let block = Block::open(&builder.finish().unwrap()).unwrap();
            prop_assert!(builder.is_empty());
            let gone = gone.min(bodies.len() - 1);
            let rest = Block::open(&block.without(&[gone]).unwrap()).unwrap();
            for (slot, body) in bodies.iter().enumerate() {
                prop_assert_eq!(block.body(slot), Some(body.as_slice()));
                prop_assert_eq!(rest.body(slot), Some(if slot == gone { &[] } else { body.as_slice() }));
            }
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Block::open(&bytes).is_none());
        }
    }
}
