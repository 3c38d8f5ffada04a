//! What the request path knows: keys, routes and providers, compiled off the request path and swapped whole.
//!
//! *Invariant:* nothing here waits; a request that holds a snapshot sees one state of the world to its end.

mod compile;
mod keys;
mod route;
mod shards;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
};

use http::{HeaderMap, Uri};
use stead_dialects::chat::Wire;
use stead_kernel::ports::{ModelFile, Reach};

pub(crate) use compile::headers;
#[cfg(test)]
use compile::{Secrets, Sources};
pub(crate) use keys::{Key, KeyTable};
pub(crate) use route::{Known, Memory, Route, Target};
pub(crate) use watch::{Handle, embedded, follow, model_resource};

use crate::{
    guardrail::Guards,
    provider::{Availability, ProviderType, prices::PriceList},
    quota::QuotaTable,
    signin::SignIn,
};

/// Everything that a request may need to know.
#[derive(Default, Clone)]
pub(crate) struct Snapshot {
    /// Keys by hash and by name.
    pub(crate) keys: KeyTable,
    /// Routes and providers by project.
    pub(crate) catalog: Arc<Catalog>,
    /// Quotas by whom they limit.
    pub(crate) quotas: Arc<QuotaTable>,
}

/// Routes and providers by project.
#[derive(Default)]
pub(crate) struct Catalog {
    projects: HashMap<Box<str>, Project>,
    /// What is offered to every project, for those that have nothing of their own.
    anywhere: Project,
    /// Every target of a route once, in order.
    pub(crate) targets: Vec<Known>,
}

/// What a project can use.
#[derive(Default)]
pub(crate) struct Project {
    pub(crate) routes: HashMap<Box<str>, Arc<Route>>,
    pub(crate) providers: HashMap<Box<str>, Arc<Provider>>,
    /// What watches over its requests; `None` when nothing does.
    pub(crate) guards: Option<Guards>,
    /// The providers that offer a model of this name.
    offers: HashMap<Box<str>, Vec<Arc<Provider>>>,
}

/// A provider with everything that a request to it needs.
pub(crate) struct Provider {
    pub(crate) project: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) kind: ProviderType,
    /// By what its prices are found: its type, or where that does not tell the vendor, the host of its address.
    pub(crate) vendor: Box<str>,
    pub(crate) availability: Availability,
    pub(crate) api: Api,
    pub(crate) reach: Reach,
    /// Whether `models` is the whole truth (listed by hand, or files of this machine).
    pub(crate) closed: bool,
    /// Names of its models, in order.
    pub(crate) models: Vec<Box<str>>,
    /// Prices that its object names itself.
    pub(crate) prices: PriceList,
    pub(crate) counters: Arc<Counters>,
    /// How requests fare that name a model of it without a route.
    pub(crate) direct: Arc<stead_routing::Target>,
}

/// How a provider is reached.
pub(crate) enum Api {
    /// In this process, by files.
    Embedded(HashMap<Box<str>, ModelFile>),
    /// Over HTTP.
    Http(Box<HttpApi>),
    /// Not at all at present; why.
    Broken(String),
}

/// Addresses and headers of a provider, ready for use.
pub(crate) struct HttpApi {
    /// The chat dialects it speaks, the one that can say most first; never empty.
    pub(crate) chats: Vec<Spoken>,
    /// Ready addresses in `OpenAI`'s dialect.
    pub(crate) chat: Uri,
    pub(crate) completions: Uri,
    pub(crate) embeddings: Uri,
    /// What the paths of other operations are appended to, without a slash at its end.
    pub(crate) base: Box<str>,
    /// The version of Azure's API, where each model has an address of its own.
    pub(crate) deployments: Option<Box<str>>,
    /// Sent with every request; holds the credential, unless requests are signed one by one.
    pub(crate) headers: HeaderMap,
    pub(crate) sign_in: SignIn,
    /// The credential's text, so that it can be taken out of what the provider says.
    pub(crate) secret: Option<Box<str>>,
}

/// A chat dialect that a provider speaks.
pub(crate) struct Spoken {
    pub(crate) wire: Wire,
    /// What its paths are appended to, without a slash at its end.
    pub(crate) base: Box<str>,
}

impl HttpApi {
    /// The dialect in which a client's request is best sent on: its own where the provider speaks it.
    pub(crate) fn chat_for(&self, client: Wire) -> Option<&Spoken> {
        let own = self.chats.iter().find(|spoken| spoken.wire == client);
        own.or_else(|| self.chats.first())
    }

    /// The address of an operation of `OpenAI`'s dialect, `chat/completions` for example, for a model.
    pub(crate) fn at(&self, path: &str, model: &str) -> Option<Uri> {
        let text = match &self.deployments {
            Some(version) => {
                let model = escaped(model);
                format!("{}/deployments/{model}/{path}?api-version={version}", self.base)
            }
            None => format!("{}/{path}", self.base),
        };
        Uri::try_from(text).ok()
    }
}

impl HttpApi {
    /// Where a WebSocket to a model is opened. Azure names the model as a deployment where its API has a version.
    pub(crate) fn realtime(&self, model: &str) -> Option<Uri> {
        let (base, model) = (&self.base, escaped(model));
        let text = match &self.deployments {
            Some(version) => format!("{base}/realtime?api-version={version}&deployment={model}"),
            None => format!("{base}/realtime?model={model}"),
        };
        Uri::try_from(text).ok()
    }
}

/// A name as one segment of a path (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
pub(crate) fn escaped(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What is counted per provider; survives changes of the provider's object.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    /// Requests by outcome, in the order of [`crate::metrics::OUTCOMES`].
    pub(crate) outcomes: [AtomicU64; 3],
    /// Attempts under way.
    pub(crate) in_flight: AtomicU64,
    pub(crate) input_tokens: AtomicU64,
    pub(crate) output_tokens: AtomicU64,
    /// By model and operation, under OpenTelemetry's names.
    pub(crate) measured: crate::metrics::GenAi,
}

/// Who asks, as far as the catalogue minds.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) project: &'a str,
    pub(crate) admin: bool,
    pub(crate) key: Option<&'a Key>,
}

/// Why a model's name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing has this name, or nothing that the asker may see.
    Unknown,
    /// Several providers offer it.
    Ambiguous(Vec<String>),
    /// The key may not use it.
    NotAllowed,
}

impl Provider {
    /// Whether the asker may use it at all.
    pub(crate) fn usable_by(&self, admin: bool) -> bool {
        match self.availability {
            Availability::Everyone => true,
            Availability::Admins => admin,
            Availability::Disabled => false,
        }
    }

    /// The dialect that its errors are in.
    pub(crate) fn wire(&self) -> Wire {
        self.kind.facts().wire
    }

    /// The text of its credential, to take it out of what the provider says.
    pub(crate) fn secret(&self) -> Option<&str> {
        match &self.api {
            Api::Http(api) => api.secret.as_deref(),
            Api::Embedded(_) | Api::Broken(_) => None,
        }
    }

    /// A text without the credential.
    pub(crate) fn redact(&self, text: String) -> String {
        match self.secret() {
            Some(secret) if text.contains(secret) => text.replace(secret, "[redacted]"),
            Some(_) | None => text,
        }
    }

    fn has(&self, model: &str) -> bool {
        !self.closed || self.models.binary_search_by(|name| (**name).cmp(model)).is_ok()
    }
}

impl Snapshot {
    /// What a project can use.
    pub(crate) fn project(&self, name: &str) -> &Project {
        self.catalog.projects.get(name).unwrap_or(&self.catalog.anywhere)
    }

    /// The route that a model's name leads to: a route's name, `provider/model`, or the name of a model that
    /// exactly one provider offers.
    pub(crate) fn resolve(&self, asker: Asker<'_>, model: &str) -> Result<Arc<Route>, Refusal> {
        let project = self.project(asker.project);
        if let Some(route) = project.routes.get(model) {
            let allowed = asker.key.is_none_or(|key| key.allows_route(model));
            return allowed.then(|| Arc::clone(route)).ok_or(Refusal::NotAllowed);
        }
        let (provider, model) = project.find(asker.admin, model)?;
        let allowed = asker
            .key
            .is_none_or(|key| key.allows_model(&provider.name, model));
        allowed
            .then(|| Route::direct(provider, model))
            .ok_or(Refusal::NotAllowed)
    }

    /// All targets that a request for a route may be sent to: its own, and those of its fallbacks.
    pub(crate) fn all_targets(&self, project: &str, route: &Route) -> Vec<Target> {
        let routes = &self.project(project).routes;
        let fallbacks = route
            .fallbacks
            .iter()
            .filter_map(|fallback| routes.get(fallback.route.as_str()));
        let later = fallbacks.flat_map(|route| &route.targets);
        route.targets.iter().chain(later).cloned().collect()
    }

    /// Every route with its project.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &Arc<Route>)> {
        self.catalog.projects.iter().flat_map(|(name, project)| {
            let routes = project.routes.values();
            routes.map(move |route| (&**name, route))
        })
    }

    /// Every provider once.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.catalog.projects.iter().flat_map(|(name, project)| {
            let own = project
                .providers
                .values()
                .filter(move |provider| provider.project == *name);
            own.map(|provider| &**provider)
        })
    }

    /// The names that `GET /v1/models` lists, each with its owner, in order.
    pub(crate) fn names(&self, asker: Asker<'_>) -> Vec<(String, &str)> {
        let project = self.project(asker.project);
        let mut names: Vec<(String, &str)> = project
            .routes
            .iter()
            .filter(|(name, route)| {
                asker.key.is_none_or(|key| key.allows_route(name))
                    && route
                        .targets
                        .iter()
                        .any(|target| target.provider.usable_by(asker.admin))
            })
            .map(|(name, _)| (name.to_string(), "stead"))
            .collect();
        for (name, provider) in &project.providers {
            if !provider.usable_by(asker.admin) {
                continue;
            }
            let allowed = provider
                .models
                .iter()
                .filter(|model| asker.key.is_none_or(|key| key.allows_model(name, model)));
            names.extend(allowed.map(|model| (format!("{name}/{model}"), &**name)));
        }
        names.sort_unstable();
        names
    }
}

impl Project {
    fn find<'a>(&self, admin: bool, model: &'a str) -> Result<(&Arc<Provider>, &'a str), Refusal> {
        if let Some((name, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty()) {
            let provider = self.providers.get(name);
            if let Some(provider) =
                provider.filter(|provider| provider.usable_by(admin) && provider.has(rest))
            {
                return Ok((provider, rest));
            }
        }
        let mut usable = self
            .offers
            .get(model)
            .into_iter()
            .flatten()
            .filter(|provider| provider.usable_by(admin));
        let first = usable.next().ok_or(Refusal::Unknown)?;
        let mut others: Vec<String> = usable
            .map(|provider| format!("{}/{model}", provider.name))
            .collect();
        if others.is_empty() {
            return Ok((first, model));
        }
        others.push(format!("{}/{model}", first.name));
        others.sort_unstable();
        Err(Refusal::Ambiguous(others))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
