//! From a route to an answer: which target is asked when, and what happens when it fails.

mod failure;
mod order;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use rand::RngExt;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use failure::{ERROR_LIMIT, Failure, Retry};

use crate::{
    Gateway,
    api::{error::ApiError, surface::Surface},
    ledger::Ledger,
    operation::Operation,
    route::plan::Limits,
    scan::Scanned,
    snapshot::{Asker, Route, Snapshot, Target},
    trace::Trace,
    upstream::{self, Answer},
};

/// The longest pause before a target is asked again; a provider that wants more is not waited for.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);

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
    pub(crate) asker: Asker<'a>,
    /// By which API it came.
    pub(crate) surface: Surface,
    pub(crate) request: &'a Scanned,
    pub(crate) trace: Trace,
    /// What of the client's own headers goes to a provider of the same dialect.
    pub(crate) passed: &'a [(HeaderName, HeaderValue)],
}

impl Dispatch<'_> {
    /// The targets of a route in the order in which they are asked.
    pub(crate) fn targets(&self, route: &Route) -> Vec<Target> {
        order::order(route, self.asker.admin, &mut rand::rng())
    }

    /// The first target of the route's fallbacks.
    pub(crate) fn spare(&self, route: &Route) -> Option<Target> {
        let routes = &self.snapshot.project(self.asker.project).routes;
        let mut fallbacks = route.fallbacks.iter().filter_map(|name| routes.get(name));
        fallbacks.find_map(|route| self.targets(route).into_iter().next())
    }

    /// Asks the targets of the route, then those of its fallbacks, until one answers.
    pub(crate) async fn run(
        &self,
        first: Arc<Route>,
        targets: Vec<Target>,
        ledger: &mut Ledger,
    ) -> Result<Answered, ApiError> {
        let deadline = ledger.started() + first.limits.total;
        let project = self.snapshot.project(self.asker.project);
        let mut failure = match self.ask_route(&first, targets, deadline, ledger).await {
            Ok(answered) => return Ok(answered),
            Err(failure) => failure,
        };
        for name in &first.fallbacks {
            if failure.retry == Retry::Never || Instant::now() >= deadline {
                break;
            }
            let Some(route) = project.routes.get(name) else {
                continue;
            };
            let targets = self.targets(route);
            if targets.is_empty() {
                continue;
            }
            match self.ask_route(route, targets, deadline, ledger).await {
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
        mut targets: Vec<Target>,
        deadline: Instant,
        ledger: &mut Ledger,
    ) -> Result<Answered, Failure> {
        let call = Call {
            gateway: self.gateway,
            id: ledger.uuid(),
            project: self.asker.project,
            operation: self.surface.operation,
            surface: self.surface,
            request: self.request,
            trace: self.trace,
            passed: self.passed,
            deadline,
            limits: route.limits,
        };
        // A target waits here until it is asked again, with the pause it asked for.
        let mut next = 0;
        let mut round = 0;
        let mut asked_wait = Duration::ZERO;
        let mut last = None;
        for _ in 0..route.attempts {
            if targets.is_empty() {
                break;
            }
            if next >= targets.len() {
                next = 0;
                round += 1;
                if !self.pause(route.backoff, round, asked_wait, deadline).await {
                    break;
                }
                asked_wait = Duration::ZERO;
            }
            let Some(target) = targets.get(next).cloned() else {
                break;
            };
            let failure = match self.ask(&call, &target, ledger).await {
                Ok(answer) => {
                    let route = Arc::clone(route);
                    return Ok(Answered {
                        answer,
                        target,
                        route,
                        deadline,
                    });
                }
                Err(failure) => failure,
            };
            match failure.retry {
                Retry::Never => return Err(failure),
                Retry::Elsewhere => drop(targets.remove(next)),
                Retry::Again => {
                    asked_wait = asked_wait.max(failure.error.retry_after.unwrap_or_default());
                    next += 1;
                }
            }
            last = Some(failure);
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(last.unwrap_or_else(|| Failure {
            error: ApiError::unavailable(
                "no_target",
                format!("route `{}` has no target that can answer", route.name),
            ),
            retry: Retry::Elsewhere,
            status: 0,
        }))
    }

    async fn ask(&self, call: &Call<'_>, target: &Target, ledger: &mut Ledger) -> Result<Answer, Failure> {
        ledger.begin_attempt(target);
        let left = call.deadline.saturating_duration_since(Instant::now());
        let asked = tokio::time::timeout(left, upstream::ask(call, target, ledger)).await;
        let answer = asked.unwrap_or_else(|_| {
            Err(Failure::timeout(
                &target.provider,
                "did not answer",
                call.limits.total,
            ))
        });
        match answer {
            Ok(answer) => {
                if let Answer::Whole { status, .. } = &answer {
                    ledger.end_attempt(None, status.as_u16());
                }
                Ok(answer)
            }
            Err(failure) => {
                ledger.end_attempt(Some(&failure), 0);
                Err(failure)
            }
        }
    }

    /// Waits before all targets are asked again; `false` when that would take too long.
    async fn pause(&self, backoff: Duration, round: u32, asked: Duration, deadline: Instant) -> bool {
        let doubled = backoff.saturating_mul(1 << round.saturating_sub(1).min(16));
        let jitter = rand::rng().random_range(0.5..1.0);
        let wait = doubled.min(PAUSE_LIMIT).mul_f64(jitter).max(asked);
        if wait > PAUSE_LIMIT || Instant::now() + wait >= deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}
