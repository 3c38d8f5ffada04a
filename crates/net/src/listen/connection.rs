//! One connection, from its first byte to its end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use futures::future::{BoxFuture, Either};
use http::{Request, Version};
use hyper::body::Incoming;
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
};

/// The first byte of every TLS connection: a record of type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
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
        Self {
            service,
            acceptor,
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
            Opened::Secure(stream) => self.talk(*stream, Connection { peer, tls: true }, deadline).await,
            Opened::Plain(stream) => self.talk(stream, Connection { peer, tls: false }, deadline).await,
            Opened::Refused(stream) => Ok(timeout(REFUSED_TIME, refuse_plain(stream)).await??),
        }
    }

    /// Looks at the first byte, and shakes hands if it asks for that.
    async fn open(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Opened> {
        if first_byte(&stream).await? == TLS_HANDSHAKE {
            return Ok(Opened::Secure(Box::new(self.acceptor.accept(stream).await?)));
        }
        Ok(if may_speak_plainly(peer.ip()) {
            Opened::Plain(stream)
        } else {
            Opened::Refused(stream)
        })
    }

    /// Speaks HTTP until the peer leaves, is too slow, or shutdown has waited long enough.
    async fn talk<I>(&self, io: I, connection: Connection, deadline: Instant) -> Result<(), Broken>
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
        let mut talk = pin!(
            self.http
                .serve_connection_with_upgrades(TokioIo::new(io), service)
        );
        // Hyper's own timeout begins once the version of HTTP is known; this one covers what is before.
        tokio::select! {
            result = talk.as_mut() => return result,
            () = self.tasks.stopped() => {}
            () = tokio::time::sleep_until(deadline) => {
                if !asked.load(Ordering::Relaxed) {
                    return Err("no request came in time".into());
                }
                tokio::select! {
                    result = talk.as_mut() => return result,
                    () = self.tasks.stopped() => {}
                    () = self.idle(&activity) => {}
                }
            }
        }
        talk.as_mut().graceful_shutdown();
        timeout(self.drain, talk).await?
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

/// A connection about which the first byte told how to go on.
enum Opened {
    Secure(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
    Refused(TcpStream),
}

/// The first byte, left where it is.
async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(u8::from_be_bytes(byte)),
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

impl<S: Answerer> hyper::service::Service<Request<Incoming>> for Requests<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Self::Response, Infallible>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.connection);
        let under_way = (request.version() == Version::HTTP_2).then(|| self.activity.begin());
        // It is always ready, so nothing is lost by not asking.
        let answering = self.service.clone().call(request.map(Body::new));
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
