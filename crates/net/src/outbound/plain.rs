//! Requests over plain HTTP/1.1 to a host itself, the way to inference servers of one's own.
//!
//! A connection is driven by the task whose request it carries, so that an answer wakes one task and passes no queue;
//! [`hyper_util`]'s pool, which everything else goes by, has a task of its own for each connection.
//!
//! *Invariant:* a connection goes back to the idle ones only after an answer that was read to its end; dropped before,
//! it is closed, and the other side stops its work.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Request, Response, Uri, header, uri::Authority};
use hyper::{
    body::{Bytes, Frame, Incoming, SizeHint},
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use stead_kernel::{Body, Error, Result};
use tokio::{net::TcpStream, time::Instant};

use super::{
    IDLE_CONNECTIONS, IDLE_TIME,
    dial::dial,
    error::{Failure, broke},
};

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

/// An open connection.
struct Link {
    sender: http1::SendRequest<Body>,
    /// Reads and writes when it is polled; `None` once the connection has ended.
    driver: Option<http1::Connection<TokioIo<TcpStream>, Body>>,
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
        loop {
            let kept = self.take(authority.as_str());
            let reused = kept.is_some();
            let mut link = match kept {
                Some(link) => link,
                None => open(&authority, patience, connect()).await?,
            };
            match link.ask(request).await {
                Ok(response) => return Ok(self.answer(response, link, &authority)),
                Err(mut error) => match error.take_message() {
                    // The other side had closed it meanwhile, and has seen nothing of the request.
                    Some(unsent) if reused => request = unsent,
                    Some(_) | None => return Err(broke(&error.into_error(), authority.as_str())),
                },
            }
        }
    }

    fn answer(
        self: &Arc<Self>,
        response: Response<Incoming>,
        link: Link,
        authority: &Authority,
    ) -> Response<Body> {
        response.map(|incoming| {
            let mut answer = Answer {
                incoming,
                link: Some(link),
                pool: Arc::downgrade(self),
                authority: authority.clone(),
            };
            if hyper::body::Body::is_end_stream(&answer.incoming) {
                answer.give_back();
            }
            Body::new(answer)
        })
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

/// Gives the request the form that it has on a connection to the host itself (RFC 9112, section 3.2.1).
fn prepare(request: &mut Request<Body>, authority: &Authority) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or(Uri::from_static("/"), Uri::from);
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
    let (sender, driver) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broke(&error, authority.as_str()))?;
    Ok(Link {
        sender,
        driver: Some(driver),
    })
}

impl Link {
    /// Sends a request and returns the head of the answer.
    async fn ask(
        &mut self,
        request: Request<Body>,
    ) -> std::result::Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut asking = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|context| {
            drive(driver, context);
            // What the driver did is the only thing that moves this.
            let mut quiet = Context::from_waker(Waker::noop());
            asking.as_mut().poll(&mut quiet)
        })
        .await
    }

    /// Whether a new request can be sent: the last answer is over, and the other side has not closed.
    fn is_idle(&mut self) -> bool {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Reads and writes as far as it goes. A connection that ended is dropped, so that those who wait for it learn it.
fn drive(driver: &mut Option<http1::Connection<TokioIo<TcpStream>, Body>>, context: &mut Context<'_>) {
    if let Some(connection) = driver
        && Pin::new(connection).poll(context).is_ready()
    {
        *driver = None;
    }
}

/// The body of an answer, which drives its connection.
struct Answer {
    incoming: Incoming,
    /// `None` after the end.
    link: Option<Link>,
    pool: Weak<Pool>,
    authority: Authority,
}

impl Answer {
    fn give_back(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if let (true, Some(pool)) = (link.is_idle(), self.pool.upgrade()) {
            pool.put(&self.authority, link);
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        if let Some(link) = &mut this.link {
            drive(&mut link.driver, context);
        }
        let mut quiet = Context::from_waker(Waker::noop());
        let frame = Pin::new(&mut this.incoming).poll_frame(&mut quiet);
        match &frame {
            Poll::Ready(Some(Ok(_))) if !this.incoming.is_end_stream() => {}
            Poll::Ready(Some(Ok(_)) | None) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.link = None,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
