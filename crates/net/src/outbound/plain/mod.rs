//! Requests over plain HTTP/1.1 to a host itself, the way to inference servers of one's own.
//!
//! A connection is driven by the task whose request it carries, so that an answer wakes one task and passes no queue,
//! and one that waits takes no more than its socket; [`hyper_util`]'s pool, which everything else goes by, has a task
//! and buffers of its own for each connection.
//!
//! *Invariant:* a connection goes back to the idle ones only after an answer that was read to its end; dropped before,
//! it is closed, and the other side stops its work.

mod answer;
mod framing;
mod head;
mod link;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header, uri::Authority};
use stead_kernel::{Body, Error, Result};
use tokio::time::Instant;

use self::{answer::Answer, link::Link};
use super::{
    IDLE_CONNECTIONS, IDLE_TIME,
    dial::dial,
    error::{Failure, broke},
};
use crate::http1::writing::{Length, Writing};

/// How often idle connections are looked at.
const LOOK: Duration = Duration::from_secs(11);

/// Idle connections by host and port.
#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    idle: HashMap<Box<str>, VecDeque<Idle>>,
    /// Whether a task looks after them.
    watched: bool,
}

struct Idle {
    link: Link,
    since: Instant,
}

impl Pool {
    /// Sends a request with an absolute URL; `connect` finds the addresses and may be called twice.
    pub(super) async fn send<F>(
        self: &Arc<Self>,
        mut request: Request<Body>,
        patience: Duration,
        mut connect: impl FnMut() -> F,
    ) -> Result<Response<Body>>
    where
        F: Future<Output = std::result::Result<Vec<SocketAddr>, Failure>>,
    {
        let Some(authority) = request.uri().authority().cloned() else {
            return Err(Error::invalid("the URL names no host"));
        };
        prepare(&mut request, &authority);
        let method = request.method().clone();
        let mut sending = Box::new(sending(request));
        loop {
            let kept = self.take(authority.as_str());
            let reused = kept.is_some();
            let mut link = match kept {
                Some(link) => link,
                None => open(&authority, patience, connect()).await?,
            };
            match link.ask(&mut sending, &method).await {
                Ok((head, sent)) => {
                    let rest = (!sent).then_some(sending);
                    let after = (head.framing, head.keep);
                    let body = Answer::new(link, after, rest, self, &authority);
                    return Ok(head.response.map(|()| Body::new(body)));
                }
                // The other side had closed it meanwhile, and has seen nothing of the request.
                Err(_) if reused && sending.is_untouched() => {}
                Err(error) => return Err(broke(&error, authority.as_str())),
            }
        }
    }

    /// A connection that was not closed, as far as one can tell.
    fn take(&self, authority: &str) -> Option<Link> {
        let mut state = self.state();
        let idle = state.idle.get_mut(authority)?;
        while let Some(Idle { mut link, since }) = idle.pop_back() {
            if since.elapsed() < IDLE_TIME && link.is_idle() {
                return Some(link);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, authority: &Authority, link: Link) {
        let mut state = self.state();
        let since = Instant::now();
        match state.idle.get_mut(authority.as_str()) {
            Some(idle) if idle.len() >= IDLE_CONNECTIONS => return,
            Some(idle) => idle.push_back(Idle { link, since }),
            None => {
                let first = VecDeque::from([Idle { link, since }]);
                state.idle.insert(authority.as_str().into(), first);
            }
        }
        if !state.watched {
            state.watched = true;
            drop(state);
            self.watch();
        }
    }

    /// Closes connections that were idle for too long or that the other side closed, while there are any.
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the pool and does nothing that shutdown must wait for"
    )]
    fn watch(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(pool) = pool.upgrade() else { return };
                if !pool.look() {
                    return;
                }
            }
        });
    }

    /// Says whether idle connections are left to look after.
    fn look(&self) -> bool {
        let mut state = self.state();
        for idle in state.idle.values_mut() {
            idle.retain_mut(|idle| idle.since.elapsed() < IDLE_TIME && idle.link.is_idle());
        }
        state.idle.retain(|_, idle| !idle.is_empty());
        state.watched = !state.idle.is_empty();
        state.watched
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way out.
type Sending = Writing<Body>;

fn sending(request: Request<Body>) -> Sending {
    let length = Length::of(&http_body::Body::size_hint(request.body()));
    Writing::new(head::of_request(&request, length), request.into_body(), length)
}

/// Says which host is asked (RFC 9112, section 3.2).
fn prepare(request: &mut Request<Body>, authority: &Authority) {
    if !request.headers().contains_key(header::HOST) {
        let name = match authority.port_u16() {
            Some(80) => authority.host(),
            Some(_) | None => authority.as_str(),
        };
        // An authority is always printable.
        if let Ok(name) = HeaderValue::from_str(name) {
            request.headers_mut().insert(header::HOST, name);
        }
    }
}

async fn open(
    authority: &Authority,
    patience: Duration,
    addresses: impl Future<Output = std::result::Result<Vec<SocketAddr>, Failure>>,
) -> Result<Link> {
    let host = authority.host();
    let connecting = async {
        let stream = dial(&addresses.await?).await;
        stream.map_err(|error| Failure::unreachable(host, authority.port_u16().unwrap_or(80), error))
    };
    let stream = tokio::time::timeout(patience, connecting)
        .await
        .map_err(|_| Failure::timeout(host, patience))??;
    Ok(Link::new(stream))
}
