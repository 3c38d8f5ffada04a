//! Asks a second target while the first one is slow to begin; whoever begins first answers.
//!
//! *Invariant:* the two attempts share nothing that one could change: each has a record and a request of its own, and
//! the record of the one that is cancelled is dropped with it, but for its line among the attempts and what it cost.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use futures::future::{Either, select};
use stead_routing::{Answering, Flight};

use super::{Call, Dispatch, Failure, queue::Queue};
use crate::{
    ledger::Ledger,
    snapshot::{Route, Target},
    upstream::Answer,
};

/// What the record says of an attempt that another one overtook.
const OVERTAKEN: &str = "cancelled: another target began to answer first";

/// An attempt that ended, and at which place of the route's list.
pub(super) type Ended = (usize, Result<Answer, Failure>);

impl Dispatch<'_> {
    /// How long the target may think before another one is asked too; `None` for as long as it likes.
    pub(super) fn patience(&self, route: &Route, target: &Target) -> Option<Duration> {
        let hedge = route.hedge?;
        if self.question.answering() != Answering::Streamed {
            return None;
        }
        hedge.delay(target.live.first_tokens())
    }

    /// Asks a target, and another one if it has not begun within `patience`. Failures of the second one are taken in
    /// here, that of the first one is returned.
    pub(super) async fn race(
        &self,
        call: &Call<'_>,
        queue: &mut Queue<'_>,
        first: (usize, Flight),
        patience: Duration,
        ledger: &mut Ledger,
    ) -> Ended {
        let route = queue.route;
        let (place, flight) = first;
        let Some(target) = route.targets.get(place) else {
            return (place, Err(queue.refusal()));
        };
        let mut shadow = ledger.shadow();
        let mut main = Box::pin(self.ask(call, target, flight, ledger));
        if let Ok(result) = tokio::time::timeout(patience, &mut main).await {
            return (place, result);
        }
        if !route.memory.hedges.take() {
            return (place, main.await);
        }
        let Some((second, flight)) = queue.other(place) else {
            route.memory.hedges.give_back();
            return (place, main.await);
        };
        let Some(other) = route.targets.get(second) else {
            return (place, main.await);
        };
        route.memory.hedged.fetch_add(1, Ordering::Relaxed);
        let (ended, won) = {
            let hedge = pin!(self.ask(call, other, flight, &mut shadow));
            match select(main, hedge).await {
                Either::Left((Ok(answer), _)) => ((place, Ok(answer)), false),
                Either::Left((Err(failure), hedge)) => match hedge.await {
                    Ok(answer) => {
                        queue.failed(place, &failure);
                        ((second, Ok(answer)), true)
                    }
                    Err(later) => {
                        queue.failed(second, &later);
                        ((place, Err(failure)), false)
                    }
                },
                Either::Right((Ok(answer), main)) => {
                    drop(main);
                    ((second, Ok(answer)), true)
                }
                Either::Right((Err(failure), main)) => {
                    queue.failed(second, &failure);
                    ((place, main.await), false)
                }
            }
        };
        if won {
            route.memory.won.fetch_add(1, Ordering::Relaxed);
            ledger.adopt(shadow, OVERTAKEN);
        } else {
            ledger.absorb(shadow, OVERTAKEN);
        }
        ended
    }
}
