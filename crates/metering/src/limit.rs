//! A limit and what is counted against it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::window::{Span, Window};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Requests that were sent on.
    Requests,
    /// Tokens of inputs.
    InputTokens,
    /// Tokens of outputs.
    OutputTokens,
    /// Tokens of both.
    Tokens,
    /// Requests under way.
    Concurrency,
    /// Money, in billionths of a US dollar.
    Spend,
}

/// What a request can use at most; `None` where nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bound {
    /// Tokens of the input.
    pub input: Option<u64>,
    /// Tokens of the output.
    pub output: Option<u64>,
    /// Billionths of a US dollar.
    pub spend: Option<u64>,
}

/// What a request really used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// 1 when it was sent on, 0 when it never left.
    pub requests: u64,
    /// Tokens of the input.
    pub input: u64,
    /// Tokens of the output.
    pub output: u64,
    /// Billionths of a US dollar.
    pub spend: u64,
}

impl Measure {
    /// Every measure, for tables and tests.
    pub const ALL: [Self; 6] = [
        Self::Requests,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Tokens,
        Self::Concurrency,
        Self::Spend,
    ];

    /// How much of this a request can use at most.
    pub fn bound(self, bound: &Bound) -> Option<u64> {
        match self {
            Self::Requests | Self::Concurrency => Some(1),
            Self::InputTokens => bound.input,
            Self::OutputTokens => bound.output,
            Self::Tokens => Some(bound.input?.saturating_add(bound.output?)),
            Self::Spend => bound.spend,
        }
    }

    /// How much of this stays used when a request is over.
    pub fn used(self, used: &Used) -> u64 {
        match self {
            Self::Requests => used.requests,
            Self::InputTokens => used.input,
            Self::OutputTokens => used.output,
            Self::Tokens => used.input.saturating_add(used.output),
            Self::Concurrency => 0,
            Self::Spend => used.spend,
        }
    }
}

/// What a limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What it counts.
    pub measure: Measure,
    /// In which window; `None` for what is under way at a time.
    pub window: Option<Window>,
    /// How much there may be.
    pub ceiling: u64,
    /// Whether requests that do not fit are refused.
    pub hard: bool,
}

/// A limit. Each has a small lock of its own; who takes several takes them in the order of their ranks.
#[derive(Debug)]
pub struct Limit {
    rank: u64,
    measure: Measure,
    window: Option<Window>,
    state: Mutex<State>,
}

/// Whose headroom a limit gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// All that the ceiling leaves.
    Whole,
    /// What was lent to this process, until a moment.
    Slice(Timestamp),
    /// Nobody lends, and everything may pass meanwhile.
    Open,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ceiling: u64,
    pub(crate) hard: bool,
    pub(crate) share: Share,
    /// Whether it is known what was used before this process counted.
    pub(crate) seeded: bool,
    /// The youngest window, and the one before it for requests that began in that.
    pub(crate) current: Count,
    pub(crate) previous: Option<Count>,
}

/// What is counted in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) span: Span,
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    /// What others may use.
    pub(crate) lent: u64,
    /// What this process may use, where it does not have the whole.
    pub(crate) slice: u64,
    /// What others took, where this process has a slice, as far as the lender said.
    pub(crate) others: u64,
}

impl Count {
    fn new(span: Span) -> Self {
        Self {
            span,
            used: 0,
            reserved: 0,
            lent: 0,
            slice: 0,
            others: 0,
        }
    }

    /// What is taken.
    pub(crate) fn taken(&self) -> u64 {
        self.used.saturating_add(self.reserved).saturating_add(self.lent)
    }
}

impl State {
    /// What is left of a window.
    pub(crate) fn headroom(&self, count: &Count) -> u64 {
        let limit = match self.share {
            Share::Slice(_) if self.hard => count.slice,
            Share::Whole | Share::Slice(_) | Share::Open => self.ceiling.saturating_sub(count.others),
        };
        limit.saturating_sub(count.taken())
    }

    /// The window that a request belongs to which began at a moment. One that began before the last window counts in
    /// that.
    pub(crate) fn count(&mut self, second: i64) -> &mut Count {
        match &mut self.previous {
            Some(previous) if second < self.current.span.start => previous,
            Some(_) | None => &mut self.current,
        }
    }

    /// The window that begins at a moment, if it is still counted.
    pub(crate) fn starting(&mut self, start: i64) -> Option<&mut Count> {
        if self.current.span.start == start {
            return Some(&mut self.current);
        }
        self.previous.as_mut().filter(|count| count.span.start == start)
    }
}

/// What a limit stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How much there may be.
    pub ceiling: u64,
    /// How much was used, by others too as far as they said.
    pub used: u64,
    /// How much is reserved by requests under way and lent to others.
    pub reserved: u64,
    /// The window.
    pub span: Span,
    /// Whether it is known what was used before this process counted.
    pub seeded: bool,
}

impl Reading {
    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.ceiling
            .saturating_sub(self.used)
            .saturating_sub(self.reserved)
    }
}

impl Limit {
    /// A limit of which nothing is used; until it is [`seeded`](Self::seed), hard ones refuse. Ranks are unique.
    pub fn new(rank: u64, terms: Terms, now: Timestamp) -> Self {
        let span = span(terms.window, now);
        Self {
            rank,
            measure: terms.measure,
            window: terms.window,
            state: Mutex::new(State {
                ceiling: terms.ceiling,
                hard: terms.hard,
                share: Share::Whole,
                seeded: false,
                current: Count::new(span),
                previous: None,
            }),
        }
    }

    /// Its place in the order in which locks are taken.
    pub fn rank(&self) -> u64 {
        self.rank
    }

    /// What it counts.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// In which window.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// Whether requests that do not fit are refused.
    pub fn is_hard(&self) -> bool {
        self.state(None).hard
    }

    /// Changes how much there may be and whether it is hard; what is counted stays.
    pub fn change(&self, ceiling: u64, hard: bool) {
        let mut state = self.state(None);
        (state.ceiling, state.hard) = (ceiling, hard);
    }

    /// Says what was used in a window before this process counted.
    pub fn seed(&self, span: Span, used: u64, now: Timestamp) {
        let mut state = self.state(Some(now));
        state.seeded = true;
        if let Some(count) = state.starting(span.start) {
            count.used = count.used.saturating_add(used);
        }
    }

    /// Whether it is known what was used before this process counted.
    pub fn is_seeded(&self) -> bool {
        self.state(None).seeded
    }

    /// What it stands at.
    pub fn read(&self, now: Timestamp) -> Reading {
        let state = self.state(Some(now));
        let count = &state.current;
        Reading {
            ceiling: state.ceiling,
            used: count.used,
            reserved: count
                .reserved
                .saturating_add(count.lent)
                .saturating_add(count.others),
            span: count.span,
            seeded: state.seeded,
        }
    }

    /// The state, in the window of a moment. Time that goes backwards does not bring a window back.
    pub(crate) fn state(&self, now: Option<Timestamp>) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let late = now.filter(|now| now.as_second() >= state.current.span.end);
        if let Some(now) = late {
            let ended = std::mem::replace(&mut state.current, Count::new(span(self.window, now)));
            state.previous = Some(ended);
        }
        state
    }
}

fn span(window: Option<Window>, now: Timestamp) -> Span {
    window.map_or(Span::ALWAYS, |window| window.at(now))
}
