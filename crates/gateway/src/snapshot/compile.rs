//! From objects to a catalogue. Nothing here performs I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use kube::ResourceExt;
use stead_kernel::ports::ModelFile;

use super::{
    Api, Catalog, Counters, HttpApi, Memory, Project, Provider, Route, Spoken, Target,
    route::{Lives, unknown},
};
use crate::{
    guardrail::{Guard, Guardrail, GuardrailSpec, Guards},
    provider::{
        Availability, ModelProvider, ProviderType, Scheme, SecretKeyRef,
        plan::{Endpoints, reach},
        prices::PriceList,
    },
    route::{ModelRoute, RouteTarget, plan},
    signin::{SignIn, amazon, google},
};

/// The version of Anthropic's API that is spoken (<https://docs.anthropic.com/en/api/versioning>).
pub(crate) const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A project and a name in it.
pub(crate) type Id = (String, String);

/// The data of one Secret.
pub(crate) type Secrets = BTreeMap<String, Vec<u8>>;

/// A ready Model of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmbeddedModel {
    pub(crate) project: String,
    pub(crate) file: ModelFile,
}

/// A guardrail, or what stands for one whose rules cannot be compiled.
type Compiled = Result<Arc<Guard>, Arc<Guard>>;

/// The objects that a catalogue is compiled from.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) providers: BTreeMap<Id, ModelProvider>,
    pub(crate) routes: BTreeMap<Id, ModelRoute>,
    /// Secrets that providers name; `None` when there is no such Secret.
    pub(crate) secrets: HashMap<Id, Option<Secrets>>,
    pub(crate) models: BTreeMap<Id, EmbeddedModel>,
    /// Why this process has no engine, where it has none.
    no_engine: Option<String>,
    pub(crate) guardrails: BTreeMap<Id, Guardrail>,
    /// Guardrails that were compiled before, and of what.
    guards: HashMap<Id, (GuardrailSpec, Compiled)>,
    counters: HashMap<Id, Arc<Counters>>,
    accounts: Accounts,
    /// How requests without a route fare, by provider.
    direct: HashMap<Id, Arc<stead_routing::Target>>,
    memories: HashMap<Id, Arc<Memory>>,
    lives: Lives,
}

/// What one compilation works with.
struct Pass {
    providers: BTreeMap<Id, Arc<Provider>>,
    lives: Lives,
}

/// Google's accounts by the hash of their key file; they keep the tokens that they have across changes of objects.
type Accounts = HashMap<[u8; 32], Arc<google::Account>>;

impl Sources {
    /// Nothing yet; says why this process has no engine, where it has none.
    pub(crate) fn without_engine(no_engine: Option<String>) -> Self {
        Self {
            no_engine,
            ..Self::default()
        }
    }

    /// The Secrets that providers name.
    pub(crate) fn named_secrets(&self) -> impl Iterator<Item = Id> {
        self.providers.values().filter_map(|provider| {
            let credential = provider.spec.credential.as_ref()?;
            Some((provider.namespace()?, credential.secret_ref.name.clone()))
        })
    }

    /// Compiles everything anew. Counters of providers go on counting, targets and routes remember what they learned.
    pub(crate) fn compile(&mut self) -> Catalog {
        self.compile_guards();
        let (providers, routes) = (&self.providers, &self.routes);
        self.counters.retain(|id, _| providers.contains_key(id));
        self.direct.retain(|id, _| providers.contains_key(id));
        self.memories.retain(|id, _| routes.contains_key(id));
        for id in self.routes.keys() {
            self.memories.entry(id.clone()).or_default();
        }
        let mut compiled = BTreeMap::new();
        for (id, object) in &self.providers {
            let counters = Arc::clone(self.counters.entry(id.clone()).or_default());
            let direct = Arc::clone(self.direct.entry(id.clone()).or_insert_with(unknown));
            compiled.insert(id.clone(), Arc::new(self.provider(id, object, counters, direct)));
        }
        self.accounts = accounts(compiled.values().map(|provider| &provider.api));
        let mut pass = Pass {
            providers: compiled,
            lives: std::mem::take(&mut self.lives),
        };
        pass.lives.begin();
        let projects = self
            .projects()
            .into_iter()
            .map(|name| (Box::from(name), self.project(name, &mut pass)))
            .collect();
        let anywhere = self.project("", &mut pass);
        let targets = pass.lives.end();
        self.lives = pass.lives;
        Catalog {
            projects,
            anywhere,
            targets,
        }
    }

    /// Every project that has something, or is offered something by name.
    fn projects(&self) -> BTreeSet<&str> {
        let offered = self
            .providers
            .values()
            .filter_map(|object| object.spec.allowed_projects.as_ref())
            .flat_map(|allowed| &allowed.names)
            .filter(|name| *name != "*");
        let watched = self
            .guardrails
            .values()
            .flat_map(|object| &object.spec.projects)
            .filter(|name| *name != "*");
        self.providers
            .keys()
            .chain(self.routes.keys())
            .chain(self.guardrails.keys())
            .map(|(project, _)| project)
            .chain(offered)
            .chain(watched)
            .map(String::as_str)
            .collect()
    }

    /// What a project has and is offered; its own provider wins over another's of the same name.
    fn project(&self, name: &str, pass: &mut Pass) -> Project {
        let mut project = Project::default();
        for (id, object) in &self.providers {
            let own = id.0 == name;
            let Some(provider) = pass.providers.get(id).filter(|_| own || is_offered(object, name)) else {
                continue;
            };
            if own || !project.providers.contains_key(id.1.as_str()) {
                project
                    .providers
                    .insert(id.1.as_str().into(), Arc::clone(provider));
            }
        }
        for provider in project.providers.values() {
            for model in &provider.models {
                let offers = project.offers.entry(model.clone()).or_default();
                offers.push(Arc::clone(provider));
            }
        }
        for (id, object) in self.routes.iter().filter(|((owner, _), _)| owner == name) {
            let route = self.route(id, object, &project, pass);
            project.routes.insert(id.1.as_str().into(), Arc::new(route));
        }
        project.guards = self.guards_of(name);
        project
    }

    /// Compiles the guardrails that are new or changed.
    fn compile_guards(&mut self) {
        let guardrails = &self.guardrails;
        self.guards
            .retain(|id, (spec, _)| guardrails.get(id).is_some_and(|object| object.spec == *spec));
        for (id, object) in guardrails {
            if self.guards.contains_key(id) {
                continue;
            }
            let guard = Guard::of(&id.1, &object.spec).map(Arc::new);
            let guard = guard.map_err(|_| Arc::new(Guard::unusable(&id.1, &object.spec)));
            self.guards.insert(id.clone(), (object.spec.clone(), guard));
        }
    }

    /// What watches over the requests of a project: its own guardrails, and those of others that name it.
    fn guards_of(&self, project: &str) -> Option<Guards> {
        let (mut usable, mut unusable) = (Vec::new(), Vec::new());
        for (id, object) in &self.guardrails {
            let spec = &object.spec;
            let watches = id.0 == project || spec.projects.iter().any(|name| name == "*" || name == project);
            match self.guards.get(id).filter(|_| watches && !spec.disabled) {
                Some((_, Ok(guard))) => usable.push(Arc::clone(guard)),
                Some((_, Err(guard))) => unusable.push(Arc::clone(guard)),
                None => {}
            }
        }
        let any = !(usable.is_empty() && unusable.is_empty());
        any.then(|| Guards::new(usable, unusable))
    }

    fn route(&self, id: &Id, object: &ModelRoute, usable: &Project, pass: &mut Pass) -> Route {
        let spec = &object.spec;
        let mut targets: Vec<Target> = spec
            .targets
            .iter()
            .filter_map(|target| {
                let provider = self.find(target, &id.0, usable, &pass.providers)?;
                let live = pass.lives.of(provider, &target.model);
                Some(Target {
                    weight: target.weight,
                    priority: target.priority,
                    condition: plan::condition(target.conditions.as_ref()).map(Arc::new),
                    canary: target.canary.map(|canary| canary.percent),
                    ..Target::new(provider, &target.model, live)
                })
            })
            .collect();
        targets.sort_by_key(|target| target.priority);
        let selective = |target: &Target| target.condition.is_some() || target.canary.is_some();
        let retry = spec.retry.as_ref();
        Route {
            strategy: spec.strategy,
            selective: targets.iter().any(selective),
            sticky: spec.sticky.map(|sticky| sticky.by),
            session: plan::session_header(spec),
            shed: plan::shed(spec),
            attempts: retry.map_or(plan::DEFAULT_ATTEMPTS, |retry| retry.attempts.clamp(1, 20)),
            backoff: retry.map_or(plan::DEFAULT_BACKOFF, |retry| retry.backoff.0),
            hedge: plan::hedge(spec),
            guard: plan::Guard::of(spec),
            health: spec.health_check.clone(),
            limits: plan::Limits::of(spec),
            fallbacks: spec.fallbacks.clone(),
            cache: spec.cache.clone().map(Arc::new),
            memory: self.memories.get(id).cloned().unwrap_or_default(),
            ..Route::over(id.1.as_str().into(), targets)
        }
    }

    /// The provider of a target, if the project may use it.
    fn find<'a>(
        &self,
        target: &RouteTarget,
        project: &str,
        usable: &'a Project,
        compiled: &'a BTreeMap<Id, Arc<Provider>>,
    ) -> Option<&'a Arc<Provider>> {
        let found = match &target.project {
            Some(other) if other != project => {
                let id = (other.clone(), target.provider.clone());
                let offered = self
                    .providers
                    .get(&id)
                    .is_some_and(|object| is_offered(object, project));
                compiled.get(&id).filter(|_| offered)
            }
            Some(_) | None => usable.providers.get(target.provider.as_str()),
        };
        found.filter(|found| found.availability != Availability::Disabled)
    }

    fn provider(
        &self,
        id: &Id,
        object: &ModelProvider,
        counters: Arc<Counters>,
        direct: Arc<stead_routing::Target>,
    ) -> Provider {
        let spec = &object.spec;
        let embedded = spec.kind == ProviderType::Embedded;
        let (api, mut models) = if embedded {
            self.embedded(&id.0)
        } else {
            let api = self.http(&id.0, object).unwrap_or_else(Api::Broken);
            let found = object.status.as_ref().map(|status| &status.models);
            let names = spec.models.as_ref().or(found);
            (
                api,
                names
                    .into_iter()
                    .flatten()
                    .map(|name| name.as_str().into())
                    .collect(),
            )
        };
        models.sort_unstable();
        models.dedup();
        Provider {
            project: id.0.as_str().into(),
            name: id.1.as_str().into(),
            kind: spec.kind,
            vendor: vendor(spec.kind, &api),
            availability: spec.availability,
            api,
            reach: reach(spec.network),
            closed: embedded || spec.models.is_some(),
            models,
            prices: PriceList::of(&spec.prices),
            counters,
            direct,
        }
    }

    fn embedded(&self, project: &str) -> (Api, Vec<Box<str>>) {
        if let Some(why) = &self.no_engine {
            return (Api::Broken(why.clone()), Vec::new());
        }
        let files: HashMap<Box<str>, ModelFile> = self
            .models
            .values()
            .filter(|model| model.project == project)
            .map(|model| (model.file.name.as_str().into(), model.file.clone()))
            .collect();
        let names = files.keys().cloned().collect();
        (Api::Embedded(files), names)
    }

    /// Addresses and headers, or why the provider cannot be reached.
    fn http(&self, project: &str, object: &ModelProvider) -> Result<Api, String> {
        let spec = &object.spec;
        let endpoints = Endpoints::of(spec)
            .map_err(|error| error.full_message())?
            .ok_or_else(|| "it has no address".to_owned())?;
        let at = |path: &str| {
            Uri::try_from(endpoints.at(path)).map_err(|_| "spec.baseUrl: this is no address".to_owned())
        };
        let (sign_in, secret) = self.sign_in(project, object, endpoints.base())?;
        let header = matches!(sign_in, SignIn::Headers)
            .then_some(secret.as_deref())
            .flatten();
        let chats = endpoints.chats().into_iter();
        Ok(Api::Http(Box::new(HttpApi {
            chats: chats
                .map(|(wire, base)| Spoken {
                    wire,
                    base: base.into(),
                })
                .collect(),
            chat: at("chat/completions")?,
            completions: at("completions")?,
            embeddings: at("embeddings")?,
            base: endpoints.base().into(),
            deployments: spec.api_version.as_deref().map(Into::into),
            headers: headers(spec.kind, header)?,
            sign_in,
            secret: secret.map(Into::into),
        })))
    }

    /// How requests are signed, and the secret text that must not show up anywhere.
    fn sign_in(
        &self,
        project: &str,
        object: &ModelProvider,
        base: &str,
    ) -> Result<(SignIn, Option<String>), String> {
        let Some(credential) = &object.spec.credential else {
            return Ok((SignIn::Headers, None));
        };
        let reference = &credential.secret_ref;
        match object.spec.kind.facts().scheme {
            Scheme::Bearer | Scheme::Header(_) => {}
            Scheme::Google => {
                let file = self.secret(project, reference)?;
                let known = self.accounts.get(&google::hash(&file));
                let account = match known {
                    Some(account) => Arc::clone(account),
                    None => Arc::new(google::Account::read(&file)?),
                };
                return Ok((SignIn::Google(account), None));
            }
            Scheme::Amazon => {
                let id = (project.to_owned(), reference.name.clone());
                let host = Uri::try_from(base).ok();
                let host = host.as_ref().and_then(Uri::host).unwrap_or_default();
                let data = self.secrets.get(&id).and_then(Option::as_ref);
                if let Some(keys) = data.and_then(|data| amazon::Keys::of(data, host)) {
                    let secret = keys.secret().to_owned();
                    return Ok((SignIn::Amazon(Box::new(keys)), Some(secret)));
                }
            }
        }
        Ok((SignIn::Headers, Some(self.secret(project, reference)?)))
    }

    fn secret(&self, project: &str, reference: &SecretKeyRef) -> Result<String, String> {
        let SecretKeyRef { name, key } = reference;
        let id = (project.to_owned(), name.clone());
        let data = match self.secrets.get(&id) {
            Some(Some(data)) => data,
            Some(None) => return Err(format!("there is no Secret `{name}`")),
            None => return Err(format!("Secret `{name}` is not read yet")),
        };
        let value = data
            .get(key)
            .ok_or_else(|| format!("Secret `{name}` has no key `{key}`"))?;
        let text = std::str::from_utf8(value).map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Err(format!("key `{key}` of Secret `{name}` is empty or no text"));
        }
        Ok(text.to_owned())
    }
}

/// The accounts that providers use.
fn accounts<'a>(apis: impl Iterator<Item = &'a Api>) -> Accounts {
    let accounts = apis.filter_map(|api| match api {
        Api::Http(api) => match &api.sign_in {
            SignIn::Google(account) => Some((account.hash, Arc::clone(account))),
            SignIn::Headers | SignIn::Amazon(_) => None,
        },
        Api::Embedded(_) | Api::Broken(_) => None,
    });
    accounts.collect()
}

/// By what a provider's prices are found. A host without a dot is a name of somebody's own network, where it may
/// happen to be that of a vendor.
fn vendor(kind: ProviderType, api: &Api) -> Box<str> {
    match api {
        Api::Http(api) if kind == ProviderType::OpenAiCompatible => {
            let host = api.chat.host().unwrap_or_default().to_ascii_lowercase();
            let host = host.trim_end_matches('.');
            if host.contains('.') { host } else { kind.as_str() }.into()
        }
        Api::Http(_) | Api::Embedded(_) | Api::Broken(_) => kind.as_str().into(),
    }
}

fn is_offered(object: &ModelProvider, project: &str) -> bool {
    let allowed = object
        .spec
        .allowed_projects
        .iter()
        .flat_map(|allowed| &allowed.names);
    allowed.into_iter().any(|name| name == "*" || name == project)
}

/// The headers of every request to a provider, its credential among them.
pub(crate) fn headers(kind: ProviderType, secret: Option<&str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("stead/", env!("CARGO_PKG_VERSION"))),
    );
    if kind == ProviderType::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    let Some(secret) = secret else {
        return Ok(headers);
    };
    let (name, text) = match kind.facts().scheme {
        Scheme::Header(name) => (HeaderName::from_static(name), secret.to_owned()),
        Scheme::Bearer | Scheme::Amazon | Scheme::Google => {
            (header::AUTHORIZATION, format!("Bearer {secret}"))
        }
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| "the credential holds letters that no header may hold".to_owned())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}
