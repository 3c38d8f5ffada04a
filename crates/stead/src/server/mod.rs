//! A running server: every port wired, every domain started, one listener.

mod discover;
mod first_start;
pub(crate) mod folder;
mod operations;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use stead_access::{AdminToken, Protection, TableAuthorizer};
use stead_apiserver::ApiServer;
use stead_catalog::Catalog;
use stead_inference::{Engine, EngineOptions};
use stead_kernel::{
    Authenticator, Authorizer, Clock, Collection, Context, DataDir, Error, Kind, Module, Ports, Principal,
    Result, Settings, SystemClock, Tasks, command::Terminal, ports::Vault,
};
use stead_net::{Authority, OutboundClient, OutboundOptions, SystemExec};
use stead_secrets::FileVault;
use stead_telemetry::{EventOptions, EventStore, RecordStore};
use tokio::net::TcpListener;

use crate::{environment::Environment, modules};
use folder::Folder;
use operations::{Metrics, Readiness};

pub(crate) use first_start::FirstStart;

/// The version of this program.
pub(crate) use stead_cli::VERSION;

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What its domains work with.
    pub(crate) context: Context,
    stores: Stores,
    readiness: Readiness,
    _folder: Folder,
}

/// What keeps data, to be closed last.
struct Stores {
    vault: Arc<dyn Vault>,
    api: ApiServer,
    events: Arc<EventStore>,
    records: Arc<RecordStore>,
}

impl Server {
    /// Starts everything. Nothing answers before all of it is ready.
    ///
    /// # Errors
    /// One sentence: the folder, the port, or the store that cannot be used.
    pub(crate) async fn start(settings: Settings, environment: &Environment) -> Result<Self> {
        stead_net::install_crypto_provider();
        stead_net::raise_open_files();
        let folder = Folder::open(&settings.data)?;
        let listener = bind(settings.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("no local address").because(error))?;
        let tasks = Tasks::new();
        let settings = Arc::new(settings);
        let mut modules = modules::all();
        let (token, _) = AdminToken::load_or_create(&folder.data.keys())?;

        let stores = Stores::open(&folder.data, &settings, &tasks, &mut modules).await?;
        let context = Context {
            client: stores.api.client(Principal::controller("stead")),
            ports: ports(&settings, environment, &stores, &tasks)?,
            tasks,
            data: folder.data.clone(),
            settings,
        };
        stores.api.deliver_audit(Arc::clone(&context.ports.events));

        let readiness = Readiness::default();
        let router = compose(&context, modules, &stores, &token, &readiness, address).await?;
        let authority = authority(&context)?;
        write_run_file(&context.data, address)?;
        context.tasks.spawn("listener", {
            let (tasks, drain) = (context.tasks.clone(), context.settings.drain);
            async move { stead_net::serve(listener, router, authority.server_config(), &tasks, drain).await }
        });
        readiness.set(true);
        Ok(Self {
            address,
            context,
            stores,
            readiness,
            _folder: folder,
        })
    }

    /// Makes what the first start makes; does nothing at later ones.
    pub(crate) async fn first_start(&self, environment: &Environment) -> Result<FirstStart> {
        first_start::run(&self.context, environment).await
    }

    /// Shows the default model's download, if there is one under way, until it is done or has failed.
    pub(crate) async fn follow_model(&self, terminal: &dyn Terminal) -> Result<()> {
        first_start::follow_model(&self.context, terminal).await
    }

    /// A route that can be asked: `chat`, else the first by name.
    pub(crate) async fn a_route(&self) -> Result<Option<String>> {
        first_start::a_route(&self.context).await
    }

    /// Stops: no new requests, those under way end within the drain time, then the stores are closed.
    pub(crate) async fn stop(self) -> bool {
        self.readiness.set(false);
        let clean = self
            .context
            .tasks
            .shutdown(self.context.settings.drain + Duration::from_secs(2))
            .await;
        self.stores.api.close().await;
        self.stores.events.close().await;
        self.stores.records.close().await;
        std::fs::remove_file(run_file(&self.context.data)).ok();
        clean
    }
}

impl Stores {
    /// Opens the three homes of data; the kinds are handed to the resource API.
    async fn open(
        data: &DataDir,
        settings: &Settings,
        tasks: &Tasks,
        modules: &mut [Module],
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let vault = open_vault(data)?;
        let authorizer: Arc<dyn Authorizer> = Arc::new(TableAuthorizer);
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
            retention_days: settings.retention_days,
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
        })?;
        let records = RecordStore::open(&data.records(), &collections, Arc::clone(&clock))?;
        let api = ApiServer::open(stead_apiserver::Options {
            path: data.state(),
            kinds,
            vault: Arc::clone(&vault),
            authorizer,
            clock,
            tasks: tasks.clone(),
            body_limit: settings.body_limit,
            version: VERSION,
        })
        .await?;
        Ok(Self {
            vault,
            api,
            events: Arc::new(events),
            records: Arc::new(records),
        })
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

/// One implementation of each port.
fn ports(settings: &Settings, environment: &Environment, stores: &Stores, tasks: &Tasks) -> Result<Ports> {
    let allow_networks = settings
        .allow_networks
        .iter()
        .map(|text| {
            text.parse().map_err(|error| {
                Error::invalid(format!("allowNetworks: {text} is no network")).because(error)
            })
        })
        .collect::<Result<_>>()?;
    Ok(Ports {
        clock: Arc::new(SystemClock),
        authorizer: Arc::new(TableAuthorizer),
        events: Arc::clone(&stores.events) as _,
        records: Arc::clone(&stores.records) as _,
        chat: Arc::new(Engine::new(EngineOptions {
            threads: settings.engine_threads,
            queue: settings.engine_queue,
            ..EngineOptions::new(tasks.clone(), Arc::new(SystemClock))
        })?),
        prices: Arc::new(Catalog::embedded()),
        exec: Arc::new(SystemExec),
        outbound: Arc::new(OutboundClient::new(OutboundOptions {
            allow_networks,
            proxy: environment.proxy(),
            extra_roots: None,
        })?),
        vault: Arc::clone(&stores.vault),
    })
}

/// Starts the domains and puts every route behind the access layers.
async fn compose(
    context: &Context,
    modules: Vec<Module>,
    stores: &Stores,
    token: &AdminToken,
    readiness: &Readiness,
    address: SocketAddr,
) -> Result<Router> {
    let mut authenticators: Vec<Arc<dyn Authenticator>> = vec![token.authenticator()];
    let mut metrics: Vec<Metrics> = Vec::new();
    let mut router = Router::new();
    for module in modules {
        let running = (module.start)(Context {
            client: stores.api.client(Principal::controller(module.name)),
            ..context.clone()
        })
        .await?;
        router = router.merge(running.routes);
        authenticators.extend(running.authenticators);
        metrics.extend(running.metrics);
    }
    let (api, events, records) = (
        stores.api.clone(),
        Arc::clone(&stores.events),
        Arc::clone(&stores.records),
    );
    metrics.push(Arc::new(move || {
        api.metrics() + &events.metrics() + &records.metrics()
    }));
    let router = router
        .nest("/k8s", stores.api.router())
        .merge(operations::routes(readiness.clone(), metrics));
    Ok(stead_access::protect(
        router,
        Protection {
            authenticators,
            hosts: context.settings.hosts.clone(),
            listen: address,
            cors_origins: context.settings.cors_origins.clone(),
        },
    ))
}

fn authority(context: &Context) -> Result<Authority> {
    Authority::load_or_create(
        &context.data.keys(),
        &context.settings.hosts,
        Arc::clone(&context.ports.clock),
    )
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    use std::io::ErrorKind;
    TcpListener::bind(address).await.map_err(|error| {
        let failure = match error.kind() {
            ErrorKind::AddrInUse => Error::conflict(format!("{address} is in use by another program")),
            ErrorKind::PermissionDenied => Error::forbidden(format!("this user may not listen on {address}")),
            ErrorKind::AddrNotAvailable => Error::invalid(format!("{address} is no address of this machine")),
            _ => Error::internal(format!("cannot listen on {address}")),
        };
        failure
            .hint("choose another address with --listen")
            .because(error)
    })
}

fn run_file(data: &DataDir) -> std::path::PathBuf {
    data.root().join("run/server.json")
}

/// Tells the CLI on this machine where the server is; replaced in one step, so that it is never half written.
fn write_run_file(data: &DataDir, address: SocketAddr) -> Result<()> {
    let host = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        host_text(address)
    };
    let port = address.port();
    let body = serde_json::json!({
        "pid": std::process::id(),
        "http": format!("http://{host}:{port}"),
        "https": format!("https://{host}:{port}"),
        "ca": data.keys().join("ca.crt"),
    });
    let path = run_file(data);
    let draft = path.with_extension("new");
    std::fs::write(&draft, body.to_string())
        .and_then(|()| std::fs::rename(&draft, &path))
        .map_err(|error| Error::unavailable(format!("cannot write {}", path.display())).because(error))
}

fn host_text(address: SocketAddr) -> String {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
