//! Routes: the groups of `model_list` with their strategy, tries, timeouts, fallbacks and limits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Scope,
    deployment::Deployment,
    object,
    providers::Providers,
    settings::{Fallbacks, Settings},
};
use crate::import::renamed;

/// The routes, in the order of the configuration.
pub(super) struct Routes(Vec<Route>);

struct Route {
    /// As clients of `LiteLLM` call it.
    group: String,
    /// The object's name.
    name: String,
    spec: Map<String, Value>,
    /// Requests and tokens a minute, where every deployment has a limit.
    requests: Option<u64>,
    tokens: Option<u64>,
    /// Where the limits stand.
    limits: Vec<String>,
    /// Names of other routes, and after which failures.
    fallbacks: Vec<(String, BTreeSet<&'static str>)>,
}

impl Routes {
    pub(super) fn build(
        deployments: Vec<Deployment>,
        settings: &Settings,
        providers: &mut Providers,
        scope: &mut Scope<'_>,
    ) -> Self {
        let mut groups: Vec<(String, Vec<Deployment>)> = Vec::new();
        for deployment in deployments {
            if is_wildcard(&deployment, providers, scope) {
                continue;
            }
            match groups.iter_mut().find(|(group, _)| *group == deployment.group) {
                Some((_, members)) => members.push(deployment),
                None => groups.push((deployment.group.clone(), vec![deployment])),
            }
        }
        let strategy = strategy(settings, scope);
        let breaker = breaker(settings, scope);
        let routes = groups
            .into_iter()
            .map(|(group, members)| Route::build(group, &members, &strategy, settings, providers, scope));
        let mut routes = Self(routes.collect());
        for route in &mut routes.0 {
            let breaker = breaker.clone().map(|breaker| ("breaker".to_owned(), breaker));
            route.spec.extend(breaker);
        }
        routes.alias(settings, scope);
        routes.fall_back(settings, scope);
        routes
    }

    /// An alias is a route of its own with the same targets.
    fn alias(&mut self, settings: &Settings, scope: &mut Scope<'_>) {
        for (alias, group) in &settings.aliases {
            let path = format!("router_settings.model_group_alias.{alias}");
            let Some(route) = self.0.iter().find(|route| route.group == *group) else {
                scope.notes.missing(
                    path,
                    format!("there is no group {group:?} that it could stand for"),
                );
                continue;
            };
            let copy = Route {
                group: alias.clone(),
                name: name(alias, &path, scope),
                spec: route.spec.clone(),
                requests: None,
                tokens: None,
                limits: Vec::new(),
                fallbacks: Vec::new(),
            };
            self.0.push(copy);
        }
    }

    fn fall_back(&mut self, settings: &Settings, scope: &mut Scope<'_>) {
        let names: BTreeMap<String, String> = self
            .0
            .iter()
            .map(|route| (route.group.clone(), route.name.clone()))
            .collect();
        for fallbacks in &settings.fallbacks {
            let route = self.0.iter_mut().find(|route| route.group == fallbacks.group);
            let Some(route) = route else {
                let text = format!("there is no group {:?}", fallbacks.group);
                scope.notes.missing(&fallbacks.path, text);
                continue;
            };
            route.add_fallbacks(fallbacks, &names, scope);
        }
        for route in &mut self.0 {
            if route.fallbacks.is_empty() {
                let others = settings.default_fallbacks.iter();
                let default = Fallbacks {
                    path: "default_fallbacks".into(),
                    group: route.group.clone(),
                    others: others.filter(|group| **group != route.group).cloned().collect(),
                    on: None,
                };
                route.add_fallbacks(&default, &names, scope);
            }
            route.write_fallbacks();
        }
    }

    pub(super) fn objects(&self) -> Vec<Value> {
        let routes = self.0.iter();
        routes
            .map(|route| object("ModelRoute", &route.name, &Value::Object(route.spec.clone())))
            .collect()
    }

    /// Limits a minute as Quotas of the routes.
    pub(super) fn quotas(&self, scope: &mut Scope<'_>) -> Vec<Value> {
        let mut quotas = Vec::new();
        for route in &self.0 {
            if route.requests.is_none() && route.tokens.is_none() {
                continue;
            }
            if !scope.vocabulary.has_kind("Quota") {
                for path in &route.limits {
                    scope.notes.missing(path, "this version has no quotas");
                }
                continue;
            }
            for path in &route.limits {
                let text = "the limits of a group's deployments are added up to one of the route, in a Quota";
                scope.notes.changed(path, text);
            }
            let mut limits = Map::new();
            limits.insert("per".into(), "minute".into());
            if let Some(requests) = route.requests {
                limits.insert("requests".into(), requests.into());
            }
            if let Some(tokens) = route.tokens {
                limits.insert("tokens".into(), tokens.into());
            }
            let subject = json!({"kind": "Route", "name": route.name});
            let spec = json!({"subject": subject, "limits": [limits]});
            quotas.push(object("Quota", &format!("route-{}", route.name), &spec));
        }
        quotas
    }
}

/// `openai/*` needs no route: clients name the provider and its model.
fn is_wildcard(deployment: &Deployment, providers: &mut Providers, scope: &mut Scope<'_>) -> bool {
    if !deployment.group.contains('*') && !deployment.model.contains('*') {
        return false;
    }
    let provider = providers.name(&deployment.provider);
    scope.notes.changed(
        format!("{}.model_name", deployment.path),
        format!("there are no patterns in names of routes: clients write {provider}/MODEL"),
    );
    true
}

impl Route {
    fn build(
        group: String,
        members: &[Deployment],
        strategy: &str,
        settings: &Settings,
        providers: &mut Providers,
        scope: &mut Scope<'_>,
    ) -> Self {
        let path = members
            .first()
            .map(|first| first.path.clone())
            .unwrap_or_default();
        let place = format!("{path}.model_name");
        let mut spec = Map::new();
        if members.len() > 1 {
            spec.insert("strategy".into(), strategy.into());
        }
        let targets = members
            .iter()
            .map(|member| target(member, members, strategy, providers, scope));
        spec.insert("targets".into(), targets.collect());
        spec.extend(retry(members, settings).map(|retry| ("retry".to_owned(), retry)));
        spec.extend(timeouts(members, settings, scope).map(|times| ("timeouts".to_owned(), times)));
        let sum = |limit: fn(&Deployment) -> Option<u64>| {
            members
                .iter()
                .map(limit)
                .try_fold(0_u64, |sum, limit| Some(sum.saturating_add(limit?)))
        };
        let (requests, tokens) = (sum(|member| member.requests), sum(|member| member.tokens));
        let mut limits = Vec::new();
        for (field, given, whole) in [
            (
                "rpm",
                (|member: &Deployment| member.requests) as fn(&Deployment) -> Option<u64>,
                requests,
            ),
            ("tpm", |member| member.tokens, tokens),
        ] {
            for member in members.iter().filter(|member| given(member).is_some()) {
                let path = format!("{}.litellm_params.{field}", member.path);
                if whole.is_some() {
                    limits.push(path);
                } else {
                    let text = "a limit of some of a group's deployments: Quotas limit keys, users, projects and \
                                routes, not targets";
                    scope.notes.missing(path, text);
                }
            }
        }
        Self {
            name: name(&group, &place, scope),
            group,
            spec,
            requests,
            tokens,
            limits,
            fallbacks: Vec::new(),
        }
    }

    fn add_fallbacks(&mut self, given: &Fallbacks, names: &BTreeMap<String, String>, scope: &mut Scope<'_>) {
        for group in &given.others {
            let Some(name) = names.get(group) else {
                let text = format!("there is no group {group:?} to fall back to");
                scope.notes.missing(&given.path, text);
                continue;
            };
            if *name == self.name {
                continue;
            }
            let sorts = given.on.map_or_else(|| USUAL.to_vec(), |sort| vec![sort]);
            match self.fallbacks.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.extend(sorts),
                None => self.fallbacks.push((name.clone(), sorts.into_iter().collect())),
            }
        }
        if self.fallbacks.len() > 10 {
            scope
                .notes
                .missing(&given.path, "a route has at most ten fallbacks");
            self.fallbacks.truncate(10);
        }
    }

    fn write_fallbacks(&mut self) {
        let usual: BTreeSet<&str> = USUAL.into_iter().collect();
        let written = self.fallbacks.iter().map(|(name, sorts)| {
            if *sorts == usual {
                json!(name)
            } else {
                json!({"route": name, "on": sorts})
            }
        });
        let written: Vec<Value> = written.collect();
        if !written.is_empty() {
            self.spec.insert("fallbacks".into(), written.into());
        }
    }
}

/// After which failures a route falls back unless it says otherwise.
const USUAL: [&str; 2] = ["Error", "RateLimit"];

/// The object's name; another one is noted, since clients have to use it.
fn name(group: &str, path: &str, scope: &mut Scope<'_>) -> String {
    let Some(name) = renamed(group) else {
        return group.to_owned();
    };
    let text = format!("{group:?} cannot be the name of a route: clients call it {name:?}");
    scope.notes.changed(path, text);
    name
}

fn target(
    member: &Deployment,
    members: &[Deployment],
    strategy: &str,
    providers: &mut Providers,
    scope: &mut Scope<'_>,
) -> Value {
    let provider = providers.name(&member.provider);
    if let Some(price) = &member.price {
        if scope.vocabulary.has_field("ModelProvider", "prices") {
            providers.price(&provider, &member.model, price);
        } else {
            for path in &price.paths {
                scope
                    .notes
                    .missing(path, "this version has no prices of one's own");
            }
        }
    }
    let mut target = json!({"provider": provider, "model": member.model});
    let Some(fields) = target.as_object_mut() else {
        return target;
    };
    // Without weights, LiteLLM chooses in proportion to the limits.
    let weights = members.iter().any(|member| member.weight.is_some());
    let by_limit = !weights && strategy == "Weighted" && members.len() > 1;
    let every = |limit: fn(&Deployment) -> Option<u64>| members.iter().all(|member| limit(member).is_some());
    let weight = if weights {
        Some(member.weight.unwrap_or(1))
    } else if by_limit && every(|member| member.requests) {
        member.requests.map(saturated)
    } else if by_limit && every(|member| member.tokens) {
        member.tokens.map(saturated)
    } else {
        None
    };
    fields.extend(weight.map(|weight| ("weight".to_owned(), weight.into())));
    fields.extend(member.order.map(|order| ("priority".to_owned(), order.into())));
    target
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Stead's word for the strategy.
fn strategy(settings: &Settings, scope: &mut Scope<'_>) -> String {
    const PATH: &str = "router_settings.routing_strategy";
    let Some(theirs) = settings.strategy.as_deref() else {
        return "Weighted".into();
    };
    let (ours, exact) = match theirs {
        "simple-shuffle" => ("Weighted", true),
        "least-busy" => ("LeastBusy", true),
        "latency-based-routing" => ("LowestLatency", true),
        "cost-based-routing" => ("LowestCost", true),
        "usage-based-routing" | "usage-based-routing-v2" => ("LeastBusy", false),
        _ => ("", false),
    };
    if ours.is_empty() || !scope.vocabulary.allows("ModelRoute", "strategy", ours) {
        let text = format!("there is no strategy like {theirs:?} here: routes are Weighted");
        scope.notes.missing(PATH, text);
        return "Weighted".into();
    }
    if !exact {
        let text = format!("targets are not chosen by what is left of their limits: routes are {ours}");
        scope.notes.changed(PATH, text);
    }
    ours.into()
}

/// `LiteLLM` counts tries after the first.
fn retry(members: &[Deployment], settings: &Settings) -> Option<Value> {
    let own = members.iter().filter_map(|member| member.retries).max();
    let count = own.or_else(|| settings.retries.map(super::deployment::whole));
    let after = settings.retry_after.filter(|seconds| *seconds > 0.0);
    if count.is_none() && after.is_none() {
        return None;
    }
    let mut retry = Map::new();
    if let Some(count) = count {
        retry.insert("attempts".into(), count.saturating_add(1).min(20).into());
    }
    if let Some(seconds) = after {
        retry.insert("backoff".into(), span(seconds).into());
    }
    Some(Value::Object(retry))
}

fn timeouts(members: &[Deployment], settings: &Settings, scope: &mut Scope<'_>) -> Option<Value> {
    let own = |get: fn(&Deployment) -> Option<f64>| {
        let all = members.iter().filter_map(get);
        all.reduce(f64::max)
    };
    let total = own(|member| member.timeout).or(settings.timeout);
    let first = own(|member| member.stream_timeout).or(settings.stream_timeout);
    let different = members.windows(2).find(|pair| match pair {
        [one, other] => one.timeout != other.timeout || one.stream_timeout != other.stream_timeout,
        _ => false,
    });
    if let Some([one, ..]) = different {
        let path = format!("{}.litellm_params.timeout", one.path);
        scope.notes.changed(
            path,
            "timeouts hold for a route, not for a target: the longest one is taken",
        );
    }
    let mut times = Map::new();
    // The bounds of Stead's own.
    for (name, seconds) in [("total", total), ("firstToken", first)] {
        if let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) {
            times.insert(name.into(), span(seconds.min(86_400.0)).into());
        }
    }
    (!times.is_empty()).then_some(Value::Object(times))
}

/// Seconds as Stead writes durations.
fn span(seconds: f64) -> String {
    if seconds.fract() == 0.0 {
        format!("{seconds:.0}s")
    } else {
        format!("{:.0}ms", (seconds * 1_000.0).max(1.0))
    }
}

/// When a target is left alone: `LiteLLM` counts failures in a minute, Stead those in a row.
fn breaker(settings: &Settings, scope: &mut Scope<'_>) -> Option<Value> {
    let known = scope.vocabulary.has_field("ModelRoute", "breaker");
    if known && settings.no_cooldowns {
        return Some(json!({"failures": 0}));
    }
    let both = [&settings.allowed_fails, &settings.cooldown];
    for (path, value) in both.into_iter().flatten() {
        let text = if known {
            format!("{value}: what counts are failures in a row, and the pause doubles while they go on")
        } else {
            format!("{value}: a target that fails is left alone by Stead's own rules")
        };
        scope.notes.changed(path, text);
    }
    let mut breaker = Map::new();
    if let Some((_, fails)) = &settings.allowed_fails {
        let failures = super::deployment::whole(*fails).saturating_add(1).min(1_000);
        breaker.insert("failures".into(), failures.into());
    }
    if let Some((_, seconds)) = settings.cooldown.as_ref().filter(|(_, seconds)| *seconds > 0.0) {
        breaker.insert("cooldown".into(), span(*seconds).into());
    }
    (known && !breaker.is_empty()).then_some(Value::Object(breaker))
}
