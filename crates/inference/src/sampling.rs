//! Choosing a token by the scores of all.

use std::cmp::Ordering;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// How far below the best score, in units of the temperature, a token is too unlikely to be considered: e^-24 ≈ 4·10⁻¹¹.
const NEGLIGIBLE: f32 = 24.0;

/// Chooses the tokens of one answer.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    top_k: usize,
    random: StdRng,
    candidates: Vec<Candidate>,
}

/// A token that may be chosen.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    /// First the score, then the probability relative to the best.
    weight: f32,
}

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    /// 0 takes the best; higher is more even.
    pub(crate) temperature: f64,
    /// The smallest set of tokens whose probability exceeds this.
    pub(crate) top_p: f64,
    /// The number of best tokens to choose among; 0 for all.
    pub(crate) top_k: usize,
    /// The same seed gives the same choices.
    pub(crate) seed: u64,
}

impl Sampler {
    /// A sampler at its first token.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "single precision is what scores have"
    )]
    pub(crate) fn new(choice: Choice) -> Self {
        Self {
            temperature: choice.temperature as f32,
            top_p: choice.top_p as f32,
            top_k: choice.top_k,
            random: StdRng::seed_from_u64(choice.seed),
            candidates: Vec::new(),
        }
    }

    /// The next token; `None` when the scores are no numbers.
    pub(crate) fn choose(&mut self, scores: &[f32]) -> Option<u32> {
        let (best, score) = best(scores)?;
        if self.temperature < 1e-6 || self.top_k == 1 {
            return Some(best);
        }
        self.collect(scores, score);
        let total = self.cut();
        let mut rest = self.random.random::<f32>() * total;
        for candidate in &self.candidates {
            rest -= candidate.weight;
            if rest < 0.0 {
                return Some(candidate.token);
            }
        }
        self.candidates.last().map(|candidate| candidate.token)
    }

    /// Collects what is likely enough, the best first, with weights relative to the best.
    fn collect(&mut self, scores: &[f32], best: f32) {
        let least = best - NEGLIGIBLE * self.temperature;
        let likely = (0..).zip(scores).filter(|(_, score)| **score >= least);
        self.candidates.clear();
        self.candidates.extend(likely.map(|(token, score)| Candidate {
            token,
            weight: *score,
        }));
        if self.top_k > 0 && self.top_k < self.candidates.len() {
            self.candidates
                .select_nth_unstable_by(self.top_k, |one, two| better(*one, *two));
            self.candidates.truncate(self.top_k);
        }
        self.candidates.sort_unstable_by(|one, two| better(*one, *two));
        for candidate in &mut self.candidates {
            candidate.weight = ((candidate.weight - best) / self.temperature).exp();
        }
    }

    /// Cuts the tail beyond `top_p` off and returns the weight of what is left.
    fn cut(&mut self) -> f32 {
        let total: f32 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let enough = total * self.top_p;
        let mut sum = 0.0;
        let mut count = 0;
        for candidate in &self.candidates {
            sum += candidate.weight;
            count += 1;
            if sum >= enough {
                break;
            }
        }
        self.candidates.truncate(count);
        sum
    }
}

/// A seed for those who gave none.
pub(crate) fn any_seed() -> u64 {
    rand::rng().next_u64()
}

/// Better scores first; of equal ones the lower token, so that choices repeat.
fn better(one: Candidate, two: Candidate) -> Ordering {
    two.weight
        .total_cmp(&one.weight)
        .then_with(|| one.token.cmp(&two.token))
}

/// The first of the tokens with the best score.
fn best(scores: &[f32]) -> Option<(u32, f32)> {
    let (chunks, rest) = scores.as_chunks::<64>();
    let largest = |scores: &[f32]| {
        scores
            .iter()
            .fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
    };
    let score = chunks
        .iter()
        .map(|chunk| largest(chunk))
        .fold(largest(rest), f32::max);
    let finite = score.is_finite().then_some(score)?;
    let index = scores
        .iter()
        .position(|score| score.total_cmp(&finite) == Ordering::Equal)?;
    Some((u32::try_from(index).ok()?, finite))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -50.0];

    fn choices(choice: Choice) -> Vec<u32> {
        let mut sampler = Sampler::new(choice);
        let mut seen: Vec<u32> = (0..500).filter_map(|_| sampler.choose(&SCORES)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn each_option_narrows_the_choice() {
        let all = Choice {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            seed: 7,
        };
        let cases = [
            (all, vec![0, 1, 2, 3]),
            (
                Choice {
                    temperature: 0.0,
                    ..all
                },
                vec![1],
            ),
            (Choice { top_k: 1, ..all }, vec![1]),
            (Choice { top_k: 2, ..all }, vec![1, 3]),
            (Choice { top_k: 3, ..all }, vec![1, 2, 3]),
            (Choice { top_p: 0.5, ..all }, vec![1, 3]),
            (Choice { top_p: 0.0, ..all }, vec![1]),
            (
                Choice {
                    temperature: 0.05,
                    ..all
                },
                vec![1, 3],
            ),
            (
                Choice {
                    temperature: 100.0,
                    ..all
                },
                vec![0, 1, 2, 3, 4],
            ),
        ];
        for (choice, expected) in cases {
            assert_eq!(choices(choice), expected, "{choice:?}");
        }
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let run = |seed| {
            let mut sampler = Sampler::new(Choice {
                temperature: 1.0,
                top_p: 1.0,
                top_k: 0,
                seed,
            });
            (0..64)
                .filter_map(|_| sampler.choose(&SCORES))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn likelier_tokens_are_chosen_as_often_as_they_should() {
        let mut sampler = Sampler::new(Choice {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            seed: 3,
        });
        let scores = [3.0_f32.ln(), 0.0];
        let first = (0..10_000)
            .filter_map(|_| sampler.choose(&scores))
            .filter(|token| *token == 0)
            .count();
        assert!((7_300..7_700).contains(&first), "{first}");
    }

    #[test]
    fn scores_that_are_no_numbers_choose_nothing() {
        let mut sampler = Sampler::new(Choice {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            seed: 3,
        });
        assert_eq!(sampler.choose(&[f32::NAN; 3]), None);
        assert_eq!(sampler.choose(&[f32::INFINITY, 1.0]), None);
        assert_eq!(sampler.choose(&[]), None);
    }
}
