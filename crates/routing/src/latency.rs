//! How long a target takes: a moving average that forgets, and a histogram for quantiles.
//!
//! Both are updated without a lock; when two requests end at the same moment, one of them may be forgotten, which is
//! no loss to an average.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// The time constant of the average: samples older than this count for less than 37 percent.
const MEMORY: Duration = Duration::from_secs(10);
/// The least that a new sample counts for, however fast they come.
const LEAST: f64 = 0.05;
/// While nothing is heard of a target, what is known of it halves in this time, so that it is tried again.
const FORGET: Duration = Duration::from_mins(1);

/// An exponentially weighted moving average of durations.
#[derive(Debug, Default)]
pub struct Average {
    /// Seconds, as the bits of an `f64`; meaningless while `at` is 0.
    value: AtomicU64,
    /// When the last sample came, in nanoseconds; 0 before the first.
    at: AtomicU64,
}

impl Average {
    /// Takes a sample in; `now` is in nanoseconds on a clock of the caller's that began before, over 0.
    pub fn record(&self, sample: Duration, now: u64) {
        let sample = sample.as_secs_f64();
        let last = self.at.swap(now.max(1), Ordering::Relaxed);
        if last == 0 {
            self.value.store(sample.to_bits(), Ordering::Relaxed);
            return;
        }
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        let gone = Duration::from_nanos(now.saturating_sub(last)).as_secs_f64();
        let share = (1.0 - (-gone / MEMORY.as_secs_f64()).exp()).max(LEAST);
        let next = value + (sample - value) * share;
        self.value.store(next.to_bits(), Ordering::Relaxed);
    }

    /// The average as it was after the last sample; `None` before the first.
    pub fn value(&self) -> Option<Duration> {
        if self.at.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        Duration::try_from_secs_f64(value).ok()
    }

    /// The average less what was forgotten since the last sample: a target that was slow once comes back.
    pub fn faded(&self, now: u64) -> Option<Duration> {
        let value = self.value()?;
        let silent = Duration::from_nanos(now.saturating_sub(self.at.load(Ordering::Relaxed)));
        let halvings = silent.as_secs_f64() / FORGET.as_secs_f64();
        Some(value.mul_f64((-halvings).exp2()))
    }
}

/// Buckets of a histogram: four to an octave, from a millisecond to over a minute.
const BUCKETS: usize = 64;
/// Buckets to an octave.
const STEPS: f64 = 4.0;
/// At this many samples every count is halved, so that old ones fade.
const FULL: u32 = 2_048;

/// How often which durations occurred, to a fifth of their size.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
        }
    }
}

impl Histogram {
    /// Takes a sample in.
    pub fn record(&self, sample: Duration) {
        if let Some(count) = self.counts.get(bucket(sample)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Exactly one of those who add sees this number.
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 == FULL {
            self.fade();
        }
    }

    fn fade(&self) {
        let mut kept = 0;
        for count in &self.counts {
            let before = count.load(Ordering::Relaxed);
            count.fetch_sub(before.div_ceil(2), Ordering::Relaxed);
            kept += before / 2;
        }
        self.total.store(kept, Ordering::Relaxed);
    }

    /// How many samples it holds.
    pub fn count(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    /// The duration that this part of the samples did not exceed, rounded up to the bucket's end; `None` when empty.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let counts: [u32; BUCKETS] = std::array::from_fn(|place| {
            self.counts
                .get(place)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        });
        let total: u32 = counts.iter().sum();
        let wanted = (f64::from(total) * part.clamp(0.0, 1.0)).max(1.0);
        let mut seen = 0;
        for (place, count) in counts.into_iter().enumerate() {
            seen += count;
            if seen > 0 && f64::from(seen) >= wanted {
                return Some(end(place));
            }
        }
        None
    }
}

/// The bucket of a duration.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number lies between 0 and the count of buckets"
)]
fn bucket(sample: Duration) -> usize {
    let millis = sample.as_secs_f64() * 1_000.0;
    let steps = millis.max(1.0).log2() * STEPS;
    (steps.floor().min(f64::from(u32::MAX)) as usize).min(BUCKETS - 1)
}

/// Where a bucket ends.
fn end(bucket: usize) -> Duration {
    let place = u32::try_from(bucket).unwrap_or(u32::MAX);
    let millis = (f64::from(place) + 1.0) / STEPS;
    Duration::from_secs_f64(millis.exp2() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_average_follows_and_what_is_old_fades() {
        let average = Average::default();
        assert_eq!((average.value(), average.faded(SECOND)), (None, None));
        average.record(Duration::from_secs(4), SECOND);
        assert_eq!(average.value(), Some(Duration::from_secs(4)));
        assert_eq!(average.faded(61 * SECOND), Some(Duration::from_secs(2)));
        assert_eq!(average.faded(121 * SECOND), Some(Duration::from_secs(1)));
        // After a long silence a new sample is nearly the whole truth.
        average.record(Duration::from_secs(1), 200 * SECOND);
        let value = average.value().unwrap();
        assert!(value < Duration::from_millis(1_001), "{value:?}");
        // A burst moves it by a twentieth each.
        for _ in 0..10 {
            average.record(Duration::from_secs(2), 200 * SECOND);
        }
        let value = average.value().unwrap().as_secs_f64();
        assert!((1.3..1.5).contains(&value), "{value}");
    }

    #[test]
    fn a_quantile_is_at_most_a_fifth_too_long() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=1_000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (part, exact) in [(0.0, 1.0), (0.5, 500.0), (0.95, 950.0), (1.0, 1_000.0)] {
            let found = histogram.quantile(part).unwrap().as_secs_f64() * 1_000.0;
            assert!(found >= exact && found <= exact * 1.2, "{part}: {found}");
        }
    }

    #[test]
    fn old_samples_give_way_to_new_ones() {
        let histogram = Histogram::default();
        for _ in 0..10_000 {
            histogram.record(Duration::from_secs(30));
        }
        assert!(histogram.count() < FULL);
        for _ in 0..10_000 {
            histogram.record(Duration::from_millis(10));
        }
        let found = histogram.quantile(0.9).unwrap();
        assert!(found < Duration::from_millis(13), "{found:?}");
    }

    proptest! {
        #[test]
        fn any_duration_has_a_bucket_that_holds_it(nanos in any::<u64>()) {
            let sample = Duration::from_nanos(nanos);
            let place = bucket(sample);
            prop_assert!(place < BUCKETS);
            prop_assert!(place == BUCKETS - 1 || end(place) >= sample);
        }
    }
}
