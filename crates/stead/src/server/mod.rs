//! A running server: every port wired, the domains of its roles started, one listener.

mod absent;
mod access_log;
mod asked;
mod discover;
mod files;
mod first_start;
pub(crate) mod folder;
mod home;
mod leader;
mod link;
mod openapi;
mod operations;
mod pages;
pub(crate) mod records;
mod remote_events;
mod replica;
pub(crate) mod roles;
mod settings;
mod traces;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use stead_access::{AdminToken, Protected, Protection};
use stead_catalog::Catalog;
use stead_kernel::{
    Authenticator, Authorizer, Context, DataDir, Error, Module, OpikLocal, Ports, Result, Roles, Settings,
    SystemClock, Tasks, Unready,
    command::Terminal,
    ports::{Chat, Events, Feed, Outbound, Prices, Records, Signals, Traces, Vault},
};
use stead_net::{Authority, OutboundClient, OutboundOptions, SystemExec};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{config::Resolved, environment::Environment};
use access_log::AccessLogger;
use asked::Asked;
use folder::Folder;
use operations::{Metrics, Readiness};

pub(crate) use files::FilesOptions;
pub(crate) use first_start::FirstStart;
pub(crate) use link::LinkOptions;

/// The version of this program.
pub(crate) use stead_cli::VERSION;

/// How long background work may take to end once no request is under way any more.
const GRACE: Duration = Duration::from_secs(5);

/// What is to be started.
pub(crate) enum Start {
    /// State and events, and whatever else the roles say.
    Home(Roles),
    /// The gateway alone, over another process's state.
    Gateway(LinkOptions),
    /// The gateway alone, from files.
    Files(FilesOptions),
}

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What its domains work with.
    pub(crate) context: Context,
    /// Cancelled when another control process has taken the lead.
    pub(crate) lost: CancellationToken,
    home: Home,
    readiness: Readiness,
    /// The listener and its connections, which end before anything else does.
    doors: Tasks,
    _folder: Folder,
}

/// What keeps data, to be closed last.
enum Home {
    Whole(home::Stores),
    Replica,
    Files(files::Stores),
}

/// What a sort of process is made of.
struct Parts {
    context: Context,
    /// The domains to start.
    modules: Vec<Module>,
    /// A client for the resource API that acts as the named domain.
    client: Box<dyn Fn(&'static str) -> kube::Client + Send + Sync>,
    /// Routes besides those of the domains.
    routes: Router,
    /// The console, where there is one.
    pages: Option<operations::Pages>,
    authenticators: Vec<Arc<dyn Authenticator>>,
    metrics: Vec<Metrics>,
    unready: Vec<Unready>,
    lost: CancellationToken,
    home: Home,
}

/// What every sort of process is opened with.
struct Ground {
    settings: Arc<Settings>,
    data: DataDir,
    tasks: Tasks,
    /// Ends with the doors: what answers for as long as it is asked (watches) must not hold the drain.
    doors: Tasks,
    /// What domains ask that ask models themselves.
    asked: Asked,
    prices: Arc<Catalog>,
    /// What sends requests to other machines.
    outbound: Arc<OutboundClient>,
}

impl Server {
    /// Starts everything. A server of its own data answers nothing before all of it is ready; a gateway over another
    /// process's state answers `503` until it has read it.
    ///
    /// # Errors
    /// One sentence: the folder, the port, or the store that cannot be used.
    pub(crate) async fn start(start: Start, resolved: Resolved, environment: &Environment) -> Result<Self> {
        stead_net::install_crypto_provider();
        stead_net::raise_open_files();
        let Resolved { settings, values } = resolved;
        let folder = Folder::open(&settings.data)?;
        let listener = bind(settings.listen).await?;
        let second = match settings.otlp_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("no local address").because(error))?;
        let (token, _) = AdminToken::load_or_create(&folder.data.keys())?;
        let settings = Arc::new(settle(settings, environment));
        let ground = Ground {
            prices: Arc::new(Catalog::embedded()),
            outbound: Arc::new(outbound(&settings, environment)?),
            settings,
            data: folder.data.clone(),
            tasks: Tasks::new(),
            doors: Tasks::new(),
            asked: Asked::default(),
        };
        let mut parts = match start {
            Start::Home(roles) => home::open(&ground, roles).await?,
            Start::Gateway(options) => replica::open(&ground, &options).await?,
            Start::Files(options) => files::open(&ground, options).await?,
        };
        parts.authenticators.insert(0, token.authenticator());
        parts.routes = parts
            .routes
            .merge(settings::routes(values))
            .merge(openapi::routes());
        let (front, readiness) = compose(&mut parts, address, &ground.asked).await?;
        let Parts {
            context, lost, home, ..
        } = parts;
        let authority = authority(&context)?;
        write_run_file(&context.data, address)?;
        let doors = ground.doors;
        for listener in [Some(listener), second].into_iter().flatten() {
            let (front, tasks, drain) = (front.clone(), doors.clone(), context.settings.drain);
            let tls = authority.server_config();
            doors.spawn("listener", async move {
                match front {
                    Front::Bare(service) => stead_net::serve(listener, service, tls, &tasks, drain).await,
                    Front::Layered(router) => stead_net::serve(listener, router, tls, &tasks, drain).await,
                }
            });
        }
        readiness.set(true);
        context.tasks.spawn_until_stopped("pages", pages::give_back());
        Ok(Self {
            address,
            context,
            lost,
            home,
            readiness,
            doors,
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

    /// Stops: says so to whoever asks, takes no new requests, lets those under way end within the drain time, then
    /// ends the background work and closes the stores. Returns whether all ended in time.
    pub(crate) async fn stop(self) -> bool {
        let settings = &self.context.settings;
        self.readiness.set(false);
        tokio::time::sleep(settings.drain_delay).await;
        // Those who follow what happens would hold the doors open.
        self.context.ports.feed.close();
        let drained = self.doors.shutdown(settings.drain + Duration::from_secs(2)).await;
        let ended = self.context.tasks.shutdown(GRACE).await;
        match self.home {
            Home::Whole(stores) => stores.close().await,
            Home::Replica => {}
            Home::Files(stores) => stores.close().await,
        }
        std::fs::remove_file(run_file(&self.context.data)).ok();
        drained && ended
    }
}

/// Decides what was left to this machine: whether its programs need a key for Opik's API.
fn settle(mut settings: Settings, environment: &Environment) -> Settings {
    if settings.opik_local == OpikLocal::Auto {
        settings.opik_local = if environment.is_shared() {
            OpikLocal::Off
        } else {
            OpikLocal::On
        };
    }
    settings
}

/// What differs between the sorts of processes, of what domains work with.
struct Own {
    authorizer: Arc<dyn Authorizer>,
    events: Arc<dyn Events>,
    records: Arc<dyn Records>,
    traces: Arc<dyn Traces>,
    signals: Arc<dyn Signals>,
    feed: Arc<Feed>,
    chat: Arc<dyn Chat>,
    vault: Arc<dyn Vault>,
}

fn outbound(settings: &Settings, environment: &Environment) -> Result<OutboundClient> {
    let networks = settings.allow_networks.iter().map(|text| {
        text.parse()
            .map_err(|error| Error::invalid(format!("allowNetworks: {text} is no network")).because(error))
    });
    let allow_networks = networks.collect::<Result<_>>()?;
    OutboundClient::new(OutboundOptions {
        allow_networks,
        proxy: environment.proxy(),
        extra_roots: None,
    })
}

/// One implementation of each port.
fn ports(ground: &Ground, own: Own) -> Ports {
    Ports {
        clock: Arc::new(SystemClock),
        authorizer: own.authorizer,
        events: own.events,
        records: own.records,
        traces: own.traces,
        signals: own.signals,
        feed: own.feed,
        chat: own.chat,
        models: Arc::new(ground.asked.clone()),
        prices: Arc::clone(&ground.prices) as Arc<dyn Prices>,
        exec: Arc::new(SystemExec),
        outbound: Arc::clone(&ground.outbound) as Arc<dyn Outbound>,
        vault: own.vault,
    }
}

/// Starts the domains and puts every route behind the layers that all requests go through.
async fn compose(parts: &mut Parts, address: SocketAddr, asked: &Asked) -> Result<(Front, Readiness)> {
    let mut authenticators = std::mem::take(&mut parts.authenticators);
    let mut metrics = std::mem::take(&mut parts.metrics);
    let mut unready = std::mem::take(&mut parts.unready);
    let mut router = std::mem::take(&mut parts.routes);
    for module in std::mem::take(&mut parts.modules) {
        let running = (module.start)(Context {
            client: (parts.client)(module.name),
            ..parts.context.clone()
        })
        .await?;
        router = router.merge(running.routes);
        authenticators.extend(running.authenticators);
        metrics.extend(running.metrics);
        unready.extend(running.unready);
    }
    asked.open(router.clone());
    let context = &parts.context;
    let log = AccessLogger::open(&context.settings, &context.tasks)?;
    metrics.extend(log.iter().map(AccessLogger::metrics));
    let readiness = Readiness::new(unready);
    let router = router.merge(operations::routes(readiness.clone(), metrics, parts.pages));
    let waits = matches!(parts.home, Home::Replica | Home::Files(_));
    // 1. Who is it, and is this a request that a browser was tricked into? Inside the others, so that they see refusals.
    let protected = stead_access::protect(
        router,
        Protection {
            authenticators,
            hosts: context.settings.hosts.clone(),
            listen: address,
            cors_origins: context.settings.cors_origins.clone(),
            reveals: log.is_some(),
        },
    );
    if log.is_none() && !waits {
        return Ok((Front::Bare(protected), readiness));
    }
    let mut router = Router::new().fallback_service(protected);
    // 2. Where state comes from elsewhere, nothing is answered before it is there, not even that a key is unknown.
    if waits {
        router = operations::wait_until_ready(router, readiness.clone());
    }
    // 3. Outermost, so that every answer has its line.
    if let Some(log) = log {
        router = log.layer(router);
    }
    Ok((Front::Layered(router), readiness))
}

/// What answers requests.
#[derive(Clone)]
enum Front {
    /// Nothing lies before the access layers.
    Bare(Protected),
    /// Something does.
    Layered(Router),
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
