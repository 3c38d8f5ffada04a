//! Model gateway: providers, routes, keys and the data plane.
//!
//! Requests come in at `/v1`, are resolved against a [`snapshot`] of the resources, dispatched to a provider and
//! recorded in the [`journal`].
//!
//! *Invariant:* a request never waits for a store: what it needs to know is in memory, what it leaves behind is
//! appended to a local file.

mod api;
mod authenticate;
mod command;
mod control;
mod dispatch;
mod duration;
mod journal;
mod key;
mod ledger;
mod metrics;
mod operation;
mod provider;
mod route;
mod scan;
mod signin;
mod snapshot;
mod stream;
mod tally;
mod trace;
mod upstream;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use stead_kernel::{
    Clock, Context, Error, Module, Result, Running, Timestamp,
    ports::{Chat, Outbound},
};

use crate::{journal::Journal, ledger::Books, metrics::Metrics};

/// How long a start waits for the resources that exist already.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The gateway as the composition root mounts it.
pub fn module() -> Module {
    Module {
        name: "gateway",
        kinds: vec![provider::kind(), route::kind(), key::kind()],
        collections: Vec::new(),
        commands: vec![command::provider::command(), command::key::command()],
        start: |context| start(context).boxed(),
    }
}

/// A new API key, to be shown once, and its hash as `spec.keyHash` has it.
pub fn new_key() -> (String, String) {
    let key = key::text::generate();
    let hash = key::text::print(&key::text::hash(key.as_bytes()));
    (key, hash)
}

/// What requests work with.
struct Gateway {
    snapshot: snapshot::Handle,
    books: Arc<Books>,
    replies: api::idempotency::Replies,
    outbound: Arc<dyn Outbound>,
    chat: Arc<dyn Chat>,
    clock: Arc<dyn Clock>,
    body_limit: usize,
    started: Timestamp,
}

async fn start(context: Context) -> Result<Running> {
    let folder = context.data.journal();
    let journal = tokio::task::spawn_blocking(move || Journal::open(&folder))
        .await
        .map_err(|error| Error::internal("the journal could not be opened").because(error))??;
    journal::ship(&journal, Arc::clone(&context.ports.events), &context.tasks);
    let snapshot = snapshot::follow(&context);
    control::start(&context);
    if !snapshot.ready(FIRST_LOOK).await {
        tracing::warn!(
            "the resource API has not answered everything yet; the gateway starts with what it knows"
        );
    }
    let metrics = Arc::new(Metrics::default());
    let gateway = Arc::new(Gateway {
        snapshot: snapshot.clone(),
        books: Arc::new(Books {
            journal: journal.clone(),
            clock: Arc::clone(&context.ports.clock),
            prices: Arc::clone(&context.ports.prices),
            capture: context.settings.capture,
            metrics: Arc::clone(&metrics),
        }),
        replies: api::idempotency::Replies::default(),
        outbound: Arc::clone(&context.ports.outbound),
        chat: Arc::clone(&context.ports.chat),
        clock: Arc::clone(&context.ports.clock),
        body_limit: context.settings.body_limit,
        started: context.ports.clock.now(),
    });
    let keys = authenticate::ApiKeys {
        snapshot: snapshot.clone(),
        clock: Arc::clone(&context.ports.clock),
    };
    Ok(Running {
        routes: api::router(gateway),
        authenticators: vec![Arc::new(keys)],
        metrics: vec![Arc::new(move || {
            let now = snapshot.load();
            metrics.render(now.providers(), now.keys.count(), journal.lag())
        })],
    })
}
