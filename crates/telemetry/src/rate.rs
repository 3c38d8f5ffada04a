//! How much each project may send: so many a second, and a stretch of seconds at once after a silence.
//!
//! *Invariant:* what one project sends takes nothing from another's share; without a limit nothing is counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use stead_kernel::{Clock, Error, Result};

/// So many seconds' worth may come at once.
const BURST: i64 = 10;
/// Projects that owe nothing are forgotten once there are so many.
const REMEMBERED: usize = 1_000;
const MILLION: i64 = 1_000_000;

/// What each project has sent, as the time up to which it has used its share.
pub(crate) struct Rates {
    clock: Arc<dyn Clock>,
    /// So many a second; 0 for no limit.
    limit: u32,
    /// In microseconds since 1970.
    used_until: Mutex<HashMap<String, i64>>,
}

impl Rates {
    pub(crate) fn new(clock: Arc<dyn Clock>, limit: u32) -> Self {
        Self {
            clock,
            limit,
            used_until: Mutex::default(),
        }
    }

    /// Counts what a project sends. A batch that is larger than what is left is let through once anything is left, so
    /// that none is too large for ever; the next one waits the longer.
    ///
    /// # Errors
    /// `Exhausted`, with the time after which something is left, when the project has used its share.
    pub(crate) fn take(&self, project: &str, count: usize) -> Result<()> {
        if self.limit == 0 || count == 0 {
            return Ok(());
        }
        let now = self.clock.now().as_microsecond();
        let mut all = self.used_until.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, until| *until > now - BURST * MILLION);
        }
        let until = all.entry(project.to_owned()).or_insert(i64::MIN);
        let (next, wait) = step(*until, now, count, self.limit);
        *until = next;
        match wait {
            None => Ok(()),
            Some(wait) => Err(Error::exhausted(format!(
                "the project {project} sends more than {} a second, which is what each project may send here",
                self.limit
            ))
            .hint("send it again later; the setting ingestRate says how much it may be")
            .retry_after(wait)),
        }
    }
}

/// Up to when the share is used after this, and how long to wait if it is not let through. Pure.
fn step(until: i64, now: i64, count: usize, limit: u32) -> (i64, Option<Duration>) {
    let until = until.max(now - BURST * MILLION);
    if until >= now {
        let wait = u64::try_from(until - now).unwrap_or(0).max(1);
        return (until, Some(Duration::from_micros(wait)));
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let cost = count.saturating_mul(MILLION) / i64::from(limit.max(1));
    (until.saturating_add(cost), None)
}

#[cfg(test)]
mod tests {
    use stead_kernel::{Reason, Timestamp};
    use stead_testkit::ManualClock;

    use super::*;

    #[test]
    fn a_share_is_used_and_comes_back_and_a_large_batch_is_let_through_once() {
        let second = |number: i64| number * MILLION;
        for (name, until, now, count, expected) in [
            ("the first ones", i64::MIN, second(100), 100, (second(91), None)),
            ("a second later", second(91), second(101), 100, (second(92), None)),
            (
                "more than a burst",
                second(91),
                second(101),
                2_000,
                (second(111), None),
            ),
            ("all used", second(103), second(101), 1, (second(103), Some(2))),
            (
                "used up to now",
                second(101),
                second(101),
                1,
                (second(101), Some(0)),
            ),
        ] {
            let (next, wait) = step(until, now, count, 100);
            assert_eq!((next, wait.map(|wait| wait.as_secs())), expected, "{name}");
        }
    }

    #[test]
    fn one_projects_excess_is_its_own_and_no_limit_is_none() {
        let clock = Arc::new(ManualClock::default());
        clock.set(Timestamp::from_second(1_000_000).unwrap());
        let rates = Rates::new(clock.clone(), 100);
        rates.take("noisy", 5_000).unwrap();
        let error = rates.take("noisy", 1).unwrap_err();
        assert_eq!(error.reason(), Reason::Exhausted);
        assert_eq!(error.get_retry_after(), Some(Duration::from_secs(40)));
        rates.take("quiet", 1_000).unwrap();
        clock.set(Timestamp::from_second(1_000_041).unwrap());
        rates.take("noisy", 1).unwrap();
        Rates::new(clock, 0).take("noisy", usize::MAX).unwrap();
    }
}
