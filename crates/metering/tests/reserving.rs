//! What is reserved and settled by many at once, against what it should come to.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::{sync::Arc, thread};

use jiff::Timestamp;
use proptest::prelude::*;
use stead_metering::{Bound, Limit, Measure, Reservation, Terms, Used, Why, Window, reserve};

fn now() -> Timestamp {
    "2026-11-30T12:00:30Z".parse().unwrap()
}

fn limit(rank: u64, measure: Measure, window: Option<Window>, ceiling: u64) -> Arc<Limit> {
    let terms = Terms {
        measure,
        window,
        ceiling,
        hard: true,
    };
    let limit = Arc::new(Limit::new(rank, terms, now()));
    limit.seed(limit.read(now()).span, 0, now());
    limit
}

fn bound(tokens: u64, spend: u64) -> Bound {
    Bound {
        input: Some(tokens),
        output: Some(tokens),
        spend: Some(spend),
    }
}

fn used(tokens: u64, spend: u64) -> Used {
    Used {
        requests: 1,
        input: tokens,
        output: tokens,
        spend,
    }
}

fn take(limits: &[Arc<Limit>], bound: &Bound) -> Result<Reservation, Why> {
    reserve(&mut limits.to_vec(), bound, now(), now()).map_err(|refusal| refusal.why)
}

#[test]
fn a_request_reserves_over_all_limits_or_over_none() {
    let roomy = limit(1, Measure::Requests, Some(Window::Minute), 10);
    let tight = limit(2, Measure::Spend, Some(Window::Month), 100);
    let limits = [Arc::clone(&tight), Arc::clone(&roomy)];
    let first = take(&limits, &bound(1, 60)).unwrap();
    assert_eq!(
        take(&limits, &bound(1, 60)).unwrap_err(),
        Why::Exceeded { need: 60, left: 40 }
    );
    assert_eq!((roomy.read(now()).reserved, tight.read(now()).reserved), (1, 60));
    first.settle(&used(1, 25));
    let reading = tight.read(now());
    assert_eq!((reading.used, reading.reserved, reading.remaining()), (25, 0, 75));
    assert!(take(&limits, &bound(1, 75)).is_ok());
}

#[test]
fn what_can_never_fit_or_is_not_bounded_is_told_apart_from_what_fits_later() {
    let spend = limit(1, Measure::Spend, Some(Window::Day), 100);
    let limits = [Arc::clone(&spend)];
    assert_eq!(
        take(&limits, &bound(1, 101)).unwrap_err(),
        Why::NeverFits {
            need: 101,
            ceiling: 100
        }
    );
    assert_eq!(take(&limits, &Bound::default()).unwrap_err(), Why::Unbounded);
    spend.change(100, false);
    let reservation = take(&limits, &bound(1, 101)).unwrap();
    assert_eq!(reservation.beyond().count(), 1);
    assert_eq!(take(&limits, &Bound::default()).unwrap().limits().count(), 1);
}

#[test]
fn a_limit_whose_past_is_not_known_admits_nobody_if_it_is_hard() {
    let terms = Terms {
        measure: Measure::Requests,
        window: Some(Window::Day),
        ceiling: 5,
        hard: true,
    };
    let limit = Arc::new(Limit::new(1, terms, now()));
    let limits = [Arc::clone(&limit)];
    assert_eq!(take(&limits, &bound(1, 1)).unwrap_err(), Why::Unseeded);
    limit.seed(limit.read(now()).span, 4, now());
    let first = take(&limits, &bound(1, 1)).unwrap();
    assert!(take(&limits, &bound(1, 1)).is_err());
    first.settle(&Used::default());
    assert!(
        take(&limits, &bound(1, 1)).is_ok(),
        "a request that never left does not count"
    );
}

#[test]
fn what_runs_at_a_time_is_freed_when_it_ends_however_it_ends() {
    let limit = limit(1, Measure::Concurrency, None, 1);
    let limits = [Arc::clone(&limit)];
    let first = take(&limits, &bound(1, 1)).unwrap();
    assert!(take(&limits, &bound(1, 1)).is_err());
    first.settle(&used(1, 1));
    drop(take(&limits, &bound(1, 1)).unwrap());
    assert!(take(&limits, &bound(1, 1)).is_ok());
}

#[test]
fn a_reservation_that_is_lost_counts_as_used_up() {
    let limit = limit(1, Measure::Spend, Some(Window::Hour), 100);
    drop(take(&[Arc::clone(&limit)], &bound(1, 70)).unwrap());
    assert_eq!(limit.read(now()).used, 70);
}

#[test]
fn a_request_counts_in_the_window_in_which_it_began() {
    let limit = limit(1, Measure::Requests, Some(Window::Minute), 1);
    let later = "2026-11-30T12:01:00Z".parse().unwrap();
    let before = take(&[Arc::clone(&limit)], &bound(1, 1)).unwrap();
    let now_used = reserve(&mut [Arc::clone(&limit)], &bound(1, 1), later, later).unwrap();
    let late = reserve(&mut [Arc::clone(&limit)], &bound(1, 1), now(), later);
    assert!(late.is_err(), "the minute in which it began was full");
    before.settle(&Used::default());
    let late = reserve(&mut [Arc::clone(&limit)], &bound(1, 1), now(), later);
    assert!(late.is_ok(), "and has room again");
    now_used.settle(&used(1, 1));
    assert_eq!(limit.read(later).used, 1);
}

#[test]
fn a_limit_that_is_listed_twice_counts_once() {
    let limit = limit(1, Measure::Requests, Some(Window::Minute), 10);
    let _held = take(&[Arc::clone(&limit), Arc::clone(&limit)], &bound(1, 1)).unwrap();
    assert_eq!(limit.read(now()).reserved, 1);
}

#[test]
fn five_hundred_threads_spend_a_budget_to_its_last_request_and_not_beyond() {
    let budget = limit(1, Measure::Spend, Some(Window::Month), 100 * 7);
    let key = limit(2, Measure::Tokens, Some(Window::Day), 1_000_000);
    let admitted: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..500)
            .map(|number| {
                let limits = if number % 2 == 0 {
                    [&budget, &key]
                } else {
                    [&key, &budget]
                };
                scope.spawn(move || {
                    let limits = limits.map(Arc::clone);
                    match take(&limits, &bound(3, 7)) {
                        Ok(reservation) => {
                            reservation.settle(&used(3, 7));
                            1
                        }
                        Err(Why::Exceeded { .. }) => 0,
                        Err(why) => panic!("{why:?}"),
                    }
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(admitted, 100);
    assert_eq!((budget.read(now()).used, budget.read(now()).reserved), (700, 0));
    assert_eq!(key.read(now()).used, 600);
}

/// What a test's client does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Asks for so much.
    Reserve(u64),
    /// Settles its oldest reservation at so many percent.
    Settle(u64),
    /// Loses its oldest reservation.
    Lose,
    /// Time goes on by so many seconds.
    Wait(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1_u64..40).prop_map(Act::Reserve),
        3 => (0_u64..=100).prop_map(Act::Settle),
        1 => Just(Act::Lose),
        1 => (0_i64..50).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..200)
}

proptest! {
    /// One limit against a model that keeps every request: never more than the ceiling, and refused only without room.
    #[test]
    fn a_hard_limit_is_kept_and_never_refuses_what_fits(acts in acts(), ceiling in 1_u64..200) {
        let limit = limit(1, Measure::Spend, Some(Window::Minute), ceiling);
        let mut time = now();
        // Of each request: the minute in which it began, and what it takes of it.
        let mut open: Vec<(Reservation, i64, u64)> = Vec::new();
        let mut spent: Vec<(i64, u64)> = Vec::new();
        for act in acts {
            let minute = time.as_second() / 60;
            let taken = |open: &[(Reservation, i64, u64)], spent: &[(i64, u64)]| -> u64 {
                let reserved = open.iter().filter(|(_, at, _)| *at == minute).map(|(_, _, amount)| amount);
                let used = spent.iter().filter(|(at, _)| *at == minute).map(|(_, amount)| amount);
                reserved.chain(used).sum()
            };
            match act {
                Act::Reserve(amount) => {
                    let fits = taken(&open, &spent) + amount <= ceiling;
                    let got = reserve(&mut [Arc::clone(&limit)], &bound(1, amount), time, time);
                    prop_assert_eq!(got.is_ok(), fits);
                    if let Ok(reservation) = got {
                        open.push((reservation, minute, amount));
                    }
                }
                Act::Settle(percent) if !open.is_empty() => {
                    let (reservation, at, amount) = open.remove(0);
                    let real = amount * percent / 100;
                    reservation.settle(&used(1, real));
                    spent.push((at, real));
                }
                Act::Lose if !open.is_empty() => {
                    let (reservation, at, amount) = open.remove(0);
                    drop(reservation);
                    spent.push((at, amount));
                }
                Act::Settle(_) | Act::Lose => {}
                Act::Wait(seconds) => time = Timestamp::from_second(time.as_second() + seconds).unwrap(),
            }
            let minute = time.as_second() / 60;
            let reading = limit.read(time);
            let of_minute = spent.iter().filter(|(at, _)| *at == minute).map(|(_, amount)| amount).sum::<u64>();
            prop_assert_eq!(reading.used, of_minute);
            prop_assert!(reading.used + reading.reserved <= ceiling);
        }
    }

    /// Several threads over several limits in any order: no deadlock, no overspending, nothing left over.
    #[test]
    fn many_limits_and_many_threads_leave_nothing_over(
        ceilings in proptest::collection::vec(20_u64..400, 1..5),
        scripts in proptest::collection::vec(proptest::collection::vec((1_u64..30, 0_u64..=100, any::<u8>()), 1..30), 2..5),
    ) {
        let limits: Vec<_> = ceilings
            .iter()
            .zip(1..)
            .map(|(ceiling, rank)| limit(rank, Measure::Spend, Some(Window::Month), *ceiling))
            .collect();
        let totals: Vec<Vec<u64>> = thread::scope(|scope| {
            let threads: Vec<_> = scripts.iter().map(|script| {
                let limits = &limits;
                scope.spawn(move || {
                    let mut totals = vec![0; limits.len()];
                    for (amount, percent, mask) in script {
                        let chosen: Vec<usize> =
                            (0..limits.len()).rev().filter(|index| mask & (1 << index) != 0).collect();
                        let picked: Vec<_> = chosen.iter().map(|index| Arc::clone(&limits[*index])).collect();
                        if let Ok(reservation) = take(&picked, &bound(1, *amount)) {
                            let real = amount * percent / 100;
                            reservation.settle(&used(1, real));
                            for index in chosen {
                                totals[index] += real;
                            }
                        }
                    }
                    totals
                })
            }).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (index, limit) in limits.iter().enumerate() {
            let reading = limit.read(now());
            let total: u64 = totals.iter().map(|totals| totals[index]).sum();
            prop_assert_eq!((reading.used, reading.reserved), (total, 0));
            prop_assert!(total <= ceilings[index]);
        }
    }
}
