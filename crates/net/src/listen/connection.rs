//! One connection, from its first byte to its end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use futures::future::{BoxFuture, Either};
use http::{Request, Version};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use stead_kernel::{Tasks, http::Connection};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Answerer, Limits,
    activity::{Activity, Answer},
    plain::{Plain, Went},
};

/// The first byte of every TLS connection: a record of type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// How every connection of HTTP/2 begins, and no method of HTTP/1.1 (RFC 9113, section 3.4).
const HTTP2_BEGINS: &[u8; 3] = b"PRI";
/// What a client of another machine gets that speaks plain HTTP.
const PLAIN_REFUSED: &str = "HTTP/1.1 403 Forbidden\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 84\r\n\
    connection: close\r\n\r\n\
    plain HTTP is answered on the same machine only: use https:// with this server's CA\n";
/// How much of a refused request is read away, so that its sender sees the answer and no reset.
const REFUSED_BYTES: u64 = 64 << 10;
/// How long that may take.
const REFUSED_TIME: Duration = Duration::from_secs(1);

/// What every connection of a listener needs.
pub(super) struct Door<S> {
    service: S,
    acceptor: TlsAcceptor,
    /// For connections that speak HTTP/1.1, as nearly all do that are not encrypted.
    http1: http1::Builder,
    /// For those that may speak either.
    http: auto::Builder<OnTasks>,
    tasks: Tasks,
    drain: Duration,
    limits: Limits,
}

impl<S: Answerer> Door<S> {
    pub(super) fn new(
        service: S,
        acceptor: TlsAcceptor,
        tasks: Tasks,
        drain: Duration,
        limits: Limits,
    ) -> Self {
        let mut http = auto::Builder::new(OnTasks(tasks.clone()));
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.next_request);
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(64 << 10)
            // A gateway process holds a watch for each Secret that its providers name, all on one connection.
            .max_concurrent_streams(1_024)
            // A peer that vanished without a word is noticed, and its requests are cancelled.
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.next_request);
        Self {
            service,
            acceptor,
            http1,
            http,
            tasks,
            drain,
            limits,
        }
    }

    /// Serves the connection to its end. Connections end in many ways, and none is news to the operator.
    pub(super) async fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = self.listen_and_talk(stream, peer).await {
            tracing::debug!(%peer, error, "a connection broke");
        }
    }

    async fn listen_and_talk(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), Broken> {
        let deadline = Instant::now() + self.limits.first_request;
        // Without this, the small frames of a streamed answer wait for acknowledgements.
        stream.set_nodelay(true)?;
        let opened = tokio::select! {
            opened = timeout_at(deadline, self.open(stream, peer)) => opened??,
            () = self.tasks.stopped() => return Ok(()),
        };
        match opened {
            Opened::Secure(stream) => {
                let spoken = Spoken::of_tls(stream.get_ref().1.alpn_protocol());
                let connection = Connection { peer, tls: true };
                // Large next to the others, which must not take as much.
                Box::pin(self.talk(*stream, spoken, connection, deadline)).await
            }
            Opened::Plain(stream, spoken) => {
                let connection = Connection { peer, tls: false };
                self.talk(stream, spoken, connection, deadline).await
            }
            Opened::Refused(stream) => Ok(timeout(REFUSED_TIME, refuse_plain(stream)).await??),
        }
    }

    /// Looks at the first bytes, and shakes hands if they ask for that.
    async fn open(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Opened> {
        let mut bytes = [0; HTTP2_BEGINS.len()];
        // They are left where they are.
        let count = stream.peek(&mut bytes).await?;
        let first = bytes.get(..count).unwrap_or_default();
        if first.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first.starts_with(&[TLS_HANDSHAKE]) {
            return Ok(Opened::Secure(Box::new(self.acceptor.accept(stream).await?)));
        }
        Ok(if may_speak_plainly(peer.ip()) {
            Opened::Plain(stream, Spoken::of_first(first))
        } else {
            Opened::Refused(stream)
        })
    }

    /// Speaks HTTP.
    async fn talk<I>(
        &self,
        io: I,
        spoken: Spoken,
        connection: Connection,
        deadline: Instant,
    ) -> Result<(), Broken>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let activity = Arc::<Activity>::default();
        let service = Requests {
            service: self.service.clone(),
            connection,
            asked: Arc::clone(&asked),
            activity: Arc::clone(&activity),
        };
        if spoken == Spoken::Either {
            let talk = self
                .http
                .serve_connection_with_upgrades(TokioIo::new(io), service);
            return Box::pin(self.attend(talk, &asked, &activity, deadline)).await;
        }
        let went = {
            let stopping = AtomicBool::new(false);
            let plain = Plain::new(io, deadline, self.limits.next_request, &stopping);
            let talk = Plainly {
                talking: pin!(plain.talk(|request| service.answer(request))),
                stopping: &stopping,
            };
            self.attend(talk, &asked, &activity, deadline).await?
        };
        match went {
            Went::Over => Ok(()),
            Went::On(io) => {
                let talk = self
                    .http1
                    .serve_connection(TokioIo::new(io), service)
                    .with_upgrades();
                Box::pin(self.attend(talk, &asked, &activity, deadline)).await
            }
        }
    }

    /// Lets them talk until the peer leaves, is too slow, or shutdown has waited long enough.
    async fn attend<T: Talk>(
        &self,
        talk: T,
        asked: &AtomicBool,
        activity: &Activity,
        deadline: Instant,
    ) -> Result<T::Left, Broken> {
        let mut talk = pin!(talk);
        // Hyper's own timeout begins once the version of HTTP is known; this one covers what is before.
        tokio::select! {
            result = talk.as_mut() => return result.map_err(Into::into),
            () = self.tasks.stopped() => {}
            () = tokio::time::sleep_until(deadline) => {
                if !asked.load(Ordering::Relaxed) {
                    return Err("no request came in time".into());
                }
                tokio::select! {
                    result = talk.as_mut() => return result.map_err(Into::into),
                    () = self.tasks.stopped() => {}
                    () = self.idle(activity) => {}
                }
            }
        }
        talk.as_mut().end();
        timeout(self.drain, talk).await?.map_err(Into::into)
    }

    /// Waits until an HTTP/2 connection has been idle for as long as it may; HTTP/1.1 has a timeout of its own.
    async fn idle(&self, activity: &Activity) {
        let patience = self.limits.next_request;
        loop {
            let since = activity.idle_since();
            if since.is_some_and(|since| since.elapsed() >= patience) {
                return;
            }
            tokio::time::sleep_until(since.unwrap_or_else(Instant::now) + patience).await;
        }
    }
}

/// Why a connection ended before its time.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A connection about which the first bytes told how to go on.
enum Opened {
    Secure(Box<TlsStream<TcpStream>>),
    Plain(TcpStream, Spoken),
    Refused(TcpStream),
}

/// Which versions of HTTP a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Http1,
    Either,
}

impl Spoken {
    /// As TLS agreed upon.
    fn of_tls(protocol: Option<&[u8]>) -> Self {
        if protocol == Some(b"http/1.1") {
            Self::Http1
        } else {
            Self::Either
        }
    }

    /// As the first bytes tell that are there.
    fn of_first(bytes: &[u8]) -> Self {
        if HTTP2_BEGINS.starts_with(bytes) {
            Self::Either
        } else {
            Self::Http1
        }
    }
}

/// A connection that is served.
trait Talk: Future<Output = Result<Self::Left, Self::Fault>> {
    /// What is left of it.
    type Left;
    type Fault: Into<Broken>;

    /// Has it take no request any more.
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Talk for http1::UpgradeableConnection<I, Requests<S>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: Answerer,
{
    type Left = ();
    type Fault = hyper::Error;

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Talk for auto::UpgradeableConnection<'_, I, Requests<S>, OnTasks>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: Answerer,
{
    type Left = ();
    type Fault = Broken;

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A connection that [`Plain`] serves.
struct Plainly<'a, F> {
    talking: Pin<&'a mut F>,
    stopping: &'a AtomicBool,
}

impl<F: Future> Future for Plainly<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.talking.as_mut().poll(context)
    }
}

impl<I, F: Future<Output = io::Result<Went<I>>>> Talk for Plainly<'_, F> {
    type Left = Went<I>;
    type Fault = io::Error;

    fn end(self: Pin<&mut Self>) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Whether a peer may speak plain HTTP: only if its bytes never leave this machine.
fn may_speak_plainly(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Says why plain HTTP is not answered, and closes without the reset that would swallow the answer.
async fn refuse_plain<I: AsyncRead + AsyncWrite + Unpin>(mut io: I) -> io::Result<()> {
    io.write_all(PLAIN_REFUSED.as_bytes()).await?;
    io.shutdown().await?;
    let mut rest = io.take(REFUSED_BYTES);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Gives each request of a connection to the service.
struct Requests<S> {
    service: S,
    connection: Connection,
    asked: Arc<AtomicBool>,
    activity: Arc<Activity>,
}

impl<S: Answerer> Requests<S> {
    /// It is always ready, so nothing is lost by not asking.
    fn answer(&self, mut request: Request<Body>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.connection);
        self.service.clone().call(request)
    }
}

impl<S: Answerer> hyper::service::Service<Request<Incoming>> for Requests<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Self::Response, Infallible>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = (request.version() == Version::HTTP_2).then(|| self.activity.begin());
        let answering = self.answer(request.map(Body::new));
        match under_way {
            None => Either::Left(answering),
            Some(under_way) => Either::Right(Box::pin(async move {
                let answer = answering.await?;
                Ok(answer.map(|body| Body::new(Answer::new(body, under_way))))
            })),
        }
    }
}

/// Runs the streams of HTTP/2 as tasks that shutdown waits for.
#[derive(Clone)]
struct OnTasks(Tasks);

impl<F> hyper::rt::Executor<F> for OnTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn("stream", future));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_speak_plain_http() {
        for (peer, plain) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(may_speak_plainly(peer.parse().expect(peer)), plain, "{peer}");
        }
    }

    #[test]
    fn the_first_bytes_tell_http2_from_every_method() {
        for (bytes, spoken) in [
            ("PRI", Spoken::Either),
            ("P", Spoken::Either),
            ("PR", Spoken::Either),
            ("POS", Spoken::Http1),
            ("PRO", Spoken::Http1),
            ("PU", Spoken::Http1),
            ("GET", Spoken::Http1),
            ("\0\0\0", Spoken::Http1),
        ] {
            assert_eq!(Spoken::of_first(bytes.as_bytes()), spoken, "{bytes}");
        }
        assert_eq!(Spoken::of_tls(Some(b"http/1.1")), Spoken::Http1);
        assert_eq!(Spoken::of_tls(Some(b"h2")), Spoken::Either);
        assert_eq!(Spoken::of_tls(None), Spoken::Either);
    }

    #[tokio::test]
    async fn a_refused_client_reads_the_reason_to_the_end() {
        let (mut client, server) = tokio::io::duplex(1024);
        let refusing = refuse_plain(server);
        let asking = async {
            client
                .write_all(b"GET / HTTP/1.1\r\n\r\n")
                .await
                .expect("written");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("answered");
            drop(client);
            answer
        };
        let (refused, answer) = tokio::join!(refusing, asking);
        refused.expect("no fault");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.contains("403"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
    }
}
