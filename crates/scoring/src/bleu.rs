//! BLEU: K. Papineni, S. Roukos, T. Ward, W.-J. Zhu, "BLEU: a method for automatic evaluation of machine translation" (ACL
//! 2002), with the words and the smoothing of sacrebleu: M. Post, "A call for clarity in reporting BLEU scores" (WMT 2018).

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use regex::Regex;

use crate::number::{is_space, number};

/// The longest sequences of words that are compared.
const LONGEST: usize = 4;

/// BLEU of one text, from 0 to 1: sacrebleu's sentence score by 100, with effective order and exponential smoothing (method 3
/// of B. Chen and C. Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU", WMT 2014).
pub fn bleu<S: AsRef<str>>(output: &str, references: &[S]) -> f64 {
    Counts::of(output, references).score(Order::Effective)
}

/// BLEU of several texts as one, from 0 to 1, each with its references: sacrebleu's corpus score by 100.
pub fn corpus_bleu<S: AsRef<str>>(pairs: &[(S, Vec<S>)]) -> f64 {
    let mut all = Counts::default();
    for (output, references) in pairs {
        all.add(&Counts::of(output.as_ref(), references));
    }
    all.score(Order::Full)
}

/// Which lengths count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Those that the text is long enough for.
    Effective,
    /// All.
    Full,
}

/// What BLEU is made from.
#[derive(Debug, Clone, Default)]
struct Counts {
    /// Sequences of each length that are in a reference.
    right: [usize; LONGEST],
    /// Sequences of each length.
    all: [usize; LONGEST],
    /// Words of the text.
    length: usize,
    /// Words of the reference whose length is nearest.
    reference: usize,
}

impl Counts {
    fn of<S: AsRef<str>>(output: &str, references: &[S]) -> Self {
        let output = tokens(output);
        let references: Vec<String> = references.iter().map(|text| tokens(text.as_ref())).collect();
        let words: Vec<&str> = output.split(' ').filter(|word| !word.is_empty()).collect();
        let references: Vec<Vec<&str>> = references
            .iter()
            .map(|text| text.split(' ').filter(|word| !word.is_empty()).collect())
            .collect();
        let lengths = references.iter().map(Vec::len);
        // Of two that are as near, the shorter one.
        let reference = lengths.min_by_key(|length| (length.abs_diff(words.len()), *length));
        let mut counts = Self {
            length: words.len(),
            reference: reference.unwrap_or_default(),
            ..Self::default()
        };
        let cells = counts.right.iter_mut().zip(&mut counts.all);
        for (size, (right, all)) in (1..=LONGEST).zip(cells) {
            let mut known: HashMap<&[&str], usize> = HashMap::new();
            for reference in &references {
                for (gram, count) in grams(reference, size) {
                    let most = known.entry(gram).or_default();
                    *most = count.max(*most);
                }
            }
            for (gram, count) in grams(&words, size) {
                *all += count;
                *right += count.min(known.get(gram).copied().unwrap_or_default());
            }
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        let ours = self.right.iter_mut().chain(&mut self.all);
        for (sum, more) in ours.zip(other.right.iter().chain(&other.all)) {
            *sum += more;
        }
        self.length += other.length;
        self.reference += other.reference;
    }

    fn score(&self, order: Order) -> f64 {
        if self.right.iter().all(|count| *count == 0) {
            return 0.0;
        }
        let (mut logarithms, mut orders, mut smoothing) = (0.0, 0, 1.0);
        for (right, all) in self.right.iter().zip(self.all) {
            if all == 0 {
                break;
            }
            orders += 1;
            let precision = if *right == 0 {
                smoothing *= 2.0;
                1.0 / (smoothing * number(all))
            } else {
                number(*right) / number(all)
            };
            logarithms += precision.ln();
        }
        if order == Order::Full && orders < LONGEST {
            // A length without any sequence has precision 0, whose logarithm is minus infinity.
            return 0.0;
        }
        let brevity = if self.length < self.reference {
            (1.0 - number(self.reference) / number(self.length)).exp()
        } else {
            1.0
        };
        brevity * (logarithms / number(orders)).exp()
    }
}

/// How often each sequence of so many words occurs.
fn grams<'a, 'b>(words: &'a [&'b str], size: usize) -> HashMap<&'a [&'b str], usize> {
    let mut counts = HashMap::new();
    for gram in words.windows(size) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// The words of a text with single spaces between them, as WMT's `mteval-v13a` and sacrebleu's `13a` separate them.
fn tokens(text: &str) -> String {
    static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let rule = |pattern| Regex::new(pattern).expect("a test compiles every rule");
        [
            (rule(r"([{-~\[-` -&(-+:-@/])"), " $1 "),
            // Full stops and commas, but between digits.
            (rule(r"([^0-9])([.,])"), "$1 $2 "),
            (rule(r"([.,])([^0-9])"), " $1 $2"),
            // A dash after a digit.
            (rule(r"([0-9])(-)"), "$1 $2 "),
        ]
    });
    let mut text = text
        .trim_end_matches(is_space)
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    if text.contains('&') {
        for (entity, letter) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
            text = text.replace(entity, letter);
        }
    }
    let mut text = format!(" {text} ");
    for (rule, replacement) in &*RULES {
        if let Cow::Owned(changed) = rule.replace_all(&text, *replacement) {
            text = changed;
        }
    }
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_separated_as_in_mteval() {
        for (text, expected) in [
            ("Hello, world!", "Hello , world !"),
            ("3.14 and 1,000 items.", "3.14 and 1,000 items ."),
            ("10-15 well-known", "10 - 15 well-known"),
            ("a&lt;b", "a < b"),
            ("", ""),
        ] {
            assert_eq!(tokens(text), expected);
        }
    }
}
