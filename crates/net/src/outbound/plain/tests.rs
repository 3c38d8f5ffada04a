use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A pool, and the host that it asks, whose part a test plays itself.
struct World {
    pool: Arc<Pool>,
    listener: TcpListener,
    address: SocketAddr,
}

async fn world() -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    World {
        pool: Arc::default(),
        listener,
        address,
    }
}

impl World {
    async fn send(&self, body: Body) -> Result<Response<Body>> {
        let request = Request::post(format!("http://{}/path?query", self.address));
        let request = request.body(body).expect("a request");
        let address = self.address;
        self.pool
            .send(request, LONG, || async move { Ok(vec![address]) })
            .await
    }

    async fn accept(&self) -> TcpStream {
        let accepted = timeout(LONG, self.listener.accept()).await.expect("in time");
        accepted.expect("accepted").0
    }

    /// Asks, is answered with `answer` over `io`, and reads the answer.
    async fn exchange(&self, io: &mut TcpStream, answer: &str) -> std::result::Result<String, String> {
        let playing = async {
            hear(io, "hello").await;
            io.write_all(answer.as_bytes()).await.expect("written");
        };
        let (response, ()) = tokio::join!(self.send(Body::from("hello")), playing);
        read(response).await
    }

    /// Opens a connection by an exchange.
    async fn opened(&self, answer: &str) -> (TcpStream, std::result::Result<String, String>) {
        let playing = async {
            let mut io = self.accept().await;
            hear(&mut io, "hello").await;
            io.write_all(answer.as_bytes()).await.expect("written");
            io
        };
        let (response, io) = tokio::join!(self.send(Body::from("hello")), playing);
        (io, read(response).await)
    }

    fn idle(&self) -> usize {
        self.pool.state().idle.values().map(VecDeque::len).sum()
    }
}

/// Reads to the end of a request, which ends so.
async fn hear(io: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let count = timeout(LONG, io.read_buf(&mut heard)).await.expect("in time");
        assert!(count.expect("read") > 0, "{}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8(heard).expect("text")
}

/// What an answer says; its body's failure as text.
async fn read(response: Result<Response<Body>>) -> std::result::Result<String, String> {
    let body = response.map_err(|error| error.full_message())?.into_body();
    let whole = body.collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(whole.to_bytes().to_vec()).expect("text"))
}

async fn closed(mut io: TcpStream) {
    let mut rest = Vec::new();
    // A reset closes as well as an end does.
    drop(timeout(LONG, io.read_to_end(&mut rest)).await.expect("closed"));
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer_that_was_read_to_its_end() {
    let world = world().await;
    let (mut io, answer) = world.opened(OK).await;
    assert_eq!(answer.as_deref(), Ok("ok"));
    for (answer, text) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
            "",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        (OK, "ok"),
    ] {
        assert_eq!(world.idle(), 1);
        assert_eq!(
            world.exchange(&mut io, answer).await.as_deref(),
            Ok(text),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_when_its_end_is_in_doubt() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let world = world().await;
        let (io, text) = world.opened(answer).await;
        assert_eq!(text.as_deref(), Ok("ok"), "{answer}");
        assert_eq!(world.idle(), 0, "{answer}");
        closed(io).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_closes_its_connection() {
    let world = world().await;
    let playing = async {
        let mut io = world.accept().await;
        hear(&mut io, "hello").await;
        io.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
            .await
            .expect("written");
        io
    };
    let (response, io) = tokio::join!(world.send(Body::from("hello")), playing);
    let mut body = response.expect("answered").into_body();
    let first = body.frame().await.expect("a frame").expect("whole");
    assert_eq!(first.into_data().expect("data"), "ok");
    drop(body);
    closed(io).await;
    assert_eq!(world.idle(), 0);
}

#[tokio::test]
async fn a_connection_that_the_other_side_closed_is_left() {
    let world = world().await;
    let (io, _) = world.opened(OK).await;
    drop(io);
    let noticed = async {
        while world.pool.look() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, noticed).await.expect("noticed");
    let (_io, answer) = world.opened(OK).await;
    assert_eq!(answer.as_deref(), Ok("ok"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_no_end() {
    for (answer, text) in [
        ("HTTP/1.1 200 OK\r\n\r\nok", Ok("ok")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", Err("")),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            Err(""),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n",
            Err(""),
        ),
        ("HTTP/1.1 200", Err("")),
        ("", Err("")),
    ] {
        let world = world().await;
        let playing = async {
            let mut io = world.accept().await;
            hear(&mut io, "hello").await;
            io.write_all(answer.as_bytes()).await.expect("written");
        };
        let (response, ()) = tokio::join!(world.send(Body::from("hello")), playing);
        let answer = read(response).await;
        assert_eq!(answer.as_deref().map_err(|_| ""), text, "{answer:?}");
        assert_eq!(world.idle(), 0);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_out_in_chunks_and_tells_its_own_failure() {
    let world = world().await;
    let pieces = ["hello", "", "you"].map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    let playing = async {
        let mut io = world.accept().await;
        let heard = hear(&mut io, "\r\n0\r\n\r\n").await;
        io.write_all(OK.as_bytes()).await.expect("written");
        (io, heard)
    };
    let body = Body::from_stream(futures::stream::iter(pieces));
    let (response, (_io, heard)) = tokio::join!(world.send(body), playing);
    assert_eq!(read(response).await.as_deref(), Ok("ok"));
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head");
    let address = world.address;
    assert_eq!(
        head,
        format!("POST /path?query HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked")
    );
    assert_eq!(body, "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n");
    let broken = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(io::Error::other("lost"))]));
    let error = read(world.send(broken).await).await.expect_err("broken");
    assert!(error.contains("lost"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_read_before_all_of_the_request_is_sent() {
    let world = world().await;
    let endless = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 64 << 10])));
    let playing = async {
        let mut io = world.accept().await;
        hear(&mut io, "x").await;
        io.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
            .await
            .expect("written");
        io
    };
    let (response, _io) = tokio::join!(world.send(Body::from_stream(endless)), playing);
    let response = response.expect("answered");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let text = timeout(LONG, read(Ok(response))).await.expect("in time");
    assert_eq!(text.as_deref(), Ok("big"));
    assert_eq!(world.idle(), 0);
}

#[tokio::test]
async fn what_is_sent_and_answered_in_many_pieces_arrives_whole() {
    let world = world().await;
    let much = "0123456789abcdef".repeat(200_000);
    let playing = async {
        let mut io = world.accept().await;
        let heard = hear(&mut io, "the end").await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{much}", much.len());
        io.write_all(answer.as_bytes()).await.expect("written");
        hear(&mut io, "hello").await;
        for byte in "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".bytes() {
            io.write_all(&[byte]).await.expect("written");
            tokio::task::yield_now().await;
        }
        heard
    };
    let asking = async {
        let first = read(world.send(Body::from(format!("{much}the end"))).await).await;
        (first, read(world.send(Body::from("hello")).await).await)
    };
    let ((first, second), heard) = tokio::join!(asking, playing);
    assert!(heard.contains(&much));
    assert!(first.as_deref() == Ok(&much));
    assert_eq!(second.as_deref(), Ok("ok"));
}
