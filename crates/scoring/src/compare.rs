//! Whether one run is better than another one: the same items, scored twice.

use crate::number::{mean, number, ratio};

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How the scores of two runs differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// How many items have a score in both.
    pub items: usize,
    /// The mean in the first.
    pub first: f64,
    /// The mean in the second.
    pub second: f64,
    /// The mean of the differences, second less first.
    pub difference: f64,
    /// Where the difference lies, by resampling.
    pub interval: Interval,
    /// Items whose score rose.
    pub higher: usize,
    /// Items whose score fell.
    pub lower: usize,
    /// The share of the resampled runs in which the second was above the first, ties as a half.
    pub probability_higher: f64,
}

/// Compares pairs of scores by a paired percentile bootstrap: B. Efron and R. Tibshirani, "An introduction to the
/// bootstrap" (1993), chapter 13, over differences of the same item as in P. Koehn, "Statistical significance tests for
/// machine translation evaluation" (EMNLP 2004). `confidence` is a share such as 0.95. The same seed gives the same
/// interval. `None` without any pair.
pub fn compare(pairs: &[(f64, f64)], resamples: usize, confidence: f64, seed: u64) -> Option<Comparison> {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let differences: Vec<f64> = pairs.iter().map(|(first, second)| second - first).collect();
    let difference = mean(&differences)?;
    let mut chance = Chance(seed);
    let mut means: Vec<f64> = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        let drawn = (0..differences.len()).filter_map(|_| differences.get(chance.below(differences.len())));
        means.push(drawn.sum::<f64>() / number(differences.len()));
    }
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    let above = means.iter().filter(|mean| **mean > 0.0).count();
    let level = means.iter().filter(|mean| **mean == 0.0).count();
    Some(Comparison {
        items: pairs.len(),
        first: mean(&first)?,
        second: mean(&second)?,
        difference,
        interval: Interval {
            low: quantile(&means, tail).unwrap_or(difference),
            high: quantile(&means, 1.0 - tail).unwrap_or(difference),
        },
        higher: differences.iter().filter(|difference| **difference > 0.0).count(),
        lower: differences.iter().filter(|difference| **difference < 0.0).count(),
        probability_higher: ratio(2 * above + level, 2 * means.len()),
    })
}

/// The value below which a share lies, between neighbours.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = number(sorted.len().checked_sub(1)?) * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    let below = place.floor() as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * place.fract())
}

/// `SplitMix64`: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0; as likely as any other to less than one part in 2^32.
    fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.next()) * end as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_paper() {
        let mut chance = Chance(1_234_567);
        assert_eq!(
            [chance.next(), chance.next(), chance.next()],
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_seed_decides_the_interval_and_it_holds_the_difference() {
        let pairs: Vec<(f64, f64)> = (0..200)
            .map(|item| (f64::from(item % 7) / 7.0, f64::from((item * 3) % 7) / 7.0 + 0.1))
            .collect();
        let one = compare(&pairs, 2_000, 0.95, 7).unwrap();
        assert_eq!(compare(&pairs, 2_000, 0.95, 7).unwrap(), one);
        assert_ne!(compare(&pairs, 2_000, 0.95, 8).unwrap().interval, one.interval);
        assert!(one.interval.low < one.difference && one.difference < one.interval.high);
        // For so many items the interval is near that of the normal distribution.
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
        let square = |value: &f64| (value - one.difference).powi(2);
        let error = (differences.iter().map(square).sum::<f64>() / 200.0 / 200.0).sqrt();
        assert!((one.interval.high - one.difference - 1.96 * error).abs() < 0.15 * error);
        assert_eq!(one.items, 200);
    }

    #[test]
    fn equal_runs_differ_in_nothing_and_no_pairs_are_no_comparison() {
        let same = compare(&[(0.5, 0.5), (1.0, 1.0)], 100, 0.95, 1).unwrap();
        assert_eq!(
            (same.difference, same.interval.low, same.interval.high),
            (0.0, 0.0, 0.0)
        );
        assert_eq!((same.higher, same.lower, same.probability_higher), (0, 0, 0.5));
        assert_eq!(compare(&[], 100, 0.95, 1), None);
    }
}
