//! ROUGE: C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries" (2004), with the words of Google's
//! `rouge-score`, without stemming.

use std::collections::HashMap;

use crate::{
    number::{harmonic, ratio},
    subsequence::common,
};

/// How much two texts share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Overlap {
    /// The share of the output that is in the reference.
    pub precision: f64,
    /// The share of the reference that is in the output.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Overlap {
    pub(crate) fn of(shared: usize, output: usize, reference: usize) -> Self {
        let (precision, recall) = (ratio(shared, output), ratio(shared, reference));
        Self {
            precision,
            recall,
            f1: harmonic(precision, recall),
        }
    }
}

/// ROUGE-N: sequences of `size` words that are in both; of several references the one with the best F1, the first of
/// equals.
pub fn rouge_n<S: AsRef<str>>(output: &str, references: &[S], size: usize) -> Overlap {
    let output = tokens(output);
    let own = grams(&output, size);
    let total: usize = own.values().sum();
    best(references, |reference| {
        let theirs = grams(reference, size);
        let shared = theirs
            .iter()
            .map(|(gram, count)| own.get(gram).map_or(0, |own| *own.min(count)));
        Overlap::of(shared.sum(), total, theirs.values().sum())
    })
}

/// ROUGE-L: the longest common subsequence of words; of several references the one with the best F1, the first of equals.
pub fn rouge_l<S: AsRef<str>>(output: &str, references: &[S]) -> Overlap {
    let output = tokens(output);
    best(references, |reference| {
        Overlap::of(common(reference, &output), output.len(), reference.len())
    })
}

fn best<S: AsRef<str>>(references: &[S], score: impl Fn(&[String]) -> Overlap) -> Overlap {
    let mut best: Option<Overlap> = None;
    for reference in references {
        let one = score(&tokens(reference.as_ref()));
        if best.is_none_or(|best| one.f1 > best.f1) {
            best = Some(one);
        }
    }
    best.unwrap_or_default()
}

fn grams(words: &[String], size: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    if size > 0 {
        for gram in words.windows(size) {
            *counts.entry(gram).or_default() += 1;
        }
    }
    counts
}

/// Runs of Latin letters without accents and digits, in lower case.
fn tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !(letter.is_ascii_lowercase() || letter.is_ascii_digit()));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
