//! How likely tokens are, from the scores of all.

use std::{cmp::Reverse, collections::BinaryHeap};

use stead_kernel::ports::LikelyToken;

use crate::text::Tokenizer;

/// A token with its likelihood and the `top` likeliest ones at its place. Scores beyond the vocabulary are no tokens.
pub(super) fn likely(tokenizer: &Tokenizer, token: u32, scores: &[f32], top: usize) -> LikelyToken {
    let scores = scores.get(..tokenizer.len()).unwrap_or(scores);
    let total = log_total(scores);
    let probability = |score: f32| f64::from(score) - total;
    let own = scores.get(token as usize).copied().map(probability);
    let mut told: Vec<(u32, f64)> = best(scores, top)
        .into_iter()
        .map(|(token, score)| (token, probability(score)))
        .collect();
    if let (Some(own), false) = (own, top == 0 || told.iter().any(|(other, _)| *other == token)) {
        told.push((token, own));
    }
    LikelyToken {
        text: text(tokenizer, token),
        log_probability: own,
        top: told
            .into_iter()
            .map(|(token, probability)| (text(tokenizer, token), probability))
            .collect(),
    }
}

/// What a token says.
pub(super) fn text(tokenizer: &Tokenizer, token: u32) -> String {
    String::from_utf8_lossy(tokenizer.bytes(token)).into_owned()
}

/// The logarithm of the sum of the exponentials, without overflow.
fn log_total(scores: &[f32]) -> f64 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|score| f64::from(score - most).exp()).sum();
    f64::from(most) + sum.ln()
}

/// The tokens with the best scores, the best first; of equal ones those with the smaller number.
fn best(scores: &[f32], count: usize) -> Vec<(u32, f32)> {
    /// Ordered by score, then by number.
    #[derive(PartialEq)]
    struct Scored(f32, Reverse<u32>);
    impl Eq for Scored {}
    impl PartialOrd for Scored {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Scored {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
        }
    }
    let mut heap: BinaryHeap<Reverse<Scored>> = BinaryHeap::with_capacity(count + 1);
    for (token, score) in (0..).zip(scores) {
        if heap.len() == count && heap.peek().is_none_or(|least| *score <= least.0.0) {
            continue;
        }
        heap.push(Reverse(Scored(*score, Reverse(token))));
        if heap.len() > count {
            heap.pop();
        }
    }
    let sorted = heap.into_sorted_vec().into_iter();
    sorted
        .map(|Reverse(Scored(score, Reverse(token)))| (token, score))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_their_probabilities_add_up() {
        let scores = [1.0, 3.0, 2.0, 3.0, -1.0];
        assert_eq!(best(&scores, 3), [(1, 3.0), (3, 3.0), (2, 2.0)]);
        assert_eq!(best(&scores, 0), []);
        assert_eq!(best(&scores, 9).len(), 5);
        let total = log_total(&scores);
        let sum: f64 = scores.iter().map(|score| (f64::from(*score) - total).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((log_total(&[1_000.0, 1_000.0]) - (1_000.0 + 2_f64.ln())).abs() < 1e-9);
    }
}
