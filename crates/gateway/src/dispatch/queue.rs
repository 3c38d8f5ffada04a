//! Whose turn it is: the targets of one route while one request asks them.
//!
//! *Invariant:* a target whose breaker is open is not asked while another one may be.

use std::time::Duration;

use http::StatusCode;
use stead_routing::{Backoff, Blocks, Flight, Rules, Wait, pause};
use tokio::time::Instant;

use super::{
    class::Class,
    failure::{Failure, Retry},
    order::Order,
};
use crate::{
    api::error::ApiError,
    route::policy::WhenAllOpen,
    snapshot::{Route, Target},
};

/// The longest pause before a target is asked again; a provider that wants more is not waited for.
pub(super) const PAUSE_LIMIT: Duration = Duration::from_secs(30);

/// The targets of one route while one request asks them: each once, then again after a pause.
pub(super) struct Queue<'a> {
    pub(super) route: &'a Route,
    places: &'a [usize],
    blocks: Option<&'a Blocks>,
    rules: Option<Rules>,
    /// The next one of this round.
    next: usize,
    round: u32,
    /// Those that need not be asked again; a bit for each place of the route's list.
    gone: u128,
    /// Those that were asked in this round.
    asked: u128,
    /// Those that asked to be left alone.
    resting: u128,
    /// The shortest wait after which one that was asked in this round may be asked again.
    wait: Option<Duration>,
    /// The shortest wait for one that may not be asked now.
    blocked: Option<Wait>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(route: &'a Route, order: &'a Order) -> Self {
        Self {
            route,
            places: order.places(),
            blocks: order.blocks.as_ref(),
            rules: route.guard.map(|guard| guard.rules),
            next: 0,
            round: 0,
            gone: 0,
            asked: 0,
            resting: 0,
            wait: None,
            blocked: None,
        }
    }

    /// The next target, with leave to ask it: after a pause when all had their turn. `None` when there is none, or the
    /// pause would be too long.
    pub(super) async fn turn(&mut self, deadline: Instant) -> Option<(usize, Flight)> {
        if let Some(found) = self.take() {
            return Some(found);
        }
        // Nobody can be asked again, but somebody may be asked against the breaker's will.
        if self.asked & !self.gone == 0 {
            return self.force();
        }
        let wait = self.pause(rand::random_range(0.0..1.0));
        if wait > PAUSE_LIMIT || Instant::now() + wait >= deadline {
            return None;
        }
        tokio::time::sleep(wait).await;
        (self.next, self.asked, self.wait, self.blocked) = (0, 0, None, None);
        self.take().or_else(|| self.force())
    }

    /// The pause before the next round.
    fn pause(&mut self, chance: f64) -> Duration {
        self.round += 1;
        let backoff = Backoff {
            base: self.route.backoff,
            longest: PAUSE_LIMIT,
        };
        let asked = self.wait.filter(|wait| !wait.is_zero());
        pause(backoff, self.round, asked, chance)
    }

    /// The next target of this round that may be asked.
    fn take(&mut self) -> Option<(usize, Flight)> {
        while let Some(place) = self.places.get(self.next).copied() {
            self.next += 1;
            if let Some(flight) = self.board(place) {
                return Some((place, flight));
            }
        }
        None
    }

    /// Another target that may be asked now, beside one that is asked already.
    pub(super) fn other(&mut self, than: usize) -> Option<(usize, Flight)> {
        let places = self.places.iter().copied();
        let others: Vec<usize> = places.filter(|place| *place != than).collect();
        others
            .into_iter()
            .find_map(|place| Some((place, self.board(place)?)))
    }

    fn board(&mut self, place: usize) -> Option<Flight> {
        if self.gone & bit(place) != 0 {
            return None;
        }
        let target = self.route.targets.get(place)?;
        match target.live.ask(self.rules, Instant::now().into_std()) {
            Ok(flight) => {
                self.begin(place, target);
                Some(flight)
            }
            Err(wait) => {
                if wait.asked {
                    self.resting |= bit(place);
                }
                let shortest = self.blocked.filter(|blocked| blocked.left <= wait.left);
                self.blocked = shortest.or(Some(wait));
                None
            }
        }
    }

    /// The first target that is left alone by our own decision only, where the route wants it tried.
    fn force(&mut self) -> Option<(usize, Flight)> {
        let guard = self.route.guard?;
        if guard.when_all_open == WhenAllOpen::Refuse {
            return None;
        }
        let shut = self.gone | self.resting;
        let mut places = self.places.iter().copied();
        let place = places.find(|place| shut & bit(*place) == 0)?;
        let target = self.route.targets.get(place)?;
        self.begin(place, target);
        let flight = target.live.force(self.rules, Instant::now().into_std());
        Some((place, flight))
    }

    fn begin(&mut self, place: usize, target: &Target) {
        self.asked |= bit(place);
        self.resting &= !bit(place);
        if let Some(blocks) = self.blocks {
            self.route.memory.prefixes().remember(blocks, target.identity);
        }
    }

    /// A target failed; says whether another try makes sense.
    pub(super) fn failed(&mut self, place: usize, failure: &Failure) -> bool {
        match failure.retry {
            Retry::Never => return false,
            Retry::Elsewhere => self.gone |= self.like(place, failure.class()),
            Retry::Again => {
                let asked = failure.error.retry_after.unwrap_or_default();
                self.wait = Some(self.wait.map_or(asked, |wait| wait.min(asked)));
            }
        }
        true
    }

    /// The targets that would say the same: what is too long for a model is too long wherever it runs.
    fn like(&self, place: usize, class: Class) -> u128 {
        let targets = &self.route.targets;
        let Some(failed) = targets.get(place).filter(|_| class == Class::ContextLength) else {
            return bit(place);
        };
        let same = targets
            .iter()
            .enumerate()
            .filter(|(_, target)| target.model == failed.model);
        same.fold(0, |bits, (place, _)| bits | bit(place))
    }

    /// Why nobody was asked.
    pub(super) fn refusal(&self) -> Failure {
        let name = &self.route.name;
        let error = match self.blocked {
            None => ApiError::unavailable(
                "no_target",
                format!("route `{name}` has no target that can answer"),
            ),
            Some(wait) if wait.asked => ApiError::rate_limited(format!(
                "every target of route `{name}` has asked to be left alone for a while"
            ))
            .retry_after(Some(wait.left)),
            Some(wait) => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                "targets_cooling_down",
                format!("every target of route `{name}` failed and is left alone for a while"),
            )
            .retry_after(Some(wait.left)),
        };
        Failure {
            error,
            retry: Retry::Elsewhere,
            status: 0,
        }
    }
}

/// The bit of a place; places beyond those that a route may have share the last one.
fn bit(place: usize) -> u128 {
    1 << place.min(127)
}
