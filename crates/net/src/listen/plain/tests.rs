use std::sync::Arc;

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Collected};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    sync::Notify,
    time::timeout,
};

use super::*;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn pieces(pieces: &'static [Result<&'static str, &'static str>]) -> Body {
    Body::from_stream(futures::stream::iter(
        pieces.iter().map(|piece| piece.map_err(io::Error::other)),
    ))
}

/// Says what was asked, or answers in one of the ways there are.
async fn answer(request: Request) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    Ok(match head.uri.path() {
        "/stream" => pieces(&[Ok("one"), Ok(""), Ok("three and more")]).into_response(),
        "/empty" => pieces(&[]).into_response(),
        "/none" => StatusCode::NO_CONTENT.into_response(),
        "/same" => (
            StatusCode::NOT_MODIFIED,
            [("etag", "\"1\""), ("content-length", "5")],
        )
            .into_response(),
        "/told" => ([("content-length", "8")], pieces(&[Ok("four"), Ok("more")])).into_response(),
        "/short" => ([("content-length", "9")], pieces(&[Ok("four")])).into_response(),
        "/broken" => pieces(&[Ok("four"), Err("broken")]).into_response(),
        "/close" => ([("connection", "close")], "bye").into_response(),
        "/odd" => ([("x", "1"), ("x", "2"), ("empty", "")], "odd").into_response(),
        _ => format!("{} {} {:?} {body:?}", head.method, head.uri, head.headers).into_response(),
    })
}

async fn by_hyper<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I) {
    let answer = service_fn(|request: http::Request<Incoming>| answer(request.map(Body::new)));
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(io), answer)
            .await,
    );
}

/// How many of the requests were plain.
async fn by_plain(io: DuplexStream) -> usize {
    let stopping = AtomicBool::new(false);
    let mut count = 0;
    let plain = Plain::new(io, Instant::now() + LONG, LONG, &stopping);
    let went = plain.talk(|request| {
        count += 1;
        answer(request)
    });
    if let Ok(Went::On(io)) = went.await {
        by_hyper(io).await;
    }
    count
}

/// Sends pieces and reads until the server closes.
async fn converse(mut io: DuplexStream, pieces: &[&[u8]]) -> String {
    for piece in pieces {
        if io.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    drop(io.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The lines of answers without what may differ: the date, the order of fields, and the case of hexadecimal digits.
fn comparable(answers: &str) -> Vec<String> {
    let answers = answers.to_ascii_lowercase();
    let each = answers.split("http/1.1 ").map(|answer| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let mut lines: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with("date: "))
            .collect();
        lines.sort_unstable();
        format!("{}\n\n{body}", lines.join("\n"))
    });
    each.collect()
}

/// What both answer to the same bytes, and how many requests were plain.
async fn both(pieces: &[&[u8]]) -> (Vec<String>, Vec<String>, usize) {
    let (ours, server) = duplex(1 << 20);
    let (plain, answered) = tokio::join!(by_plain(server), converse(ours, pieces));
    let (ours, server) = duplex(1 << 20);
    let ((), hyper) = tokio::join!(by_hyper(server), converse(ours, pieces));
    (comparable(&answered), comparable(&hyper), plain)
}

const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// What is plain, and how many requests are then answered, the last one included.
const PLAIN: &[(&str, usize)] = &[
    ("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\n\r\n", 2),
    ("\r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET http://host/a HTTP/1.1\r\nhost: host\r\n\r\n", 2),
    ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("HEAD /stream HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nfour", 2),
    ("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 2),
    (
        "DELETE /a HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
        2,
    ),
    ("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /empty HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /none HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /same HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /told HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /\u{fffd} HTTP/1.1\r\n\r\n", 2),
    ("GET /odd HTTP/1.1\r\nhost: a\r\n\r\n", 2),
    ("GET /close HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("GET /a HTTP/1.1\r\nhost: a\r\nconnection: x, Close\r\n\r\n", 1),
];

/// What hyper answers.
const OTHERS: &[&str] = &[
    "GET /a HTTP/1.0\r\nhost: a\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 4\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\nfour",
    "POST /a HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nfour",
    "POST /a HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 3\r\n\r\nfour",
    "POST /a HTTP/1.1\r\ncontent-length: 4, 4\r\n\r\nfour",
    "POST /a HTTP/1.1\r\ncontent-length: +4\r\n\r\nfour",
    "POST /a HTTP/1.1\r\ncontent-length: -4\r\n\r\nfour",
    "POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nfour",
    "GET /a HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost : a\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
    "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
    "GET  /a HTTP/1.1\r\n\r\n",
    "GET not/absolute HTTP/1.1\r\nhost: a\r\n\r\n",
    "no request at all\r\n\r\n",
    "\0\r\n\r\n",
];

#[tokio::test]
async fn every_conversation_goes_as_with_hyper() {
    let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(40 << 10));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let big = "y".repeat(head::BODY_LIMIT + 1);
    let big = format!("POST /big HTTP/1.1\r\ncontent-length: {}\r\n\r\n{big}", big.len());
    let large = [long, many, big];
    let others = OTHERS.iter().copied().chain(large.iter().map(String::as_str));
    for (text, plain) in PLAIN.iter().copied().chain(others.map(|text| (text, 0))) {
        let (ours, hyper, count) = both(&[text.as_bytes(), LAST.as_bytes()]).await;
        let shown = text.get(..120).unwrap_or(text);
        assert_eq!(ours, hyper, "{shown:?}");
        assert_eq!(count, plain, "{shown:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_completed_is_cut_so_that_its_client_sees_it() {
    for (path, begin) in [
        ("short", "content-length: 9"),
        ("broken", "transfer-encoding: chunked"),
    ] {
        let (ours, server) = duplex(1 << 20);
        let text = format!("GET /{path} HTTP/1.1\r\n\r\n{LAST}");
        let pieces = [text.as_bytes()];
        let (plain, answer) = tokio::join!(by_plain(server), converse(ours, &pieces));
        assert!(
            answer.contains(begin) && answer.trim_end().ends_with("four"),
            "{answer}"
        );
        assert_eq!(plain, 1);
    }
}

#[tokio::test]
async fn what_is_plain_no_more_is_handed_on_whole() {
    let text = [
        "POST /1 HTTP/1.1\r\ncontent-length: 4\r\n\r\nfour",
        "POST /2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        LAST,
    ]
    .concat();
    let (ours, hyper, plain) = both(&[text.as_bytes()]).await;
    assert_eq!(ours, hyper);
    assert_eq!(plain, 1);
    assert_eq!(ours.iter().filter(|part| part.contains("/last")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_body_that_comes_slowly_is_waited_for() {
    let (mut ours, server) = duplex(1 << 20);
    let slow = async {
        ours.write_all(b"POST /slow HTTP/1.1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfo")
            .await
            .unwrap();
        tokio::time::sleep(LONG * 2).await;
        converse(ours, &[b"ur"]).await
    };
    let (plain, answer) = tokio::join!(by_plain(server), slow);
    assert!(answer.contains("b\"four\""), "{answer}");
    assert_eq!(plain, 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_waited_for_no_longer_than_it_may_take() {
    for (beginning, left) in [("", ""), ("GET / HTTP/1.1\r\nhost:", "")] {
        let (ours, server) = duplex(1 << 20);
        let began = Instant::now();
        let pieces = [beginning.as_bytes()];
        let (plain, answer) = tokio::join!(by_plain(server), converse(ours, &pieces));
        assert_eq!((answer.as_str(), plain), (left, 0));
        assert_eq!(began.elapsed().as_secs(), LONG.as_secs(), "{beginning:?}");
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_before_and_within_the_answer() {
    for begins in [false, true] {
        let (mut ours, server) = duplex(1 << 20);
        let (entered, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, dropped) = (Arc::clone(&entered), Arc::clone(&gone));
        let stopping = AtomicBool::new(false);
        let plain = Plain::new(server, Instant::now() + LONG, LONG, &stopping);
        let talking = plain.talk(move |_| {
            let (inside, held) = (Arc::clone(&inside), Dropped(Arc::clone(&dropped)));
            async move {
                inside.notify_one();
                let endless = futures::stream::once(async move {
                    let _held = held;
                    futures::future::pending::<io::Result<Bytes>>().await
                });
                if begins {
                    return Ok(Body::from_stream(endless).into_response());
                }
                futures::pin_mut!(endless);
                futures::StreamExt::next(&mut endless).await;
                Ok(StatusCode::OK.into_response())
            }
        });
        let leaving = async {
            ours.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            entered.notified().await;
            if begins {
                let mut head = [0; 15];
                ours.read_exact(&mut head).await.unwrap();
            }
            drop(ours);
            gone.notified().await;
        };
        let (talked, ()) = timeout(LONG, async { tokio::join!(talking, leaving) })
            .await
            .expect("noticed");
        assert!(talked.is_err());
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(cuts in proptest::collection::vec(0_usize..500, 0..8)) {
        let text = [
            "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nGET / HTTP/",
            "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n",
            "HEAD /3 HTTP/1.1\r\n\r\n",
            LAST,
        ]
        .concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, hyper, plain) = runtime.block_on(both(&pieces));
        prop_assert_eq!(ours, hyper);
        prop_assert_eq!(plain, 4);
    }

    #[test]
    fn no_bytes_are_too_odd_and_none_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..300), headed: bool) {
        let bytes = if headed { [b"GET /a HTTP/1.1\r\n", bytes.as_slice()].concat() } else { bytes };
        let mut input = BytesMut::from(bytes.as_slice());
        if !matches!(head::take(&mut input), Found::Plain(_)) {
            prop_assert_eq!(&input[..], &bytes[..]);
        }
    }
}
