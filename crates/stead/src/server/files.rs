//! The data plane from a folder of files: no resource API on a port, no sign-in, no engine.
//!
//! The files are applied to a resource API that only this process reaches, so that schemas, defaults, rules and the
//! gateway itself are the same as elsewhere. Its state is thrown away with the process.
//!
//! *Invariant:* a change counts as a whole or not at all: what is invalid leaves the last good state in force.

mod load;
mod manifests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use stead_access::TableAuthorizer;
use stead_apiserver::ApiServer;
use stead_kernel::{
    Clock, Context, Error, Module, Principal, Result, Role, Roles, SystemClock, Tasks,
    ports::{Events, Feed, Vault},
};
use stead_secrets::FileVault;
use stead_telemetry::{EventOptions, EventStore, RecordEngine};
use tokio_util::sync::CancellationToken;

use self::{load::Loader, manifests::Stamp};
use super::{
    Ground, Home, Own, Parts, VERSION,
    absent::{NoEngine, NoEvents, NoSignals, NoTraces},
    operations::Metrics,
    ports, records,
};
use crate::modules;

const NO_ENGINE: &str = "this process serves providers named in files, and has no engine of its own";
/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What to run from.
#[derive(Debug, Clone)]
pub(crate) struct FilesOptions {
    /// The folder with the manifests.
    pub(crate) folder: PathBuf,
    /// Whether usage is kept in the data folder.
    pub(crate) usage: bool,
}

/// What keeps data, to be closed last.
pub(super) struct Stores {
    api: ApiServer,
    events: Option<Arc<EventStore>>,
    records: Arc<dyn RecordEngine>,
    feed: Arc<Feed>,
    state: PathBuf,
}

impl Stores {
    pub(super) async fn close(self) {
        self.api.close().await;
        if let Some(events) = self.events {
            events.close().await;
        }
        self.records.close().await;
        remove(&self.state);
    }
}

/// Reads the files once, which must be valid, and says what is to be started.
pub(super) async fn open(ground: &Ground, options: FilesOptions) -> Result<Parts> {
    let mut modules = vec![modules::gateway()];
    if options.usage {
        modules.push(modules::observe());
    }
    let vault: Arc<dyn Vault> = Arc::new(FileVault::load_or_create(&ground.data.keys())?);
    let stores = open_stores(ground, &mut modules, &vault, options.usage).await?;
    let events: Arc<dyn Events> = match &stores.events {
        Some(events) => Arc::clone(events) as _,
        None => Arc::new(NoEvents),
    };
    let own = Own {
        authorizer: Arc::new(TableAuthorizer::default()),
        events,
        records: Arc::clone(&stores.records) as _,
        traces: Arc::new(NoTraces),
        signals: Arc::new(NoSignals),
        feed: Arc::clone(&stores.feed),
        chat: Arc::new(NoEngine(NO_ENGINE)),
        vault,
    };
    let context = Context {
        client: stores.api.client(Principal::controller("files")),
        tasks: ground.tasks.clone(),
        data: ground.data.clone(),
        roles: Roles::of(&[Role::Control, Role::Gateway]),
        control: None,
        settings: Arc::clone(&ground.settings),
        ports: ports(ground, own),
    };
    let follow = Follow::begin(context.client.clone(), &options.folder).await?;
    let metrics = follow.metrics();
    follow.keep(&context.tasks);
    let (events, records) = (stores.events.clone(), Arc::clone(&stores.records));
    let clients = stores.api.clone();
    Ok(Parts {
        context,
        modules,
        client: Box::new(move |name| clients.client(Principal::controller(name))),
        routes: axum::Router::new(),
        pages: None,
        authenticators: Vec::new(),
        metrics: vec![
            metrics,
            Arc::new(move || {
                events.as_ref().map(|events| events.metrics()).unwrap_or_default() + &records.metrics()
            }),
        ],
        unready: Vec::new(),
        lost: CancellationToken::new(),
        home: Home::Files(stores),
    })
}

async fn open_stores(
    ground: &Ground,
    modules: &mut [Module],
    vault: &Arc<dyn Vault>,
    usage: bool,
) -> Result<Stores> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data = &ground.data;
    let collections: Vec<_> = modules
        .iter()
        .flat_map(|module| module.collections.clone())
        .collect();
    let kinds = modules
        .iter_mut()
        .flat_map(|module| std::mem::take(&mut module.kinds))
        .collect();
    let feed = Arc::new(Feed::default());
    let events = if usage {
        let events = EventStore::open(EventOptions {
            folder: data.events(),
            retention_days: ground.settings.retention_days,
            clock: Arc::clone(&clock),
            tasks: ground.tasks.clone(),
        })?
        .telling(Arc::clone(&feed));
        Some(Arc::new(events))
    } else {
        None
    };
    let records = records::open(
        &ground.settings.records_url,
        data,
        &collections,
        Arc::clone(&clock),
    )
    .await?;
    let state = data.scratch().join("files.db");
    remove(&state);
    let api = ApiServer::open(stead_apiserver::Options {
        path: state.clone(),
        kinds,
        vault: Arc::clone(vault),
        authorizer: Arc::new(TableAuthorizer::default()),
        clock,
        tasks: ground.doors.clone(),
        body_limit: ground.settings.body_limit,
        version: VERSION,
    })
    .await?;
    Ok(Stores {
        api,
        events,
        records,
        feed,
        state,
    })
}

/// Removes a state file of a process that is over.
fn remove(state: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = state.as_os_str().to_owned();
        name.push(suffix);
        // What is not there need not be removed; what cannot be is said when it is opened.
        std::fs::remove_file(name).ok();
    }
}

/// Keeps the state as the files say.
struct Follow {
    folder: PathBuf,
    loader: Loader,
    stamp: Stamp,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    loaded: AtomicU64,
    refused: AtomicU64,
}

impl Follow {
    async fn begin(client: kube::Client, folder: &Path) -> Result<Self> {
        let mut follow = Self {
            folder: folder.to_owned(),
            loader: Loader::new(client),
            stamp: Stamp::default(),
            counts: Arc::default(),
        };
        follow.stamp = follow.look().await?;
        follow.load().await?;
        Ok(follow)
    }

    fn keep(mut self, tasks: &Tasks) {
        tasks.spawn_until_stopped("files", async move {
            loop {
                tokio::time::sleep(LOOK).await;
                self.look_again().await;
            }
        });
    }

    /// Loads what has changed. An error is said once for each change.
    async fn look_again(&mut self) {
        let done = match self.look().await {
            Ok(stamp) if stamp == self.stamp => return,
            Ok(stamp) => {
                self.stamp = stamp;
                self.load().await
            }
            // A folder that is gone is said once, too.
            Err(_) if self.stamp == Stamp::default() => return,
            Err(error) => {
                self.stamp = Stamp::default();
                Err(error)
            }
        };
        self.tell(done);
    }

    fn tell(&self, done: Result<()>) {
        let Err(error) = done else {
            tracing::info!(folder = %self.folder.display(), "the changed files are in force");
            return;
        };
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            error = error.full_message(),
            "a change of the files is not valid; what was valid before stays in force"
        );
    }

    async fn look(&self) -> Result<Stamp> {
        let folder = self.folder.clone();
        let looked = tokio::task::spawn_blocking(move || manifests::stamp(&folder)).await;
        looked.map_err(|error| Error::internal("the folder could not be looked at").because(error))?
    }

    async fn load(&mut self) -> Result<()> {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || manifests::read(&folder)).await;
        let read = read.map_err(|error| Error::internal("the files could not be read").because(error))??;
        self.loader.apply(read).await?;
        self.counts.loaded.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn metrics(&self) -> Metrics {
        let counts = Arc::clone(&self.counts);
        Arc::new(move || {
            let (loaded, refused) = (
                counts.loaded.load(Ordering::Relaxed),
                counts.refused.load(Ordering::Relaxed),
            );
            format!(
                "# HELP stead_files_loaded_total Times that the files were read and put in force.\n\
                 # TYPE stead_files_loaded_total counter\nstead_files_loaded_total {loaded}\n\
                 # HELP stead_files_refused_total Changes of the files that were not valid.\n\
                 # TYPE stead_files_refused_total counter\nstead_files_refused_total {refused}\n"
            )
        })
    }
}
