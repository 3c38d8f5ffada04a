//! In which order targets are asked. Nothing here performs I/O.
//!
//! *Invariant:* a route with one target for every request allocates nothing here.

use rand::{Rng, RngExt};
use stead_routing::{self as routing, Blocks, Candidate, canary, percentile};
use tokio::time::Instant;

use super::question::Question;
use crate::{
    route::Strategy,
    snapshot::{Route, Target},
};

/// The targets of a route in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    places: Places,
    /// The prompt's beginnings, where who has read them matters.
    pub(super) blocks: Option<Blocks>,
}

/// Places in the route's list.
#[derive(Debug, Clone, Default)]
enum Places {
    #[default]
    None,
    One(usize),
    Many(Vec<usize>),
}

impl Order {
    /// Places in the route's list.
    pub(super) fn places(&self) -> &[usize] {
        match &self.places {
            Places::None => &[],
            Places::One(place) => std::slice::from_ref(place),
            Places::Many(places) => places,
        }
    }

    /// The target that is asked first.
    pub(crate) fn first<'a>(&self, route: &'a Route) -> Option<&'a Target> {
        route.targets.get(*self.places().first()?)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    fn of(places: Vec<usize>) -> Places {
        match places.as_slice() {
            [] => Places::None,
            [place] => Places::One(*place),
            [_, _, ..] => Places::Many(places),
        }
    }
}

/// The targets that the asker may use for this request: canaries that it belongs to, then lower priorities first; among
/// equals by the route's strategy.
pub(super) fn order(route: &Route, question: &Question<'_>, random: &mut impl Rng) -> Order {
    if let ([target], false) = (route.targets.as_slice(), route.selective) {
        let usable = target.provider.usable_by(question.asker.admin);
        return Order {
            places: if usable { Places::One(0) } else { Places::None },
            blocks: None,
        };
    }
    let mut first = None;
    let meant: Vec<usize> = if route.selective {
        first = chosen_canary(route, question, random);
        let plain = |(_, target): &(usize, &Target)| target.canary.is_none();
        let meant = meant(route, question).filter(plain);
        meant.map(|(place, _)| place).collect()
    } else {
        meant(route, question).map(|(place, _)| place).collect()
    };
    let (mut places, blocks) = ordered(route, question, meant, random);
    if let Some(canary) = first {
        places.insert(0, canary);
    }
    Order {
        places: Order::of(places),
        blocks,
    }
}

/// The targets that the request may go to.
fn meant<'a>(route: &'a Route, question: &Question<'_>) -> impl Iterator<Item = (usize, &'a Target)> {
    let targets = route.targets.iter().enumerate();
    targets.filter(|(_, target)| {
        let usable = target.provider.usable_by(question.asker.admin);
        let condition = target.condition.as_ref();
        usable && condition.is_none_or(|condition| condition.holds(question))
    })
}

/// The canary that the request belongs to.
fn chosen_canary(route: &Route, question: &Question<'_>, random: &mut impl Rng) -> Option<usize> {
    let canaries: Vec<(usize, u32)> = meant(route, question)
        .filter_map(|(place, target)| Some((place, target.canary?)))
        .collect();
    if canaries.is_empty() {
        return None;
    }
    let at = match route.sticky {
        Some(by) => percentile(question.sticky(route, by)),
        None => random.random_range(0.0..100.0),
    };
    let shares = canaries.iter().map(|(_, share)| *share);
    let chosen = canaries.get(canary(shares, at)?)?;
    Some(chosen.0)
}

/// The places by priority and strategy.
fn ordered(
    route: &Route,
    question: &Question<'_>,
    meant: Vec<usize>,
    random: &mut impl Rng,
) -> (Vec<usize>, Option<Blocks>) {
    let strategy = strategy(route, question);
    let blocks = matches!(strategy, routing::Strategy::Prefix(_))
        .then(|| route.memory.prefixes().blocks(question.prompt()));
    if meant.len() < 2 {
        return (meant, blocks);
    }
    let places = meant.into_iter();
    let mut candidates: Vec<Candidate> = places
        .filter_map(|place| Some(candidate(route.targets.get(place)?, place, strategy, question)))
        .collect();
    if let Some(blocks) = &blocks {
        let identities = candidates.iter().map(|candidate| candidate.identity);
        let matched = route.memory.prefixes().matched(blocks, identities);
        for (candidate, matched) in candidates.iter_mut().zip(matched) {
            candidate.matched = matched;
        }
    }
    routing::order(&mut candidates, strategy, random);
    let places = candidates.iter().map(|candidate| candidate.place);
    (places.collect(), blocks)
}

fn strategy(route: &Route, question: &Question<'_>) -> routing::Strategy {
    match (route.strategy, route.sticky) {
        (Strategy::Weighted, None) => routing::Strategy::Weighted,
        (Strategy::Weighted, Some(by)) => routing::Strategy::Keyed(question.sticky(route, by)),
        (Strategy::Session, _) => routing::Strategy::Keyed(question.session(route)),
        (Strategy::Priority, _) => routing::Strategy::Priority,
        (Strategy::LeastBusy, _) => routing::Strategy::LeastBusy,
        (Strategy::LowestLatency, _) => routing::Strategy::LowestLatency,
        (Strategy::LowestCost, _) => routing::Strategy::LowestCost,
        (Strategy::PrefixAffinity, _) => routing::Strategy::Prefix(route.shed),
    }
}

/// What the strategy wants to know of a target, and no more.
fn candidate(
    target: &Target,
    place: usize,
    strategy: routing::Strategy,
    question: &Question<'_>,
) -> Candidate {
    let mut candidate = Candidate::new(place, target.weight, target.priority);
    candidate.identity = target.identity;
    match strategy {
        routing::Strategy::Weighted | routing::Strategy::Priority | routing::Strategy::Keyed(_) => {}
        routing::Strategy::LeastBusy | routing::Strategy::Prefix(_) => {
            candidate.in_flight = target.live.in_flight();
        }
        routing::Strategy::LowestLatency => {
            candidate.in_flight = target.live.in_flight();
            let now = Instant::now().into_std();
            candidate.first_token = target.live.expected(question.answering(), now);
        }
        routing::Strategy::LowestCost => candidate.price = question.price(target),
    }
    candidate
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
