//! Cutting texts into passages, and comparing vectors. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};

/// How long a passage is at most, in characters: well below what small embedding models read (256 tokens).
const LONGEST: usize = 900;
/// How much of a passage the next one repeats, in characters, so that no thought falls between two.
const SHARED: usize = 120;

/// The passages of a text, in order: cut at paragraphs, else at sentences, else at words.
pub(super) fn cut(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut passages = Vec::new();
    let mut start = 0;
    while start < characters.len() {
        let end = (start + LONGEST).min(characters.len());
        let end = if end == characters.len() {
            end
        } else {
            start + good_end(characters.get(start..end).unwrap_or_default())
        };
        let passage: String = characters.get(start..end).unwrap_or_default().iter().collect();
        let passage = passage.trim();
        if !passage.is_empty() {
            passages.push(passage.to_owned());
        }
        if end == characters.len() {
            break;
        }
        start = end.saturating_sub(SHARED).max(start + 1);
    }
    passages
}

/// Where a stretch ends best, in its second half: after a paragraph, a sentence, a word; else at its end.
fn good_end(stretch: &[char]) -> usize {
    let half = stretch.len() / 2;
    let last = |is_end: &dyn Fn(char, char) -> bool| {
        let pairs = stretch.windows(2).enumerate().skip(half);
        let ends = pairs.filter_map(|(index, pair)| match pair {
            [one, two] if is_end(*one, *two) => Some(index + 2),
            _ => None,
        });
        ends.last()
    };
    last(&|one, two| one == '\n' && two == '\n')
        .or_else(|| last(&|one, two| ".!?。".contains(one) && two.is_whitespace()))
        .or_else(|| last(&|_, two| two.is_whitespace()))
        .unwrap_or(stretch.len())
}

/// A vector as text: base64 of its 32-bit floats, little-endian, as OpenAI's `encoding_format: base64` has it.
pub(super) fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// A vector that [`encode`] wrote.
pub(super) fn decode(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty()
        .then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// How alike two vectors are: the cosine of their angle; 0 when one has no length or their sizes differ.
pub(super) fn likeness(one: &[f32], two: &[f32]) -> f32 {
    if one.len() != two.len() {
        return 0.0;
    }
    let (mut product, mut first, mut second) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (one, two) in one.iter().zip(two) {
        product += one * two;
        first += one * one;
        second += two * two;
    }
    let lengths = first.sqrt() * second.sqrt();
    if lengths > 0.0 { product / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cut_at_paragraphs_before_sentences_before_words() {
        assert_eq!(cut(""), Vec::<String>::new());
        assert_eq!(cut(" short \n"), ["short"]);
        let text = format!(
            "{}.\n\n{}. {}",
            "a".repeat(600),
            "b".repeat(200),
            "c ".repeat(300)
        );
        let passages = cut(&text);
        assert_eq!(passages[0], format!("{}.", "a".repeat(600)));
        assert!(passages.iter().all(|passage| passage.chars().count() <= LONGEST));
    }

    #[test]
    fn vectors_are_alike_by_their_direction() {
        assert!((likeness(&[1.0, 0.0], &[2.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!(likeness(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-6);
        assert!(likeness(&[0.0], &[1.0]).abs() < 1e-6);
        assert!(likeness(&[1.0], &[1.0, 2.0]).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn nothing_of_a_text_is_lost_and_cutting_ends(text in "[a-c \n.é]{0,4000}") {
            let passages = cut(&text);
            let whole: String = text.split_whitespace().collect();
            let mut at: usize = 0;
            for passage in &passages {
                let piece: String = passage.split_whitespace().collect();
                prop_assert!(passage.chars().count() <= LONGEST);
                // Each begins where or before the last one ended.
                let from = at.saturating_sub(2 * LONGEST);
                let from = (0..=from).rev().find(|index| whole.is_char_boundary(*index)).unwrap_or(0);
                let found = whole[from..].find(&piece).map(|found| found + from);
                prop_assert!(found.is_some());
                at = at.max(found.unwrap_or(0) + piece.len());
            }
            prop_assert!(passages.is_empty() == whole.is_empty());
        }

        #[test]
        fn a_vector_survives_its_text(vector in prop::collection::vec(-1e3_f32..1e3, 0..50)) {
            prop_assert_eq!(decode(&encode(&vector)), Some(vector));
        }
    }
}
