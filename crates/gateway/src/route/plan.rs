//! What follows from a route's spec: defaults, rules of admission, its status. Nothing here performs I/O.

use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
};
use stead_routing::{self as routing, Ratio, Rules, Shed, State, View};

use super::{
    ModelRouteSpec, ModelRouteStatus, TargetStatus,
    policy::{Conditions, HealthCheck, WhenAllOpen},
};
use crate::cache;

/// Tries in all, unless a route says otherwise.
pub(crate) const DEFAULT_ATTEMPTS: u32 = 3;
/// The pause before the second try of a target, unless a route says otherwise.
pub(crate) const DEFAULT_BACKOFF: Duration = Duration::from_millis(200);
/// When a target is left alone, unless a route says otherwise.
pub(crate) const RULES: Rules = Rules {
    consecutive: 5,
    ratio: None,
    cooldown: Duration::from_secs(10),
    longest: Duration::from_mins(5),
};
/// In which time failures are counted for their ratio, unless a route says otherwise.
pub(crate) const DEFAULT_WINDOW: Duration = Duration::from_secs(30);
/// When a target that has read a prompt is too busy to be preferred, unless a route says otherwise.
pub(crate) const SHED: Shed = Shed {
    percent: 150,
    margin: 4,
};
/// The header that names a session, unless a route says otherwise.
pub(crate) const SESSION_HEADER: &str = "x-session-id";
/// The earliest hedge, unless a route says otherwise.
pub(crate) const DEFAULT_HEDGE_DELAY: Duration = Duration::from_millis(100);
/// How often targets are checked, and how long that may take, unless a route says otherwise.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
pub(crate) const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of which no condition may ask, because their values would show in resources.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "x-api-key",
    "x-goog-api-key",
    "sec-websocket-protocol",
];

/// When targets of a route are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) rules: Rules,
    pub(crate) when_all_open: WhenAllOpen,
}

impl Guard {
    /// The rules of a route; `None` when they are switched off.
    pub(crate) fn of(spec: &ModelRouteSpec) -> Option<Self> {
        let Some(breaker) = &spec.breaker else {
            return Some(Self {
                rules: RULES,
                when_all_open: WhenAllOpen::default(),
            });
        };
        let ratio = breaker.ratio.as_ref().map(|ratio| Ratio {
            percent: ratio.percent,
            least: ratio.min_requests,
            window: ratio.window.0,
        });
        (breaker.failures > 0).then_some(Self {
            rules: Rules {
                consecutive: breaker.failures,
                ratio,
                cooldown: breaker.cooldown.0,
                longest: breaker.max_cooldown.0.max(breaker.cooldown.0),
            },
            when_all_open: breaker.when_all_open,
        })
    }
}

/// The header that names a session.
pub(crate) fn session_header(spec: &ModelRouteSpec) -> HeaderName {
    let named = spec.session.as_ref().map(|session| session.header.as_str());
    let named = named.and_then(|name| HeaderName::try_from(name).ok());
    named.unwrap_or(HeaderName::from_static(SESSION_HEADER))
}

/// When a target that has read a prompt is too busy to be preferred.
pub(crate) fn shed(spec: &ModelRouteSpec) -> Shed {
    spec.affinity.map_or(SHED, |affinity| Shed {
        percent: affinity.hot_percent,
        margin: affinity.hot_margin,
    })
}

/// How a route hedges.
pub(crate) fn hedge(spec: &ModelRouteSpec) -> Option<routing::Hedge> {
    let hedge = spec.hedge?;
    Some(routing::Hedge {
        percentile: hedge.percentile,
        percent: hedge.max_percent,
        earliest: hedge.min_delay.0,
    })
}

/// Conditions, ready to be asked; `None` where there are none.
pub(crate) fn condition(conditions: Option<&Conditions>) -> Option<routing::Condition> {
    let conditions = conditions?;
    let values = |texts: &[String]| routing::Values(texts.iter().map(|text| text.as_str().into()).collect());
    let named = |map: &std::collections::BTreeMap<String, Vec<String>>| {
        let pairs = map.iter();
        pairs
            .map(|(name, texts)| (name.as_str().into(), values(texts)))
            .collect()
    };
    let condition = routing::Condition {
        labels: named(&conditions.labels),
        metadata: named(&conditions.metadata),
        headers: named(&conditions.headers)
            .into_iter()
            .map(|(name, values): (Box<str>, _)| (name.to_ascii_lowercase().into(), values))
            .collect(),
        models: values(&conditions.models),
        tools: conditions.tools,
        images: conditions.images,
        stream: conditions.stream,
        input: routing::Bounds {
            least: conditions.min_input_tokens,
            most: conditions.max_input_tokens,
        },
    };
    (condition != routing::Condition::default()).then_some(condition)
}

/// How long each part of an answer may take, completed with the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
    /// How long nothing may be said in a realtime session.
    pub(crate) session_idle: Duration,
    /// How long such a session may be open.
    pub(crate) session_total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_mins(2),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
            // People pause, and no session of `OpenAI`'s is longer
            // (<https://platform.openai.com/docs/guides/realtime-conversations#session-lifecycle-events>).
            session_idle: Duration::from_mins(10),
            session_total: Duration::from_hours(1),
        }
    }
}

impl Limits {
    /// The limits of a route.
    pub(crate) fn of(spec: &ModelRouteSpec) -> Self {
        let default = Self::default();
        let Some(timeouts) = &spec.timeouts else {
            return default;
        };
        let or = |given: Option<crate::duration::Span>, default| given.map_or(default, |span| span.0);
        Self {
            connect: or(timeouts.connect, default.connect),
            first_token: or(timeouts.first_token, default.first_token),
            idle: or(timeouts.idle, default.idle),
            total: or(timeouts.total, default.total),
            session_idle: or(timeouts.idle, default.session_idle),
            session_total: or(timeouts.total, default.session_total),
        }
    }
}

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = ModelRouteSpec::deserialize(admission.new.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of a ModelRoute").because(error))?;
    if spec.targets.is_empty() {
        return Err(Error::invalid("spec.targets: a route needs at least one target"));
    }
    if spec.targets.iter().any(|target| target.priority == 0) {
        return Err(Error::invalid("spec.targets: priorities begin at 1"));
    }
    let name = admission.new.pointer("/metadata/name").and_then(Value::as_str);
    if spec
        .fallbacks
        .iter()
        .any(|fallback| Some(fallback.route.as_str()) == name)
    {
        return Err(Error::invalid(
            "spec.fallbacks: a route cannot fall back to itself",
        ));
    }
    if let Some(cache) = &spec.cache {
        cache::admit(cache)?;
    }
    if spec.fallbacks.iter().any(|fallback| fallback.on.is_empty()) {
        return Err(Error::invalid(
            "spec.fallbacks: `on` names no failure, so the route would never be tried",
        ));
    }
    let session = spec.session.as_ref();
    if session.is_some_and(|session| HeaderName::try_from(&session.header).is_err()) {
        return Err(Error::invalid("spec.session.header: this is no name of a header"));
    }
    check_targets(&spec)?;
    check_durations(&spec)?;
    if let Some(check) = &spec.health_check {
        check_health(check)?;
    }
    check_timeouts(&spec)
}

fn check_targets(spec: &ModelRouteSpec) -> Result<()> {
    let canaries = spec.targets.iter().filter_map(|target| target.canary);
    let percent: u32 = canaries.clone().map(|canary| canary.percent.min(101)).sum();
    if percent > 100 {
        return Err(Error::invalid(
            "spec.targets: the canaries are more than 100 percent of the requests",
        ));
    }
    if canaries.count() == spec.targets.len() {
        return Err(Error::invalid(
            "spec.targets: every target is a canary, so most requests would have none",
        ));
    }
    for (place, target) in spec.targets.iter().enumerate() {
        let Some(conditions) = &target.conditions else {
            continue;
        };
        let refuse = |why: &str| Err(Error::invalid(format!("spec.targets[{place}].conditions: {why}")));
        let mut names = conditions.headers.keys();
        if names.any(|name| CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())) {
            return refuse("a credential cannot be asked for; use labels of the API key");
        }
        let maps = [&conditions.labels, &conditions.metadata, &conditions.headers];
        if maps.iter().any(|map| map.values().any(Vec::is_empty)) {
            return refuse("a name without values never matches; write [\"*\"] for any value");
        }
        let (least, most) = (conditions.min_input_tokens, conditions.max_input_tokens);
        if least.zip(most).is_some_and(|(least, most)| least > most) {
            return refuse("minInputTokens is more than maxInputTokens");
        }
    }
    Ok(())
}

fn check_durations(spec: &ModelRouteSpec) -> Result<()> {
    let Some(breaker) = &spec.breaker else {
        return Ok(());
    };
    let window = breaker.ratio.as_ref().map(|ratio| ratio.window.0);
    let table = [
        ("breaker.cooldown", Some(breaker.cooldown.0)),
        ("breaker.maxCooldown", Some(breaker.max_cooldown.0)),
        ("breaker.ratio.window", window),
    ];
    for (name, found) in table {
        if found.is_some_and(|found| found.is_zero() || found > Duration::from_hours(24)) {
            return Err(Error::invalid(format!(
                "spec.{name}: more than 0s and at most 24h"
            )));
        }
    }
    Ok(())
}

fn check_health(check: &HealthCheck) -> Result<()> {
    if check.interval.0 < Duration::from_secs(1) {
        return Err(Error::invalid("spec.healthCheck.interval: at least 1s"));
    }
    if check.timeout.0.is_zero() || check.timeout.0 > Duration::from_mins(5) {
        return Err(Error::invalid(
            "spec.healthCheck.timeout: more than 0s and at most 5m",
        ));
    }
    let path = check.path.as_deref();
    if path.is_some_and(|path| !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err()) {
        return Err(Error::invalid(
            "spec.healthCheck.path: a path on the provider's host, such as /health",
        ));
    }
    Ok(())
}

fn check_timeouts(spec: &ModelRouteSpec) -> Result<()> {
    let limits = Limits::of(spec);
    let table = [
        ("connect", limits.connect),
        ("firstToken", limits.first_token),
        ("idle", limits.idle),
        ("total", limits.total),
    ];
    for (name, limit) in table {
        if limit.is_zero() {
            return Err(Error::invalid(format!(
                "spec.timeouts.{name}: a timeout of nothing lets no answer through"
            )));
        }
        if limit > Duration::from_hours(24) {
            return Err(Error::invalid(format!("spec.timeouts.{name}: at most 24h")));
        }
    }
    Ok(())
}

/// Why a target cannot answer, or that it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// Its provider exists and may be used.
    Usable,
    /// There is no such provider in the project.
    Missing(String),
    /// The provider is there, but nobody may use it.
    Disabled(String),
}

impl TargetState {
    /// In the words of the status, where its breaker does not matter.
    const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Usable => None,
            Self::Missing(_) => Some("Missing"),
            Self::Disabled(_) => Some("Disabled"),
        }
    }
}

/// The status that follows; `views` says how each target fares, if the request path knows it yet.
pub(crate) fn status(
    spec: &ModelRouteSpec,
    old: Option<&ModelRouteStatus>,
    targets: &[(TargetState, Option<View>)],
    generation: Option<i64>,
    now: Timestamp,
) -> ModelRouteStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    status.target_count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
    let fares = spec.targets.iter().zip(targets);
    status.targets = fares
        .map(|(target, (state, view))| target_status(&target.provider, &target.model, state, *view))
        .collect();
    let problems: Vec<String> = targets
        .iter()
        .filter_map(|(target, _)| match target {
            TargetState::Usable => None,
            TargetState::Missing(name) => Some(format!("there is no provider `{name}`")),
            TargetState::Disabled(name) => Some(format!("provider `{name}` is disabled")),
        })
        .collect();
    let usable = targets.len() - problems.len();
    let (reason, message) = if problems.is_empty() {
        ("TargetsUsable", format!("{usable} targets can answer"))
    } else if usable > 0 {
        ("SomeTargetsUsable", problems.join("; "))
    } else {
        ("NoTargetUsable", problems.join("; "))
    };
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, usable > 0, reason, message, generation, now),
    );
    status
}

fn target_status(provider: &str, model: &str, state: &TargetState, view: Option<View>) -> TargetStatus {
    let open = view.map_or(State::Closed, |view| view.state);
    TargetStatus {
        provider: provider.to_owned(),
        model: model.to_owned(),
        state: state.word().unwrap_or(state_word(open)).to_owned(),
        opened: view.map_or(0, |view| view.opened),
        in_flight: view.map_or(0, |view| view.in_flight),
        first_token_ms: view.and_then(|view| view.first_token).map(two_digits),
    }
}

/// A breaker's state in resources.
pub(crate) const fn state_word(state: State) -> &'static str {
    match state {
        State::Closed => "Closed",
        State::Open => "Open",
        State::HalfOpen => "HalfOpen",
    }
}

/// Milliseconds to two digits, so that a status does not change with every request.
fn two_digits(duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut unit = 1;
    while millis / unit >= 100 {
        unit *= 10;
    }
    millis / unit * unit
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
