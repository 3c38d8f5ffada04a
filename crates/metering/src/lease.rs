//! Slices of a limit, lent by one process to others.
//!
//! A holder reports what it has, uses and needs, one report at a time; the lender answers with the slice that it may use
//! in this window, all that it used included. What a holder gives back it stops using before it says so; what it gets
//! the lender sets aside before it says so. So whatever message is lost, the slices never sum up to more than the limit.
//!
//! *Invariant:* a slice stays set aside until its holder gives it back or the window ends: nobody else knows how much of
//! it was used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limit::{Limit, Share};

/// Holders get no more than this share of what is left beyond what they need, together.
const SPARE_SHARE: u64 = 4;

/// What a holder says about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Where its window begins, in seconds since 1970.
    pub start: i64,
    /// The slice that it has; it uses no more until it is answered.
    pub have: u64,
    /// Of it, what was used.
    pub used: u64,
    /// Of it, what requests under way reserved.
    pub reserved: u64,
    /// How much more it needs, or nothing of it helps.
    pub need: u64,
    /// How much more beyond that it would like, so as not to ask for each request.
    pub like: u64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Where the window begins that it is about, in seconds since 1970.
    pub start: i64,
    /// The slice.
    pub slice: u64,
    /// Whether the need could not be met.
    pub short: bool,
    /// What is left for whoever asks next.
    pub left: u64,
}

/// What a holder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Holding {
    /// Where its window begins, in seconds since 1970.
    pub start: i64,
    /// The slice.
    pub slice: u64,
    /// Of it, what was used, as far as was said.
    pub used: u64,
    /// The number of the last report that was heard.
    pub sequence: u64,
    /// When it was heard, in seconds since 1970.
    pub heard: i64,
}

/// Who holds what of one limit.
#[derive(Debug, Default)]
pub struct Lender {
    holdings: BTreeMap<String, Holding>,
}

impl Lender {
    /// Takes up what an earlier process had lent.
    pub fn restore(&mut self, limit: &Limit, holder: &str, holding: Holding, now: Timestamp) {
        limit.lend(holding.start, 0, holding.slice, holding.slice, now);
        self.holdings.insert(holder.to_owned(), holding);
    }

    /// Who holds what.
    pub fn holdings(&self) -> impl Iterator<Item = (&str, &Holding)> {
        self.holdings
            .iter()
            .map(|(name, holding)| (name.as_str(), holding))
    }

    /// What others used in a window, as far as they said.
    pub fn used(&self, start: i64) -> u64 {
        let now = self.holdings.values().filter(|holding| holding.start == start);
        now.map(|holding| holding.used).sum()
    }

    /// Answers a report; `None` when a younger one was heard already. Reports of a holder are numbered from 1 on.
    pub fn answer(
        &mut self,
        limit: &Limit,
        holder: &str,
        sequence: u64,
        report: &Report,
        now: Timestamp,
    ) -> Option<Grant> {
        let start = limit.read(now).span.start;
        let holding = self.holdings.entry(holder.to_owned()).or_default();
        if sequence <= holding.sequence {
            return None;
        }
        holding.sequence = sequence;
        if holding.start != start {
            (holding.start, holding.slice, holding.used) = (start, 0, 0);
        }
        holding.heard = now.as_second();
        let report = report.about(start);
        holding.used = report.used;
        let floor = report.used.saturating_add(report.reserved);
        holding.slice = limit
            .lend(start, holding.slice, report.have.max(floor), floor, now)
            .0;
        self.grow(limit, holder, &report, now)
    }

    /// Tries again to meet a holder's need, when others gave something back since its report with this number.
    pub fn again(
        &mut self,
        limit: &Limit,
        holder: &str,
        sequence: u64,
        report: &Report,
        now: Timestamp,
    ) -> Option<Grant> {
        let start = limit.read(now).span.start;
        let holding = self.holdings.get(holder)?;
        if holding.sequence != sequence || holding.start != start {
            return None;
        }
        self.grow(limit, holder, &report.about(start), now)
    }

    /// Adds what a holder needs to what it has, and something that it would like.
    fn grow(&mut self, limit: &Limit, holder: &str, report: &Report, now: Timestamp) -> Option<Grant> {
        let others = u64::try_from(self.holdings.len().max(1)).unwrap_or(u64::MAX);
        let holding = self.holdings.get_mut(holder)?;
        let (start, kept) = (holding.start, holding.slice);
        let needed = kept.saturating_add(report.need);
        let (slice, left) = limit.lend(start, kept, needed, 0, now);
        let short = slice < needed;
        // Of what it needs, a part is of no use to it.
        let wanted = if short {
            kept
        } else {
            slice.saturating_add(report.like.min(left / SPARE_SHARE / others))
        };
        let (slice, left) = limit.lend(start, slice, wanted, 0, now);
        holding.slice = slice;
        Some(Grant {
            start,
            slice,
            short,
            left,
        })
    }

    /// Forgets who holds nothing of the window that counts; of a limit without windows, what those hold who were not
    /// heard for so many seconds: their requests are over by then.
    pub fn forget(&mut self, limit: &Limit, silent: i64, now: Timestamp) {
        let start = limit.read(now).span.start;
        let forever = limit.window().is_none();
        self.holdings.retain(|_, holding| {
            let gone = forever && holding.heard.saturating_add(silent) < now.as_second();
            if gone {
                limit.lend(start, holding.slice, 0, 0, now);
            }
            !gone && holding.start >= start
        });
    }
}

impl Report {
    /// What it says about a window: one on another window says only what is wanted.
    fn about(&self, start: i64) -> Self {
        if self.start == start {
            return *self;
        }
        Self {
            start,
            need: self.need,
            like: self.like,
            ..Self::default()
        }
    }
}

impl Limit {
    /// Changes what one holder may use from `old` to `new`, which grows only as far as there is headroom, but is never
    /// less than the `floor` that it took already; returns what it may use now, and what is left.
    fn lend(&self, start: i64, old: u64, new: u64, floor: u64, now: Timestamp) -> (u64, u64) {
        let mut state = self.state(Some(now));
        let Some(count) = state.starting(start) else {
            return (0, 0);
        };
        count.lent = count.lent.saturating_sub(old);
        let others = *count;
        let room = state.headroom(&others);
        // What it has already cannot be taken from it, even when the limit has become smaller.
        let granted = new.min(room.max(old)).max(floor);
        let Some(count) = state.starting(start) else {
            return (0, 0);
        };
        count.lent = count.lent.saturating_add(granted);
        (granted, room.saturating_sub(granted))
    }

    /// Makes this process a holder: it may use nothing of the limit until something is lent to it.
    pub fn borrow_only(&self) {
        self.state(None).share = Share::Slice(Timestamp::MIN);
    }

    /// Lets everything pass while nobody lends.
    pub fn open(&self) {
        self.state(None).share = Share::Open;
    }

    /// Gives back what it can and says where this holder stands: it keeps what is used and reserved and `keep` more.
    pub fn report(&self, keep: u64, now: Timestamp) -> Report {
        let mut state = self.state(Some(now));
        let count = &mut state.current;
        let taken = count.used.saturating_add(count.reserved);
        count.slice = count.slice.min(taken.saturating_add(keep));
        Report {
            start: count.span.start,
            have: count.slice,
            used: count.used,
            reserved: count.reserved,
            need: 0,
            like: 0,
        }
    }

    /// Takes a grant, which is this holder's until a moment.
    pub fn granted(&self, grant: &Grant, until: Timestamp, now: Timestamp) {
        let mut state = self.state(Some(now));
        state.share = Share::Slice(until);
        let others = state
            .ceiling
            .saturating_sub(grant.left)
            .saturating_sub(grant.slice);
        if state.current.span.start == grant.start {
            (state.current.slice, state.current.others) = (grant.slice, others);
        }
    }

    /// What is left of this holder's slice; nothing once it expired.
    pub fn borrowed(&self, now: Timestamp) -> u64 {
        let state = self.state(Some(now));
        match state.share {
            Share::Slice(until) if until > now => state.headroom(&state.current),
            Share::Slice(_) | Share::Whole | Share::Open => 0,
        }
    }
}
