//! Routes with everything that a request needs to choose a target.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::{Duration, Instant},
};

use http::HeaderName;
use stead_routing::{self as routing, Budget, Condition, Prefixes, Shed, View, stable};

use super::{Provider, compile::Id};
use crate::{
    cache::CacheSpec,
    route::{
        Strategy,
        plan::{self, Guard, Limits},
        policy::{Fallback, HealthCheck, StickyBy},
    },
};

/// How many blocks of prompts a route remembers, over all its targets; of some 40 bytes each.
const PREFIX_ROOM: u32 = 1 << 16;

/// A route with its targets resolved.
#[derive(Clone)]
pub(crate) struct Route {
    /// Its name; empty when a client named a model directly.
    pub(crate) name: Arc<str>,
    pub(crate) strategy: Strategy,
    /// By priority, then as listed.
    pub(crate) targets: Vec<Target>,
    /// Whether some target is not for every request.
    pub(crate) selective: bool,
    pub(crate) sticky: Option<StickyBy>,
    /// The header that names a session.
    pub(crate) session: HeaderName,
    pub(crate) shed: Shed,
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
    pub(crate) hedge: Option<routing::Hedge>,
    /// When targets are left alone; `None` for never.
    pub(crate) guard: Option<Guard>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) limits: Limits,
    pub(crate) fallbacks: Vec<Fallback>,
    /// Whether answers are given again.
    pub(crate) cache: Option<Arc<CacheSpec>>,
    pub(crate) memory: Arc<Memory>,
}

/// One model that can answer.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) provider: Arc<Provider>,
    pub(crate) model: Arc<str>,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    /// What tells it from others, alike on every replica.
    pub(crate) identity: u64,
    /// The requests that it is meant for; `None` for all.
    pub(crate) condition: Option<Arc<Condition>>,
    /// Its share in percent, if it is a canary.
    pub(crate) canary: Option<u32>,
    /// How it fares; shared by all routes to it.
    pub(crate) live: Arc<routing::Target>,
}

/// What a route remembers of its requests; survives changes of its object.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) hedges: Budget,
    /// Requests for which two targets were asked at once.
    pub(crate) hedged: AtomicU64,
    /// Of those, the ones that the second target answered.
    pub(crate) won: AtomicU64,
    prefixes: OnceLock<Prefixes>,
}

impl Memory {
    /// Who has read which prompts.
    pub(crate) fn prefixes(&self) -> &Prefixes {
        self.prefixes.get_or_init(|| Prefixes::new(PREFIX_ROOM))
    }
}

impl Target {
    /// A target for every request.
    pub(crate) fn new(provider: &Arc<Provider>, model: &str, live: Arc<routing::Target>) -> Self {
        Self {
            identity: identity(provider, model),
            provider: Arc::clone(provider),
            model: Arc::from(model),
            weight: 1,
            priority: 1,
            condition: None,
            canary: None,
            live,
        }
    }
}

/// Hashes what names a target. Zero bytes cannot be part of a name, so no two targets share a text.
fn identity(provider: &Provider, model: &str) -> u64 {
    let text = format!("{}\0{}\0{model}", provider.project, provider.name);
    stable(0, text.as_bytes())
}

impl Route {
    /// The route that a client means who names a model directly: nobody else is asked, and nothing is left alone.
    pub(super) fn direct(provider: &Arc<Provider>, model: &str) -> Arc<Self> {
        let target = Target {
            provider: Arc::clone(provider),
            model: Arc::from(model),
            weight: 1,
            priority: 1,
            // Nothing chooses between one.
            identity: 0,
            condition: None,
            canary: None,
            live: Arc::clone(&provider.direct),
        };
        Arc::new(Self::over(Arc::from(""), vec![target]))
    }

    /// A route with the defaults and no guard.
    pub(super) fn over(name: Arc<str>, targets: Vec<Target>) -> Self {
        Self {
            name,
            strategy: Strategy::Priority,
            targets,
            selective: false,
            sticky: None,
            session: HeaderName::from_static(plan::SESSION_HEADER),
            shed: plan::SHED,
            attempts: plan::DEFAULT_ATTEMPTS,
            backoff: plan::DEFAULT_BACKOFF,
            hedge: None,
            guard: None,
            health: None,
            limits: Limits::default(),
            fallbacks: Vec::new(),
            cache: None,
            memory: Arc::default(),
        }
    }

    /// How one of its targets fares.
    pub(crate) fn view(&self, provider: &str, model: &str, now: Instant) -> Option<View> {
        let mut targets = self.targets.iter();
        let found = targets.find(|target| &*target.provider.name == provider && &*target.model == model)?;
        Some(found.live.view(now))
    }
}

/// A target that some route has, for metrics and health checks.
#[derive(Clone)]
pub(crate) struct Known {
    /// The provider's project and name.
    pub(crate) provider: Id,
    pub(crate) model: String,
    pub(crate) live: Arc<routing::Target>,
}

/// The live state of targets while a catalogue is compiled anew: what no route has any more is forgotten.
#[derive(Default)]
pub(super) struct Lives {
    kept: HashMap<(Id, String), Arc<routing::Target>>,
    old: HashMap<(Id, String), Arc<routing::Target>>,
}

impl Lives {
    /// Begins a compilation.
    pub(super) fn begin(&mut self) {
        self.old = std::mem::take(&mut self.kept);
    }

    /// The state of a target, as it was if it was known.
    pub(super) fn of(&mut self, provider: &Provider, model: &str) -> Arc<routing::Target> {
        let id = (provider.project.to_string(), provider.name.to_string());
        let key = (id, model.to_owned());
        let old = self.old.remove(&key);
        let live = self
            .kept
            .entry(key)
            .or_insert_with(|| old.unwrap_or_else(unknown));
        Arc::clone(live)
    }

    /// Ends a compilation: the targets that routes have, in order.
    pub(super) fn end(&mut self) -> Vec<Known> {
        self.old.clear();
        let mut known: Vec<Known> = self
            .kept
            .iter()
            .map(|((provider, model), live)| Known {
                provider: provider.clone(),
                model: model.clone(),
                live: Arc::clone(live),
            })
            .collect();
        known.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
        known
    }
}

/// A target that was never asked.
pub(crate) fn unknown() -> Arc<routing::Target> {
    Arc::new(routing::Target::new(tokio::time::Instant::now().into_std()))
}
