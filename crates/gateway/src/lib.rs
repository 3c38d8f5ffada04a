//! Model gateway: providers, routes, keys and the data plane.
//!
//! Requests come in at `/v1`, are resolved against a [`snapshot`] of the resources, dispatched to a provider and
//! recorded in the [`journal`].
//!
//! *Invariant:* a request never waits for a store: what it needs to know is in memory, what it leaves behind is
//! appended to a local file. Only conversations that clients ask to be kept are, in records, before they are told.

mod api;
mod authenticate;
mod cache;
mod command;
mod control;
mod conversations;
mod dispatch;
mod duration;
mod errand;
mod guardrail;
mod health;
mod import;
mod journal;
mod key;
mod ledger;
mod metrics;
mod operation;
mod peers;
mod prompt;
mod provider;
mod quota;
mod realtime;
mod responses;
mod route;
mod scan;
mod signin;
mod snapshot;
mod stream;
mod tally;
mod target_metrics;
mod trace;
mod upstream;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use stead_kernel::{
    Clock, Collection, Context, Error, Module, Reason, Result, Role, Running, Tasks, Timestamp,
    ports::{Chat, Models, Outbound},
};

use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    journal::Journal,
    ledger::Books,
    metrics::Metrics,
    quota::{
        Desk, Meters,
        leases::{self, Borrower, Remote},
    },
};

pub use import::{Import, Note, NoteSort, SecretValue};

/// How long a start waits for the resources that exist already.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How many realtime sessions may be open.
const SESSIONS: usize = 4_096;

/// The gateway as the composition root mounts it.
pub fn module() -> Module {
    Module {
        name: "gateway",
        kinds: vec![
            provider::kind(),
            route::kind(),
            key::kind(),
            quota::kind(),
            guardrail::kind(),
        ],
        collections: vec![
            Collection {
                name: quota::leases::COLLECTION,
                indexes: &[],
            },
            Collection {
                name: responses::COLLECTION,
                indexes: &[],
            },
            Collection {
                name: responses::UNFINISHED,
                indexes: &[],
            },
            conversations::CONVERSATIONS,
            conversations::ITEMS,
            prompt::PROMPTS,
            prompt::VERSIONS,
        ],
        commands: vec![
            command::provider::command(),
            command::key::command(),
            command::prompt::command(),
        ],
        start: |context| start(context).boxed(),
    }
}

/// A new API key, to be shown once, and its hash as `spec.keyHash` has it.
pub fn new_key() -> (String, String) {
    let key = key::text::generate();
    let hash = key_hash(&key);
    (key, hash)
}

/// The hash of a whole key as `spec.keyHash` has it.
pub fn key_hash(key: &str) -> String {
    key::text::print(&key::text::hash(key.as_bytes()))
}

/// Translates the configuration of `LiteLLM`'s proxy, as the JSON of its YAML; `environment` answers what a variable
/// holds.
///
/// # Errors
/// `Invalid` for what is no such configuration.
pub fn import_litellm(
    config: &serde_json::Value,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Import> {
    let vocabulary = import::Vocabulary::of(&module().kinds);
    import::litellm::translate(config, &vocabulary, environment)
}

/// What requests work with.
struct Gateway {
    snapshot: snapshot::Handle,
    books: Arc<Books>,
    replies: api::idempotency::Replies,
    responses: responses::Responses,
    conversations: conversations::Conversations,
    background: api::background::Background,
    prompts: Arc<prompt::Book>,
    cache: Arc<cache::Store>,
    outbound: Arc<dyn Outbound>,
    /// For files that a chat names.
    models: Arc<dyn Models>,
    chat: Arc<dyn Chat>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    /// Places of realtime sessions.
    sessions: Arc<Semaphore>,
    body_limit: usize,
    started: Timestamp,
}

async fn start(context: Context) -> Result<Running> {
    let journal = journal(&context).await?;
    let (meters, leads) = share(&context, &journal);
    let snapshot = snapshot::follow(&context, meters.clone());
    let lending = lending(&context, &snapshot, &meters, leads);
    if !snapshot.ready(FIRST_LOOK).await {
        tracing::warn!(
            "the resource API has not answered everything yet; the gateway starts with what it knows"
        );
    }
    let prompts = prompts(&context).await;
    let metrics = Arc::new(Metrics::default());
    let gateway = Arc::new(Gateway {
        snapshot: snapshot.clone(),
        books: Arc::new(books(&context, &journal, &metrics, meters)),
        replies: api::idempotency::Replies::default(),
        responses: responses::Responses::start(&context).await,
        conversations: conversations::Conversations::new(
            Arc::clone(&context.ports.records),
            Arc::clone(&context.ports.clock),
        ),
        background: api::background::Background::default(),
        prompts: Arc::clone(&prompts),
        cache: Arc::default(),
        outbound: Arc::clone(&context.ports.outbound),
        models: Arc::clone(&context.ports.models),
        chat: Arc::clone(&context.ports.chat),
        clock: Arc::clone(&context.ports.clock),
        tasks: context.tasks.clone(),
        sessions: Arc::new(Semaphore::new(SESSIONS)),
        body_limit: context.settings.body_limit,
        started: context.ports.clock.now(),
    });
    if context.roles.has(Role::Gateway) {
        health::start(&context.tasks, Arc::clone(&gateway));
    }
    let keys = authenticate::ApiKeys {
        snapshot: snapshot.clone(),
        clock: Arc::clone(&context.ports.clock),
    };
    let looked = snapshot.clone();
    // The control process lends out quotas and keeps the prompts, also where it answers no model API.
    let managing = lending.merge(managing(&context, prompts));
    Ok(Running {
        routes: if context.roles.has(Role::Gateway) {
            api::router(gateway).merge(managing)
        } else {
            managing
        },
        authenticators: vec![Arc::new(keys)],
        metrics: vec![Arc::new(move || {
            let now = snapshot.load();
            let mut text = metrics.render(now.providers(), now.keys.count(), journal.lag());
            text.push_str(&target_metrics::render(&now));
            text
        })],
        unready: vec![Arc::new(move || {
            (!looked.is_ready()).then(|| "the gateway has not read its resources yet".to_owned())
        })],
    })
}

/// The journal of this process, from which rows are shipped from now on.
async fn journal(context: &Context) -> Result<Journal> {
    let folder = context.data.journal();
    let journal = tokio::task::spawn_blocking(move || Journal::open(&folder))
        .await
        .map_err(|error| Error::internal("the journal could not be opened").because(error))??;
    journal::ship(&journal, Arc::clone(&context.ports.events), &context.tasks);
    Ok(journal)
}

/// Starts what the control process does for all gateways, and where it lends out quotas.
fn lending(
    context: &Context,
    snapshot: &snapshot::Handle,
    meters: &Meters,
    leads: Option<Arc<Desk>>,
) -> axum::Router {
    let Some(desk) = leads else {
        return axum::Router::new();
    };
    control::start(context, snapshot, meters.clone(), Arc::clone(&desk));
    leases::routes(desk)
}

/// Where prompts are managed; the control process shares them with its gateways.
fn managing(context: &Context, prompts: Arc<prompt::Book>) -> axum::Router {
    let managing = prompt::routes(Arc::clone(&prompts), Arc::clone(&context.ports.authorizer));
    if context.control.is_some() {
        return managing;
    }
    managing.merge(prompt::sharing(prompts))
}

/// The prompts as they are kept, or as the control process keeps them.
async fn prompts(context: &Context) -> Arc<prompt::Book> {
    let ports = &context.ports;
    let prompts = Arc::new(prompt::Book::new(
        Arc::clone(&ports.records),
        Arc::clone(&ports.clock),
    ));
    if let Some(leader) = &context.control {
        prompt::follow(Arc::clone(&prompts), Arc::clone(&leader.link), &context.tasks);
        prompts.wait(FIRST_LOOK).await;
        return prompts;
    }
    match prompts.read().await {
        Ok(()) => {}
        // Nothing is kept here.
        Err(error) if error.reason() == Reason::Unsupported => prompts.have_none(),
        Err(error) => tracing::warn!(
            error = error.full_message(),
            "the prompts cannot be read; none can be named until a restart"
        ),
    }
    prompts
}

/// What the records of requests are written with.
fn books(context: &Context, journal: &Journal, metrics: &Arc<Metrics>, meters: Meters) -> Books {
    let control = context.control.as_ref();
    let replica = control
        .map(|control| control.replica.as_str())
        .unwrap_or_default();
    Books {
        journal: journal.clone(),
        clock: Arc::clone(&context.ports.clock),
        prices: Arc::clone(&context.ports.prices),
        capture: context.settings.capture,
        metrics: Arc::clone(metrics),
        meters,
        replica: replica.into(),
    }
}

/// The counters of this process, and what lends to others where it leads: the leader has the whole of every limit,
/// looks after all objects and lends; another process borrows.
fn share(context: &Context, journal: &Journal) -> (Meters, Option<Arc<Desk>>) {
    let clock = &context.ports.clock;
    let prices = Arc::clone(&context.ports.prices);
    if let Some(leader) = &context.control {
        let leases = Arc::new(Remote(Arc::clone(&leader.link)));
        // What an earlier process borrowed is not this one's.
        let holder = format!("{}-{}", leader.replica, Uuid::now_v7());
        let borrower = Borrower::new(leases, Arc::clone(clock), holder);
        borrower.start(&context.tasks);
        let meters = Meters::new(Arc::clone(clock), prices, Some(borrower));
        return (meters, None);
    }
    let meters = Meters::new(Arc::clone(clock), prices, None);
    let records = Arc::clone(&context.ports.records);
    let desk = Arc::new(Desk::new(meters.clone(), Arc::clone(clock), records));
    let seeder = quota::Seeder {
        meters: meters.clone(),
        desk: Arc::clone(&desk),
        journal: journal.clone(),
        events: Arc::clone(&context.ports.events),
        replica: "".into(),
    };
    seeder.start(&context.tasks);
    (meters, Some(desk))
}
