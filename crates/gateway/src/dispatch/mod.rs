//! From a route to an answer: which target is asked when, and what happens when it fails.

mod class;
mod failure;
mod hedge;
mod order;
mod question;
mod queue;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use stead_routing::{Answering, Flight};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use failure::{ERROR_LIMIT, Failure, Retry};
pub(crate) use order::Order;
pub(crate) use question::Question;
use queue::Queue;

use crate::{
    Gateway,
    api::{error::ApiError, surface::Surface},
    ledger::Ledger,
    operation::Operation,
    route::{plan::Limits, policy::FallbackOn},
    scan::Scanned,
    snapshot::{Project, Route, Snapshot, Target},
    trace::Trace,
    upstream::{self, Answer},
};

/// A request as every attempt sees it. It holds nothing that an attempt could change.
pub(crate) struct Call<'a> {
    pub(crate) gateway: &'a Gateway,
    /// The id of the request.
    pub(crate) id: Uuid,
    /// The project that asks.
    pub(crate) project: &'a str,
    pub(crate) operation: Operation,
    /// By which API it came.
    pub(crate) surface: Surface,
    pub(crate) request: &'a Scanned,
    pub(crate) trace: Trace,
    /// What of the client's own headers goes to a provider of the same dialect.
    pub(crate) passed: &'a [(HeaderName, HeaderValue)],
    /// When it has to be over.
    pub(crate) deadline: Instant,
    pub(crate) limits: Limits,
    /// Whether an answer of which a filter left nothing counts as a failure, because there is a fallback for it.
    pub(crate) filter_fails: bool,
}

/// An answer, and who gave it.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) target: Target,
    pub(crate) route: Arc<Route>,
    pub(crate) deadline: Instant,
}

/// What a dispatch works on.
pub(crate) struct Dispatch<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) question: Question<'a>,
    pub(crate) trace: Trace,
    /// What of the client's own headers goes to a provider of the same dialect.
    pub(crate) passed: &'a [(HeaderName, HeaderValue)],
}

impl Dispatch<'_> {
    /// The targets of a route in the order in which they are asked.
    pub(crate) fn order(&self, route: &Route) -> Order {
        order::order(route, &self.question, &mut rand::rng())
    }

    /// The first target of the route's fallbacks.
    pub(crate) fn spare(&self, route: &Route) -> Option<Target> {
        let routes = &self.project().routes;
        let mut fallbacks = route.fallbacks.iter();
        fallbacks.find_map(|fallback| {
            let route = routes.get(fallback.route.as_str())?;
            self.order(route).first(route).cloned()
        })
    }

    fn project(&self) -> &Project {
        self.snapshot.project(self.question.asker.project)
    }

    /// Asks the targets of the route, then those of the fallbacks that are meant for such failures, until one answers.
    pub(crate) async fn run(
        &self,
        first: Arc<Route>,
        order: Order,
        ledger: &mut Ledger,
    ) -> Result<Answered, ApiError> {
        let deadline = ledger.started() + first.limits.total;
        let mut failure = match self.ask_route(&first, &order, deadline, ledger).await {
            Ok(answered) => return Ok(answered),
            Err(failure) => failure,
        };
        for fallback in &first.fallbacks {
            if Instant::now() >= deadline {
                break;
            }
            let class = failure.class();
            let meant = fallback.on.iter().any(|on| class.is(*on));
            let route = self.project().routes.get(fallback.route.as_str());
            let Some(route) = route.filter(|_| meant) else {
                continue;
            };
            let order = self.order(route);
            if order.is_empty() {
                continue;
            }
            match self.ask_route(route, &order, deadline, ledger).await {
                Ok(answered) => return Ok(answered),
                Err(later) => failure = later,
            }
        }
        Err(failure.error)
    }

    /// Asks the targets of one route: each once, then again with pauses, as often as the route allows.
    async fn ask_route(
        &self,
        route: &Arc<Route>,
        order: &Order,
        deadline: Instant,
        ledger: &mut Ledger,
    ) -> Result<Answered, Failure> {
        let mut fallbacks = route.fallbacks.iter();
        let call = Call {
            gateway: self.gateway,
            id: ledger.uuid(),
            project: self.question.asker.project,
            operation: self.question.surface.operation,
            surface: self.question.surface,
            request: self.question.request,
            trace: self.trace.clone(),
            passed: self.passed,
            deadline,
            limits: route.limits,
            filter_fails: fallbacks.any(|fallback| fallback.on.contains(&FallbackOn::ContentFilter)),
        };
        if let (Some(hedge), Answering::Streamed) = (&route.hedge, self.question.answering()) {
            route.memory.hedges.earn(hedge.percent);
        }
        let mut queue = Queue::new(route, order);
        let mut last = None;
        for _ in 0..route.attempts {
            let Some(turn) = queue.turn(deadline).await else {
                break;
            };
            let (place, result) = self.attempt(&call, &mut queue, turn, ledger).await;
            let failure = match result {
                Ok(answer) => return answered(answer, route, place, deadline),
                Err(failure) => failure,
            };
            let again = queue.failed(place, &failure);
            last = Some(failure);
            if !again || Instant::now() >= deadline {
                break;
            }
        }
        Err(last.unwrap_or_else(|| queue.refusal()))
    }

    /// Asks one target, or two where the route hedges.
    async fn attempt(
        &self,
        call: &Call<'_>,
        queue: &mut Queue<'_>,
        turn: (usize, Flight),
        ledger: &mut Ledger,
    ) -> hedge::Ended {
        let route = queue.route;
        let (place, flight) = turn;
        let Some(target) = route.targets.get(place) else {
            return (place, Err(queue.refusal()));
        };
        // Two attempts can use twice what was reserved.
        let patience = self
            .patience(route, target)
            .filter(|_| !ledger.admitted().is_bounded());
        match patience {
            Some(patience) => Box::pin(self.race(call, queue, (place, flight), patience, ledger)).await,
            None => (place, self.ask(call, target, flight, ledger).await),
        }
    }

    /// Asks one target, and tells it how that went.
    async fn ask(
        &self,
        call: &Call<'_>,
        target: &Target,
        flight: Flight,
        ledger: &mut Ledger,
    ) -> Result<Answer, Failure> {
        let began = Instant::now();
        ledger.begin_attempt(target, flight);
        let left = call.deadline.saturating_duration_since(began);
        let asked = tokio::time::timeout(left, upstream::ask(call, target, ledger)).await;
        let answer = asked.unwrap_or_else(|_| {
            Err(Failure::timeout(
                &target.provider,
                "did not answer",
                call.limits.total,
            ))
        });
        let answer = answer.and_then(|answer| {
            if call.filter_fails && answer.is_filtered() {
                return Err(Failure::filtered(&target.provider));
            }
            Ok(answer)
        });
        match &answer {
            Ok(answer) => {
                if let Some(flight) = ledger.flight() {
                    let now = Instant::now();
                    flight.came(self.question.answering(), now - began, now.into_std());
                    flight.succeeded();
                }
                if let Answer::Whole { status, .. } = answer {
                    ledger.end_attempt(None, status.as_u16());
                }
            }
            Err(failure) => {
                failure.tell(ledger.flight());
                ledger.end_attempt(Some(failure), 0);
            }
        }
        answer
    }
}

/// An answer with who gave it.
fn answered(
    answer: Answer,
    route: &Arc<Route>,
    place: usize,
    deadline: Instant,
) -> Result<Answered, Failure> {
    let target = route.targets.get(place).cloned();
    let target = target.ok_or_else(|| Failure {
        error: stead_kernel::Error::internal("a target answered that no route has").into(),
        retry: Retry::Never,
        status: 0,
    })?;
    Ok(Answered {
        answer,
        target,
        route: Arc::clone(route),
        deadline,
    })
}
