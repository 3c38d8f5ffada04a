//! A part of the index: which words the texts of some thousand entries hold. Pure.
//!
//! A word is a run of letters and digits, in lower case. The words lie in order, each between line breaks, so that those
//! that hold, begin or end with a text are found by one search through them; for each there are the places of the
//! entries that hold it, as differences in LEB128, in parts of [`PART`] words.

use std::collections::{BTreeSet, HashMap};

use memchr::memmem;

/// So many words have their places in one part.
pub(super) const PART: usize = 64;
/// What is longer is no word; entries with such a thing may hold any text.
const LONGEST: usize = 256;

/// The words of entries, by their places.
#[derive(Default)]
pub(super) struct Builder {
    words: HashMap<Box<str>, Vec<u32>>,
    /// Entries that hold what is too long for a word.
    overlong: Vec<u32>,
}

fn note(places: &mut Vec<u32>, place: u32) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}

impl Builder {
    /// Adds a text of the entry at a place; places only grow.
    pub(super) fn add(&mut self, place: u32, text: &str) {
        let lower = text.to_lowercase();
        for word in lower.split(|letter: char| !letter.is_alphanumeric()) {
            if word.len() > LONGEST {
                note(&mut self.overlong, place);
            } else if let Some(places) = self.words.get_mut(word) {
                note(places, place);
            } else if !word.is_empty() {
                self.words.insert(word.into(), vec![place]);
            }
        }
    }

    /// The segment.
    pub(super) fn finish(self) -> Segment {
        let mut all: Vec<(Box<str>, Vec<u32>)> = self.words.into_iter().collect();
        all.sort_unstable_by(|own, other| own.0.cmp(&other.0));
        let mut words = vec![b'\n'];
        let mut parts = Vec::with_capacity(all.len() / PART + 1);
        for chunk in all.chunks(PART) {
            let mut part = Vec::new();
            for (word, places) in chunk {
                words.extend_from_slice(word.as_bytes());
                words.push(b'\n');
                pack(&mut part, places);
            }
            parts.push(part);
        }
        let mut overlong = Vec::new();
        pack(&mut overlong, &self.overlong);
        Segment {
            words,
            parts,
            overlong,
        }
    }
}

/// A finished part of the index.
pub(super) struct Segment {
    pub(super) words: Vec<u8>,
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) overlong: Vec<u8>,
}

fn number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// How many places there are, and each as the difference from the one before.
fn pack(out: &mut Vec<u8>, places: &[u32]) {
    number(out, u32::try_from(places.len()).unwrap_or(u32::MAX));
    let mut last = 0;
    for place in places {
        number(out, place - last);
        last = *place;
    }
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (mut number, mut shift) = (0_u32, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

/// The places of one word of a part, by its number in the part; `None` when the bytes are damaged.
pub(super) fn places(mut part: &[u8], which: usize) -> Option<Vec<u32>> {
    let bytes = &mut part;
    for _ in 0..which {
        for _ in 0..take(bytes)? {
            take(bytes)?;
        }
    }
    let count = take(bytes)?;
    let (mut places, mut last) = (Vec::new(), 0_u32);
    for _ in 0..count {
        last = last.checked_add(take(bytes)?)?;
        places.push(last);
    }
    Some(places)
}

/// What a word must be like for a text to be found: the text, and whether more may come before and after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    text: String,
    open: (bool, bool),
}

/// What words an entry must hold so that a text, in lower case, can be in it; none where any entry may hold it.
pub(super) fn wanted(text: &str) -> Vec<Wanted> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        let end = at + word.len();
        if !word.is_empty() && word.len() <= LONGEST {
            found.push(Wanted {
                text: word.to_owned(),
                open: (at == 0, end == text.len()),
            });
        }
        at = end
            + text
                .get(end..)
                .and_then(|rest| rest.chars().next())
                .map_or(0, char::len_utf8);
    }
    found
}

impl Wanted {
    /// The numbers of the words that are like this, among those of a segment.
    pub(super) fn among(&self, words: &[u8]) -> BTreeSet<usize> {
        let mut needle = Vec::with_capacity(self.text.len() + 2);
        if !self.open.0 {
            needle.push(b'\n');
        }
        needle.extend_from_slice(self.text.as_bytes());
        if !self.open.1 {
            needle.push(b'\n');
        }
        let (mut found, mut number, mut counted) = (BTreeSet::new(), 0_usize, 0_usize);
        for at in memmem::find_iter(words, &needle) {
            // The number of a word is that of the line breaks before it, less the first.
            let start = if self.open.0 { at } else { at + 1 };
            let between = words.get(counted..start).unwrap_or_default();
            number += memchr::memchr_iter(b'\n', between).count();
            counted = start;
            found.insert(number.saturating_sub(1));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(segment: &Segment, text: &str) -> Option<BTreeSet<u32>> {
        let mut all: Option<BTreeSet<u32>> = None;
        for wanted in wanted(text) {
            let mut found: BTreeSet<u32> = places(&segment.overlong, 0).unwrap().into_iter().collect();
            for word in wanted.among(&segment.words) {
                found.extend(places(&segment.parts[word / PART], word % PART).unwrap());
            }
            all = Some(match all {
                None => found,
                Some(known) => known.intersection(&found).copied().collect(),
            });
        }
        all
    }

    proptest! {
        #[test]
        fn no_entry_that_holds_a_text_is_missed(
            texts in prop::collection::vec("[aBü0 .\"]{0,14}", 1..90),
            asked in "[abü0 .\"]{1,5}",
        ) {
            let mut builder = Builder::default();
            for (place, text) in texts.iter().enumerate() {
                builder.add(u32::try_from(place).unwrap(), text);
            }
            let segment = builder.finish();
            let found = search(&segment, &asked);
            for (place, text) in texts.iter().enumerate() {
                if text.to_lowercase().contains(&asked) && let Some(found) = &found {
                    prop_assert!(found.contains(&u32::try_from(place).unwrap()), "{asked:?} in {text:?}");
                }
            }
        }
    }

    #[test]
    fn words_inside_a_text_are_whole_and_those_at_its_ends_are_not() {
        let mut builder = Builder::default();
        for (place, text) in [
            "the red fox",
            "a fox, reddish",
            "infra red foxes",
            &"x".repeat(300),
        ]
        .iter()
        .enumerate()
        {
            builder.add(u32::try_from(place).unwrap(), text);
        }
        let segment = builder.finish();
        for (asked, expected) in [
            ("red", vec![0, 1, 2, 3]),
            (" red ", vec![0, 2, 3]),
            ("red fox", vec![0, 2, 3]),
            ("fra red", vec![2, 3]),
            ("zebra", vec![3]),
        ] {
            let found = search(&segment, asked).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{asked}");
        }
        assert_eq!(search(&segment, "\", "), None);
    }
}
