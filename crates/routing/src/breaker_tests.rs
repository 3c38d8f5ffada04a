use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const RULES: Rules = Rules {
    consecutive: 3,
    ratio: None,
    cooldown: Duration::from_secs(5),
    longest: Duration::from_mins(1),
};

fn fail(breaker: &Breaker, times: u32, now: u64) {
    for _ in 0..times {
        let permit = breaker.admit(now).unwrap();
        breaker.failed(permit, None, &RULES, now);
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not_let_them() {
    let breaker = Breaker::default();
    fail(&breaker, 2, SECOND);
    breaker.succeeded(Permit::Normal);
    fail(&breaker, 2, SECOND);
    assert_eq!(breaker.state(SECOND), State::Closed);
    fail(&breaker, 1, SECOND);
    assert_eq!((breaker.state(SECOND), breaker.opened()), (State::Open, 1));
    let wait = breaker.admit(2 * SECOND).unwrap_err();
    assert_eq!((wait.left, wait.asked), (Duration::from_secs(4), false));
}

#[test]
fn after_the_cooldown_one_probe_at_a_time_decides() {
    let breaker = Breaker::default();
    fail(&breaker, 3, SECOND);
    let later = 6 * SECOND;
    assert_eq!(breaker.state(later), State::HalfOpen);
    let probe = breaker.admit(later).unwrap();
    assert_ne!(probe, Permit::Normal);
    assert_eq!(breaker.admit(later).unwrap_err().left, Duration::ZERO);
    // It fails: twice as long.
    breaker.failed(probe, None, &RULES, later);
    assert_eq!(breaker.admit(later).unwrap_err().left, Duration::from_secs(10));
    let later = later + 10 * SECOND;
    let probe = breaker.admit(later).unwrap();
    breaker.succeeded(probe);
    assert_eq!(breaker.state(later), State::Closed);
    // And the next time it begins anew.
    fail(&breaker, 3, later);
    assert_eq!(breaker.admit(later).unwrap_err().left, Duration::from_secs(5));
}

#[test]
fn cooldowns_double_up_to_the_longest() {
    let breaker = Breaker::default();
    fail(&breaker, 3, SECOND);
    let mut now = SECOND;
    let mut lefts = Vec::new();
    for _ in 0..6 {
        let left = breaker.admit(now).unwrap_err().left;
        lefts.push(left.as_secs());
        now += nanos(left);
        let probe = breaker.admit(now).unwrap();
        breaker.failed(probe, None, &RULES, now);
    }
    assert_eq!(lefts, [5, 10, 20, 40, 60, 60]);
}

#[test]
fn what_a_target_asks_for_is_honoured_at_once() {
    let breaker = Breaker::default();
    let asked = Some(Duration::from_secs(90));
    breaker.failed(Permit::Normal, asked, &RULES, SECOND);
    let wait = breaker.admit(SECOND).unwrap_err();
    assert_eq!((wait.left, wait.asked), (Duration::from_secs(90), true));
    // Somebody who was under way hears that it takes longer; less than that changes nothing.
    breaker.failed(Permit::Normal, Some(Duration::from_secs(100)), &RULES, SECOND);
    breaker.failed(Permit::Normal, Some(Duration::from_secs(1)), &RULES, SECOND);
    assert_eq!(breaker.admit(SECOND).unwrap_err().left, Duration::from_secs(100));
    let breaker = Breaker::default();
    breaker.failed(Permit::Normal, Some(Duration::from_hours(50)), &RULES, SECOND);
    assert_eq!(breaker.admit(SECOND).unwrap_err().left, ASKED_LIMIT);
    let breaker = Breaker::default();
    breaker.failed(Permit::Normal, Some(Duration::ZERO), &RULES, SECOND);
    assert_eq!(breaker.state(SECOND), State::Closed, "asking for nothing");
}

#[test]
fn too_large_a_part_of_failures_opens_it() {
    let rules = Rules {
        consecutive: 100,
        ratio: Some(Ratio {
            percent: 50,
            least: 10,
            window: Duration::from_secs(30),
        }),
        ..RULES
    };
    let breaker = Breaker::default();
    for round in 0..5 {
        assert_eq!(breaker.state(SECOND), State::Closed, "round {round}");
        breaker.failed(Permit::Normal, None, &rules, SECOND);
        if round < 4 {
            breaker.succeeded(Permit::Normal);
        }
    }
    // Five of nine, but nine are too few to tell.
    assert_eq!(breaker.state(SECOND), State::Closed);
    breaker.failed(Permit::Normal, None, &rules, SECOND);
    assert_eq!(breaker.state(SECOND), State::Open);
    // What is older than the window does not count.
    let breaker = Breaker::default();
    for _ in 0..9 {
        breaker.failed(Permit::Normal, None, &rules, SECOND);
    }
    breaker.failed(Permit::Normal, None, &rules, 40 * SECOND);
    assert_eq!(breaker.state(40 * SECOND), State::Closed);
}

#[test]
fn answers_to_older_requests_do_not_close_it() {
    let breaker = Breaker::default();
    fail(&breaker, 3, SECOND);
    breaker.succeeded(Permit::Normal);
    assert_eq!(breaker.state(SECOND), State::Open);
    let probe = breaker.admit(6 * SECOND).unwrap();
    breaker.failed(Permit::Normal, None, &RULES, 6 * SECOND);
    breaker.succeeded(probe);
    assert_eq!(breaker.state(6 * SECOND), State::Closed);
}

#[test]
fn a_probe_that_is_given_up_or_lost_lets_the_next_one_try() {
    let breaker = Breaker::default();
    fail(&breaker, 3, SECOND);
    let first = breaker.admit(6 * SECOND).unwrap();
    breaker.released(first);
    let lost = breaker.admit(6 * SECOND).unwrap();
    assert!(breaker.admit(7 * SECOND).is_err());
    let later = 6 * SECOND + nanos(PROBE_LIMIT);
    let third = breaker.admit(later).unwrap();
    // The lost one comes back, and is too late to speak for the target.
    breaker.failed(lost, None, &RULES, later);
    assert_eq!(breaker.state(later), State::HalfOpen);
    breaker.succeeded(third);
    assert_eq!(breaker.state(later), State::Closed);
}

#[test]
fn without_an_alternative_it_can_be_forced() {
    let breaker = Breaker::default();
    assert_eq!(breaker.force(SECOND), Permit::Normal);
    fail(&breaker, 3, SECOND);
    let forced = breaker.force(SECOND);
    breaker.succeeded(forced);
    assert_eq!(breaker.state(SECOND), State::Closed);
}

#[test]
fn a_cooldown_can_end_early_but_not_one_that_was_asked_for() {
    let breaker = Breaker::default();
    breaker.relent(SECOND);
    assert_eq!(breaker.state(SECOND), State::Closed);
    fail(&breaker, 3, SECOND);
    breaker.relent(2 * SECOND);
    assert_eq!(breaker.state(2 * SECOND), State::HalfOpen);
    let breaker = Breaker::default();
    let asked = Some(Duration::from_secs(9));
    breaker.failed(Permit::Normal, asked, &RULES, SECOND);
    breaker.relent(2 * SECOND);
    assert_eq!(breaker.state(2 * SECOND), State::Open);
}

#[derive(Debug, Clone)]
enum Step {
    Ask,
    Force,
    Succeed(usize),
    Fail(usize, Option<u16>),
    Release(usize),
    Forget(usize),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Ask),
        Just(Step::Force),
        any::<usize>().prop_map(Step::Succeed),
        (any::<usize>(), any::<Option<u16>>()).prop_map(|(which, asked)| Step::Fail(which, asked)),
        any::<usize>().prop_map(Step::Release),
        any::<usize>().prop_map(Step::Forget),
        any::<u16>().prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn it_never_sticks(steps in proptest::collection::vec(step(), 0..200)) {
        let breaker = Breaker::default();
        let (mut now, mut permits) = (SECOND, Vec::new());
        let take = |permits: &mut Vec<Permit>, which: usize| {
            (!permits.is_empty()).then(|| permits.swap_remove(which % permits.len()))
        };
        for step in steps {
            match step {
                Step::Ask => permits.extend(breaker.admit(now)),
                Step::Force => permits.push(breaker.force(now)),
                Step::Succeed(which) => take(&mut permits, which).into_iter().for_each(|permit| breaker.succeeded(permit)),
                Step::Fail(which, asked) => if let Some(permit) = take(&mut permits, which) {
                    let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
                    breaker.failed(permit, asked, &RULES, now);
                },
                Step::Release(which) => take(&mut permits, which).into_iter().for_each(|permit| breaker.released(permit)),
                Step::Forget(which) => drop(take(&mut permits, which)),
                Step::Pass(seconds) => now += u64::from(seconds) * SECOND,
            }
        }
        // Whatever happened: after the longest cooldown and the longest probe somebody may ask, and closes it.
        now += nanos(ASKED_LIMIT) + nanos(PROBE_LIMIT);
        let permit = breaker.admit(now);
        prop_assert!(permit.is_ok());
        breaker.succeeded(permit.unwrap());
        prop_assert_eq!(breaker.state(now), State::Closed);
        prop_assert_eq!(breaker.admit(now), Ok(Permit::Normal));
    }
}
