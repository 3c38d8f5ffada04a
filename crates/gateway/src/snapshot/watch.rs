//! Keeps the snapshot up to date: watches feed one compiler task, which swaps the snapshot after each burst.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::{Stream, StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_kernel::{Context, DataDir, GROUP, Tasks, VERSION, ports::ModelFile};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Snapshot,
    compile::{EmbeddedModel, Id, Secrets, Sources},
    keys::Key,
};
use crate::{
    guardrail::Guardrail,
    key::ApiKey,
    provider::ModelProvider,
    quota::{Meters, Quota},
    route::ModelRoute,
};

/// How many changes may wait for the compiler; watches wait when it is full.
const QUEUE: usize = 1_024;

/// The snapshot, and whether it has seen everything once.
#[derive(Clone)]
pub(crate) struct Handle {
    snapshot: Arc<ArcSwap<Snapshot>>,
    ready: watch::Receiver<bool>,
    changes: watch::Receiver<()>,
}

impl Handle {
    /// Tells when the snapshot was swapped.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }

    /// The snapshot of this moment.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether every watch has delivered what was there at its start.
    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until every watch has delivered what was there at its start, at most `limit`; says whether they have.
    pub(crate) async fn ready(&self, limit: Duration) -> bool {
        let mut ready = self.ready.clone();
        tokio::time::timeout(limit, ready.wait_for(|ready| *ready))
            .await
            .is_ok_and(|seen| seen.is_ok())
    }
}

/// A change of one kind's objects.
enum Delta<T> {
    All(Vec<T>),
    Put(T),
    Remove(Id),
}

enum Change {
    Providers(Delta<ModelProvider>),
    Routes(Delta<ModelRoute>),
    Keys(Delta<ApiKey>),
    Guardrails(Delta<Guardrail>),
    Models(Delta<DynamicObject>),
    Secret(Id, Option<Secrets>),
    Quotas(Delta<Quota>),
}

/// Starts to follow the resources.
pub(crate) fn follow(context: &Context, meters: Meters) -> Handle {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (ready_sender, ready) = watch::channel(false);
    let (changed, changes) = watch::channel(());
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let client = &context.client;
    let tasks = &context.tasks;
    feed(tasks, Api::all(client.clone()), &sender, Change::Providers);
    feed(tasks, Api::all(client.clone()), &sender, Change::Routes);
    feed(tasks, Api::all(client.clone()), &sender, Change::Keys);
    feed(tasks, Api::all(client.clone()), &sender, Change::Quotas);
    feed(tasks, Api::all(client.clone()), &sender, Change::Guardrails);
    let no_engine = context.ports.chat.absent().map(str::to_owned);
    let mut listed = BTreeSet::new();
    if no_engine.is_none() {
        let models = Api::all_with(client.clone(), &model_resource());
        feed(tasks, models, &sender, Change::Models);
    } else {
        // Without an engine nobody asks for models, which this process may not even be allowed to list.
        listed.insert(Listed::Models);
    }
    let compiler = Compiler {
        client: client.clone(),
        tasks: tasks.clone(),
        data: context.data.clone(),
        sender,
        sources: Sources::without_engine(no_engine),
        meters,
        secret_watches: HashMap::new(),
        listed,
        snapshot: Arc::clone(&snapshot),
        ready: ready_sender,
        changed,
    };
    tasks.spawn_until_stopped("gateway snapshot", compiler.run(receiver));
    Handle {
        snapshot,
        ready,
        changes,
    }
}

/// The kind Model, which another domain owns.
pub(crate) fn model_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, "Model"), "models")
}

fn feed<K>(tasks: &Tasks, api: Api<K>, sender: &mpsc::Sender<Change>, wrap: fn(Delta<K>) -> Change)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let sender = sender.clone();
    tasks.spawn_until_stopped("gateway watch", async move {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        forward(events, sender, |delta| Some(wrap(delta))).await;
    });
}

/// Turns watch events into changes; a new list comes as a whole. Ends when nobody listens.
async fn forward<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    sender: mpsc::Sender<Change>,
    wrap: impl Fn(Delta<K>) -> Option<Change>,
) {
    pin_mut!(events);
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let delta = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed.push(object);
                continue;
            }
            Ok(Event::InitDone) => Delta::All(std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => Delta::Put(object),
            Ok(Event::Delete(object)) => Delta::Remove(id(&object)),
            Err(error) => {
                tracing::debug!(%error, "a watch of the gateway broke; it is started again");
                continue;
            }
        };
        let Some(change) = wrap(delta) else { continue };
        if sender.send(change).await.is_err() {
            return;
        }
    }
}

fn id<K: Resource>(object: &K) -> Id {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The kinds, to remember which were listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Providers,
    Routes,
    Keys,
    Guardrails,
    Models,
    Quotas,
}

/// How many kinds there are to list.
const KINDS: usize = 6;

impl Change {
    /// The kind of which this is the whole list.
    fn lists(&self) -> Option<Listed> {
        match self {
            Self::Providers(Delta::All(_)) => Some(Listed::Providers),
            Self::Routes(Delta::All(_)) => Some(Listed::Routes),
            Self::Keys(Delta::All(_)) => Some(Listed::Keys),
            Self::Guardrails(Delta::All(_)) => Some(Listed::Guardrails),
            Self::Models(Delta::All(_)) => Some(Listed::Models),
            Self::Quotas(Delta::All(_)) => Some(Listed::Quotas),
            Self::Providers(_)
            | Self::Routes(_)
            | Self::Keys(_)
            | Self::Guardrails(_)
            | Self::Models(_)
            | Self::Quotas(_)
            | Self::Secret(..) => None,
        }
    }
}

struct Compiler {
    client: Client,
    tasks: Tasks,
    data: DataDir,
    sender: mpsc::Sender<Change>,
    sources: Sources,
    meters: Meters,
    /// A watch per Secret that some provider names; dropped, it stops.
    secret_watches: HashMap<Id, DropGuard>,
    /// Which kinds were listed at least once.
    listed: BTreeSet<Listed>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    ready: watch::Sender<bool>,
    changed: watch::Sender<()>,
}

impl Compiler {
    async fn run(mut self, mut receiver: mpsc::Receiver<Change>) {
        let mut burst = Vec::new();
        while receiver.recv_many(&mut burst, QUEUE).await > 0 {
            let mut next = Snapshot::clone(&self.snapshot.load());
            let mut stale = false;
            for change in burst.drain(..) {
                stale |= self.apply(change, &mut next);
            }
            if stale {
                next.catalog = Arc::new(self.sources.compile());
            }
            self.snapshot.store(Arc::new(next));
            self.changed.send_replace(());
            self.follow_secrets();
            self.announce();
        }
    }

    /// Takes a change in; returns whether the catalogue has to be compiled anew.
    fn apply(&mut self, change: Change, next: &mut Snapshot) -> bool {
        self.listed.extend(change.lists());
        match change {
            Change::Providers(delta) => {
                put(&mut self.sources.providers, delta, Some);
            }
            Change::Routes(delta) => {
                put(&mut self.sources.routes, delta, Some);
            }
            Change::Guardrails(delta) => put(&mut self.sources.guardrails, delta, Some),
            Change::Models(delta) => {
                let data = &self.data;
                put(&mut self.sources.models, delta, |object| embedded(&object, data));
            }
            Change::Secret(id, data) => {
                self.sources.secrets.insert(id, data);
            }
            Change::Keys(delta) => {
                apply_keys(delta, next);
                return false;
            }
            Change::Quotas(delta) => {
                // Most changes are those of statuses.
                if apply_quotas(delta, &self.meters) {
                    next.quotas = Arc::new(self.meters.table());
                }
                return false;
            }
        }
        true
    }

    /// Watches exactly the Secrets that providers name.
    fn follow_secrets(&mut self) {
        let named: Vec<Id> = self.sources.named_secrets().collect();
        self.secret_watches.retain(|id, _| named.contains(id));
        self.sources.secrets.retain(|id, _| named.contains(id));
        for id in named {
            if self.secret_watches.contains_key(&id) {
                continue;
            }
            let stop = CancellationToken::new();
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &id.0);
            let watch = Box::pin(follow_secret(api, id.clone(), self.sender.clone()));
            let watch = stop.clone().run_until_cancelled_owned(watch);
            self.tasks.spawn_until_stopped("gateway secret", async move {
                watch.await;
            });
            self.secret_watches.insert(id, stop.drop_guard());
        }
    }

    fn announce(&self) {
        let read = self.secret_watches.len() == self.sources.secrets.len();
        if read && self.listed.len() == KINDS {
            self.ready.send_replace(true);
        }
    }
}

fn put<K: Resource, T>(map: &mut BTreeMap<Id, T>, delta: Delta<K>, compile: impl Fn(K) -> Option<T>) {
    match delta {
        Delta::All(objects) => {
            map.clear();
            let compiled = objects
                .into_iter()
                .filter_map(|object| Some((id(&object), compile(object)?)));
            map.extend(compiled);
        }
        Delta::Put(object) => {
            let id = id(&object);
            match compile(object) {
                Some(compiled) => map.insert(id, compiled),
                None => map.remove(&id),
            };
        }
        Delta::Remove(id) => {
            map.remove(&id);
        }
    }
}

/// Says whether anything changed.
fn apply_quotas(delta: Delta<Quota>, meters: &Meters) -> bool {
    match delta {
        Delta::All(objects) => {
            let ids: BTreeSet<Id> = objects.iter().map(id).collect();
            meters.retain(|id| ids.contains(id));
            for object in &objects {
                meters.put(object);
            }
            true
        }
        Delta::Put(object) => meters.put(&object),
        Delta::Remove(id) => {
            meters.remove(&id);
            true
        }
    }
}

fn apply_keys(delta: Delta<ApiKey>, next: &mut Snapshot) {
    match delta {
        Delta::All(objects) => {
            next.keys = super::KeyTable::default();
            for key in objects.iter().filter_map(Key::of) {
                next.keys.put(key);
            }
        }
        Delta::Put(object) => match Key::of(&object) {
            Some(key) => next.keys.put(key),
            None => next
                .keys
                .remove(&object.namespace().unwrap_or_default(), &object.name_any()),
        },
        Delta::Remove((project, name)) => next.keys.remove(&project, &name),
    }
}

/// A Model whose file lies on this machine; `None` while it is not ready.
pub(crate) fn embedded(object: &DynamicObject, data: &DataDir) -> Option<EmbeddedModel> {
    let status = object.data.get("status")?;
    let ready = status.get("conditions")?.as_array()?.iter().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Ready")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    });
    let digest = status.get("digest").and_then(Value::as_str)?;
    ready.then_some(EmbeddedModel {
        project: object.namespace()?,
        file: ModelFile {
            name: object.name_any(),
            path: data.blob(digest)?,
        },
    })
}

async fn follow_secret(api: Api<Secret>, id: Id, sender: mpsc::Sender<Change>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={}", id.1));
    let events = watcher(api, config).default_backoff();
    let ours = |secret: &Secret| secret.name_any() == id.1;
    let wrap = |delta| {
        let data = match delta {
            Delta::All(found) => Vec::into_iter(found).find(ours).map(secret_data),
            Delta::Put(secret) if ours(&secret) => Some(secret_data(secret)),
            Delta::Remove((_, name)) if name == id.1 => None,
            Delta::Put(_) | Delta::Remove(_) => return None,
        };
        Some(Change::Secret(id.clone(), data))
    };
    forward(events, sender, wrap).await;
}

fn secret_data(secret: Secret) -> Secrets {
    let data = secret.data.unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, value.0)).collect()
}
