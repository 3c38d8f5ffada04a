//! How near two texts are, by the letters that differ.

use crate::{number::ratio, subsequence::common};

/// Similarity by insertions and deletions: the share of letters of both texts that lie in their longest common
/// subsequence. 1 for equal texts, two empty ones among them.
///
/// It is what Opik's `LevenshteinRatio` gives (rapidfuzz's normalised Indel similarity).
pub fn insertion_similarity(left: &str, right: &str) -> f64 {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let letters = left.len() + right.len();
    if letters == 0 {
        return 1.0;
    }
    ratio(2 * common(&left, &right), letters)
}

/// Similarity by insertions, deletions and substitutions: 1 less the distance by the length of the longer text.
/// V. I. Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals" (1966).
pub fn edit_similarity(left: &str, right: &str) -> f64 {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let longest = left.len().max(right.len());
    if longest == 0 {
        return 1.0;
    }
    1.0 - ratio(distance(&left, &right), longest)
}

/// One row of the table at a time.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.iter().enumerate() {
        let (mut diagonal, mut before) = (above, above + 1);
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(right) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = substituted.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (left, right, expected) in [
            ("kitten", "sitting", 3),
            ("Saturday", "Sunday", 3),
            ("flaw", "lawn", 2),
            ("", "abc", 3),
            ("abc", "", 3),
            ("grün", "gruen", 2),
        ] {
            let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
            assert_eq!(distance(&a, &b), expected, "{left} {right}");
        }
        assert!((edit_similarity("", "") - 1.0).abs() < f64::EPSILON);
        assert!((edit_similarity("kitten", "sitting") - 4.0 / 7.0).abs() < 1e-12);
    }
}
