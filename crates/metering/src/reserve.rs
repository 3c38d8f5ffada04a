//! Reserving over several limits at once, and settling.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::limit::{Bound, Limit, Share, State, Used};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It needs more than is left.
    Exceeded {
        /// How much it needs.
        need: u64,
        /// How much is left.
        left: u64,
    },
    /// It needs more than the limit ever gives.
    NeverFits {
        /// How much it needs.
        need: u64,
        /// How much the limit gives.
        ceiling: u64,
    },
    /// Nobody knows how much it needs.
    Unbounded,
    /// It is not known yet what was used before this process counted.
    Unseeded,
    /// It needs more than was lent to this process.
    Short {
        /// How much more.
        need: u64,
    },
    /// What was lent to this process is no longer its own.
    Expired,
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The limit that refuses.
    pub limit: Arc<Limit>,
    /// Why.
    pub why: Why,
    /// When its window is over, from now.
    pub resets_in: Option<Duration>,
}

/// What a request reserved. Dropped unsettled, it counts as used up.
#[derive(Debug, Default)]
pub struct Reservation {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    limit: Arc<Limit>,
    /// Where the window begins.
    start: i64,
    amount: u64,
    /// Whether it went beyond a limit that is not hard.
    beyond: bool,
}

/// Reserves a request's bound over all limits, or over none. A request belongs to the windows in which it `began`.
///
/// # Errors
/// The first limit, in the order of ranks, that it does not fit into at this instant.
pub fn reserve(
    limits: &mut [Arc<Limit>],
    bound: &Bound,
    began: Timestamp,
    now: Timestamp,
) -> Result<Reservation, Refusal> {
    limits.sort_unstable_by_key(|limit| limit.rank());
    let mut request = Request {
        bound,
        began: began.min(now),
        now,
        entries: Vec::with_capacity(limits.len()),
    };
    request.take(limits)?;
    Ok(Reservation {
        entries: request.entries,
    })
}

struct Request<'a> {
    bound: &'a Bound,
    began: Timestamp,
    now: Timestamp,
    entries: Vec<Entry>,
}

impl Request<'_> {
    /// Takes the locks of all limits before it changes one, so that each refusal was true at one instant.
    fn take(&mut self, limits: &[Arc<Limit>]) -> Result<(), Refusal> {
        let Some((limit, rest)) = limits.split_first() else {
            return Ok(());
        };
        if rest.first().is_some_and(|next| Arc::ptr_eq(next, limit)) {
            return self.take(rest);
        }
        let mut state = limit.state(Some(self.now));
        let checked = self.check(limit, &mut state).map_err(|why| Refusal {
            limit: Arc::clone(limit),
            why,
            resets_in: self.resets_in(&state),
        })?;
        self.take(rest)?;
        if let Some((amount, beyond)) = checked {
            let count = state.count(self.began.as_second());
            count.reserved = count.reserved.saturating_add(amount);
            let entry = Entry {
                limit: Arc::clone(limit),
                start: count.span.start,
                amount,
                beyond,
            };
            self.entries.push(entry);
        }
        Ok(())
    }

    /// How much to reserve and whether that goes beyond a limit that is not hard; `None` where nothing is counted.
    fn check(&self, limit: &Limit, state: &mut State) -> Result<Option<(u64, bool)>, Why> {
        if !state.seeded {
            // What a soft limit misses meanwhile is in what it is seeded with.
            return if state.hard { Err(Why::Unseeded) } else { Ok(None) };
        }
        let count = *state.count(self.began.as_second());
        let left = state.headroom(&count);
        let Some(need) = limit.measure().bound(self.bound) else {
            let open = !state.hard || state.share == Share::Open;
            return if open {
                Ok(Some((0, left == 0)))
            } else {
                Err(Why::Unbounded)
            };
        };
        if !state.hard || state.share == Share::Open {
            return Ok(Some((need, need > left)));
        }
        if need > state.ceiling {
            let ceiling = state.ceiling;
            return Err(Why::NeverFits { need, ceiling });
        }
        match state.share {
            Share::Slice(until) if until <= self.now => Err(Why::Expired),
            Share::Slice(_) if need > left => Err(Why::Short { need: need - left }),
            _ if need > left => Err(Why::Exceeded { need, left }),
            _ => Ok(Some((need, false))),
        }
    }

    fn resets_in(&self, state: &State) -> Option<Duration> {
        let end = state.current.span.ends()?;
        Duration::try_from(end.duration_since(self.now)).ok()
    }
}

impl Reservation {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The limits that it counts against.
    pub fn limits(&self) -> impl Iterator<Item = &Arc<Limit>> {
        self.entries.iter().map(|entry| &entry.limit)
    }

    /// The limits that are not hard and that it went beyond.
    pub fn beyond(&self) -> impl Iterator<Item = &Arc<Limit>> {
        let beyond = self.entries.iter().filter(|entry| entry.beyond);
        beyond.map(|entry| &entry.limit)
    }

    /// Puts what was really used in the place of what was reserved.
    pub fn settle(mut self, used: &Used) {
        for entry in std::mem::take(&mut self.entries) {
            let amount = entry.limit.measure().used(used);
            entry.settle(amount);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for entry in std::mem::take(&mut self.entries) {
            let kept = entry.limit.window().map_or(0, |_| entry.amount);
            entry.settle(kept);
        }
    }
}

impl Entry {
    fn settle(&self, used: u64) {
        let mut state = self.limit.state(None);
        // A window that is no longer counted needs no settlement.
        if let Some(count) = state.starting(self.start) {
            count.reserved = count.reserved.saturating_sub(self.amount);
            count.used = count.used.saturating_add(used);
        }
    }
}
