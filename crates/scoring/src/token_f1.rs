//! F1 over words: P. Rajpurkar, J. Zhang, K. Lopyrev, P. Liang, "`SQuAD`: 100,000+ questions for machine comprehension of
//! text" (EMNLP 2016), with the normalisation of its evaluation script.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;

use crate::{number::is_space, rouge::Overlap};

/// The F1 of the words of an output and a reference, without case, punctuation and articles; the best of several
/// references. Where one has no words left, 1 if both have none, else 0.
pub fn token_f1<S: AsRef<str>>(output: &str, references: &[S]) -> f64 {
    let output = tokens(output);
    let scores = references
        .iter()
        .map(|reference| one(&output, &tokens(reference.as_ref())));
    scores.fold(0.0, f64::max)
}

fn one(output: &[String], reference: &[String]) -> f64 {
    if output.is_empty() || reference.is_empty() {
        return f64::from(u8::from(output.is_empty() && reference.is_empty()));
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in reference {
        *counts.entry(word).or_default() += 1;
    }
    let mut shared = 0;
    for word in output {
        if let Some(left @ 1..) = counts.get_mut(word.as_str()) {
            *left -= 1;
            shared += 1;
        }
    }
    Overlap::of(shared, output.len(), reference.len()).f1
}

fn tokens(text: &str) -> Vec<String> {
    static ARTICLES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(a|an|the)\b").expect("a test compiles it"));
    let lower: String = text
        .to_lowercase()
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation())
        .collect();
    let without = ARTICLES.replace_all(&lower, " ");
    let words = without.split(is_space).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
