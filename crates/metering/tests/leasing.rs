//! One lender and several holders whose messages are lost, against what it should come to.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use stead_metering::{
    Bound, Holding, Lender, Limit, Measure, Reservation, Terms, Used, Why, Window, reserve,
};

fn now() -> Timestamp {
    "2026-11-30T12:00:30Z".parse().unwrap()
}

fn forever() -> Timestamp {
    "2027-11-30T12:00:30Z".parse().unwrap()
}

fn limit(measure: Measure, window: Option<Window>, ceiling: u64) -> Arc<Limit> {
    let terms = Terms {
        measure,
        window,
        ceiling,
        hard: true,
    };
    let limit = Arc::new(Limit::new(1, terms, now()));
    limit.seed(limit.read(now()).span, 0, now());
    limit
}

fn spend(ceiling: u64) -> Arc<Limit> {
    limit(Measure::Spend, Some(Window::Month), ceiling)
}

fn take(limit: &Arc<Limit>, amount: u64) -> Result<Reservation, Why> {
    let bound = Bound {
        spend: Some(amount),
        ..Bound::default()
    };
    reserve(&mut [Arc::clone(limit)], &bound, now(), now()).map_err(|refusal| refusal.why)
}

fn settle(reservation: Reservation, amount: u64) {
    reservation.settle(&Used {
        spend: amount,
        requests: 1,
        ..Used::default()
    });
}

/// A holder as the gateway is one.
struct Holder {
    name: String,
    limit: Arc<Limit>,
    sequence: u64,
}

impl Holder {
    fn new(name: &str, ceiling: u64) -> Self {
        let limit = spend(ceiling);
        limit.borrow_only();
        Self {
            name: name.into(),
            limit,
            sequence: 0,
        }
    }

    /// Reports; `hear` and `answer` say whether each message arrives. Says whether the need was met.
    fn ask(
        &mut self,
        lender: &mut (Lender, Arc<Limit>),
        keep: u64,
        need: u64,
        arrives: (bool, bool),
    ) -> bool {
        self.sequence += 1;
        let mut report = self.limit.report(keep, now());
        (report.need, report.like) = (need, need * 3);
        if !arrives.0 {
            return false;
        }
        let (lender, limit) = lender;
        let grant = lender.answer(limit, &self.name, self.sequence, &report, now());
        let Some(grant) = grant.filter(|_| arrives.1) else {
            return false;
        };
        self.limit.granted(&grant, forever(), now());
        !grant.short
    }
}

#[test]
fn a_holder_uses_what_was_lent_asks_for_more_and_gives_back_the_rest() {
    let mut lender = (Lender::default(), spend(100));
    let mut holder = Holder::new("a", 100);
    assert_eq!(take(&holder.limit, 10).unwrap_err(), Why::Expired);
    assert!(holder.ask(&mut lender, 0, 10, (true, true)));
    let first = take(&holder.limit, 10).unwrap();
    assert!(lender.1.read(now()).reserved >= 10);
    assert!(holder.ask(&mut lender, 0, 80, (true, true)));
    settle(first, 4);
    let left = 8; // A quarter of what the need had left was lent too.
    assert_eq!(take(&lender.1, 9).unwrap_err(), Why::Exceeded { need: 9, left });
    assert!(holder.ask(&mut lender, 0, 0, (true, true)));
    assert_eq!(lender.1.read(now()).reserved, 4);
    assert_eq!(lender.0.used(lender.1.read(now()).span.start), 4);
    assert!(take(&lender.1, 96).is_ok());
}

#[test]
fn a_need_that_cannot_be_met_takes_nothing_from_others() {
    let mut lender = (Lender::default(), spend(100));
    let (mut first, mut second) = (Holder::new("a", 100), Holder::new("b", 100));
    assert!(first.ask(&mut lender, 0, 60, (true, true)));
    assert!(!second.ask(&mut lender, 0, 60, (true, true)));
    assert!(second.ask(&mut lender, 0, 30, (true, true)));
}

#[test]
fn a_lease_is_used_until_it_expires() {
    let mut lender = (Lender::default(), spend(100));
    let mut holder = Holder::new("a", 100);
    assert!(holder.ask(&mut lender, 0, 10, (true, true)));
    let report = holder.limit.report(u64::MAX, now());
    let grant = stead_metering::Grant {
        start: report.start,
        slice: report.have,
        short: false,
        left: 0,
    };
    holder.limit.granted(&grant, now(), now());
    assert_eq!(take(&holder.limit, 1).unwrap_err(), Why::Expired);
    holder.limit.open();
    let beyond = take(&holder.limit, 1_000);
    assert!(
        beyond.is_ok(),
        "without a lender everything passes where that is wanted"
    );
}

#[test]
fn a_report_that_comes_late_is_not_heard() {
    let (mut lender, limit) = (Lender::default(), spend(100));
    let report = stead_metering::Report {
        start: limit.read(now()).span.start,
        need: 50,
        ..Default::default()
    };
    assert!(lender.answer(&limit, "a", 2, &report, now()).is_some());
    assert!(lender.answer(&limit, "a", 1, &report, now()).is_none());
    assert!(lender.answer(&limit, "a", 2, &report, now()).is_none());
}

#[test]
fn what_was_lent_is_set_aside_by_the_next_process_too() {
    let (mut lender, limit) = (Lender::default(), spend(100));
    let start = limit.read(now()).span.start;
    lender.restore(
        &limit,
        "a",
        Holding {
            start,
            slice: 70,
            used: 20,
            sequence: 9,
            heard: 0,
        },
        now(),
    );
    assert_eq!(
        take(&limit, 31).unwrap_err(),
        Why::Exceeded { need: 31, left: 30 }
    );
    lender.forget(&limit, 60, now());
    assert_eq!(
        limit.read(now()).reserved,
        70,
        "nobody knows how much of it was used"
    );
}

#[test]
fn what_ran_at_a_silent_holder_is_over_after_a_while() {
    let (mut lender, limit) = (Lender::default(), limit(Measure::Concurrency, None, 5));
    let start = limit.read(now()).span.start;
    lender.restore(
        &limit,
        "a",
        Holding {
            start,
            slice: 5,
            heard: 0,
            ..Holding::default()
        },
        now(),
    );
    assert_eq!(limit.read(now()).remaining(), 0);
    lender.forget(&limit, 60, now());
    assert_eq!(limit.read(now()).remaining(), 5);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A holder reserves so much, and asks the lender when it has too little.
    Reserve(usize, u64, (bool, bool)),
    /// A holder settles its oldest reservation at so many percent.
    Settle(usize, u64),
    /// A holder gives back all that it does not use.
    Return(usize, (bool, bool)),
    /// A holder's process dies; another one takes its place.
    Die(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let arrives = || (prop::bool::weighted(0.9), prop::bool::weighted(0.9));
    let act = prop_oneof![
        6 => (0_usize..3, 1_u64..40, arrives()).prop_map(|(who, amount, arrives)| Act::Reserve(who, amount, arrives)),
        4 => (0_usize..3, 0_u64..=100).prop_map(|(who, percent)| Act::Settle(who, percent)),
        2 => (0_usize..3, arrives()).prop_map(|(who, arrives)| Act::Return(who, arrives)),
        1 => (0_usize..3).prop_map(Act::Die),
    ];
    proptest::collection::vec(act, 1..150)
}

proptest! {
    /// Whatever is lost, all together never use more than the limit; and when every message arrives and every holder
    /// gives back what it does not use, nothing is refused that fits.
    #[test]
    fn slices_never_sum_up_to_more_and_nothing_is_refused_that_fits(
        acts in acts(), ceiling in 1_u64..300, perfect in any::<bool>(),
    ) {
        let mut lender = (Lender::default(), spend(ceiling));
        let mut holders: Vec<Holder> = (0..3).map(|number| Holder::new(&number.to_string(), ceiling)).collect();
        let mut open: Vec<Vec<(Reservation, u64)>> = (0..3).map(|_| Vec::new()).collect();
        // What was used for certain, and what dead processes had set aside for them.
        let (mut used, mut lost, mut faultless, mut births) = (0, false, true, 3);
        for act in acts {
            match act {
                Act::Die(_) if perfect => {}
                Act::Reserve(who, amount, arrives) => {
                    let arrives = if perfect { (true, true) } else { arrives };
                    faultless &= arrives == (true, true);
                    let mut got = take(&holders[who].limit, amount);
                    if got.is_err() {
                        if arrives == (true, true) {
                            for (other, holder) in holders.iter_mut().enumerate() {
                                if other != who {
                                    holder.ask(&mut lender, 0, 0, (true, true));
                                }
                            }
                        }
                        let left = holders[who].limit.report(u64::MAX, now());
                        let spare = left.have - left.used - left.reserved;
                        holders[who].ask(&mut lender, u64::MAX, amount.saturating_sub(spare), arrives);
                        got = take(&holders[who].limit, amount);
                    }
                    let reserved: u64 = open.iter().flatten().map(|(_, amount)| amount).sum();
                    if faultless && !lost {
                        prop_assert_eq!(got.is_ok(), used + reserved + amount <= ceiling);
                    }
                    if let Ok(reservation) = got {
                        open[who].push((reservation, amount));
                    }
                }
                Act::Settle(who, percent) if !open[who].is_empty() => {
                    let (reservation, amount) = open[who].remove(0);
                    let real = amount * percent / 100;
                    settle(reservation, real);
                    used += real;
                }
                Act::Settle(..) => {}
                Act::Return(who, arrives) => {
                    let arrives = if perfect { (true, true) } else { arrives };
                    faultless &= arrives == (true, true);
                    holders[who].ask(&mut lender, 0, 0, arrives);
                }
                Act::Die(who) => {
                    lost = true;
                    births += 1;
                    used += open[who].drain(..).map(|(_, amount)| amount).sum::<u64>();
                    holders[who] = Holder::new(&births.to_string(), ceiling);
                }
            }
            let reserved: u64 = open.iter().flatten().map(|(_, amount)| amount).sum();
            prop_assert!(used + reserved <= ceiling, "{} + {} of {}", used, reserved, ceiling);
            prop_assert!(lender.1.read(now()).reserved <= ceiling);
        }
    }
}
