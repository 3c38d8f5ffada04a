//! What follows from a provider's spec: addresses, rules of admission, its status. Nothing here performs I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Deserialize;
use serde_json::Value;
use stead_dialects::chat::Wire;
use stead_kernel::{
    AccessRequest, Admission, Error, Result, Timestamp, Verb,
    conditions::{self, ConditionStatus, READY},
    ports::Reach,
};
use url::Url;

use super::{Listing, ModelProviderSpec, ModelProviderStatus, Network, ProviderType, prices};

/// The most models that a status lists.
pub(crate) const MODEL_LIMIT: usize = 2_000;

/// The addresses of a provider's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// Without a slash at its end.
    base: String,
    kind: ProviderType,
    api_version: Option<String>,
    /// Whether the responses API is there.
    responses: bool,
}

impl Endpoints {
    /// The addresses that follow from a spec; `None` for the engine in this process, which has none.
    pub(crate) fn of(spec: &ModelProviderSpec) -> Result<Option<Self>> {
        let facts = spec.kind.facts();
        if spec.kind == ProviderType::Embedded {
            return match spec.base_url {
                None => Ok(None),
                Some(_) => Err(Error::invalid(
                    "spec.baseUrl: an embedded provider has no address",
                )),
            };
        }
        let Some(text) = spec.base_url.as_deref().or_else(|| spec.kind.base()) else {
            return Err(Error::invalid(format!(
                "spec.baseUrl: a provider of type {} needs an address",
                facts.name
            ))
            .hint(format!("for example {}", facts.example)));
        };
        let path = match (spec.kind, &spec.api_version) {
            (ProviderType::AzureOpenAi, Some(_)) => "/openai",
            _ => facts.path,
        };
        let base = base_url(text, path)?;
        Ok(Some(Self {
            base,
            kind: spec.kind,
            api_version: spec.api_version.clone(),
            responses: spec
                .responses
                .unwrap_or(facts.responses && spec.api_version.is_none()),
        }))
    }

    /// Without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The address of an operation such as `chat/completions` or `messages`.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// The address that lists the models; `None` when there is none.
    pub(crate) fn models(&self) -> Option<String> {
        match self.kind.facts().listing {
            Listing::OpenAi => Some(match &self.api_version {
                Some(version) => self.at(&format!("models?api-version={version}")),
                None => self.at("models"),
            }),
            // Anthropic lists 20 unless asked for more.
            Listing::Anthropic => Some(self.at("models?limit=1000")),
            Listing::Gemini => Some(self.at("models?pageSize=1000")),
            Listing::Cohere => {
                let origin = self.base.strip_suffix("/v2").unwrap_or(&self.base);
                Some(format!("{origin}/v1/models?page_size=1000"))
            }
            Listing::Ollama => Some(format!("{}/api/tags", self.origin())),
            Listing::None => None,
        }
    }

    /// The chat dialects that are spoken, each with the address that its paths are appended to; the one that can say
    /// most first.
    pub(crate) fn chats(&self) -> Vec<(Wire, String)> {
        let facts = self.kind.facts();
        let mut chats = vec![(facts.wire, self.base.clone())];
        if self.kind == ProviderType::Ollama {
            chats.push((Wire::Ollama, format!("{}/api", self.origin())));
        }
        if self.responses {
            chats.push((Wire::Responses, self.base.clone()));
        }
        chats
    }

    /// The address without `/v1`.
    fn origin(&self) -> &str {
        self.base.strip_suffix("/v1").unwrap_or(&self.base)
    }

    /// Whether what is sent there is encrypted on its way.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.base.starts_with("https:")
    }
}

/// Checks an address and brings it to the form that paths are appended to; without a path it gets the given one.
fn base_url(text: &str, path: &str) -> Result<String> {
    let refuse = |why: &str| Error::invalid(format!("spec.baseUrl: {why}"));
    let url = Url::parse(text).map_err(|error| refuse("this is no URL").because(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("only http and https are spoken"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("the URL names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a URL must not hold a user name or password").hint("use spec.credential"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("a base URL has no query and no fragment"));
    }
    let base = url.as_str().trim_end_matches('/');
    if url.path().trim_matches('/').is_empty() {
        return Ok(format!("{base}{path}"));
    }
    Ok(base.to_owned())
}

/// Which addresses a provider may lead to.
pub(crate) const fn reach(network: Network) -> Reach {
    match network {
        Network::Public => Reach::Public,
        Network::Private => Reach::Private,
    }
}

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let new = spec(admission.new)?;
    let old = admission.old.and_then(|old| spec(old).ok());
    check_address(&new)?;
    check_models(&new)?;
    prices::check(&new.prices)?;
    check_network(admission, &new, old.as_ref())?;
    check_secret(admission, &new, old.as_ref())?;
    check_projects(admission, &new, old.as_ref())
}

fn spec(object: &Value) -> Result<ModelProviderSpec> {
    ModelProviderSpec::deserialize(object.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of a ModelProvider").because(error))
}

fn check_address(new: &ModelProviderSpec) -> Result<()> {
    let endpoints = Endpoints::of(new)?;
    if new.credential.is_none() {
        return Ok(());
    }
    let Some(endpoints) = endpoints else {
        return Err(Error::invalid("spec.credential: an embedded provider needs none"));
    };
    if !endpoints.is_encrypted() && new.network == Network::Public {
        return Err(Error::invalid(
            "spec.baseUrl: a credential is not sent over plain http to a public address",
        )
        .hint("use https, or network: Private for a server on your own network"));
    }
    Ok(())
}

fn check_models(new: &ModelProviderSpec) -> Result<()> {
    let empty = new.models.iter().flatten().any(|name| name.trim().is_empty());
    if empty {
        return Err(Error::invalid("spec.models: a model's name must not be empty"));
    }
    if new.api_version.is_some() && new.kind != ProviderType::AzureOpenAi {
        return Err(Error::invalid(
            "spec.apiVersion: only providers of type azure-openai have one",
        ));
    }
    if new.responses == Some(true) {
        if new.kind == ProviderType::Embedded || new.kind.facts().wire != Wire::OpenAi {
            return Err(Error::invalid(
                "spec.responses: only providers that speak OpenAI's API can offer responses",
            ));
        }
        if new.api_version.is_some() {
            return Err(Error::invalid(
                "spec.responses: Azure offers responses at its newer addresses, those without spec.apiVersion",
            ));
        }
    }
    if new.kind == ProviderType::Embedded && new.models.is_some() {
        return Err(Error::invalid(
            "spec.models: an embedded provider offers the ready Models of its project",
        ));
    }
    Ok(())
}

fn check_network(
    admission: &Admission<'_>,
    new: &ModelProviderSpec,
    old: Option<&ModelProviderSpec>,
) -> Result<()> {
    if new.network == Network::Public || admission.principal.is_admin() {
        return Ok(());
    }
    let unchanged = old.is_some_and(|old| old.network == Network::Private && same_use(old, new));
    if unchanged {
        return Ok(());
    }
    Err(
        Error::forbidden("spec.network: only an admin may let a provider reach private networks")
            .hint("ask an admin to create this provider, or to allow the network for everyone"),
    )
}

/// Whether requests go where they went before, and for the same people.
fn same_use(old: &ModelProviderSpec, new: &ModelProviderSpec) -> bool {
    let use_of = |spec: &ModelProviderSpec| {
        (
            spec.kind,
            spec.base_url.clone(),
            spec.availability,
            spec.allowed_projects.clone(),
        )
    };
    use_of(old) == use_of(new)
}

/// Who names a Secret, or changes where its value is sent or who may use it, must be allowed to read it.
fn check_secret(
    admission: &Admission<'_>,
    new: &ModelProviderSpec,
    old: Option<&ModelProviderSpec>,
) -> Result<()> {
    let Some(credential) = &new.credential else {
        return Ok(());
    };
    let unchanged = old.is_some_and(|old| old.credential == new.credential && same_use(old, new));
    if unchanged {
        return Ok(());
    }
    let project = admission
        .new
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    admission.authorizer.authorize(
        admission.principal,
        &AccessRequest {
            verb: Verb::Get,
            group: "",
            resource: "secrets",
            subresource: "",
            project,
            name: Some(&credential.secret_ref.name),
        },
    )
}

/// A provider is offered only to projects that the writer may act in, so that nobody slips one into another's.
fn check_projects(
    admission: &Admission<'_>,
    new: &ModelProviderSpec,
    old: Option<&ModelProviderSpec>,
) -> Result<()> {
    let known = old.and_then(|old| old.allowed_projects.as_ref());
    for name in new.allowed_projects.iter().flat_map(|allowed| &allowed.names) {
        let new_one = known.is_none_or(|known| !known.names.contains(name));
        if new_one && !admission.principal.owns(name) {
            return Err(Error::forbidden(format!(
                "spec.allowedProjects: you may not offer a provider to project `{name}`"
            )));
        }
    }
    Ok(())
}

/// What a look at a provider found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observed {
    /// It answered with these models.
    Answered(Vec<String>),
    /// It answered, but does not list models; the spec's list holds.
    NoList,
    /// Its API lists no models, so that there is nothing to ask that costs nothing.
    NotAsked,
    /// Nobody may use it, so nobody asked.
    Disabled,
    /// It could not be asked, or refused; why.
    Failed {
        /// One CamelCase word.
        reason: &'static str,
        /// What and why, without secrets.
        message: String,
    },
}

/// The status that follows. Known models are kept while a provider is down, since it may be back any moment.
pub(crate) fn status(
    spec: &ModelProviderSpec,
    old: Option<&ModelProviderStatus>,
    observed: &Observed,
    generation: Option<i64>,
    now: Timestamp,
) -> ModelProviderStatus {
    let mut status = old.cloned().unwrap_or_default();
    // Somebody else writes that.
    status.resting.clear();
    status.observed_generation = generation;
    match observed {
        Observed::Answered(found) => status.models.clone_from(found),
        Observed::NoList | Observed::NotAsked | Observed::Disabled | Observed::Failed { .. } => {}
    }
    if let Some(explicit) = &spec.models {
        status.models.clone_from(explicit);
    }
    status.model_count = u64::try_from(status.models.len()).unwrap_or(u64::MAX);
    status.models.truncate(MODEL_LIMIT);
    status.last_error = match observed {
        Observed::Failed { message, .. } => Some(message.clone()),
        Observed::Answered(_) | Observed::NoList | Observed::NotAsked | Observed::Disabled => None,
    };
    conditions::set(
        &mut status.conditions,
        ready(observed, status.model_count, generation, now),
    );
    status
}

fn ready(observed: &Observed, count: u64, generation: Option<i64>, now: Timestamp) -> Condition {
    let (status, reason, message) = match observed {
        Observed::Answered(_) => (
            ConditionStatus::True,
            "Reachable",
            format!("it answers; {count} models"),
        ),
        Observed::NoList => (
            ConditionStatus::True,
            "Reachable",
            "it answers, but lists no models".to_owned(),
        ),
        Observed::NotAsked => (
            ConditionStatus::True,
            "NotAsked",
            "its API lists no models; the first request will tell".to_owned(),
        ),
        Observed::Disabled => (
            ConditionStatus::False,
            "Disabled",
            "nobody may use it; set spec.availability".to_owned(),
        ),
        Observed::Failed { reason, message } => (ConditionStatus::False, *reason, message.clone()),
    };
    conditions::condition(READY, status, reason, message, generation, now)
}

/// The names in an answer to the question for models; `None` when it is no such answer.
pub(crate) fn model_names(kind: ProviderType, body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }
    #[derive(Deserialize)]
    struct OpenAiList {
        data: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    #[derive(Deserialize)]
    struct NamedList {
        models: Vec<Named>,
    }
    let mut names: Vec<String> = match kind.facts().listing {
        Listing::Ollama | Listing::Gemini | Listing::Cohere => serde_json::from_slice::<NamedList>(body)
            .ok()?
            .models
            .into_iter()
            .map(|model| match model.name.strip_prefix("models/") {
                Some(name) => name.to_owned(),
                None => model.name,
            })
            .collect(),
        Listing::OpenAi | Listing::Anthropic => serde_json::from_slice::<OpenAiList>(body)
            .ok()?
            .data
            .into_iter()
            .map(|listed| listed.id)
            .collect(),
        Listing::None => return None,
    };
    names.sort_unstable();
    names.dedup();
    Some(names)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
