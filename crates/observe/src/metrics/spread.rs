//! Distributions: what came between two points, several put together, and quantiles of them. Pure.
//!
//! The bucket at `i` of an exponential histogram of scale `s` holds values above `b^i` up to `b^(i+1)` with
//! `b = 2^(2^-s)` (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>); halving the scale
//! joins neighbours, so that two of different scales become alike.
//!
//! *Invariant:* counts are never made up: what is put together has as many values as its parts.

use stead_kernel::ports::signals::{Buckets, Distribution};

/// The least scale that is joined down to; all doubles fit into very few buckets by then.
const LEAST: i32 = -11;

/// What came between two cumulative points of a series; nothing where the later one does not go on from the earlier
/// one.
pub(super) fn between(earlier: &Distribution, later: &Distribution) -> Option<Distribution> {
    if earlier.start != later.start || later.count < earlier.count {
        return None;
    }
    let buckets = minus(&later.buckets, &earlier.buckets)?;
    Some(Distribution {
        start: later.start,
        count: later.count - earlier.count,
        sum: later.sum.zip(earlier.sum).map(|(later, earlier)| later - earlier),
        // The extremes are since the start: they bound what came since, no more.
        min: later.min,
        max: later.max,
        buckets,
    })
}

fn minus(later: &Buckets, earlier: &Buckets) -> Option<Buckets> {
    match (later, earlier) {
        (
            Buckets::Explicit { bounds, counts },
            Buckets::Explicit {
                bounds: before,
                counts: less,
            },
        ) if bounds == before && counts.len() == less.len() => {
            let counts = counts.iter().zip(less).map(|(own, less)| own.checked_sub(*less));
            Some(Buckets::Explicit {
                bounds: bounds.clone(),
                counts: counts.collect::<Option<_>>()?,
            })
        }
        (
            Buckets::Exponential {
                scale,
                zero,
                zero_threshold,
                positive,
                negative,
            },
            Buckets::Exponential {
                scale: scale_before,
                zero: zero_before,
                positive: positive_before,
                negative: negative_before,
                ..
            },
        ) => {
            let common = (*scale).min(*scale_before);
            let side = |own: &(i32, Vec<u64>), less: &(i32, Vec<u64>)| {
                subtract(
                    joined(own, scale.saturating_sub(common)),
                    &joined(less, scale_before.saturating_sub(common)),
                )
            };
            Some(Buckets::Exponential {
                scale: common,
                zero: zero.checked_sub(*zero_before)?,
                zero_threshold: *zero_threshold,
                positive: side(positive, positive_before)?,
                negative: side(negative, negative_before)?,
            })
        }
        (Buckets::Explicit { .. } | Buckets::Exponential { .. }, _) => None,
    }
}

/// Counts at a scale that is so much smaller: each step joins two neighbours.
fn joined((offset, counts): &(i32, Vec<u64>), steps: i32) -> (i32, Vec<u64>) {
    if steps <= 0 || counts.is_empty() {
        return (*offset, counts.clone());
    }
    let shift = u32::try_from(steps).unwrap_or(31).min(31);
    let first = offset >> shift;
    let mut all: Vec<u64> = Vec::new();
    for (index, count) in counts.iter().enumerate() {
        let own = offset.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)) >> shift;
        let place = usize::try_from(own.saturating_sub(first)).unwrap_or(0);
        if all.len() <= place {
            all.resize(place + 1, 0);
        }
        if let Some(sum) = all.get_mut(place) {
            *sum = sum.saturating_add(*count);
        }
    }
    (first, all)
}

fn subtract((offset, mut counts): (i32, Vec<u64>), less: &(i32, Vec<u64>)) -> Option<(i32, Vec<u64>)> {
    for (index, count) in less.1.iter().enumerate().filter(|(_, count)| **count > 0) {
        let at = less.0.checked_add(i32::try_from(index).ok()?)?;
        let place = usize::try_from(at.checked_sub(offset)?).ok()?;
        let own = counts.get_mut(place)?;
        *own = own.checked_sub(*count)?;
    }
    Some((offset, counts))
}

/// A stretch of values with how many fell into it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    low: f64,
    high: f64,
    count: f64,
    /// Whether values are taken to be spread evenly over the logarithm.
    is_geometric: bool,
}

impl Stretch {
    /// How many of its values are at most `value`.
    fn below(&self, value: f64) -> f64 {
        if value >= self.high {
            return self.count;
        }
        if value <= self.low {
            return 0.0;
        }
        let part = if self.is_geometric {
            (value.abs().ln() - self.low.abs().ln()) / (self.high.abs().ln() - self.low.abs().ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.count * part
    }
}

/// Several distributions put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    stretches: Vec<Stretch>,
    /// How many values.
    pub(super) count: u64,
    /// Their sum, as far as it is told.
    pub(super) sum: f64,
    /// The smallest, as far as it is told.
    pub(super) min: Option<f64>,
    /// The largest.
    pub(super) max: Option<f64>,
}

impl Spread {
    /// Adds a distribution.
    pub(super) fn add(&mut self, more: &Distribution) {
        self.count = self.count.saturating_add(more.count);
        self.sum += more.sum.unwrap_or(0.0);
        let pick = |own: Option<f64>, other: Option<f64>, pick: fn(f64, f64) -> f64| match (own, other) {
            (Some(own), Some(other)) => Some(pick(own, other)),
            (own, other) => own.or(other),
        };
        self.min = pick(self.min, more.min, f64::min);
        self.max = pick(self.max, more.max, f64::max);
        match &more.buckets {
            Buckets::Explicit { bounds, counts } => self.add_explicit(bounds, counts, (more.min, more.max)),
            Buckets::Exponential {
                scale,
                zero,
                zero_threshold,
                positive,
                negative,
            } => {
                self.push(-zero_threshold, *zero_threshold, *zero, false);
                self.add_powers(*scale, positive, 1.0);
                self.add_powers(*scale, negative, -1.0);
            }
        }
    }

    fn push(&mut self, low: f64, high: f64, count: u64, is_geometric: bool) {
        if count == 0 {
            return;
        }
        let same = self
            .stretches
            .iter_mut()
            .find(|own| own.low.to_bits() == low.to_bits() && own.high.to_bits() == high.to_bits());
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let count = count as f64;
        match same {
            Some(own) => own.count += count,
            None => self.stretches.push(Stretch {
                low,
                high,
                count,
                is_geometric,
            }),
        }
    }

    fn add_explicit(&mut self, bounds: &[f64], counts: &[u64], (min, max): (Option<f64>, Option<f64>)) {
        for (index, count) in counts.iter().enumerate() {
            let below = index.checked_sub(1).and_then(|index| bounds.get(index)).copied();
            let above = bounds.get(index).copied();
            let low = below.unwrap_or_else(|| {
                let least = above.map_or(0.0, |above| above.min(0.0));
                min.unwrap_or(least).min(above.unwrap_or(f64::MAX))
            });
            // What lies above the last bound lies at it, when nobody says how far it goes.
            let high = above.unwrap_or_else(|| max.unwrap_or(low).max(low));
            self.push(low, high, *count, false);
        }
    }

    fn add_powers(&mut self, scale: i32, (offset, counts): &(i32, Vec<u64>), sign: f64) {
        let factor = f64::from(scale.max(LEAST)).exp2().recip();
        for (index, count) in counts.iter().enumerate() {
            let at = f64::from(*offset) + f64::from(u32::try_from(index).unwrap_or(u32::MAX));
            let bound = |at: f64| (at * factor).exp2().clamp(f64::MIN_POSITIVE, f64::MAX);
            let (near, far) = (bound(at), bound(at + 1.0));
            if sign > 0.0 {
                self.push(near, far, *count, true);
            } else {
                self.push(-far, -near, *count, true);
            }
        }
    }

    /// The value that a fraction of all does not exceed, as far as buckets tell; nothing of nothing.
    pub(super) fn quantile(&self, fraction: f64) -> Option<f64> {
        let low = self.stretches.iter().map(|own| own.low).reduce(f64::min)?;
        let high = self.stretches.iter().map(|own| own.high).reduce(f64::max)?;
        let all: f64 = self.stretches.iter().map(|own| own.count).sum();
        let wanted = all * fraction.clamp(0.0, 1.0);
        let below = |value: f64| self.stretches.iter().map(|own| own.below(value)).sum::<f64>();
        let (mut low, mut high) = (low, high);
        if below(low) >= wanted {
            return Some(low);
        }
        // Each step halves what is left; doubles have no more than this.
        for _ in 0..1_100 {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                break;
            }
            if below(middle) < wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit(bounds: &[f64], counts: &[u64]) -> Distribution {
        Distribution {
            start: Some(stead_kernel::Timestamp::UNIX_EPOCH),
            count: counts.iter().sum(),
            sum: Some(0.0),
            buckets: Buckets::Explicit {
                bounds: bounds.to_vec(),
                counts: counts.to_vec(),
            },
            ..Distribution::default()
        }
    }

    fn powers(scale: i32, offset: i32, counts: &[u64]) -> Distribution {
        Distribution {
            start: Some(stead_kernel::Timestamp::UNIX_EPOCH),
            count: counts.iter().sum(),
            sum: Some(0.0),
            buckets: Buckets::Exponential {
                scale,
                zero: 0,
                zero_threshold: 0.0,
                positive: (offset, counts.to_vec()),
                negative: (0, Vec::new()),
            },
            ..Distribution::default()
        }
    }

    fn quantile(all: &[Distribution], fraction: f64) -> f64 {
        let mut spread = Spread::default();
        for one in all {
            spread.add(one);
        }
        spread.quantile(fraction).unwrap()
    }

    #[test]
    fn quantiles_lie_where_prometheus_puts_them() {
        // histogram_quantile() of buckets le=1: 2, le=2: 6, le=4: 10, +Inf: 10.
        let told = explicit(&[1.0, 2.0, 4.0], &[2, 4, 4, 0]);
        for (fraction, expected) in [(0.1, 0.5), (0.5, 1.75), (0.6, 2.0), (0.9, 3.5), (1.0, 4.0)] {
            let found = quantile(std::slice::from_ref(&told), fraction);
            assert!((found - expected).abs() < 1e-9, "{fraction}: {found}");
        }
        // What is above the last bound lies at it, or reaches to the largest value.
        let mut above = explicit(&[1.0], &[0, 10]);
        assert!((quantile(std::slice::from_ref(&above), 0.5) - 1.0).abs() < 1e-9);
        above.max = Some(3.0);
        assert!((quantile(&[above], 0.5) - 2.0).abs() < 1e-9);
        assert_eq!(Spread::default().quantile(0.5), None);
    }

    #[test]
    fn powers_are_spread_over_the_logarithm_and_below_zero_too() {
        // Scale 0: (1, 2], (2, 4], (4, 8].
        let told = powers(0, 0, &[1, 1, 2]);
        for (fraction, expected) in [(0.25, 2.0), (0.5, 4.0), (0.75, 32.0_f64.sqrt()), (1.0, 8.0)] {
            let found = quantile(std::slice::from_ref(&told), fraction);
            assert!((found / expected - 1.0).abs() < 1e-9, "{fraction}: {found}");
        }
        let mut both = told;
        if let Buckets::Exponential { zero, negative, .. } = &mut both.buckets {
            (*zero, *negative) = (2, (0, vec![2]));
        }
        assert!((quantile(std::slice::from_ref(&both), 0.25) - -1.0).abs() < 1e-9);
        assert!(quantile(&[both], 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_came_between_two_points_is_their_difference_at_any_scale() {
        let between_counts = |earlier: &Distribution, later: &Distribution| {
            between(earlier, later).map(|found| (found.count, found.buckets))
        };
        let (first, second) = (explicit(&[1.0], &[1, 2]), explicit(&[1.0], &[4, 2]));
        assert_eq!(
            between_counts(&first, &second),
            Some((3, explicit(&[1.0], &[3, 0]).buckets))
        );
        assert_eq!(between_counts(&second, &first), None);
        assert_eq!(between_counts(&explicit(&[2.0], &[1, 2]), &second), None);
        // Scale 1 has buckets half as wide: 4 of them are 2 of scale 0.
        let (fine, coarse) = (powers(1, -1, &[1, 1, 1]), powers(0, -1, &[2, 4, 1]));
        assert_eq!(
            between_counts(&fine, &coarse),
            Some((4, powers(0, -1, &[1, 2, 1]).buckets))
        );
        assert_eq!(joined(&(-3, vec![1, 2, 3, 4]), 1), (-2, vec![1, 5, 4]));
        assert_eq!(joined(&(5, vec![1, 2]), 9), (0, vec![3]));
    }

    #[test]
    fn distributions_with_different_bounds_are_put_together_without_losing_a_value() {
        let all = [
            explicit(&[1.0, 2.0], &[0, 10, 0]),
            explicit(&[1.5, 3.0], &[0, 10, 0]),
        ];
        let mut spread = Spread::default();
        for one in &all {
            spread.add(one);
        }
        assert_eq!(spread.count, 20);
        let found = spread.quantile(0.5).unwrap();
        // 10 (x - 1) + 10 (x - 1.5) / 1.5 = 10
        assert!((found - 1.8).abs() < 1e-9, "{found}");
    }
}
