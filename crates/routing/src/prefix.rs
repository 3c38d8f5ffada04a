//! Who has read the beginning of a prompt before: an approximate radix tree over blocks of bytes.
//!
//! A node is a prefix of whole blocks, named by the hash of all its bytes, so the tree needs no edges: the node one
//! block longer is found by its own name. Each target marks the nodes it has read; when all marks are used, the one
//! unused for longest goes. Servers cache what they have read by prefixes in much the same way (SGLang's radix
//! attention, vLLM's automatic prefix caching), so a mark means that the target may skip the work.
//!
//! *Invariant:* a target that has marked a node has marked every shorter prefix of it: the deepest node is always the
//! least recently used of its path.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ahash::RandomState;

/// How long blocks are, by where they begin: finer at the beginning, where prompts part.
const STEPS: [(usize, usize); 3] = [(0, 256), (16 << 10, 1 << 10), (128 << 10, 8 << 10)];
/// The most blocks of one prompt, a megabyte; what follows is not looked at.
const MOST: usize = 288;

/// The prefixes of one prompt, from the shortest to the longest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks(Vec<u64>);

impl Blocks {
    /// How many whole blocks the prompt has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the prompt is shorter than a block.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which targets have read which prefixes, in bounded memory.
#[derive(Debug)]
pub struct Prefixes {
    hasher: RandomState,
    marks: Mutex<Marks>,
}

impl Prefixes {
    /// An empty tree with room for so many marks, of some 40 bytes each.
    pub fn new(room: u32) -> Self {
        Self {
            hasher: RandomState::new(),
            marks: Mutex::new(Marks::new(room)),
        }
    }

    /// The prefixes of a prompt that is given in pieces.
    pub fn blocks<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Blocks {
        let mut blocks = Vec::new();
        let (mut name, mut end) = (0, length_at(0));
        let mut length = end;
        // The beginning of a block whose end lies in a later piece.
        let mut begun: Vec<u8> = Vec::new();
        for mut piece in pieces {
            while let Some((head, rest)) = piece.split_at_checked(length - begun.len()) {
                if blocks.len() == MOST {
                    return Blocks(blocks);
                }
                name = if begun.is_empty() {
                    self.name(name, head)
                } else {
                    begun.extend_from_slice(head);
                    self.name(name, &begun)
                };
                blocks.push(name);
                begun.clear();
                length = length_at(end);
                end += length;
                piece = rest;
            }
            begun.extend_from_slice(piece);
        }
        Blocks(blocks)
    }

    /// The name of the prefix that is one block longer.
    fn name(&self, shorter: u64, block: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(shorter);
        hasher.write(block);
        hasher.finish()
    }

    /// How many blocks of the prompt each target has read, for targets told apart by numbers.
    pub fn matched(&self, blocks: &Blocks, targets: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let marks = self.lock();
        let longest = |target: u64| {
            // What a target has read of a path is its beginning, so halving finds the end.
            let read = blocks.0.partition_point(|block| marks.has(mark(*block, target)));
            u32::try_from(read).unwrap_or(u32::MAX)
        };
        targets.into_iter().map(longest).collect()
    }

    /// Says that a target reads this prompt now.
    pub fn remember(&self, blocks: &Blocks, target: u64) {
        let mut marks = self.lock();
        // The deepest first, so that it is the first to be forgotten.
        for block in blocks.0.iter().rev() {
            marks.touch(mark(*block, target));
        }
    }

    /// How many marks there are.
    pub fn len(&self) -> usize {
        self.lock().places.len()
    }

    /// Whether nothing has been read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the block is that begins there.
fn length_at(position: usize) -> usize {
    let step = STEPS.iter().rfind(|(from, _)| position >= *from);
    step.map_or(256, |(_, length)| *length)
}

/// The name of a target's mark on a node.
fn mark(block: u64, target: u64) -> u64 {
    crate::hash::mix(block ^ target.rotate_left(32))
}

/// No mark.
const NONE: u32 = u32::MAX;

/// Marks in the order of their last use: a map into a doubly linked list.
#[derive(Debug)]
struct Marks {
    places: HashMap<u64, u32, RandomState>,
    links: Vec<Link>,
    newest: u32,
    oldest: u32,
    room: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    mark: u64,
    newer: u32,
    older: u32,
}

impl Marks {
    fn new(room: u32) -> Self {
        Self {
            places: HashMap::default(),
            links: Vec::new(),
            newest: NONE,
            oldest: NONE,
            room: room.clamp(1, NONE - 1),
        }
    }

    fn has(&self, mark: u64) -> bool {
        self.places.contains_key(&mark)
    }

    /// Makes a mark the newest.
    fn touch(&mut self, mark: u64) {
        if let Some(place) = self.places.get(&mark).copied() {
            self.unlink(place);
            self.put_first(place);
            return;
        }
        let used = u32::try_from(self.links.len()).unwrap_or(NONE);
        let place = if used < self.room {
            self.links.push(Link {
                mark,
                newer: NONE,
                older: NONE,
            });
            used
        } else {
            let place = self.oldest;
            self.unlink(place);
            if let Some(link) = self.links.get_mut(at(place)) {
                self.places.remove(&link.mark);
                link.mark = mark;
            }
            place
        };
        self.places.insert(mark, place);
        self.put_first(place);
    }

    fn unlink(&mut self, place: u32) {
        let Some(Link { newer, older, .. }) = self.links.get(at(place)).copied() else {
            return;
        };
        match self.links.get_mut(at(newer)) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
        match self.links.get_mut(at(older)) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn put_first(&mut self, place: u32) {
        let second = std::mem::replace(&mut self.newest, place);
        if let Some(link) = self.links.get_mut(at(place)) {
            link.newer = NONE;
            link.older = second;
        }
        match self.links.get_mut(at(second)) {
            Some(link) => link.newer = place,
            None => self.oldest = place,
        }
    }
}

/// A place as an index; that of [`NONE`] lies beyond every list.
fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(prefixes: &Prefixes, text: &str) -> Blocks {
        prefixes.blocks([text.as_bytes()])
    }

    #[test]
    fn a_longer_conversation_matches_as_far_as_it_was_read() {
        let prefixes = Prefixes::new(1_000);
        let begun = "a".repeat(1_000);
        let (other, longer) = (format!("b{begun}"), format!("{begun}{}", "c".repeat(1_000)));
        let first = blocks(&prefixes, &begun);
        assert_eq!(first.len(), 3, "the rest is no whole block");
        prefixes.remember(&first, 1);
        let found = prefixes.matched(&blocks(&prefixes, &longer), [1, 2]);
        assert_eq!(found, [3, 0]);
        assert_eq!(prefixes.matched(&blocks(&prefixes, &other), [1]), [0]);
        prefixes.remember(&blocks(&prefixes, &longer), 2);
        assert_eq!(prefixes.matched(&blocks(&prefixes, &longer), [1, 2]), [3, 7]);
        assert_eq!(blocks(&prefixes, "short").len(), 0);
    }

    #[test]
    fn a_prompt_of_any_length_has_a_bounded_number_of_blocks() {
        let prefixes = Prefixes::new(10_000);
        let whole = vec![b'x'; 10 << 20];
        let found = prefixes.blocks([&whole[..]]);
        assert_eq!(found.len(), MOST);
        let mut end = 0;
        for _ in 0..MOST {
            end += length_at(end);
        }
        assert_eq!(end, 1 << 20);
    }

    #[test]
    fn what_was_unused_for_longest_goes_and_the_rest_stays() {
        let prefixes = Prefixes::new(8);
        let (old, new) = (
            blocks(&prefixes, &"o".repeat(1_024)),
            blocks(&prefixes, &"n".repeat(1_024)),
        );
        prefixes.remember(&old, 1);
        prefixes.remember(&new, 1);
        assert_eq!(prefixes.len(), 8);
        let third = blocks(&prefixes, &"t".repeat(512));
        prefixes.remember(&third, 1);
        assert_eq!(prefixes.matched(&old, [1]), [2], "its end went first");
        assert_eq!(prefixes.matched(&new, [1]), [4]);
        assert_eq!(prefixes.len(), 8);
    }

    /// The same by the simplest means: every path in full, in the order of its last use.
    #[derive(Default)]
    struct Naive(Vec<(Vec<u64>, u64)>);

    impl Naive {
        fn remember(&mut self, blocks: &Blocks, target: u64, room: usize) {
            for length in (1..=blocks.len()).rev() {
                let path = (blocks.0[..length].to_vec(), target);
                self.0.retain(|known| *known != path);
                self.0.push(path);
            }
            let over = self.0.len().saturating_sub(room);
            self.0.drain(..over);
        }

        fn matched(&self, blocks: &Blocks, target: u64) -> u32 {
            let read = |length: &usize| self.0.contains(&(blocks.0[..*length].to_vec(), target));
            u32::try_from((1..=blocks.len()).take_while(read).count()).unwrap()
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_a_list_of_all_paths_does(
            room in 1_u32..40,
            steps in proptest::collection::vec((0_u64..3, proptest::collection::vec(0_u8..3, 0..6)), 1..60),
        ) {
            let prefixes = Prefixes::new(room);
            let mut naive = Naive::default();
            let mut seen = Vec::new();
            for (target, letters) in steps {
                let text: Vec<u8> = letters.iter().flat_map(|letter| [*letter; 256]).collect();
                let blocks = prefixes.blocks([&text[..]]);
                prefixes.remember(&blocks, target);
                naive.remember(&blocks, target, room as usize);
                seen.push(blocks);
                for blocks in &seen {
                    let expected: Vec<u32> = (0..3).map(|target| naive.matched(blocks, target)).collect();
                    prop_assert_eq!(prefixes.matched(blocks, 0..3), expected);
                }
                prop_assert!(prefixes.len() <= room as usize);
            }
        }

        #[test]
        fn pieces_do_not_matter(text in proptest::collection::vec(any::<u8>(), 0..2_000), cut in 0_usize..2_000) {
            let prefixes = Prefixes::new(1);
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(prefixes.blocks([head, tail]), prefixes.blocks([&text[..]]));
        }
    }
}
