//! A process that keeps state and events: the control and telemetry roles, and the gateway where it is one of them.

use std::sync::Arc;

use stead_access::{Gateways, TableAuthorizer};
use stead_apiserver::ApiServer;
use stead_catalog::Catalog;
use stead_inference::{Engine, EngineOptions};
use stead_kernel::{
    Authorizer, Clock, Collection, Context, DataDir, Error, Kind, Module, Principal, Result, Roles,
    SystemClock,
    ports::{Records, Vault},
};
use stead_secrets::FileVault;
use stead_telemetry::{EventOptions, EventStore, RecordStore, TraceOptions, TraceStore};

use super::{Ground, Home, Own, Parts, VERSION, leader::Leader, ports};
use crate::modules;

/// What keeps data, to be closed last.
pub(super) struct Stores {
    vault: Arc<dyn Vault>,
    api: ApiServer,
    events: Arc<EventStore>,
    records: Arc<RecordStore>,
    traces: Arc<TraceStore>,
    gateways: Gateways,
}

/// Opens the stores, takes the lead, and says what is to be started.
pub(super) async fn open(ground: &Ground<'_>, roles: Roles) -> Result<Parts> {
    let mut modules = modules::all();
    let stores = Stores::open(ground, &mut modules).await?;
    let settings = &ground.settings;
    let own = Own {
        authorizer: Arc::new(TableAuthorizer::new(stores.gateways.clone())),
        events: Arc::clone(&stores.events) as _,
        records: Arc::clone(&stores.records) as _,
        traces: Arc::clone(&stores.traces) as _,
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
        ports: ports(ground, own)?,
    };
    stores.api.deliver_audit(Arc::clone(&context.ports.events));
    // Before anything is controlled.
    let lost = Leader::lead(&context.client, &context.tasks).await?;
    let clients = stores.api.client(Principal::controller("access"));
    stores.gateways.follow(&clients, &context.tasks);

    let (api, events, records, traces) = (
        stores.api.clone(),
        Arc::clone(&stores.events),
        Arc::clone(&stores.records),
        Arc::clone(&stores.traces),
    );
    let tokens = stead_access::gateway_token_routes(stores.gateways.clone(), &context.ports);
    let clients = stores.api.clone();
    Ok(Parts {
        modules,
        client: Box::new(move |name| clients.client(Principal::controller(name))),
        routes: axum::Router::new()
            .nest("/k8s", stores.api.router())
            .merge(tokens),
        authenticators: vec![Arc::new(stores.gateways.clone())],
        metrics: vec![Arc::new(move || {
            api.metrics() + &events.metrics() + &records.metrics() + &traces.metrics()
        })],
        unready: Vec::new(),
        lost,
        home: Home::Whole(stores),
        context,
    })
}

impl Stores {
    /// Opens the four homes of data; the kinds are handed to the resource API.
    async fn open(ground: &Ground<'_>, modules: &mut [Module]) -> Result<Self> {
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
        let events = EventStore::open(EventOptions {
            folder: data.events(),
            retention_days: ground.settings.retention_days,
            clock: Arc::clone(&clock),
            tasks: ground.tasks.clone(),
        })?;
        let records = Arc::new(RecordStore::open(
            &data.records(),
            &collections,
            Arc::clone(&clock),
        )?);
        let traces = TraceStore::open(TraceOptions {
            folder: data.traces(),
            retention_days: ground.settings.retention_days,
            clock: Arc::clone(&clock),
            prices: Arc::new(Catalog::embedded()),
            tasks: ground.tasks.clone(),
        })?;
        let gateways = Gateways::load(Arc::clone(&records) as Arc<dyn Records>).await?;
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
            traces: Arc::new(traces),
            gateways,
        })
    }

    pub(super) async fn close(self) {
        self.api.close().await;
        self.events.close().await;
        self.traces.close().await;
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
