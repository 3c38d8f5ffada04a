//! HTTP requests to other machines.
//!
//! *Invariant:* every address is checked before the first byte goes to it, and the connection goes to an address that
//! was checked; a name is not resolved twice.
//!
//! *Invariant:* a connection opened for one [`Reach`] never serves a request of another.

mod address;
mod connect;
mod dial;
mod error;
mod plain;
mod proxy;
mod resolve;
mod trust;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{Request, Response, Uri, Version, header, uri::Scheme};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use ipnet::IpNet;
use stead_kernel::{
    Body, Error, Result,
    ports::{Outbound, Reach, SendOptions},
};
use url::Url;

use self::{
    address::Policy,
    connect::{CONNECT_TIMEOUT, Connector, World},
    error::Failure,
    proxy::Proxies,
    resolve::{Resolve, SystemResolver},
    trust::Trust,
};
pub use self::{proxy::ProxySettings, trust::database_tls};

/// How many idle connections to one host are kept.
const IDLE_CONNECTIONS: usize = 128;
/// For how long: a little less than the minute after which many servers close theirs.
const IDLE_TIME: Duration = Duration::from_secs(55);
/// How long [`Outbound::check`] waits for the name service.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// How the outbound client is set up.
#[derive(Debug, Clone, Default)]
pub struct OutboundOptions {
    /// Private networks that [`Reach::Public`] may reach, too.
    pub allow_networks: Vec<IpNet>,
    /// Proxies.
    pub proxy: ProxySettings,
    /// Certificates to trust besides the system's, as PEM text.
    pub extra_roots: Option<String>,
}

/// Sends HTTP requests over pooled connections, HTTP/2 where the server offers it with TLS.
pub struct OutboundClient {
    public: Pools,
    private: Pools,
    world: Arc<World>,
}

/// The connections of one reach.
struct Pools {
    /// TLS, and whatever goes by a proxy.
    general: Client<Connector, Body>,
    /// Requests that turn their connection into something else, a WebSocket.
    upgrading: Client<Connector, Body>,
    /// Plain HTTP/1.1.
    plain: Arc<plain::Pool>,
}

impl OutboundClient {
    /// A client that opens nothing yet; the system's certificates are read with the first TLS connection.
    ///
    /// # Errors
    /// `Invalid` when a proxy's address or the extra certificates cannot be understood.
    pub fn new(options: OutboundOptions) -> Result<Self> {
        Self::with_resolver(options, Box::new(SystemResolver))
    }

    fn with_resolver(options: OutboundOptions, resolver: Box<dyn Resolve>) -> Result<Self> {
        let world = Arc::new(World {
            policy: Policy::new(options.allow_networks),
            proxies: Proxies::new(&options.proxy)?,
            trust: Trust::new(options.extra_roots.as_deref())?,
            resolver,
        });
        Ok(Self {
            public: Pools::new(&world, Reach::Public),
            private: Pools::new(&world, Reach::Private),
            world,
        })
    }
}

impl Pools {
    fn new(world: &Arc<World>, reach: Reach) -> Self {
        Self {
            general: general(Connector::new(Arc::clone(world), reach)),
            upgrading: upgrading(Connector::new(Arc::clone(world), reach).for_upgrades()),
            plain: Arc::default(),
        }
    }
}

fn general(connector: Connector) -> Client<Connector, Body> {
    // The tasks that drive connections end with the pool and do nothing that shutdown must wait for, hence Tokio's own
    // executor.
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_keep_alive_timeout(Duration::from_secs(20))
        .http2_adaptive_window(true)
        .build(connector)
}

/// A connection that was upgraded never comes back, so none is kept.
fn upgrading(connector: Connector) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .timer(TokioTimer::new())
        .build(connector)
}

/// Whether a request asks for another protocol on its connection (RFC 9110, section 7.8).
fn upgrades(request: &Request<Body>) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

impl OutboundClient {
    /// Whether a request goes over plain HTTP/1.1 to the host itself.
    fn is_plain(&self, request: &Request<Body>) -> bool {
        request.uri().scheme() == Some(&Scheme::HTTP) && self.world.proxies.choose(request.uri()).is_none()
    }
}

#[async_trait]
impl Outbound for OutboundClient {
    async fn send(&self, mut request: Request<Body>, options: SendOptions) -> Result<Response<Body>> {
        usable(request.uri())?;
        // Which version is spoken is a matter of this hop, not of the one that the request came by.
        *request.version_mut() = Version::HTTP_11;
        let pools = match options.reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        };
        if !upgrades(&request) && self.is_plain(&request) {
            let uri = request.uri().clone();
            let addresses = || self.world.addresses(&uri, options.reach);
            return pools
                .plain
                .send(request, options.connect_timeout, addresses)
                .await;
        }
        let pool = if upgrades(&request) {
            &pools.upgrading
        } else {
            &pools.general
        };
        // An upgrade goes through a tunnel, which signs in to the proxy by itself.
        let credential = self.world.proxies.credential_for_plain(request.uri());
        if let Some(credential) = credential.filter(|_| !upgrades(&request)) {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, credential);
        }
        let target = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let answer = CONNECT_TIMEOUT
            .scope(options.connect_timeout, pool.request(request))
            .await;
        match answer {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(error::explain(&error, &target)),
        }
    }

    async fn check(&self, url: &Url, reach: Reach) -> Result<()> {
        let uri: Uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| {
            Error::invalid("this URL cannot be used").because(error)
        })?;
        usable(&uri)?;
        let checking = self.world.targets(&uri, reach);
        match tokio::time::timeout(CHECK_TIME, checking).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_) => Err(Failure::timeout(uri.host().unwrap_or_default(), CHECK_TIME).into()),
        }
    }
}

/// Refuses what is no plain HTTP URL with a host.
fn usable(uri: &Uri) -> Result<()> {
    let scheme = uri.scheme();
    if scheme != Some(&Scheme::HTTP) && scheme != Some(&Scheme::HTTPS) {
        return Err(Error::invalid("the URL must begin with http:// or https://"));
    }
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(Error::invalid("the URL names no host"));
    };
    if authority.as_str().contains('@') {
        return Err(Error::invalid("the URL holds a user name or password")
            .hint("keep credentials in a Secret and refer to it"));
    }
    Ok(())
}
