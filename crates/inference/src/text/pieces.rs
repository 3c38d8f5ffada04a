//! Vocabularies of `SentencePiece`'s byte-pair kind, as the first Llamas have them: neighbours are merged, best score first.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
};

/// Pieces with their scores.
#[derive(Debug)]
pub(super) struct Pieces {
    tokens: HashMap<String, (u32, f32)>,
    /// For each byte the token for it, where no piece covers it.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
}

/// A merge that could be made.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    /// The length of the merged text; a merge is stale when its parts have changed since.
    length: usize,
}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Merge {}

/// A part of the text, in a list linked by indices.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    length: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Pieces {
    /// A vocabulary of pieces, tokens for bytes, and the token for what is unknown.
    pub(super) fn new(
        tokens: HashMap<String, (u32, f32)>,
        bytes: Vec<Option<u32>>,
        unknown: Option<u32>,
    ) -> Self {
        Self {
            tokens,
            bytes,
            unknown,
        }
    }

    /// Appends the tokens of a text in which spaces are already `▁`.
    pub(super) fn encode(&self, text: &str, output: &mut Vec<u32>) {
        let mut parts = split(text);
        let mut queue = BinaryHeap::new();
        for index in 1..parts.len() {
            self.propose(text, &parts, Some(index - 1), Some(index), &mut queue);
        }
        while let Some(merge) = queue.pop() {
            let (Some(left), Some(right)) = (parts.get(merge.left).copied(), parts.get(merge.right).copied())
            else {
                continue;
            };
            let stale = left.length == 0 || right.length == 0 || left.length + right.length != merge.length;
            if stale {
                continue;
            }
            join(&mut parts, merge.left, merge.right);
            self.propose(text, &parts, left.before, Some(merge.left), &mut queue);
            self.propose(text, &parts, Some(merge.left), right.after, &mut queue);
        }
        for part in parts.into_iter().filter(|part| part.length > 0) {
            self.emit(
                text.get(part.start..part.start + part.length).unwrap_or_default(),
                output,
            );
        }
    }

    fn propose(
        &self,
        text: &str,
        parts: &[Part],
        left: Option<usize>,
        right: Option<usize>,
        queue: &mut BinaryHeap<Merge>,
    ) {
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        let (Some(one), Some(two)) = (parts.get(left), parts.get(right)) else {
            return;
        };
        let length = one.length + two.length;
        let merged = text.get(one.start..one.start + length).unwrap_or_default();
        if let Some((_, score)) = self.tokens.get(merged) {
            queue.push(Merge {
                score: *score,
                left,
                right,
                length,
            });
        }
    }

    fn emit(&self, piece: &str, output: &mut Vec<u32>) {
        if let Some((token, _)) = self.tokens.get(piece) {
            output.push(*token);
            return;
        }
        let bytes = piece
            .bytes()
            .map(|byte| self.bytes.get(usize::from(byte)).copied().flatten());
        output.extend(bytes.filter_map(|token| token.or(self.unknown)));
    }
}

/// The characters of a text.
fn split(text: &str) -> Vec<Part> {
    let count = text.chars().count();
    let characters = text.char_indices().enumerate();
    characters
        .map(|(index, (start, character))| Part {
            start,
            length: character.len_utf8(),
            before: index.checked_sub(1),
            after: (index + 1 < count).then_some(index + 1),
        })
        .collect()
}

/// Joins a part with the one after it.
fn join(parts: &mut [Part], left: usize, right: usize) {
    let Some(removed) = parts.get(right).copied() else {
        return;
    };
    if let Some(part) = parts.get_mut(right) {
        part.length = 0;
    }
    if let Some(part) = parts.get_mut(left) {
        part.length += removed.length;
        part.after = removed.after;
    }
    if let Some(next) = removed.after.and_then(|after| parts.get_mut(after)) {
        next.before = Some(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(pieces: &[(&str, f32)]) -> Pieces {
        let numbered = pieces.iter().zip(0..);
        let tokens = numbered.map(|((piece, score), token)| ((*piece).to_owned(), (token, *score)));
        let bytes = (1000..1256).map(Some).collect();
        Pieces::new(tokens.collect(), bytes, None)
    }

    #[test]
    fn the_best_scored_merge_comes_first_and_unknown_characters_become_bytes() {
        let pieces = vocabulary(&[
            ("a", -9.0),
            ("b", -9.0),
            ("c", -9.0),
            ("ab", -2.0),
            ("bc", -1.0),
            ("abc", -3.0),
        ]);
        for (text, expected) in [
            ("abc", vec![5]),
            ("bc", vec![4]),
            ("abb", vec![3, 1]),
            ("é", vec![1195, 1169]),
            ("", vec![]),
        ] {
            let mut tokens = Vec::new();
            pieces.encode(text, &mut tokens);
            assert_eq!(tokens, expected, "{text}");
        }
    }
}
