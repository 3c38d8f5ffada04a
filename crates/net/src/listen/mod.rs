//! One port for TLS and plain HTTP: the first bytes tell which.
//!
//! *Invariant:* plain HTTP is answered on loopback only.
//!
//! *Invariant:* a client that says nothing, or nonsense, holds one of a bounded number of places for a bounded time.

mod activity;
mod connection;
mod plain;
mod slots;

#[cfg(test)]
mod tests;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
use rustls::ServerConfig;
use stead_kernel::Tasks;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use self::{connection::Door, slots::Slots};

/// How many connections may be open at once; fewer where the system allows fewer open files.
const CONNECTIONS: usize = 16_384;
/// How long a new connection may take until its first request has been read.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// How long an open connection may take until the next request has been read; idle ones are closed then.
const NEXT_REQUEST: Duration = Duration::from_secs(75);
/// How long accepting pauses when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds of a listener; tests use smaller ones.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    first_request: Duration,
    next_request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS.min(open_files() / 2),
            first_request: FIRST_REQUEST,
            next_request: NEXT_REQUEST,
        }
    }
}

/// Who answers requests: a router, or one behind layers. It must always be ready.
pub trait Answerer:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Answerer for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Answers TLS, and plain HTTP from loopback, with `service`, HTTP/1.1 and HTTP/2, until `tasks` are told to stop;
/// then waits at most `drain` for the requests under way and closes what is left.
pub async fn serve(
    listener: TcpListener,
    service: impl Answerer,
    tls: Arc<ServerConfig>,
    tasks: &Tasks,
    drain: Duration,
) {
    serve_within(listener, service, tls, tasks, drain, Limits::default()).await;
}

async fn serve_within(
    listener: TcpListener,
    service: impl Answerer,
    tls: Arc<ServerConfig>,
    tasks: &Tasks,
    drain: Duration,
    limits: Limits,
) {
    let slots = Slots::new(limits.connections);
    let door = Arc::new(Door::new(
        service,
        TlsAcceptor::from(tls),
        tasks.clone(),
        drain,
        limits,
    ));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stopped() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = slots.take(peer.ip()) else {
                    tracing::debug!(%peer, "closed a connection, because too many are open");
                    continue;
                };
                let door = Arc::clone(&door);
                tasks.spawn("connection", async move {
                    door.welcome(stream, peer).await;
                    drop(slot);
                });
            }
            Err(error) => survive(&error).await,
        }
    }
    drop(listener);
    slots.all_free(drain).await;
}

/// What concerns one connection is forgotten; when the process is out of file descriptors, waiting helps.
async fn survive(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(PAUSE).await;
}

/// How many files this process may have open: a connection takes one, and its request often another one.
fn open_files() -> usize {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Raises the limit of open files to what the system allows this process; returns the limit now in force.
///
/// The usual limit of 1024 is less than the connections that one listener may hold.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            before.unwrap_or(u64::MAX)
        }
    }
}
