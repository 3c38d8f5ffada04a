//! A clock that stands still until the test turns it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use stead_kernel::{Clock, Timestamp};

/// A clock that stands still until the test turns it. It begins at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

/// 2026-01-01T00:00:00Z in seconds since the epoch.
const START: i64 = 1_767_225_600;

impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(Timestamp::constant(START, 0)))
    }
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(time: Timestamp) -> Self {
        Self(Mutex::new(time))
    }

    /// Turns the clock to this time.
    pub fn set(&self, time: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
