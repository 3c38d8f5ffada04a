//! What is done to objects, whoever asks: HTTP requests and the server's own tidying use the same operations.

mod access;
pub(crate) mod codec;
mod definitions;
mod delete;
mod draft;
mod identify;
mod janitor;
mod metadata;
mod namespace;
mod patch;
mod read;
mod scale;
mod text;
mod write;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use serde_json::Value;
use stead_kernel::{
    AccessRequest, Admit, Authorizer, Clock, Principal, Tasks, Verb,
    ports::{Vault, events::AuditRow},
};

use crate::{
    accounts::Keys,
    failure::{Failure, Outcome},
    http::Fairness,
    kinds::{Registry, ResourceType},
    metrics::Metrics,
    object,
    rbac::Rbac,
    store::{Key, Store},
};
pub(crate) use access::aggregate;
pub(crate) use delete::{DeleteOptions, Deleted, Preconditions, Propagation, gone_status};
pub(crate) use janitor::tidy;
pub(crate) use patch::PatchKind;
pub(crate) use read::{ListOptions, Listed, Selectors};
pub(crate) use text::Items;

/// Everything that the operations work with.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) registry: ArcSwap<Registry>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    /// The largest request body, in bytes.
    pub(crate) body_limit: usize,
    /// The version of the program.
    pub(crate) version: &'static str,
    /// The hooks of built-in kinds, by the definition's name.
    pub(crate) admit: HashMap<String, Admit>,
    /// Held while a definition is written, so that two cannot take the same names.
    pub(crate) definitions: tokio::sync::Mutex<()>,
    pub(crate) metrics: Metrics,
    /// The same as `authorizer`, with the roles that it asks.
    pub(crate) rbac: Arc<Rbac>,
    /// Whose turn it is.
    pub(crate) fairness: Fairness,
    /// The keys that sign tokens of service accounts.
    pub(crate) keys: Keys,
    /// Held while the stored roles are read.
    pub(crate) access: tokio::sync::Mutex<()>,
    /// Told when roles were read again.
    pub(crate) access_changed: tokio::sync::Notify,
}

/// Which part of an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status, where the status is a part of its own.
    Main,
    Status,
    /// The finalizers of a namespace.
    Finalize,
    /// How many of something there should be, as `autoscaling/v1` has it.
    Scale,
}

impl Part {
    /// The subresource's name; empty for the object itself.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Finalize => "finalize",
            Self::Scale => "scale",
        }
    }
}

/// What an operation is about.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) kind: Arc<ResourceType>,
    /// Empty for cluster-scoped kinds, and for lists over all namespaces.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    pub(crate) part: Part,
}

impl Target {
    /// The object with this name in the same place.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Self {
        Self {
            kind: Arc::clone(&self.kind),
            namespace: namespace.into(),
            name: name.into(),
            part: self.part,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(&self.kind.storage, &self.namespace, &self.name)
    }
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    /// Who asks under the principal's name, if it is not they themselves.
    pub(crate) acting: Option<Arc<Acting>>,
}

/// Someone who asks under another name.
#[derive(Debug, Default)]
pub(crate) struct Acting {
    /// Who it is.
    pub(crate) impersonator: String,
    /// The uid that they give the other.
    pub(crate) uid: String,
    /// What they say about the other, as a map of lists.
    pub(crate) extra: Value,
}

impl Caller {
    /// Someone who asks for themselves.
    pub(crate) fn of(principal: Principal) -> Self {
        Self {
            principal: Arc::new(principal),
            acting: None,
        }
    }
}

/// What is done about unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How a write is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    /// Do everything but the write.
    pub(crate) dry_run: bool,
    /// Who owns the fields that are written.
    pub(crate) manager: String,
    pub(crate) validation: FieldValidation,
    /// Take over the fields of others in an apply.
    pub(crate) force: bool,
    /// What is said of members that occur twice in what was sent.
    pub(crate) duplicates: Vec<String>,
}

/// What a write made.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Value,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

impl Engine {
    /// Whether the caller may do this; `Forbidden` when not.
    pub(crate) fn authorize(&self, caller: &Caller, verb: Verb, target: &Target) -> Outcome<()> {
        let optional = |text: &'_ str| !text.is_empty();
        let request = AccessRequest {
            verb,
            group: &target.kind.group,
            resource: &target.kind.plural,
            subresource: target.part.as_str(),
            project: Some(&*target.namespace).filter(|text| optional(text)),
            name: Some(&*target.name).filter(|text| optional(text)),
        };
        self.authorizer
            .authorize(&caller.principal, &request)
            .map_err(|why| Failure::denied(&caller.principal.user, &target.kind, &request, why))
    }

    /// The time now, as Kubernetes writes it.
    pub(crate) fn now(&self) -> String {
        object::time(self.clock.now())
    }

    /// The record of a write; `None` for the renewal of a lease, which happens every few seconds and says nothing.
    fn audit(&self, caller: &Caller, verb: Verb, target: &Target, manager: &str) -> Option<AuditRow> {
        let renewal =
            *target.kind.storage == *crate::kinds::LEASES && matches!(verb, Verb::Update | Verb::Patch);
        (!renewal).then(|| AuditRow {
            id: uuid::Uuid::now_v7().to_string(),
            time: self.clock.now(),
            user: caller.principal.user.clone(),
            verb: verb.as_str().into(),
            group: target.kind.group.clone(),
            resource: target.kind.plural.clone(),
            subresource: target.part.as_str().into(),
            project: target.namespace.clone(),
            name: target.name.clone(),
            resource_version: String::new(),
            detail: detail(caller, manager),
        })
    }
}

impl Engine {
    /// Records that a token was issued for a service account.
    pub(crate) async fn note_token(&self, caller: &Caller, account: &Target, about: Value) -> Outcome<()> {
        let Some(mut row) = self.audit(caller, Verb::Create, account, "") else {
            return Ok(());
        };
        row.subresource = "token".into();
        let detail = object::root_mut(&mut row.detail);
        detail.insert("token".into(), about);
        Ok(self.store.note(row).await?)
    }
}

/// What else is recorded of a write: the manager of its fields, and who did it under another's name.
fn detail(caller: &Caller, manager: &str) -> Value {
    let mut detail = serde_json::Map::new();
    if !manager.is_empty() {
        detail.insert("manager".into(), manager.into());
    }
    if let Some(acting) = &caller.acting {
        detail.insert("impersonator".into(), acting.impersonator.clone().into());
    }
    if detail.is_empty() {
        Value::Null
    } else {
        detail.into()
    }
}
