//! Heads of requests and answers of HTTP/1.1 (RFC 9112).
//!
//! *Invariant:* pure; what tells lengths in a request follows from its body alone, and an answer whose length two
//! fields tell differently is none.

use std::{io, mem::MaybeUninit};

use bytes::BytesMut;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use stead_kernel::Body;

use super::framing::Framing;
use crate::http1::{
    broken,
    fields::{self, FIELDS, Places},
    writing::Length,
};

/// The longest head of an answer.
const HEAD_LIMIT: usize = 64 << 10;

/// The head of a request, as it goes over the wire.
pub(super) fn of_request(request: &Request<Body>, length: Length) -> BytesMut {
    let mut head = BytesMut::with_capacity(1 << 10);
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            fields::put(&mut head, name, value.as_bytes());
        }
    }
    // A method that mostly has a body says so when it has none (RFC 9110, section 8.6).
    let expects = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    match length {
        Length::Known(0) if !expects => {}
        Length::Known(bytes) => {
            fields::put(&mut head, &header::CONTENT_LENGTH, bytes.to_string().as_bytes());
        }
        Length::Chunked => fields::put(&mut head, &header::TRANSFER_ENCODING, b"chunked"),
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// An answer's head and what comes after it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether the connection may be used once more after it.
    pub(super) keep: bool,
}

/// Takes the head of an answer to `method` from the input; `None` as long as it is not whole. Answers that announce
/// another one (100 to 199) are passed over.
///
/// # Errors
/// When the bytes are no answer, or one to something that was not asked.
pub(super) fn of_answer(input: &mut BytesMut, method: &Method) -> io::Result<Option<Head>> {
    loop {
        let Some(response) = parse(input)? else {
            return Ok(None);
        };
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => return Err(broken("it changes to another protocol")),
            status if status.is_informational() => {}
            _ => return complete(response, method).map(Some),
        }
    }
}

fn parse(input: &mut BytesMut) -> io::Result<Option<Response<()>>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, input, &mut fields);
    let length = match status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if input.len() < HEAD_LIMIT => return Ok(None),
        httparse::Status::Partial => return Err(broken("its head is too long")),
    };
    let mut response = Response::new(());
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = code.ok_or_else(|| broken("it has no status"))?;
    if parsed.version == Some(0) {
        *response.version_mut() = Version::HTTP_10;
    }
    let places = Places::of(parsed.headers, input)?;
    let head = input.split_to(length).freeze();
    *response.headers_mut() = places.fields(&head)?;
    Ok(Some(response))
}

/// Finds out where the body ends (RFC 9112, section 6.3).
fn complete(mut response: Response<()>, method: &Method) -> io::Result<Head> {
    let is_latest = response.version() == Version::HTTP_11;
    let mut keep = is_latest && !fields::closes(response.headers());
    let bare = *method == Method::HEAD
        || matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    let codings = response.headers().get_all(header::TRANSFER_ENCODING);
    let framing = if bare {
        Framing::NONE
    } else if let Some(last) = codings.iter().next_back() {
        let chunked = is_chunked(last) && is_latest;
        // Whoever tells a length beside the chunks may have been made to (section 11.2).
        keep &= response.headers_mut().remove(header::CONTENT_LENGTH).is_none();
        if chunked {
            Framing::CHUNKED
        } else {
            Framing::UntilClose
        }
    } else if let Some(length) = fields::content_length(response.headers())? {
        Framing::Known(length)
    } else {
        Framing::UntilClose
    };
    keep &= framing != Framing::UntilClose;
    Ok(Head {
        response,
        framing,
        keep,
    })
}

/// Whether the last coding is the one that tells where the body ends.
fn is_chunked(value: &HeaderValue) -> bool {
    let last = value.as_bytes().rsplit(|byte| *byte == b',').next();
    last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(text: &str, method: &Method) -> io::Result<Option<Head>> {
        of_answer(&mut BytesMut::from(text), method)
    }

    #[test]
    fn a_head_tells_where_the_body_ends_and_whether_another_may_follow() {
        let get = Method::GET;
        for (method, text, framing, keep) in [
            (
                &get,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Framing::Known(5),
                true,
            ),
            (
                &get,
                "HTTP/1.1 200\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
                Framing::Known(5),
                true,
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n",
                Framing::CHUNKED,
                true,
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
                Framing::CHUNKED,
                false,
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
                Framing::UntilClose,
                false,
            ),
            (&get, "HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
            (
                &get,
                "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n",
                Framing::Known(5),
                false,
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nconnection: a, Close\r\ncontent-length: 5\r\n\r\n",
                Framing::Known(5),
                false,
            ),
            (&get, "HTTP/1.1 204 No Content\r\n\r\n", Framing::NONE, true),
            (
                &get,
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
                Framing::NONE,
                true,
            ),
            (
                &Method::HEAD,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Framing::NONE,
                true,
            ),
            (
                &get,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Framing::Known(5),
                true,
            ),
        ] {
            let head = answer(text, method).expect(text).expect(text);
            assert_eq!((head.framing, head.keep), (framing, keep), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_LIMIT));
        for text in [
            "this is not HTTP at all\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\n\r\n",
            &long,
        ] {
            answer(text, &Method::GET).expect_err(text);
        }
    }

    #[test]
    fn fields_are_kept_in_order_and_the_body_is_left() {
        let mut input =
            BytesMut::from("HTTP/1.1 418 Teapot\r\nA: 1\r\nb:\r\na:  2 \r\ncontent-length: 1\r\n\r\nx");
        let head = of_answer(&mut input, &Method::GET).unwrap().unwrap();
        assert_eq!(head.response.status().as_u16(), 418);
        let values: Vec<&HeaderValue> = head.response.headers().get_all("a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(head.response.headers()["b"], "");
        assert_eq!(input, "x");
    }

    #[test]
    fn a_request_tells_the_length_of_its_body_and_of_no_other() {
        let request = |method: &str, body: Body| {
            let request = Request::builder().method(method).uri("http://host/a?b=c");
            let request = request.header("content-length", "99").header("x", "y").body(body);
            let request = request.unwrap();
            let length = Length::of(&http_body::Body::size_hint(request.body()));
            let head = of_request(&request, length);
            String::from_utf8(head.to_vec()).unwrap()
        };
        assert_eq!(
            request("GET", Body::empty()),
            "GET /a?b=c HTTP/1.1\r\nx: y\r\n\r\n"
        );
        assert_eq!(
            request("POST", Body::empty()),
            "POST /a?b=c HTTP/1.1\r\nx: y\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(
            request("POST", Body::from("four")),
            "POST /a?b=c HTTP/1.1\r\nx: y\r\ncontent-length: 4\r\n\r\n"
        );
        let unknown = Body::from_stream(futures::stream::iter([Ok::<_, io::Error>("four")]));
        assert_eq!(
            request("POST", unknown),
            "POST /a?b=c HTTP/1.1\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = of_answer(&mut BytesMut::from(bytes.as_slice()), &Method::GET);
            let text = [b"HTTP/1.1 200 OK\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
            let _ = of_answer(&mut BytesMut::from(text.as_slice()), &Method::GET);
        }
    }
}
