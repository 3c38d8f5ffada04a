//! The Kubernetes resource API over SQLite, generic over custom resource definitions.
//!
//! Requests come as HTTP ([`ApiServer::router`]) or from this process ([`ApiServer::client`]); both are the same.
//! `http` understands requests, `engine` does what they ask, `kinds` knows what is served, `store` keeps it.
//!
//! *Invariant:* a write is answered after it is on disk, with its record for the audit in the same transaction.
//! *Invariant:* apart from the core of Kubernetes, no kind is known here.

mod accounts;
mod audit;
mod client;
mod engine;
mod failure;
mod http;
mod kinds;
mod mend;
mod metrics;
mod object;
mod rbac;
mod store;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::{Router, extract::State};
use serde_json::json;
use stead_kernel::{
    Authenticator, Authorizer, Body, Clock, DEFAULT_PROJECT, Error, Kind, Principal, Result, Tasks,
    ports::{Events, Vault},
};

pub use mend::{mend_state, state_faults};

use engine::{Caller, Engine, Part, Target, WriteOptions};
use failure::Failure;
use kinds::{NAMESPACES, Registry, core_kinds};
use metrics::Metrics;
use rbac::Rbac;
use store::{Store, StoreError};

/// What every request body must fit into, in bytes, as with Kubernetes: every list, watch and change of an object
/// holds it in memory, and what is larger belongs into a file.
const BODY_LIMIT: usize = 3 << 20;

/// What a server is opened with.
pub struct Options {
    /// The state file; made if it does not exist.
    pub path: PathBuf,
    /// The kinds of all modules; they are installed as definitions.
    pub kinds: Vec<Kind>,
    /// Encrypts Secrets.
    pub vault: Arc<dyn Vault>,
    /// Decides who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Background tasks.
    pub tasks: Tasks,
    /// The largest request body, in bytes; above 3 MiB it counts as 3 MiB.
    pub body_limit: usize,
    /// The version of the program, for `/version`.
    pub version: &'static str,
}

/// The server. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    engine: Arc<Engine>,
}

impl ApiServer {
    /// Opens the state file, installs the kinds, and starts the tidying in the background.
    ///
    /// # Errors
    /// `Invalid` when the file is of a newer version or not ours; `Unavailable` when it is damaged or cannot be
    /// written.
    pub async fn open(options: Options) -> Result<Self> {
        let store = Store::open(options.path).await?;
        let (mut definitions, mut admit) = (Vec::new(), HashMap::new());
        for kind in options.kinds {
            let definition = serde_json::to_value(&kind.definition)
                .map_err(|error| Error::internal("a definition cannot be written").because(error))?;
            if let Some(hook) = kind.admit {
                admit.insert(object::name(&definition).to_owned(), hook);
            }
            definitions.push(definition);
        }
        let rbac = Arc::new(Rbac::new(options.authorizer));
        let engine = Arc::new(Engine {
            store,
            registry: ArcSwap::from_pointee(Registry::new(core_kinds()?)),
            vault: options.vault,
            authorizer: Arc::clone(&rbac) as Arc<dyn Authorizer>,
            clock: options.clock,
            tasks: options.tasks,
            body_limit: options.body_limit.min(BODY_LIMIT),
            version: options.version,
            admit,
            definitions: tokio::sync::Mutex::new(()),
            metrics: Metrics::default(),
            rbac,
            keys: accounts::Keys::default(),
            fairness: http::Fairness::default(),
            access: tokio::sync::Mutex::new(()),
            access_changed: tokio::sync::Notify::new(),
        });
        prepare(&engine, definitions).await?;
        engine
            .tasks
            .spawn_until_stopped("state tidying", engine::tidy(Arc::clone(&engine)));
        engine
            .tasks
            .spawn_until_stopped("role aggregation", engine::aggregate(Arc::clone(&engine)));
        Ok(Self { engine })
    }

    /// The routes, from `/version`, `/api`, `/apis` and `/openapi` on. Every request must carry a
    /// [`stead_kernel::Identity`] in its extensions.
    pub fn router(&self) -> Router {
        Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.engine))
    }

    /// A client that acts as the principal, in this process. Must be called within a Tokio runtime.
    pub fn client(&self, principal: Principal) -> kube::Client {
        let service = client::InProcess {
            engine: Arc::clone(&self.engine),
            principal: Arc::new(principal),
        };
        kube::Client::new(service, DEFAULT_PROJECT)
    }

    /// What decides who may do what here: the authorizer that the server was opened with, and the roles that are stored.
    pub fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.engine.authorizer)
    }

    /// What recognises the tokens of service accounts.
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        Arc::new(accounts::Tokens(Arc::clone(&self.engine)))
    }

    /// Begins to deliver audit records: each at least once, in order, in the background.
    pub fn deliver_audit(&self, events: Arc<dyn Events>) {
        let task = audit::deliver(Arc::clone(&self.engine), events);
        self.engine.tasks.spawn_until_stopped("audit delivery", task);
    }

    /// Copies the state, consistently and while it is used, to a file that must not exist yet.
    ///
    /// # Errors
    /// `Conflict` when the file exists; `Unavailable` when it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        if to.exists() {
            return Err(Error::conflict(format!("{} exists already", to.display()))
                .hint("choose another name, or move that file away"));
        }
        self.engine.store.backup(to.into()).await.map_err(state_error)
    }

    /// Reads the whole state file and checks that it is sound.
    ///
    /// # Errors
    /// `Unavailable` with what is wrong.
    pub async fn check(&self) -> Result<()> {
        self.engine.store.check().await.map_err(state_error)
    }

    /// Whether writes are accepted.
    pub fn ready(&self) -> bool {
        self.engine.store.ready()
    }

    /// Counters in Prometheus' text format 0.0.4.
    pub fn metrics(&self) -> String {
        self.engine.metrics.render(&self.engine.store)
    }

    /// Ends writing after the writes that wait, and closes the file. Later writes are refused.
    pub async fn close(&self) {
        self.engine.store.close().await;
    }
}

async fn answer(
    State(engine): State<Arc<Engine>>,
    request: axum::http::Request<Body>,
) -> axum::response::Response {
    http::serve(engine, request).await
}

/// Makes the default project and the built-in kinds.
async fn prepare(engine: &Arc<Engine>, definitions: Vec<serde_json::Value>) -> Result<()> {
    let caller = Caller::of(Principal::controller("apiserver"));
    let failed = |failure: Failure| Error::internal(failure.message());
    let namespaces = engine.registry.load().stored_at(NAMESPACES).map(Arc::clone);
    let default = Target {
        kind: namespaces.ok_or_else(|| Error::internal("namespaces are a core kind"))?,
        namespace: String::new(),
        name: DEFAULT_PROJECT.into(),
        part: Part::Main,
    };
    if engine.load(&default).map_err(failed)?.is_none() {
        let body = json!({"metadata": {"name": DEFAULT_PROJECT}});
        let options = WriteOptions {
            manager: "stead".into(),
            ..WriteOptions::default()
        };
        engine
            .create(&caller, &default, body, &options)
            .await
            .map_err(failed)?;
    }
    engine.reload().await.map_err(failed)?;
    for definition in definitions {
        let name = object::name(&definition).to_owned();
        engine.install(&caller, definition).await.map_err(|failure| {
            Error::internal(format!(
                "the kind {name} cannot be installed: {}",
                failure.message()
            ))
        })?;
    }
    engine.reload_access().await.map_err(failed)?;
    engine.prepare_access(&caller).await.map_err(failed)?;
    engine.aggregate_now().await.map_err(failed)?;
    engine.prepare_keys().await.map_err(failed)
}

fn state_error(error: StoreError) -> Error {
    Error::unavailable("the state").because(error)
}
