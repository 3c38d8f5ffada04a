//! When a second target is asked while the first one is still thinking, and how often that may happen.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::Histogram;

/// What one hedge costs; a request earns its percentage.
const COST: u32 = 100;
/// How many hedges can be saved up.
const SAVED: u32 = 10;
/// How many answers must have been seen before their quantiles mean something.
const ENOUGH: u32 = 20;

/// How a route hedges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// After this percentile of a target's time to first token another one is asked; 1 to 99.
    pub percentile: u32,
    /// At most this percent of requests are hedged; 1 to 100.
    pub percent: u32,
    /// Never earlier than this.
    pub earliest: Duration,
}

impl Hedge {
    /// How long the target may think before another is asked; `None` while too little is known of it.
    pub fn delay(&self, seen: &Histogram) -> Option<Duration> {
        if seen.count() < ENOUGH {
            return None;
        }
        let quantile = seen.quantile(f64::from(self.percentile.min(100)) / 100.0)?;
        Some(quantile.max(self.earliest))
    }
}

/// How many hedges are left: each request earns a part of one, a few can be saved up.
///
/// *Invariant:* of any number of requests since the start, at most the given percent were hedged.
#[derive(Debug, Default)]
pub struct Budget(AtomicU32);

impl Budget {
    /// A request came.
    pub fn earn(&self, percent: u32) {
        let saved = |balance: u32| Some(balance.saturating_add(percent.min(COST)).min(COST * SAVED));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, saved);
    }

    /// Takes a hedge, if there is one.
    pub fn take(&self) -> bool {
        let spent = |balance: u32| balance.checked_sub(COST);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
        taken.is_ok()
    }

    /// Gives a hedge back that was taken and not used.
    pub fn give_back(&self) {
        let saved = |balance: u32| Some(balance.saturating_add(COST).min(COST * SAVED));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, saved);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_is_asked_after_the_quantile_once_enough_is_known() {
        let hedge = Hedge {
            percentile: 95,
            percent: 5,
            earliest: Duration::from_millis(50),
        };
        let seen = Histogram::default();
        for _ in 0..19 {
            seen.record(Duration::from_millis(200));
        }
        assert_eq!(hedge.delay(&seen), None);
        seen.record(Duration::from_millis(200));
        let delay = hedge.delay(&seen).unwrap();
        assert!(
            (Duration::from_millis(200)..Duration::from_millis(240)).contains(&delay),
            "{delay:?}"
        );
        let fast = Histogram::default();
        for _ in 0..100 {
            fast.record(Duration::from_millis(2));
        }
        assert_eq!(hedge.delay(&fast), Some(Duration::from_millis(50)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_given_percent_are_hedged(
            percent in 1_u32..=100, tries in proptest::collection::vec(any::<bool>(), 1..2_000),
        ) {
            let budget = Budget::default();
            let mut hedged = 0;
            for (number, wants) in tries.into_iter().enumerate() {
                budget.earn(percent);
                hedged += usize::from(wants && budget.take());
                prop_assert!(hedged * 100 <= (number + 1) * usize::try_from(percent).unwrap());
            }
        }
    }
}
