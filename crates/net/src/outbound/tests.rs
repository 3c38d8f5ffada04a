use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use axum::{Router, routing::get};
use http::StatusCode;
use http_body_util::BodyExt;
use stead_kernel::{Reason, SystemClock, Tasks};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;
use crate::Authority;

const PRIVATE: SendOptions = SendOptions {
    reach: Reach::Private,
    connect_timeout: Duration::from_secs(20),
};
const PUBLIC: SendOptions = SendOptions {
    reach: Reach::Public,
    ..PRIVATE
};

/// A server of our own, with plain HTTP and TLS on one port.
struct Server {
    address: SocketAddr,
    ca: String,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

async fn server() -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["named.example".to_owned()];
    let authority = Authority::load_or_create(folder.path(), &names, Arc::new(SystemClock)).expect("made");
    let router = Router::new()
        .route(
            "/",
            get(|request: axum::extract::Request| async move { format!("{:?}", request.version()) }),
        )
        .route(
            "/away",
            get(|| async { (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]) }),
        )
        .route("/echo", get(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let tasks = Tasks::new();
    let (tls, serving) = (authority.server_config(), tasks.clone());
    tasks.spawn("server", async move {
        crate::serve(listener, router, tls, &serving, Duration::from_secs(1)).await;
    });
    Server {
        address,
        ca: authority.ca_pem().to_owned(),
        tasks,
        _folder: folder,
    }
}

/// Leaves HTTP and says back what it is told.
async fn echo(mut request: Request<Body>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    Tasks::new().spawn("echo", async move {
        let io = upgrade.await.expect("upgraded");
        let (mut read, mut write) = tokio::io::split(hyper_util::rt::TokioIo::new(io));
        drop(tokio::io::copy(&mut read, &mut write).await);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, http::HeaderValue::from_static("echo"));
    response
}

/// A name service that gives prepared answers, one after the other, and the last one for ever.
struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

impl Scripted {
    fn answering(answers: &[&[&str]]) -> Box<dyn Resolve> {
        let parse = |answer: &&[&str]| {
            answer
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        Box::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

#[async_trait]
impl Resolve for Scripted {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        next.ok_or_else(|| io::Error::other("no such name"))
    }
}

fn client(options: OutboundOptions) -> OutboundClient {
    OutboundClient::new(options).expect("usable")
}

fn ask(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).expect("a request")
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("whole").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn this_machine_is_reached_only_with_leave() {
    let server = server().await;
    let client = client(OutboundOptions::default());
    let url = format!("http://{}/", server.address);
    let answer = client.send(ask(&url), PRIVATE).await.expect("allowed");
    assert_eq!(text(answer).await, "HTTP/1.1");
    // The open connection of before must not serve a request that may not reach the address.
    let error = client.send(ask(&url), PUBLIC).await.expect_err("not allowed");
    assert_eq!(error.reason(), Reason::Forbidden);
    assert!(
        error.message().starts_with("127.0.0.1 is on a private network"),
        "{error}"
    );
    assert!(error.get_hint().is_some());
}

#[tokio::test]
async fn an_allowed_network_is_reached_by_everyone() {
    let server = server().await;
    let client = client(OutboundOptions {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        ..OutboundOptions::default()
    });
    let url = format!("http://{}/", server.address);
    client.send(ask(&url), PUBLIC).await.expect("allowed");
    let url = Url::parse(&url).expect("a URL");
    client.check(&url, Reach::Public).await.expect("allowed");
}

#[tokio::test]
async fn addresses_that_nothing_may_reach_are_refused_in_every_spelling() {
    let client = client(OutboundOptions::default());
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "0",
        "[::]",
    ] {
        let url = format!("http://{host}/latest/meta-data");
        let error = client.send(ask(&url), PRIVATE).await.expect_err(host);
        assert_eq!(error.reason(), Reason::Forbidden, "{host}: {error}");
        let url = Url::parse(&url).expect("a URL");
        assert_eq!(
            client.check(&url, Reach::Private).await.expect_err(host).reason(),
            Reason::Forbidden
        );
    }
}

#[tokio::test]
async fn one_bad_address_among_good_ones_is_enough_to_refuse() {
    let resolver = Scripted::answering(&[&["8.8.8.8", "169.254.169.254"]]);
    let client = OutboundClient::with_resolver(OutboundOptions::default(), resolver).expect("usable");
    let error = client
        .send(ask("http://rebind.example/"), PRIVATE)
        .await
        .expect_err("refused");
    assert_eq!(error.reason(), Reason::Forbidden);
    assert!(
        error.message().contains("rebind.example (169.254.169.254)"),
        "{error}"
    );
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let server = server().await;
    // A second question to the name service would send the connection elsewhere.
    let resolver = Scripted::answering(&[&["127.0.0.1"], &["127.0.0.9"]]);
    let client = OutboundClient::with_resolver(OutboundOptions::default(), resolver).expect("usable");
    let url = format!("http://rebind.example:{}/", server.address.port());
    client
        .send(ask(&url), PRIVATE)
        .await
        .expect("reached at the first answer");
}

#[tokio::test]
async fn http2_is_spoken_where_tls_offers_it() {
    let server = server().await;
    let client = client(OutboundOptions {
        extra_roots: Some(server.ca.clone()),
        ..OutboundOptions::default()
    });
    let url = format!("https://localhost:{}/", server.address.port());
    for _ in 0..2 {
        let answer = client.send(ask(&url), PRIVATE).await.expect("trusted");
        assert_eq!(text(answer).await, "HTTP/2.0");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let server = server().await;
    let client = client(OutboundOptions::default());
    let url = format!(
        "https://localhost:{}/secret-path?key=secret-query",
        server.address.port()
    );
    let error = client.send(ask(&url), PRIVATE).await.expect_err("not trusted");
    assert_eq!(error.reason(), Reason::Unavailable);
    assert_eq!(error.message(), "no secure connection with localhost");
    assert!(
        error.full_message().contains("UnknownIssuer"),
        "{}",
        error.full_message()
    );
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn redirects_are_handed_to_the_caller() {
    let server = server().await;
    let client = client(OutboundOptions::default());
    let url = format!("http://{}/away", server.address);
    let answer = client.send(ask(&url), PRIVATE).await.expect("answered");
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn urls_that_cannot_be_used_are_invalid() {
    let client = client(OutboundOptions::default());
    for url in ["ftp://example.com/", "/path", "http://ada:secret@example.com/"] {
        let error = client.send(ask(url), PUBLIC).await.expect_err(url);
        assert_eq!(error.reason(), Reason::Invalid, "{url}");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

/// A listener whose connections do what `answer` says; the first bytes of each are sent to the channel.
async fn listener(answer: &'static [u8]) -> (SocketAddr, Tasks, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let tasks = Tasks::new();
    let (sender, receiver) = mpsc::channel(8);
    tasks.spawn_until_stopped("listener", async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = io.read(&mut head).await.unwrap_or(0);
            head.truncate(count);
            drop(sender.send(String::from_utf8_lossy(&head).into_owned()).await);
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            drop(io.write_all(answer).await);
        }
    });
    (address, tasks, receiver)
}

#[tokio::test]
async fn what_fails_on_the_way_says_what_and_where() {
    let client = client(OutboundOptions::default());
    let (garbage, _tasks, _heads) = listener(b"this is not HTTP at all\r\n\r\n").await;
    let error = client
        .send(ask(&format!("http://{garbage}/")), PRIVATE)
        .await
        .expect_err("garbage");
    assert_eq!(error.reason(), Reason::Unavailable);
    assert!(error.message().contains("broke before an answer came"), "{error}");

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound")
        .local_addr()
        .expect("an address");
    let error = client
        .send(ask(&format!("http://{closed}/")), PRIVATE)
        .await
        .expect_err("refused");
    assert_eq!(
        error.message(),
        format!("127.0.0.1 refuses connections on port {}", closed.port())
    );

    let error = client
        .send(ask("http://no-such-host.invalid/"), PUBLIC)
        .await
        .expect_err("unknown");
    assert_eq!(
        error.message(),
        "the name no-such-host.invalid cannot be resolved"
    );
    assert_eq!(error.reason(), Reason::Unavailable);
}

#[tokio::test]
async fn connecting_takes_no_longer_than_asked() {
    let client = client(OutboundOptions::default());
    // A listener that takes the TLS greeting and never answers.
    let (silent, _tasks, _heads) = listener(b"").await;
    let options = SendOptions {
        connect_timeout: Duration::from_millis(100),
        ..PRIVATE
    };
    let error = client
        .send(ask(&format!("https://{silent}/")), options)
        .await
        .expect_err("too long");
    assert_eq!(error.reason(), Reason::Timeout);
    assert_eq!(
        error.message(),
        "127.0.0.1 did not accept a connection within 0.1 s"
    );
}

/// A proxy that opens tunnels to `target`, whatever is asked for, and reports each request's head.
async fn proxy(target: SocketAddr) -> (SocketAddr, Tasks, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let tasks = Tasks::new();
    let (sender, receiver) = mpsc::channel(8);
    tasks.spawn_until_stopped("proxy", async move {
        while let Ok((io, _)) = listener.accept().await {
            let mut io = BufReader::new(io);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && io.read_line(&mut head).await.unwrap_or(0) > 0 {}
            drop(sender.send(head).await);
            let mut server = TcpStream::connect(target).await.expect("the target is there");
            io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await
                .expect("written");
            drop(tokio::io::copy_bidirectional(&mut io, &mut server).await);
        }
    });
    (address, tasks, receiver)
}

fn through(proxy: SocketAddr, ca: Option<String>) -> OutboundClient {
    client(OutboundOptions {
        proxy: ProxySettings {
            all: Some(format!("http://ada:open%20sesame@{proxy}")),
            ..ProxySettings::default()
        },
        extra_roots: ca,
        ..OutboundOptions::default()
    })
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_of_the_proxy() {
    let server = server().await;
    let (proxy, _tasks, mut heads) = proxy(server.address).await;
    let client = through(proxy, Some(server.ca.clone()));
    // The name means something to the proxy only.
    let answer = client
        .send(ask("https://named.example/"), PUBLIC)
        .await
        .expect("tunnelled");
    assert_eq!(text(answer).await, "HTTP/2.0");
    let head = heads.recv().await.expect("asked");
    assert!(
        head.starts_with("CONNECT named.example:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("Basic YWRhOm9wZW4gc2VzYW1l"), "{head}");
    server.tasks.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn plain_requests_go_to_the_proxy_whole() {
    let (proxy, _tasks, mut heads) =
        listener(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    let client = through(proxy, None);
    let answer = client
        .send(ask("http://named.example/path"), PUBLIC)
        .await
        .expect("answered");
    assert_eq!(text(answer).await, "ok");
    let head = heads.recv().await.expect("asked");
    assert!(
        head.starts_with("GET http://named.example/path HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("proxy-authorization: Basic YWRhOm9wZW4gc2VzYW1l"),
        "{head}"
    );
}

#[tokio::test]
async fn a_proxy_does_not_open_what_the_policy_closes() {
    let (proxy, _tasks, _heads) = listener(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = through(proxy, None);
    for url in [
        "https://169.254.169.254/",
        "http://2852039166/",
        "https://10.0.0.1/",
        "http://localhost:1/",
    ] {
        let error = client.send(ask(url), PUBLIC).await.expect_err(url);
        assert_eq!(error.reason(), Reason::Forbidden, "{url}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let (proxy, _tasks, _heads) = listener(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let client = through(proxy, None);
    let error = client
        .send(ask("https://named.example/"), PUBLIC)
        .await
        .expect_err("refused");
    assert_eq!(error.message(), format!("the proxy {proxy} does not connect"));
    assert!(
        error.full_message().contains("authorization"),
        "{}",
        error.full_message()
    );
    assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
}

/// Asks for another protocol and says something in it.
async fn upgraded(client: &OutboundClient, url: &str) -> String {
    let mut request = ask(url);
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, http::HeaderValue::from_static("echo"));
    let mut answer = client.send(request, PRIVATE).await.expect("answered");
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let io = hyper::upgrade::on(&mut answer).await.expect("upgraded");
    let mut io = hyper_util::rt::TokioIo::new(io);
    io.write_all(b"hello").await.expect("written");
    let mut back = [0; 5];
    io.read_exact(&mut back).await.expect("read");
    String::from_utf8_lossy(&back).into_owned()
}

#[tokio::test]
async fn a_connection_is_upgraded_over_plain_http_and_over_tls_that_offers_http2() {
    let server = server().await;
    let client = client(OutboundOptions {
        extra_roots: Some(server.ca.clone()),
        ..OutboundOptions::default()
    });
    let port = server.address.port();
    // A connection of HTTP/2 is there already, and not taken.
    let answer = client
        .send(ask(&format!("https://localhost:{port}/")), PRIVATE)
        .await;
    assert_eq!(text(answer.expect("trusted")).await, "HTTP/2.0");
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://localhost:{port}/echo");
        assert_eq!(upgraded(&client, &url).await, "hello");
    }
}

#[tokio::test]
async fn an_upgrade_goes_through_a_tunnel_whatever_the_scheme() {
    let server = server().await;
    let (proxy, _tasks, mut heads) = proxy(server.address).await;
    let client = through(proxy, Some(server.ca.clone()));
    for (scheme, port) in [("http", 80), ("https", 443)] {
        let url = format!("{scheme}://named.example/echo");
        assert_eq!(upgraded(&client, &url).await, "hello");
        let head = heads.recv().await.expect("asked");
        assert!(
            head.starts_with(&format!("CONNECT named.example:{port} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(head.contains("Basic YWRhOm9wZW4gc2VzYW1l"), "{head}");
    }
}
