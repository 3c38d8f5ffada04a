//! In which order targets are asked.

use std::{cmp::Ordering, time::Duration};

use rand::{Rng, RngExt};

use crate::rendezvous::{race, time};

/// How one of the targets of equal priority is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// By chance, in proportion to weights.
    Weighted,
    /// As listed.
    Priority,
    /// Of two drawn by weight, the one that has less under way for its weight (Mitzenmacher, "The power of two choices
    /// in randomized load balancing", 2001).
    LeastBusy,
    /// The shortest time to first token. One that was never seen is tried at once, one that has not been seen for a
    /// while comes back as what is known of it fades, and now and then chance decides.
    LowestLatency,
    /// The lowest price; an unknown one comes last.
    LowestCost,
    /// Whoever has read most of the prompt before, unless it is hot.
    Prefix(Shed),
    /// By the hash of a key: the same key finds the same target.
    Keyed(u64),
}

/// When a target that has read a prompt before is too busy to be preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    /// Beyond this percent of what the least busy other target has under way …
    pub percent: u32,
    /// … and this many requests more.
    pub margin: u32,
}

/// A target as far as the order minds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place in the caller's list.
    pub place: usize,
    /// Its share; 0 is the last of its priority.
    pub weight: u32,
    /// Lower ones come first.
    pub priority: u32,
    /// What tells it from others on every replica alike, for [`Strategy::Keyed`].
    pub identity: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// Its time to first token, if it is known.
    pub first_token: Option<Duration>,
    /// What it costs, in any unit that all candidates share.
    pub price: Option<u64>,
    /// How many blocks of the prompt it has read before.
    pub matched: u32,
    /// What chance or the key drew for it: less is earlier.
    drawn: f64,
}

impl Candidate {
    /// A candidate of which nothing is known.
    pub const fn new(place: usize, weight: u32, priority: u32) -> Self {
        Self {
            place,
            weight,
            priority,
            identity: 0,
            in_flight: 0,
            first_token: None,
            price: None,
            matched: 0,
            drawn: 0.0,
        }
    }

    /// What it has under way, for its weight.
    fn load(&self) -> f64 {
        f64::from(self.in_flight) / f64::from(self.weight.max(1))
    }

    fn out(&self) -> bool {
        self.weight == 0
    }
}

/// How often chance decides although times are known: once in so many.
const EXPLORE: u32 = 50;
/// Times to first token that differ by less than this part count as equal; then the less busy one is asked.
const EQUAL: f64 = 0.1;

/// Puts candidates in the order in which they are asked: lower priorities first, among equals by the strategy. Those
/// of weight 0 come last of their priority, except where the list itself decides.
pub fn order(candidates: &mut [Candidate], strategy: Strategy, random: &mut impl Rng) {
    if candidates.len() < 2 {
        return;
    }
    candidates.sort_by_key(|candidate| candidate.priority);
    if strategy == Strategy::Priority {
        return;
    }
    for tier in candidates.chunk_by_mut(|a, b| a.priority == b.priority) {
        draw(tier, strategy, random);
        match strategy {
            Strategy::Weighted | Strategy::Priority | Strategy::Keyed(_) => {}
            Strategy::LeastBusy => choose_of_two(tier),
            Strategy::LowestLatency => by_latency(tier, random),
            Strategy::LowestCost => by_cost(tier),
            Strategy::Prefix(shed) => by_prefix(tier, shed),
        }
    }
}

/// Sorts by a race in which everyone's speed is its weight: the same as drawing one after the other without putting
/// back.
fn draw(tier: &mut [Candidate], strategy: Strategy, random: &mut impl Rng) {
    for candidate in &mut *tier {
        candidate.drawn = match strategy {
            Strategy::Keyed(key) => time(key, candidate.identity, candidate.weight),
            Strategy::Weighted
            | Strategy::Priority
            | Strategy::LeastBusy
            | Strategy::LowestLatency
            | Strategy::LowestCost
            | Strategy::Prefix(_) => race(random.random_range(f64::MIN_POSITIVE..1.0), candidate.weight),
        };
    }
    tier.sort_by(|a, b| a.drawn.total_cmp(&b.drawn));
}

/// Of the first two, the less busy one goes first.
fn choose_of_two(tier: &mut [Candidate]) {
    if let [first, second, ..] = tier
        && !second.out()
        && second.load() < first.load()
    {
        std::mem::swap(first, second);
    }
}

fn by_cost(tier: &mut [Candidate]) {
    let price = |candidate: &Candidate| candidate.price.unwrap_or(u64::MAX);
    tier.sort_by_key(|candidate| (candidate.out(), price(candidate)));
}

fn by_latency(tier: &mut [Candidate], random: &mut impl Rng) {
    if random.random_range(0..EXPLORE) == 0 {
        return choose_of_two(tier);
    }
    let used = || tier.iter().filter(|candidate| !candidate.out());
    let known = || used().filter_map(|candidate| candidate.first_token);
    let count = u32::try_from(known().count()).unwrap_or(u32::MAX);
    let mean = known().sum::<Duration>() / count.max(1);
    // One that was never seen is asked once; until it answers it counts as the mean, lest all fall on it.
    let expected = |candidate: &Candidate| match candidate.first_token {
        Some(known) => known,
        None if candidate.in_flight == 0 => Duration::ZERO,
        None => mean,
    };
    tier.sort_by_key(|candidate| (candidate.out(), expected(candidate)));
    let Some(best) = tier.first().map(expected) else {
        return;
    };
    let limit = best.mul_f64(1.0 + EQUAL);
    let equals = tier.partition_point(|candidate| !candidate.out() && expected(candidate) <= limit);
    if let Some(equals) = tier.get_mut(..equals) {
        equals.sort_by(|a, b| a.load().total_cmp(&b.load()));
    }
}

fn by_prefix(tier: &mut [Candidate], shed: Shed) {
    let loads = tier.iter().filter(|candidate| !candidate.out());
    let lightest = loads.map(Candidate::load).min_by(f64::total_cmp).unwrap_or(0.0);
    let hot = |candidate: &Candidate| {
        let weight = f64::from(candidate.weight.max(1));
        let limit = lightest * f64::from(shed.percent) / 100.0 + f64::from(shed.margin) / weight;
        candidate.load() > limit
    };
    let rank = |a: &Candidate, b: &Candidate| -> Ordering {
        a.out()
            .cmp(&b.out())
            .then(hot(a).cmp(&hot(b)))
            .then(b.matched.cmp(&a.matched))
            .then(a.load().total_cmp(&b.load()))
    };
    tier.sort_by(rank);
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
