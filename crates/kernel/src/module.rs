//! A domain: its kinds, routes, controllers, commands and collections of records.

use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::{Authenticator, Authorizer, Context, Principal, Result, command::Command};

/// What a domain contributes. The static part is known without a running server, so that the CLI, the
/// reference manual and tests can read it.
pub struct Module {
    /// The domain's name: `gateway`.
    pub name: &'static str,
    /// Its kinds, in the order of the manual.
    pub kinds: Vec<Kind>,
    /// Its collections of records.
    pub collections: Vec<Collection>,
    /// Its commands below `stead`.
    pub commands: Vec<Command>,
    /// Starts it: spawns controllers through `context.tasks` and returns what answers requests.
    pub start: fn(Context) -> BoxFuture<'static, Result<Running>>,
}

/// What a started domain answers with.
#[derive(Default)]
pub struct Running {
    /// HTTP routes with absolute paths (`/v1/models`, `/api/keys`).
    pub routes: Router,
    /// Sorts of credentials that it knows.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// What it adds to `/metrics`, in Prometheus' text format 0.0.4.
    pub metrics: Vec<Arc<dyn Fn() -> String + Send + Sync>>,
    /// What keeps it from answering, for `/readyz`; `None` while it can.
    pub unready: Vec<Unready>,
}

/// Says what keeps a domain from answering; `None` while it can.
pub type Unready = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Whether objects of a kind live in projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In a project (namespace).
    Namespaced,
    /// In the whole installation.
    Cluster,
}

/// One kind of resource.
#[derive(Clone)]
pub struct Kind {
    /// The definition: schema, defaults, printer columns, short names.
    pub definition: CustomResourceDefinition,
    /// A complete, valid object, which the manual shows and a conformance test applies.
    pub example: Value,
    /// Rules that the schema cannot say; runs in the API server before a write is stored.
    pub admit: Option<Admit>,
}

/// A rule on writes: refuses with an error, or completes the object.
pub type Admit = fn(&mut Admission<'_>) -> Result<()>;

/// A write that is about to be stored.
pub struct Admission<'a> {
    /// Who writes.
    pub principal: &'a Principal,
    /// Answers whether the writer may do something else too (read a Secret that the object names).
    pub authorizer: &'a dyn Authorizer,
    /// The object as it is stored now; `None` when it is created.
    pub old: Option<&'a Value>,
    /// The object as it will be stored; the rule may complete it.
    pub new: &'a mut Value,
}

/// A collection of records and the fields of their bodies that queries may name.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    /// The name, unique over all modules: `chat.threads`.
    pub name: &'static str,
    /// Top-level fields of the body that are indexed.
    pub indexes: &'static [&'static str],
}
