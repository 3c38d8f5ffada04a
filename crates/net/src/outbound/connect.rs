//! How a connection comes about: resolve, check, dial, and TLS or a proxy's tunnel on top.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::{
        legacy::connect::{Connected, Connection, proxy::Tunnel},
        proxy::matcher::Intercept,
    },
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use stead_kernel::ports::Reach;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::{address::Policy, dial::dial, error::Failure, proxy::Proxies, resolve::Resolve, trust::Trust};

/// How long a connection may take when the request does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// How long connecting may take for the request that this task sends. The pool calls the connector in the task of
    /// the request but tells it nothing about the request besides its URL.
    pub(super) static CONNECT_TIMEOUT: Duration;
}

/// What connections depend on.
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) proxies: Proxies,
    pub(super) trust: Trust,
    pub(super) resolver: Box<dyn Resolve>,
}

/// Where the connection for a URL goes.
pub(super) enum Route {
    /// To the host itself, at addresses that were checked.
    Direct(Vec<SocketAddr>),
    /// To a proxy, which resolves the name on its own.
    Proxy(Intercept),
}

impl World {
    /// Finds out where the connection for the URL goes, and whether it may.
    pub(super) async fn targets(&self, uri: &Uri, reach: Reach) -> Result<Route, Failure> {
        let host = uri.host().unwrap_or_default();
        if let Some(proxy) = self.proxies.choose(uri) {
            // Only the proxy knows what a name means to it; addresses in any spelling can be checked here.
            if let Some(address) = literal(host) {
                self.check(host, address, reach)?;
            }
            return Ok(Route::Proxy(proxy));
        }
        Ok(Route::Direct(self.addresses(uri, reach).await?))
    }

    /// The addresses of the URL's host, every one of them checked.
    pub(super) async fn addresses(&self, uri: &Uri, reach: Reach) -> Result<Vec<SocketAddr>, Failure> {
        let host = uri.host().unwrap_or_default();
        let port = port_of(uri);
        let addresses = self.resolve(host).await?;
        for address in &addresses {
            self.check(host, *address, reach)?;
        }
        let with_port = |address| SocketAddr::new(address, port);
        Ok(addresses.into_iter().map(with_port).collect())
    }

    fn check(&self, host: &str, address: IpAddr, reach: Reach) -> Result<(), Failure> {
        if self.policy.allows(address, reach) {
            Ok(())
        } else {
            Err(Failure::forbidden(host, address))
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Some(address) = literal(host) {
            return Ok(vec![address]);
        }
        let found = self.resolver.resolve(host).await;
        let addresses = found.map_err(|error| Failure::unresolved(host, Some(error)))?;
        if addresses.is_empty() {
            return Err(Failure::unresolved(host, None));
        }
        Ok(addresses)
    }

    /// A connection to the proxy itself, which the administrator chose: its address is not checked.
    async fn reach_proxy(&self, proxy: &Intercept) -> Result<Box<dyn Io>, Failure> {
        let uri = proxy.uri();
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            80
        });
        let addresses: Vec<_> = self
            .resolve(host)
            .await?
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect();
        let stream = dial(&addresses)
            .await
            .map_err(|error| Failure::proxy(&format!("{host}:{port}"), error))?;
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Ok(self.secure(Box::new(stream), host, Offer::Http1).await?.0);
        }
        Ok(Box::new(stream))
    }

    /// Speaks TLS over the connection; returns it with the version of HTTP that was agreed on.
    async fn secure(
        &self,
        io: Box<dyn Io>,
        host: &str,
        offer: Offer,
    ) -> Result<(Box<dyn Io>, Speaks), Failure> {
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| Failure::invalid_name(host))?;
        let mut config = self.trust.config().await;
        if offer == Offer::Http1 {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let connecting = TlsConnector::from(config).connect(name, io);
        let stream = connecting.await.map_err(|error| Failure::tls(host, error))?;
        let speaks = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Speaks::Http2,
            _ => Speaks::Http1,
        };
        Ok((Box::new(stream), speaks))
    }

    async fn connect(&self, uri: &Uri, reach: Reach, purpose: Purpose) -> Result<Stream, Failure> {
        let host = uri.host().unwrap_or_default();
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let io: Box<dyn Io> = match self.targets(uri, reach).await? {
            Route::Direct(addresses) => {
                let dialled = dial(&addresses).await;
                Box::new(dialled.map_err(|error| Failure::unreachable(host, port_of(uri), error))?)
            }
            Route::Proxy(proxy) => {
                let io = self.reach_proxy(&proxy).await?;
                if !tls && purpose == Purpose::Requests {
                    return Ok(Stream::new(io, Speaks::ToProxy));
                }
                tunnel(io, &proxy, &with_port(uri)).await?
            }
        };
        if !tls {
            return Ok(Stream::new(io, Speaks::Http1));
        }
        let offer = match purpose {
            Purpose::Requests => Offer::Http2,
            Purpose::Upgrades => Offer::Http1,
        };
        let (io, speaks) = self.secure(io, host, offer).await?;
        Ok(Stream::new(io, speaks))
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Requests and their answers.
    Requests,
    /// One request that turns it into a WebSocket: HTTP/2 has no such requests, and proxies pass them through tunnels
    /// only (RFC 6455, section 4.1).
    Upgrades,
}

/// Which versions of HTTP a TLS handshake offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    Http1,
    Http2,
}

/// Asks the proxy for a tunnel to the URL's host.
async fn tunnel(io: Box<dyn Io>, proxy: &Intercept, uri: &Uri) -> Result<Box<dyn Io>, Failure> {
    let mut io = Some(TokioIo::new(io));
    // The connection to the proxy is there already; the tunnel asks for it once.
    let ready = tower::service_fn(move |_: Uri| {
        std::future::ready(
            io.take()
                .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
        )
    });
    let mut tunnel = Tunnel::new(proxy.uri().clone(), ready);
    if let Some(credential) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(credential.clone());
    }
    let name = proxy
        .uri()
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default();
    let opened = tunnel.call(uri.clone()).await;
    Ok(opened.map_err(|error| Failure::proxy(&name, error))?.into_inner())
}

/// The address that a host spells out, in any form that some resolver understands: `127.1` and `0x7f000001` included.
fn literal(host: &str) -> Option<IpAddr> {
    match url::Host::parse(host).ok()? {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain(_) => None,
    }
}

/// The URL with its port spelled out: a tunnel is to port 443 unless its URL says otherwise.
fn with_port(uri: &Uri) -> Uri {
    let (Some(host), Some(scheme)) = (uri.host(), uri.scheme()) else {
        return uri.clone();
    };
    let text = format!("{scheme}://{host}:{}", port_of(uri));
    Uri::try_from(text).unwrap_or_else(|_| uri.clone())
}

fn port_of(uri: &Uri) -> u16 {
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(usual)
}

/// Opens connections for a pool, all with the same reach.
#[derive(Clone)]
pub(super) struct Connector {
    world: Arc<World>,
    reach: Reach,
    purpose: Purpose,
}

impl Connector {
    pub(super) fn new(world: Arc<World>, reach: Reach) -> Self {
        Self {
            world,
            reach,
            purpose: Purpose::Requests,
        }
    }

    /// For requests that turn their connection into something else.
    pub(super) fn for_upgrades(self) -> Self {
        Self {
            purpose: Purpose::Upgrades,
            ..self
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self {
            world,
            reach,
            purpose,
        } = self.clone();
        let patience = CONNECT_TIMEOUT.try_get().unwrap_or(DEFAULT_TIMEOUT);
        Box::pin(async move {
            let connecting = tokio::time::timeout(patience, world.connect(&uri, reach, purpose));
            match connecting.await {
                Ok(done) => done,
                Err(_) => Err(Failure::timeout(uri.host().unwrap_or_default(), patience)),
            }
        })
    }
}

/// What bytes flow over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What is spoken over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// HTTP/1.1 with the host itself.
    Http1,
    /// HTTP/2 with the host itself.
    Http2,
    /// HTTP/1.1 with a proxy, which wants the whole URL in each request.
    ToProxy,
}

/// An open connection, TLS included. One virtual call per read or write is nothing beside the system call.
pub(super) struct Stream {
    io: TokioIo<Box<dyn Io>>,
    speaks: Speaks,
}

impl Stream {
    fn new(io: Box<dyn Io>, speaks: Speaks) -> Self {
        Self {
            io: TokioIo::new(io),
            speaks,
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self.speaks {
            Speaks::Http1 => Connected::new(),
            Speaks::Http2 => Connected::new().negotiated_h2(),
            Speaks::ToProxy => Connected::new().proxy(true),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }
}
