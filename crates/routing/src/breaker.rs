//! Leaves a target alone that fails, and finds out when it works again.
//!
//! Closed, every request passes. Enough failures in a row, too large a part of failures, or a target's own wish
//! (Retry-After) open it: nothing passes until its cooldown is over. Then it is half-open: one probe at a time passes;
//! its success closes, its failure opens again for twice as long (Nygard, "Release It!", 2007, "Circuit Breaker").
//!
//! *Invariant:* whatever is reported or lost, some request is a probe soon after each cooldown: it never stays open.
//! *Invariant:* while all is well, a request takes no lock.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After so many failures in a row; at least 1.
    pub consecutive: u32,
    /// Or when failures are too large a part.
    pub ratio: Option<Ratio>,
    /// For so long the first time, doubled each time that a probe fails.
    pub cooldown: Duration,
    /// But never longer than this, unless the target asks for it.
    pub longest: Duration,
}

/// Too large a part of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// From this percent on; 1 to 100.
    pub percent: u32,
    /// Of at least so many answers …
    pub least: u32,
    /// … within this time of the first failure.
    pub window: Duration,
}

/// The longest that a target is left alone because it asked for it.
const ASKED_LIMIT: Duration = Duration::from_hours(1);
/// A probe of which nothing is heard for this long does not keep others from trying.
const PROBE_LIMIT: Duration = Duration::from_mins(1);

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One probe at a time.
    HalfOpen,
}

/// Leave to ask a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// As one of many.
    Normal,
    /// To find out whether it works again: the number is the probe's.
    Probe(u64),
}

/// Why a target is not asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long it takes until the next try makes sense; zero while a probe is under way.
    pub left: Duration,
    /// Whether the target itself asked for this, so that trying it all the same is rude.
    pub asked: bool,
}

/// The breaker of one target. Times are nanoseconds over 0 on a clock of the caller's that never goes back.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Until when nothing passes; 0 while closed.
    until: AtomicU64,
    /// Whether there is a failure that a success has to undo.
    troubled: AtomicBool,
    /// How often it opened.
    opened: AtomicU32,
    trouble: Mutex<Trouble>,
}

/// What is remembered of failures.
#[derive(Debug, Default)]
struct Trouble {
    /// Failures in a row.
    consecutive: u32,
    /// When the window of the ratio began, and what happened in it.
    window: u64,
    failures: u32,
    successes: u32,
    /// How often it opened without a success between.
    trips: u32,
    /// Whether the target asked to be left alone.
    asked: bool,
    /// The number of the last probe, and when it began if it is still under way.
    probes: u64,
    probe: Option<u64>,
}

impl Breaker {
    /// Asks for leave to ask the target.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, now: u64) -> Result<Permit, Wait> {
        let until = self.until.load(Ordering::Acquire);
        if until == 0 {
            return Ok(Permit::Normal);
        }
        let mut trouble = self.lock();
        // It may have been closed or opened while the lock was waited for.
        let until = self.until.load(Ordering::Acquire);
        if until == 0 {
            return Ok(Permit::Normal);
        }
        let asked = trouble.asked;
        if now < until {
            let left = Duration::from_nanos(until - now);
            return Err(Wait { left, asked });
        }
        if trouble
            .probe
            .is_some_and(|began| now < began + nanos(PROBE_LIMIT))
        {
            return Err(Wait {
                left: Duration::ZERO,
                asked,
            });
        }
        Ok(trouble.begin_probe(now))
    }

    /// Leave that is taken although it was not given, when there is nothing else to ask.
    pub fn force(&self, now: u64) -> Permit {
        if self.until.load(Ordering::Acquire) == 0 {
            return Permit::Normal;
        }
        self.lock().begin_probe(now)
    }

    /// The target answered.
    pub fn succeeded(&self, permit: Permit) {
        if permit == Permit::Normal && !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        let mut trouble = self.lock();
        let open = self.until.load(Ordering::Relaxed) != 0;
        match permit {
            // It was asked before the breaker opened, and says nothing about now.
            Permit::Normal if open => {}
            Permit::Normal => {
                trouble.consecutive = 0;
                trouble.successes = trouble.successes.saturating_add(1);
            }
            Permit::Probe(_) => self.close(&mut trouble),
        }
    }

    /// The target failed; `asked` is how long it wants to be left alone.
    pub fn failed(&self, permit: Permit, asked: Option<Duration>, rules: &Rules, now: u64) {
        let asked = asked.filter(|asked| !asked.is_zero());
        let mut trouble = self.lock();
        let until = self.until.load(Ordering::Relaxed);
        match permit {
            Permit::Probe(number) => {
                // A probe that was taken for lost may fail after a later one has closed.
                let current = number == trouble.probes;
                if current {
                    trouble.probe = None;
                }
                if until != 0 && current {
                    self.open(&mut trouble, asked, rules, now);
                }
            }
            Permit::Normal if until != 0 => {
                if let Some(asked) = asked {
                    let later = now.saturating_add(nanos(asked.min(ASKED_LIMIT)));
                    self.until.store(until.max(later), Ordering::Release);
                }
            }
            Permit::Normal => {
                self.troubled.store(true, Ordering::Relaxed);
                if trouble.count(rules, now) || asked.is_some() {
                    self.open(&mut trouble, asked, rules, now);
                }
            }
        }
    }

    /// Nothing was found out: the request never reached the target, or its client left.
    pub fn released(&self, permit: Permit) {
        if let Permit::Probe(number) = permit {
            let mut trouble = self.lock();
            if number == trouble.probes {
                trouble.probe = None;
            }
        }
    }

    /// Ends a cooldown that the target did not ask for: the next request is a probe.
    pub fn relent(&self, now: u64) {
        if self.until.load(Ordering::Acquire) <= now {
            return;
        }
        let trouble = self.lock();
        if !trouble.asked && self.until.load(Ordering::Relaxed) > now {
            self.until.store(now.max(1), Ordering::Release);
        }
    }

    /// What it lets through.
    pub fn state(&self, now: u64) -> State {
        match self.until.load(Ordering::Relaxed) {
            0 => State::Closed,
            until if now < until => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// How often it opened since the start.
    pub fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    fn close(&self, trouble: &mut Trouble) {
        *trouble = Trouble {
            probes: trouble.probes,
            ..Trouble::default()
        };
        self.troubled.store(false, Ordering::Relaxed);
        self.until.store(0, Ordering::Release);
    }

    fn open(&self, trouble: &mut Trouble, asked: Option<Duration>, rules: &Rules, now: u64) {
        let doubled = rules.cooldown.saturating_mul(1 << trouble.trips.min(20));
        let cooldown = match asked {
            Some(asked) => asked.min(ASKED_LIMIT),
            None => doubled.min(rules.longest),
        };
        trouble.trips = trouble.trips.saturating_add(1);
        trouble.asked = asked.is_some();
        trouble.consecutive = 0;
        (trouble.window, trouble.failures, trouble.successes) = (0, 0, 0);
        trouble.probe = None;
        self.opened.fetch_add(1, Ordering::Relaxed);
        let until = now.saturating_add(nanos(cooldown)).max(1);
        self.until.store(until, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    fn begin_probe(&mut self, now: u64) -> Permit {
        self.probes += 1;
        self.probe = Some(now);
        Permit::Probe(self.probes)
    }

    /// Counts a failure; says whether it was one too many.
    fn count(&mut self, rules: &Rules, now: u64) -> bool {
        self.consecutive = self.consecutive.saturating_add(1);
        let Some(ratio) = rules.ratio else {
            return self.consecutive >= rules.consecutive;
        };
        if self.window == 0 || now.saturating_sub(self.window) > nanos(ratio.window) {
            (self.window, self.failures, self.successes) = (now.max(1), 0, 0);
        }
        self.failures = self.failures.saturating_add(1);
        let all = u64::from(self.failures) + u64::from(self.successes);
        let too_many = u64::from(self.failures) * 100 >= all * u64::from(ratio.percent);
        self.consecutive >= rules.consecutive || (all >= u64::from(ratio.least) && too_many)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
