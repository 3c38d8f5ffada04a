//! Asks targets in the background whether they work, where their route wants it: what is found out goes to their
//! breakers.
//!
//! *Invariant:* one check of a target at a time, and none while the target has asked to be left alone.
//! *Invariant:* a check that asks a model is recorded as usage of the route's project, under a label.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http::{Request, Uri, uri::PathAndQuery};
use serde_json::json;
use stead_dialects::chat::{Head, Wire};
use stead_kernel::{
    Body, Tasks,
    ports::{SendOptions, events::RequestRow},
};
use stead_routing::{Flight, State};
use tokio::time::Instant;

use crate::{
    Gateway,
    api::surface::Surface,
    dispatch::{Call, Failure},
    errand::PURPOSE,
    ledger::Ledger,
    operation::Operation,
    route::{
        plan::{Guard, Limits},
        policy::HealthCheck,
    },
    scan,
    snapshot::{Api, HttpApi, Snapshot, Target},
    tally::Tally,
    trace::Trace,
    upstream::{self, Answer},
};

/// How many targets are asked at once.
const CONCURRENCY: usize = 16;
/// How often this looks whether there is something to do, when there is nothing.
const IDLE: Duration = Duration::from_hours(1);

/// A target by provider's project, provider and model.
type Name = (String, String, String);

/// What is to be checked, and how.
#[derive(Clone)]
struct Check {
    project: Box<str>,
    target: Target,
    guard: Guard,
    how: HealthCheck,
}

/// Starts to check targets.
pub(crate) fn start(tasks: &Tasks, gateway: Arc<Gateway>) {
    tasks.spawn_until_stopped("gateway health checks", async move { watch(&gateway).await });
}

async fn watch(gateway: &Gateway) {
    let mut changes = gateway.snapshot.changes();
    let mut due: BTreeMap<Name, Instant> = BTreeMap::new();
    let mut asked: BTreeSet<Name> = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        let wanted = wanted(&gateway.snapshot.load());
        let now = Instant::now();
        due.retain(|name, _| wanted.contains_key(name));
        for (name, check) in wanted {
            let at = due.entry(name.clone()).or_insert(now);
            if *at > now || running.len() >= CONCURRENCY || !asked.insert(name.clone()) {
                continue;
            }
            *at = now + check.how.interval.0;
            running.push(async move {
                run(gateway, &check).await;
                name
            });
        }
        let waiting = due.iter().filter(|(name, _)| !asked.contains(*name));
        let next = waiting.map(|(_, at)| *at).min().unwrap_or(now + IDLE);
        tokio::select! {
            Some(name) = running.next(), if !running.is_empty() => {
                asked.remove(&name);
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep_until(next), if running.len() < CONCURRENCY => {}
        }
    }
}

/// Every target that some route wants checked; of several wishes, the most frequent.
fn wanted(snapshot: &Snapshot) -> BTreeMap<Name, Check> {
    let mut wanted: BTreeMap<Name, Check> = BTreeMap::new();
    for (project, route) in snapshot.routes() {
        let (Some(how), Some(guard)) = (&route.health, route.guard) else {
            continue;
        };
        for target in &route.targets {
            let provider = &target.provider;
            let name = (
                provider.project.to_string(),
                provider.name.to_string(),
                target.model.to_string(),
            );
            let known = wanted.get(&name);
            if known.is_some_and(|known| known.how.interval <= how.interval) {
                continue;
            }
            wanted.insert(
                name,
                Check {
                    project: project.into(),
                    target: target.clone(),
                    guard,
                    how: how.clone(),
                },
            );
        }
    }
    wanted
}

async fn run(gateway: &Gateway, check: &Check) {
    let target = &check.target;
    let Api::Http(api) = &target.provider.api else {
        // The engine in this process needs no check, and what has no address fails by itself.
        return;
    };
    match &check.how.path {
        Some(path) => ask_path(gateway, check, api, path).await,
        None => ask_model(gateway, check).await,
    }
}

/// Asks a path of the provider's host. That it answers does not mean that the model does, so a success lets only a
/// request try it.
async fn ask_path(gateway: &Gateway, check: &Check, api: &HttpApi, path: &str) {
    let live = &check.target.live;
    let result = tokio::time::timeout(check.how.timeout.0, get(gateway, check, api, path)).await;
    let now = Instant::now().into_std();
    match result {
        Ok(true) => live.relent(now),
        Ok(false) | Err(_) if live.state(now) == State::Closed => {
            if let Ok(mut flight) = live.ask(Some(check.guard.rules), now) {
                flight.failed(None, now);
            }
        }
        Ok(false) | Err(_) => {}
    }
}

/// Whether a path answers with 2xx.
async fn get(gateway: &Gateway, check: &Check, api: &HttpApi, path: &str) -> bool {
    let Some(uri) = at(&api.base, path) else {
        return false;
    };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    *request.headers_mut() = api.headers.clone();
    let options = SendOptions {
        reach: check.target.provider.reach,
        connect_timeout: check.how.timeout.0,
    };
    let answer = gateway.outbound.send(request, options).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// A path on the host of an address.
fn at(base: &str, path: &str) -> Option<Uri> {
    let mut parts = base.parse::<Uri>().ok()?.into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// Asks the model for one token.
async fn ask_model(gateway: &Gateway, check: &Check) {
    let (target, rules) = (&check.target, Some(check.guard.rules));
    let now = Instant::now().into_std();
    let flight = match target.live.ask(rules, now) {
        Ok(flight) => flight,
        Err(wait) if wait.asked || wait.left.is_zero() => return,
        Err(_) => target.live.force(rules, now),
    };
    one_token(gateway, check, flight).await;
}

/// Asks for one token, and records what that took.
async fn one_token(gateway: &Gateway, check: &Check, flight: Flight) {
    let target = &check.target;
    let body = json!({"model": &*target.model, "max_tokens": 1,
        "messages": [{"role": "user", "content": "ping"}]});
    let body = Bytes::from(body.to_string());
    let Ok(request) = scan::scan(body, Wire::OpenAi, Head::default()) else {
        return;
    };
    let mut ledger = open(gateway, check);
    // What cannot be recorded is not asked.
    if let Err(error) = ledger.reserve(&request.body, Some(1), target) {
        return ledger.fail(&error, Tally::default());
    }
    let limit = check.how.timeout.0;
    let call = Call {
        gateway,
        id: ledger.uuid(),
        project: &check.project,
        operation: Operation::Chat,
        surface: Surface::openai(Operation::Chat),
        request: &request,
        trace: Trace::begun_by(ledger.uuid()),
        passed: &[],
        deadline: Instant::now() + limit,
        limits: Limits {
            connect: limit,
            first_token: limit,
            idle: limit,
            total: limit,
            ..Limits::default()
        },
        filter_fails: false,
    };
    ledger.begin_attempt(target, flight);
    let asked = tokio::time::timeout(limit, upstream::ask(&call, target, &mut ledger)).await;
    let answer = asked.unwrap_or_else(|_| Err(Failure::timeout(&target.provider, "did not answer", limit)));
    match answer {
        Ok(answer) => {
            if let Some(flight) = ledger.flight() {
                flight.succeeded();
            }
            let tally = match answer {
                Answer::Whole { tally, .. } | Answer::Stream { tally, .. } => tally,
                // Nobody asked for that.
                Answer::Joined(_) => Tally::default(),
            };
            ledger.succeed(tally);
        }
        Err(failure) => {
            failure.tell(ledger.flight());
            ledger.end_attempt(Some(&failure), 0);
            ledger.fail(&failure.error, Tally::default());
        }
    }
}

/// The record of a check, which no client asked for.
fn open(gateway: &Gateway, check: &Check) -> Box<Ledger> {
    let row = RequestRow {
        project: check.project.to_string(),
        dialect: Wire::OpenAi.as_str().into(),
        operation: Operation::Chat.as_str().into(),
        model: check.target.model.to_string(),
        labels: [(PURPOSE.to_owned(), "health-check".to_owned())].into(),
        ..RequestRow::default()
    };
    Ledger::open(Arc::clone(&gateway.books), row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_on_the_providers_host() {
        let cases = [
            ("http://box:8000/v1", "/health", Some("http://box:8000/health")),
            (
                "https://api.test/v1",
                "/v1/up?x=1",
                Some("https://api.test/v1/up?x=1"),
            ),
            ("nonsense", "/health", None),
        ];
        for (base, path, expected) in cases {
            let found = at(base, path).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{base} {path}");
        }
    }
}
