//! How values are distributed, in little space. Pure.

use std::collections::BTreeMap;

/// How much larger the values of a bucket are than those of the one before, at most: a fiftieth, so that a quantile is
/// right to a hundredth.
const GROWTH: f64 = 1.02;

/// Times, distributed: how often those that are about as long occurred, and their sum, so that a bucket of equal times
/// tells each exactly. The same times give the same sketch in any order, and what was added can be taken out again
/// (after `DDSketch`, <https://arxiv.org/abs/1908.10693>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// How often, and the sum in microseconds.
    buckets: BTreeMap<i16, (i64, i64)>,
}

fn bucket(micros: i64) -> i16 {
    if micros <= 0 {
        return i16::MIN;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the largest time has a logarithm of 44, which is 2,205 buckets"
    )]
    let place = ((micros as f64).ln() / GROWTH.ln()).ceil() as i16;
    place
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for display, where a rounded time does"
)]
fn float(number: i64) -> f64 {
    number as f64
}

impl Sketch {
    /// From its buckets.
    pub fn from_buckets(buckets: impl IntoIterator<Item = (i16, i64, i64)>) -> Self {
        let buckets = buckets.into_iter();
        Self {
            buckets: buckets.map(|(place, times, sum)| (place, (times, sum))).collect(),
        }
    }

    /// Its buckets: which, how often, and the sum in microseconds.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (i16, i64, i64)> {
        self.buckets
            .iter()
            .map(|(place, (times, sum))| (*place, *times, *sum))
    }

    /// Adds a time of so many microseconds.
    pub fn add(&mut self, micros: i64) {
        self.put(bucket(micros), 1, micros);
    }

    /// Adds a time in milliseconds, to the microsecond.
    pub fn add_ms(&mut self, ms: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is longer is as long as can be said"
        )]
        self.add((ms * 1_000.0).round() as i64);
    }

    /// Adds all of another one's times, or takes them out where `sign` is -1.
    pub fn merge(&mut self, other: &Self, sign: i64) {
        for (place, (times, sum)) in &other.buckets {
            self.put(*place, times.saturating_mul(sign), sum.saturating_mul(sign));
        }
    }

    fn put(&mut self, place: i16, times: i64, sum: i64) {
        let own = self.buckets.entry(place).or_default();
        *own = (own.0.saturating_add(times), own.1.saturating_add(sum));
        if *own == (0, 0) {
            self.buckets.remove(&place);
        }
    }

    /// How many times there are.
    pub fn len(&self) -> u64 {
        let all = self.buckets.values().map(|(times, _)| *times).sum::<i64>();
        u64::try_from(all).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The sum in milliseconds.
    pub fn sum_ms(&self) -> f64 {
        self.buckets.values().map(|(_, sum)| float(*sum)).sum::<f64>() / 1_000.0
    }

    /// The mean in milliseconds; `None` without times.
    pub fn mean_ms(&self) -> Option<f64> {
        let times = i64::try_from(self.len()).ok().filter(|times| *times > 0)?;
        Some(self.sum_ms() / float(times))
    }

    /// The time, in milliseconds, that a fraction of all does not exceed, between neighbours; `None` without times.
    pub fn quantile_ms(&self, fraction: f64) -> Option<f64> {
        let last = i64::try_from(self.len())
            .ok()?
            .checked_sub(1)
            .filter(|last| *last >= 0)?;
        let place = float(last) * fraction.clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "a place among fewer than 2^53")]
        let below = place.floor() as i64;
        let low = self.at(below)?;
        let high = self.at((below + 1).min(last))?;
        Some(low + (high - low) * place.fract())
    }

    /// The time at a place in order, in milliseconds.
    fn at(&self, place: i64) -> Option<f64> {
        let mut before = 0_i64;
        for (times, sum) in self.buckets.values() {
            before = before.saturating_add(*times);
            if place < before {
                return Some(float(*sum) / float(*times) / 1_000.0);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_right_to_a_hundredth_and_what_is_taken_out_leaves_nothing(
            mut times in prop::collection::vec(1_i64..10_000_000_000, 1..200),
            percent in 0_u8..=100,
        ) {
            let (mut sketch, mut other) = (Sketch::default(), Sketch::default());
            for (number, time) in times.iter().enumerate() {
                if number % 2 == 0 { sketch.add(*time) } else { other.add(*time) }
            }
            let before = sketch.clone();
            sketch.merge(&other, 1);
            prop_assert_eq!(sketch.len(), times.len() as u64);
            times.sort_unstable();
            let sorted: Vec<f64> = times.iter().map(|time| float(*time) / 1_000.0).collect();
            let place = usize::from(percent) * (sorted.len() - 1);
            let at = |place: usize| sorted[place.min(sorted.len() - 1)];
            let beyond = f64::from(u8::try_from(place % 100).unwrap()) / 100.0;
            let exact = at(place / 100) + (at(place / 100 + 1) - at(place / 100)) * beyond;
            let found = sketch.quantile_ms(f64::from(percent) / 100.0).unwrap();
            prop_assert!((found - exact).abs() <= exact * 0.02 + 0.001, "{found} instead of {exact}");
            sketch.merge(&other, -1);
            prop_assert_eq!(sketch, before);
        }
    }

    #[test]
    fn few_times_are_told_exactly() {
        let mut sketch = Sketch::default();
        for ms in [0.0, 1_000.0, 2_000.0, 500.5] {
            sketch.add_ms(ms);
        }
        assert_eq!(sketch.quantile_ms(1.0), Some(2_000.0));
        assert_eq!(sketch.quantile_ms(0.0), Some(0.0));
        assert_eq!(sketch.quantile_ms(0.5), Some(750.25));
        assert_eq!(sketch.mean_ms(), Some(875.125));
        assert_eq!(Sketch::default().quantile_ms(0.5), None);
    }
}
