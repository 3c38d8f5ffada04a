//! A process that keeps state and events: the control and telemetry roles, and the gateway where it is one of them.

use std::sync::Arc;

use stead_access::{Gateways, TableAuthorizer};
use stead_apiserver::ApiServer;
use stead_inference::{Engine, EngineOptions};
use stead_kernel::{
    Authorizer, Clock, Collection, Context, DataDir, Error, Kind, Module, Principal, Result, Roles,
    SystemClock,
    ports::{Feed, Vault},
};
use stead_secrets::FileVault;
use stead_telemetry::{EventOptions, EventStore, RecordEngine, SignalOptions, SignalStore, TraceEngine};

use super::{Ground, Home, Own, Parts, VERSION, leader::Leader, ports, records, traces};
use crate::modules;

/// What keeps data, to be closed last.
pub(super) struct Stores {
    vault: Arc<dyn Vault>,
    api: ApiServer,
    events: Arc<EventStore>,
    records: Arc<dyn RecordEngine>,
    traces: Arc<dyn TraceEngine>,
    signals: Arc<SignalStore>,
    feed: Arc<Feed>,
    gateways: Gateways,
}

/// Opens the stores, takes the lead, and says what is to be started.
pub(super) async fn open(ground: &Ground, roles: Roles) -> Result<Parts> {
    let mut modules = modules::all();
    let stores = Stores::open(ground, &mut modules).await?;
    let settings = &ground.settings;
    let own = Own {
        authorizer: stores.api.authorizer(),
        events: Arc::clone(&stores.events) as _,
        records: Arc::clone(&stores.records) as _,
        traces: Arc::clone(&stores.traces) as _,
        signals: Arc::clone(&stores.signals) as _,
        feed: Arc::clone(&stores.feed),
        chat: Arc::new(Engine::new(EngineOptions {
            threads: settings.engine_threads,
            queue: settings.engine_queue,
            ..EngineOptions::new(ground.tasks.clone(), Arc::new(SystemClock))
        })?),
        vault: Arc::clone(&stores.vault),
    };
    let context = Context {
        client: stores.api.client(Principal::controller("stead")),
        tasks: ground.tasks.clone(),
        data: ground.data.clone(),
        roles,
        control: None,
        settings: Arc::clone(settings),
        ports: ports(ground, own),
    };
    stores.api.deliver_audit(Arc::clone(&context.ports.events));
    // Before anything is controlled.
    let lost = Leader::lead(&context.client, &context.tasks).await?;
    let clients = stores.api.client(Principal::controller("access"));
    stores.gateways.follow(&clients, &context.tasks);

    let (api, events, records, traces, signals) = (
        stores.api.clone(),
        Arc::clone(&stores.events),
        Arc::clone(&stores.records),
        Arc::clone(&stores.traces),
        Arc::clone(&stores.signals),
    );
    let tokens = stead_access::gateway_token_routes(stores.gateways.clone(), &context.ports);
    let clients = stores.api.clone();
    let callers = stores.api.clone();
    let stream = stead_console::routes(Arc::new(move |principal| callers.client(principal)));
    Ok(Parts {
        modules,
        client: Box::new(move |name| clients.client(Principal::controller(name))),
        routes: axum::Router::new()
            .nest("/k8s", stores.api.router())
            .merge(tokens)
            .merge(stream),
        pages: Some(stead_console::answer),
        authenticators: vec![Arc::new(stores.gateways.clone()), stores.api.authenticator()],
        metrics: vec![Arc::new(move || {
            api.metrics() + &events.metrics() + &records.metrics() + &traces.metrics() + &signals.metrics()
        })],
        unready: Vec::new(),
        lost,
        home: Home::Whole(stores),
        context,
    })
}

impl Stores {
    /// Opens the four homes of data; the kinds are handed to the resource API.
    async fn open(ground: &Ground, modules: &mut [Module]) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let data = &ground.data;
        let vault = open_vault(data)?;
        let collections: Vec<Collection> = modules
            .iter()
            .flat_map(|module| module.collections.clone())
            .collect();
        let kinds: Vec<Kind> = modules
            .iter_mut()
            .flat_map(|module| std::mem::take(&mut module.kinds))
            .collect();
        let feed = Arc::new(Feed::default());
        let events = EventStore::open(EventOptions {
            folder: data.events(),
            retention_days: ground.settings.retention_days,
            clock: Arc::clone(&clock),
            tasks: ground.tasks.clone(),
        })?
        .telling(Arc::clone(&feed));
        let records = records::open(
            &ground.settings.records_url,
            data,
            &collections,
            Arc::clone(&clock),
        )
        .await?;
        let traces = traces::open(ground, Arc::clone(&clock), Arc::clone(&feed)).await?;
        let signals = SignalStore::open(SignalOptions {
            folder: data.signals(),
            retention_days: ground.settings.retention_days,
            clock: Arc::clone(&clock),
            rate: ground.settings.ingest_rate,
            tasks: ground.tasks.clone(),
        })?
        .telling(Arc::clone(&feed));
        let gateways = Gateways::load(Arc::clone(&records) as _).await?;
        let authorizer: Arc<dyn Authorizer> = Arc::new(TableAuthorizer::new(gateways.clone()));
        let api = ApiServer::open(stead_apiserver::Options {
            path: data.state(),
            kinds,
            vault: Arc::clone(&vault),
            authorizer,
            clock,
            tasks: ground.doors.clone(),
            body_limit: ground.settings.body_limit,
            version: VERSION,
        })
        .await?;
        Ok(Self {
            vault,
            api,
            events: Arc::new(events),
            records,
            traces,
            signals: Arc::new(signals),
            feed,
            gateways,
        })
    }

    pub(super) async fn close(self) {
        self.api.close().await;
        self.events.close().await;
        self.traces.close().await;
        self.signals.close().await;
        self.records.close().await;
    }
}

/// The vault; a state file without the key that opens its secrets is left alone, for the key may come back.
fn open_vault(data: &DataDir) -> Result<Arc<dyn Vault>> {
    let key = data.keys().join("vault.key");
    if data.state().exists() && !key.exists() {
        return Err(Error::invalid(format!(
            "{} is missing, and without it no stored secret can be opened",
            key.display()
        ))
        .hint("put it back from a backup"));
    }
    Ok(Arc::new(FileVault::load_or_create(&data.keys())?))
}
