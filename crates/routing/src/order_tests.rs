use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::hash::stable;

const SHED: Shed = Shed {
    percent: 150,
    margin: 4,
};

fn all(weights: &[(u32, u32)]) -> Vec<Candidate> {
    let candidates = weights.iter().enumerate();
    candidates
        .map(|(place, (weight, priority))| Candidate {
            identity: stable(0, &place.to_le_bytes()),
            ..Candidate::new(place, *weight, *priority)
        })
        .collect()
}

fn sorted(candidates: &[Candidate], strategy: Strategy, random: &mut StdRng) -> Vec<usize> {
    let mut candidates = candidates.to_vec();
    order(&mut candidates, strategy, random);
    candidates.iter().map(|candidate| candidate.place).collect()
}

fn firsts(candidates: &[Candidate], strategy: Strategy) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(1);
    let mut counts = vec![0; candidates.len()];
    for _ in 0..10_000 {
        counts[sorted(candidates, strategy, &mut random)[0]] += 1;
    }
    counts
}

#[test]
fn weights_are_shares_and_priorities_come_first() {
    let candidates = all(&[(3, 1), (1, 1), (100, 2), (0, 1)]);
    let counts = firsts(&candidates, Strategy::Weighted);
    // 7,500 expected; ten standard deviations are 433.
    assert!((7_000..8_000).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2..], [0, 0]);
    let mut random = StdRng::seed_from_u64(1);
    assert_eq!(sorted(&candidates, Strategy::Weighted, &mut random)[2..], [3, 2]);
    assert_eq!(sorted(&candidates, Strategy::Priority, &mut random), [0, 1, 3, 2]);
}

#[test]
fn of_two_drawn_the_less_busy_one_is_asked() {
    let mut candidates = all(&[(1, 1), (1, 1), (1, 1)]);
    candidates[0].in_flight = 9;
    candidates[1].in_flight = 3;
    let counts = firsts(&candidates, Strategy::LeastBusy);
    // The busiest of three wins no pair; the lightest wins both of its own.
    assert_eq!(counts[0], 0, "{counts:?}");
    assert!((6_000..7_300).contains(&counts[2]), "{counts:?}");
    // Twice the weight bears twice the load.
    let mut candidates = all(&[(2, 1), (1, 1)]);
    candidates[0].in_flight = 9;
    candidates[1].in_flight = 5;
    assert_eq!(firsts(&candidates, Strategy::LeastBusy), [10_000, 0]);
    let mut candidates = all(&[(1, 1), (0, 1)]);
    candidates[0].in_flight = 100;
    assert_eq!(firsts(&candidates, Strategy::LeastBusy), [10_000, 0]);
}

#[test]
fn the_fastest_is_asked_and_others_now_and_then() {
    let millis = |count| Some(Duration::from_millis(count));
    let mut candidates = all(&[(1, 1), (1, 1), (1, 1), (0, 1)]);
    for (candidate, known) in candidates.iter_mut().zip([900, 200, 600, 1]) {
        candidate.first_token = millis(known);
    }
    let counts = firsts(&candidates, Strategy::LowestLatency);
    assert!(counts[1] > 9_700, "{counts:?}");
    assert!(counts[0] > 20 && counts[2] > 20 && counts[3] == 0, "{counts:?}");
    // Nearly equal ones share by load.
    candidates[0].first_token = millis(210);
    candidates[1].in_flight = 5;
    assert!(firsts(&candidates, Strategy::LowestLatency)[0] > 9_700);
    // An unknown one is tried at once, but not by everybody.
    candidates[2].first_token = None;
    assert!(firsts(&candidates, Strategy::LowestLatency)[2] > 9_700);
    candidates[2].in_flight = 1;
    assert!(firsts(&candidates, Strategy::LowestLatency)[2] < 200);
}

#[test]
fn the_cheapest_is_asked_and_unknown_prices_come_last() {
    let mut candidates = all(&[(1, 1), (1, 1), (1, 1), (0, 1), (1, 2)]);
    for (candidate, price) in candidates
        .iter_mut()
        .zip([None, Some(30), Some(2), Some(1), Some(0)])
    {
        candidate.price = price;
    }
    let mut random = StdRng::seed_from_u64(1);
    assert_eq!(
        sorted(&candidates, Strategy::LowestCost, &mut random),
        [2, 1, 0, 3, 4]
    );
    candidates[1].price = Some(2);
    let counts = firsts(&candidates, Strategy::LowestCost);
    assert!(
        counts[1] > 4_500 && counts[2] > 4_500,
        "equal prices share: {counts:?}"
    );
}

#[test]
fn whoever_read_the_prompt_before_is_asked_unless_it_is_hot() {
    let mut candidates = all(&[(1, 1), (1, 1), (1, 1)]);
    candidates[1].matched = 7;
    candidates[2].matched = 2;
    let mut random = StdRng::seed_from_u64(1);
    let prefix = Strategy::Prefix(SHED);
    assert_eq!(sorted(&candidates, prefix, &mut random), [1, 2, 0]);
    candidates[1].in_flight = 4;
    assert_eq!(
        sorted(&candidates, prefix, &mut random)[0],
        1,
        "busy, but not hot"
    );
    candidates[1].in_flight = 5;
    assert_eq!(sorted(&candidates, prefix, &mut random), [2, 0, 1], "hot");
    for candidate in &mut candidates {
        candidate.in_flight += 20;
    }
    assert_eq!(
        sorted(&candidates, prefix, &mut random)[0],
        1,
        "all are busy alike"
    );
    let nothing = all(&[(1, 1), (1, 1)]);
    let counts = firsts(&nothing, prefix);
    assert!(
        counts[0] > 4_500 && counts[1] > 4_500,
        "new prompts spread: {counts:?}"
    );
}

#[test]
fn a_key_finds_the_same_target_in_every_process() {
    let candidates = all(&[(1, 1), (1, 1), (1, 1), (0, 1)]);
    let mut counts = [0; 4];
    for number in 0..3_000_u64 {
        let key = stable(0, &number.to_le_bytes());
        let first = sorted(&candidates, Strategy::Keyed(key), &mut StdRng::seed_from_u64(1));
        let again = sorted(&candidates, Strategy::Keyed(key), &mut StdRng::seed_from_u64(2));
        assert_eq!(first, again);
        assert_eq!(first[3], 3);
        counts[first[0]] += 1;
    }
    assert!(
        counts[..3].iter().all(|count| (850..1_150).contains(count)),
        "{counts:?}"
    );
}
