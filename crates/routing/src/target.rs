//! How one target behaved, and who is asking it now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Average, Breaker, Histogram, Permit, Rules, State, Wait};

/// The live state of one target: shared by every request to it, and kept while what describes it changes.
#[derive(Debug)]
pub struct Target {
    /// What times are counted from.
    since: Instant,
    in_flight: AtomicU32,
    breaker: Breaker,
    /// Time to first token.
    first_token: Average,
    /// Time of whole answers.
    whole: Average,
    first_tokens: Histogram,
}

/// How an answer comes, and so what its time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// In pieces: the time to the first one counts.
    Streamed,
    /// At once: all of its time counts.
    Whole,
}

/// A target at one moment, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// What its breaker lets through.
    pub state: State,
    /// How often its breaker opened since the start.
    pub opened: u32,
    /// Requests under way.
    pub in_flight: u32,
    /// Its average time to first token.
    pub first_token: Option<Duration>,
}

/// A request to a target. Dropped, it is no longer under way; unless it was told how it ended, nothing is learned.
#[derive(Debug)]
pub struct Flight {
    target: Arc<Target>,
    /// By which rules its failure counts; `None` when it does not.
    rules: Option<Rules>,
    /// Leave to ask; `None` once it was told how that ended.
    permit: Option<Permit>,
}

impl Target {
    /// A target of which nothing is known.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            in_flight: AtomicU32::new(0),
            breaker: Breaker::default(),
            first_token: Average::default(),
            whole: Average::default(),
            first_tokens: Histogram::default(),
        }
    }

    /// Begins a request, if the target may be asked. Without rules it always may, and its failure does not count.
    ///
    /// # Errors
    /// How long to wait.
    pub fn ask(self: &Arc<Self>, rules: Option<Rules>, now: Instant) -> Result<Flight, Wait> {
        let permit = match rules {
            Some(_) => self.breaker.admit(self.nanos(now))?,
            None => Permit::Normal,
        };
        Ok(self.fly(rules, permit))
    }

    /// Begins a request whatever the breaker says.
    pub fn force(self: &Arc<Self>, rules: Option<Rules>, now: Instant) -> Flight {
        self.fly(rules, self.breaker.force(self.nanos(now)))
    }

    fn fly(self: &Arc<Self>, rules: Option<Rules>, permit: Permit) -> Flight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight {
            target: Arc::clone(self),
            rules,
            permit: Some(permit),
        }
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The time to be expected: the average, which fades while nobody asks.
    pub fn expected(&self, answering: Answering, now: Instant) -> Option<Duration> {
        let average = self.average(answering);
        if self.in_flight() > 0 {
            return average.value();
        }
        average.faded(self.nanos(now))
    }

    fn average(&self, answering: Answering) -> &Average {
        match answering {
            Answering::Streamed => &self.first_token,
            Answering::Whole => &self.whole,
        }
    }

    /// How often which time to first token occurred.
    pub fn first_tokens(&self) -> &Histogram {
        &self.first_tokens
    }

    /// Something else found out that the target may work again: the next request tries it.
    pub fn relent(&self, now: Instant) {
        self.breaker.relent(self.nanos(now));
    }

    /// What its breaker lets through.
    pub fn state(&self, now: Instant) -> State {
        self.breaker.state(self.nanos(now))
    }

    /// Everything that people want to see.
    pub fn view(&self, now: Instant) -> View {
        View {
            state: self.state(now),
            opened: self.breaker.opened(),
            in_flight: self.in_flight(),
            first_token: self.first_token.value(),
        }
    }

    fn nanos(&self, now: Instant) -> u64 {
        let gone = now.saturating_duration_since(self.since).as_nanos();
        u64::try_from(gone).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Flight {
    /// The target that is asked.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Whether this request finds out whether the target works again.
    pub fn is_probe(&self) -> bool {
        matches!(self.permit, Some(Permit::Probe(_)))
    }

    /// The answer, or its first content, came after this time.
    pub fn came(&mut self, answering: Answering, after: Duration, now: Instant) {
        self.slower(answering, after, now);
        if answering == Answering::Streamed {
            self.target.first_tokens.record(after);
        }
    }

    /// The answer had not come after this time, when it was no longer waited for.
    pub fn slower(&mut self, answering: Answering, than: Duration, now: Instant) {
        let now = self.target.nanos(now);
        self.target.average(answering).record(than, now);
    }

    /// The target answered.
    pub fn succeeded(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.target.breaker.succeeded(permit);
        }
    }

    /// The target failed, or failed after all; `asked` is how long it wants to be left alone.
    pub fn failed(&mut self, asked: Option<Duration>, now: Instant) {
        let permit = self.permit.take().unwrap_or(Permit::Normal);
        if let Some(rules) = &self.rules {
            let now = self.target.nanos(now);
            self.target.breaker.failed(permit, asked, rules, now);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(permit) = self.permit {
            self.target.breaker.released(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        consecutive: 1,
        ratio: None,
        cooldown: Duration::from_secs(5),
        longest: Duration::from_mins(1),
    };

    #[expect(
        clippy::disallowed_methods,
        reason = "a starting point; nothing waits for it to pass"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn requests_under_way_are_counted_until_they_are_dropped() {
        let now = start();
        let target = Arc::new(Target::new(now));
        let (first, second) = (
            target.ask(Some(RULES), now).unwrap(),
            target.ask(Some(RULES), now).unwrap(),
        );
        assert_eq!(target.in_flight(), 2);
        drop(first);
        drop(second);
        assert_eq!(target.in_flight(), 0);
    }

    #[test]
    fn a_probe_that_is_dropped_makes_room_for_the_next() {
        let now = start();
        let target = Arc::new(Target::new(now));
        target.ask(Some(RULES), now).unwrap().failed(None, now);
        assert_eq!(target.state(now), State::Open);
        assert!(target.ask(Some(RULES), now).is_err());
        let later = now + Duration::from_secs(5);
        let probe = target.ask(Some(RULES), later).unwrap();
        assert!(probe.is_probe() && target.ask(Some(RULES), later).is_err());
        drop(probe);
        let mut probe = target.ask(Some(RULES), later).unwrap();
        probe.succeeded();
        assert_eq!(target.state(later), State::Closed);
    }

    #[test]
    fn a_stream_that_breaks_after_its_beginning_counts_as_a_failure() {
        let now = start();
        let target = Arc::new(Target::new(now));
        let mut flight = target.ask(Some(RULES), now).unwrap();
        flight.succeeded();
        flight.failed(None, now);
        assert_eq!(target.state(now), State::Open);
    }

    #[test]
    fn without_rules_a_target_is_always_asked() {
        let now = start();
        let target = Arc::new(Target::new(now));
        target.ask(None, now).unwrap().failed(None, now);
        assert_eq!(target.state(now), State::Closed);
        target.ask(Some(RULES), now).unwrap().failed(None, now);
        assert!(target.ask(None, now).is_ok() && target.ask(Some(RULES), now).is_err());
    }

    #[test]
    fn what_is_expected_fades_only_while_nobody_asks() {
        let now = start();
        let target = Arc::new(Target::new(now));
        let mut flight = target.ask(Some(RULES), now).unwrap();
        flight.came(Answering::Streamed, Duration::from_secs(2), now);
        let later = now + Duration::from_mins(1);
        assert_eq!(
            target.expected(Answering::Streamed, later),
            Some(Duration::from_secs(2))
        );
        drop(flight);
        assert_eq!(
            target.expected(Answering::Streamed, later),
            Some(Duration::from_secs(1))
        );
        assert_eq!(target.view(later).first_token, Some(Duration::from_secs(2)));
    }
}
