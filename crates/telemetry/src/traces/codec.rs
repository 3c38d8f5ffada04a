//! Entries in the form in which they are stored.
//!
//! Ranks: when all are one, its 8 bytes; else a byte with how many there are, 8 bytes for each, and a byte per field
//! that says which is its. Bodies: what there is of input, output, metadata and error in this order, each as its length
//! in 4 bytes and its text.

use std::cell::RefCell;

use serde_json::value::RawValue;
use stead_kernel::ports::traces::{Fields, Json};
use zstd::bulk::Decompressor;

use super::merge::{FIELDS, Ranks};

/// No body is longer once it is unpacked.
const LONGEST: usize = 1 << 30;

thread_local! {
    /// What unpacks is larger than most bodies, so that a thread keeps one.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Ranks as bytes.
pub(super) fn pack_ranks(ranks: &Ranks) -> Vec<u8> {
    let mut distinct: Vec<i64> = ranks.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if let [only] = distinct.as_slice() {
        return only.to_le_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(1 + distinct.len() * 8 + FIELDS);
    bytes.push(u8::try_from(distinct.len()).unwrap_or(u8::MAX));
    bytes.extend(distinct.iter().flat_map(|rank| rank.to_le_bytes()));
    bytes.extend(ranks.iter().map(|rank| {
        let place = distinct.binary_search(rank).unwrap_or(0);
        u8::try_from(place).unwrap_or(0)
    }));
    bytes
}

/// Ranks from bytes; `None` when they are none.
pub(super) fn unpack_ranks(bytes: &[u8]) -> Option<Ranks> {
    if let Ok(only) = <[u8; 8]>::try_from(bytes) {
        return Some([i64::from_le_bytes(only); FIELDS]);
    }
    let (count, rest) = bytes.split_first()?;
    let (distinct, places) = rest.split_at_checked(usize::from(*count) * 8)?;
    let distinct: Vec<i64> = distinct
        .chunks_exact(8)
        .filter_map(|chunk| Some(i64::from_le_bytes(chunk.try_into().ok()?)))
        .collect();
    let mut ranks = [0; FIELDS];
    if places.len() != FIELDS {
        return None;
    }
    for (rank, place) in ranks.iter_mut().zip(places) {
        *rank = *distinct.get(usize::from(*place))?;
    }
    Some(ranks)
}

/// What lies apart, taken out of the fields: which there are, and their bytes.
pub(super) fn pack_body(fields: &mut Fields) -> (u8, Vec<u8>) {
    let parts = [
        fields.input.take(),
        fields.output.take(),
        fields.metadata.take(),
        fields.error.take(),
    ];
    let length: usize = parts.iter().flatten().map(|part| part.get().len() + 4).sum();
    let (mut mask, mut plain) = (0, Vec::with_capacity(length));
    for (bit, part) in parts.iter().enumerate() {
        let Some(part) = part else { continue };
        mask |= 1 << bit;
        let length = u32::try_from(part.get().len()).unwrap_or(u32::MAX);
        plain.extend(length.to_le_bytes());
        plain.extend(part.get().as_bytes());
    }
    (mask, plain)
}

/// Puts what lay apart back into the fields; `None` when the bytes are damaged.
pub(super) fn unpack_body(mask: u8, plain: &[u8], fields: &mut Fields) -> Option<()> {
    let mut rest = plain;
    let parts = [
        &mut fields.input,
        &mut fields.output,
        &mut fields.metadata,
        &mut fields.error,
    ];
    for (bit, part) in parts.into_iter().enumerate() {
        if mask & (1 << bit) == 0 {
            continue;
        }
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, after) = after.split_at_checked(length)?;
        *part = Some(json(text)?);
        rest = after;
    }
    Some(())
}

fn json(text: &[u8]) -> Option<Json> {
    RawValue::from_string(String::from_utf8(text.to_vec()).ok()?).ok()
}

/// A body that lies in a row of its own, as files of the first format have them.
pub(super) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = Decompressor::<'static>::upper_bound(bytes)?;
    if length > LONGEST {
        return None;
    }
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(bytes, length).ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_come_back_as_they_were(seed in prop::collection::vec(-3_i64..3, FIELDS)) {
            let ranks: Ranks = seed.try_into().unwrap();
            prop_assert_eq!(unpack_ranks(&pack_ranks(&ranks)), Some(ranks));
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = unpack_ranks(&bytes);
            prop_assert!(unpack_body(15, &bytes, &mut Fields::default()).is_none() || bytes.len() > 16);
            prop_assert!(bytes.is_empty() || inflate(&bytes).is_none());
        }
    }

    #[test]
    fn a_body_comes_back_with_what_was_in_it() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
        for (input, output) in [
            (None, None),
            (raw("{\"a\": [1, \"ü\"]}"), None),
            (raw("1"), raw("\"x\"")),
        ] {
            let mut fields = Fields {
                input,
                output,
                ..Fields::default()
            };
            let before = format!("{fields:?}");
            let (mask, bytes) = pack_body(&mut fields);
            assert!(fields.input.is_none() && fields.output.is_none());
            unpack_body(mask, &bytes, &mut fields).unwrap();
            assert_eq!(format!("{fields:?}"), before);
        }
    }
}
