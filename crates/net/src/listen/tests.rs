use std::net::SocketAddr;

use axum::Router;
use axum::{extract::Request, routing::get};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use stead_kernel::{SystemClock, http::Connection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::Authority;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

struct World {
    address: SocketAddr,
    authority: Authority,
    tasks: Tasks,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn describe(request: Request) -> String {
    let connection = request.extensions().get::<Connection>().copied();
    let tls = connection.map(|connection| connection.tls);
    format!("{:?} tls={tls:?}", request.version())
}

async fn world(limits: Limits, drain: Duration) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::load_or_create(folder.path(), &[], Arc::new(SystemClock)).expect("made");
    let release = Arc::new(Notify::new());
    let entered = Arc::new(Notify::new());
    let (inside, held) = (Arc::clone(&entered), Arc::clone(&release));
    let hold = move || async move {
        inside.notify_one();
        held.notified().await;
        "released"
    };
    let router = Router::new().route("/", get(describe)).route("/hold", get(hold));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let tasks = Tasks::new();
    let (tls, serving) = (authority.server_config(), tasks.clone());
    let served = tasks.spawn("listener", async move {
        serve_within(listener, router, tls, &serving, drain, limits).await;
    });
    World {
        address,
        authority,
        tasks,
        entered,
        release,
        served,
        _folder: folder,
    }
}

impl World {
    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let pem = self.authority.ca_pem().as_bytes();
        roots
            .add(CertificateDer::from_pem_slice(pem).expect("PEM"))
            .expect("a CA");
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config))
            .connect(name, self.tcp().await)
            .await
            .expect("trusted")
    }
}

/// Writes a request with `connection: close` and reads the answer to its end.
async fn ask(mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// Reads until the server closes the connection; panics when it does not.
async fn closed(mut io: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut left = Vec::new();
    // A reset closes as well as an end does.
    drop(
        timeout(LONG, io.read_to_end(&mut left))
            .await
            .expect("closed in time"),
    );
    left
}

#[tokio::test]
async fn one_port_speaks_plain_http_and_tls() {
    let world = world(Limits::default(), LONG).await;
    let plain = ask(world.tcp().await, "/").await;
    assert!(plain.ends_with("HTTP/1.1 tls=Some(false)"), "{plain}");
    let secure = ask(world.tls("http/1.1").await, "/").await;
    assert!(secure.ends_with("HTTP/1.1 tls=Some(true)"), "{secure}");
}

#[tokio::test]
async fn http2_is_spoken_over_tls_and_in_the_clear() {
    let world = world(Limits::default(), LONG).await;
    let tls = world.tls("h2").await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ask_http2(&world.tasks, tls).await, "HTTP/2.0 tls=Some(true)");
    assert_eq!(
        ask_http2(&world.tasks, world.tcp().await).await,
        "HTTP/2.0 tls=Some(false)"
    );
}

async fn ask_http2(
    tasks: &Tasks,
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> String {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(io))
            .await
            .expect("a connection");
    tasks.spawn_until_stopped("client", async move { drop(connection.await) });
    let request = http::Request::get("http://localhost/")
        .body(Empty::new())
        .expect("a request");
    let body = sender.send_request(request).await.expect("answered").into_body();
    String::from_utf8(body.collect().await.expect("whole").to_bytes().to_vec()).expect("text")
}

#[tokio::test]
async fn garbage_hurts_only_its_sender() {
    let world = world(Limits::default(), LONG).await;
    let patient = world.tcp().await;
    for garbage in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"\x16\x03\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x16garbage that is no handshake at all",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame of HTTP/2, is it?",
    ] {
        let mut io = world.tcp().await;
        io.write_all(garbage).await.expect("written");
        io.shutdown().await.expect("half closed");
        closed(io).await;
    }
    let answer = ask(patient, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn whoever_does_not_get_to_the_point_is_closed() {
    let limits = Limits {
        first_request: Duration::from_millis(300),
        ..Limits::default()
    };
    let world = world(limits, LONG).await;
    let mut silent = vec![world.tcp().await];
    for beginning in [
        &b"\x16\x03\x01"[..],
        b"GET / HT",
        b"PRI * HT",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n",
    ] {
        let mut io = world.tcp().await;
        io.write_all(beginning).await.expect("written");
        silent.push(io);
    }
    // TLS done, and then nothing.
    let secure = world.tls("http/1.1").await;
    join_all(silent.into_iter().map(closed)).await;
    closed(secure).await;
}

#[tokio::test]
async fn a_long_answer_is_not_cut_by_the_first_requests_deadline() {
    let limits = Limits {
        first_request: Duration::from_millis(200),
        ..Limits::default()
    };
    let world = world(limits, LONG).await;
    let mut holding = Box::pin(ask(world.tcp().await, "/hold"));
    timeout(Duration::from_millis(600), &mut holding)
        .await
        .expect_err("it is held");
    world.release.notify_one();
    let answer = timeout(LONG, holding).await.expect("in time");
    assert!(answer.ends_with("released"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let limits = Limits {
        next_request: Duration::from_millis(200),
        ..Limits::default()
    };
    let world = world(limits, LONG).await;
    let mut io = world.tcp().await;
    io.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("written");
    let answer = closed(io).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn an_http2_connection_that_only_answers_pings_is_closed_and_a_busy_one_is_not() {
    let limits = Limits {
        first_request: Duration::from_millis(100),
        next_request: Duration::from_millis(200),
        ..Limits::default()
    };
    let world = world(limits, LONG).await;
    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(world.tcp().await),
    )
    .await
    .expect("a connection");
    let mut ended = world.tasks.spawn("client", connection);
    let request = http::Request::get("http://localhost/hold")
        .body(Empty::new())
        .expect("a request");
    let answering = sender.send_request(request);
    timeout(Duration::from_millis(800), &mut ended)
        .await
        .expect_err("a request is under way");
    world.release.notify_one();
    let body = answering.await.expect("answered").into_body();
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "released");
    let end = timeout(LONG, ended).await.expect("closed in time");
    end.expect("no panic").expect("closed in good order");
}

#[tokio::test]
async fn places_are_free_again_when_connections_end() {
    let limits = Limits {
        connections: 8,
        ..Limits::default()
    };
    let world = world(limits, LONG).await;
    for _ in 0..40 {
        // A connection's place is given back after its client has seen the end.
        let answered = async {
            loop {
                let mut io = world.tcp().await;
                let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
                let mut answer = Vec::new();
                if io.write_all(request).await.is_ok()
                    && io.read_to_end(&mut answer).await.is_ok()
                    && answer.starts_with(b"HTTP/1.1 200")
                {
                    return;
                }
            }
        };
        timeout(LONG, answered).await.expect("a place in time");
    }
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_accepts_no_more() {
    let world = world(Limits::default(), LONG).await;
    let idle = world.tcp().await;
    let holding = {
        let io = world.tcp().await;
        world.tasks.spawn("client", ask(io, "/hold"))
    };
    world.entered.notified().await;
    let tasks = world.tasks.clone();
    let stopping = async { tasks.shutdown(LONG).await };
    let releasing = async {
        closed(idle).await;
        while TcpStream::connect(world.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        world.release.notify_one();
    };
    let (stopped, ()) = timeout(LONG, async { tokio::join!(stopping, releasing) })
        .await
        .expect("in time");
    assert!(stopped);
    let answer = holding.await.expect("no panic");
    assert!(answer.ends_with("released"), "{answer}");
    world.served.await.expect("no panic");
}

#[tokio::test]
async fn shutdown_cuts_off_what_takes_longer_than_its_patience() {
    let world = world(Limits::default(), Duration::from_millis(200)).await;
    let mut io = world.tcp().await;
    io.write_all(b"GET /hold HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("written");
    world.entered.notified().await;
    assert!(world.tasks.shutdown(LONG).await);
    assert!(closed(io).await.is_empty());
}

#[test]
fn the_limit_of_open_files_is_not_lowered() {
    let raised = raise_open_files();
    assert!(raised >= 256);
    assert_eq!(raise_open_files(), raised);
}
