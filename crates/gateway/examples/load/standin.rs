//! A provider that answers at once and always the same.
//!
//! It speaks `OpenAI`'s chat completions and, below `/messages`, Anthropic's messages, whole or, when the body asks for a
//! stream, in 100 chunks of a token each. Words in the body change how it streams: `[paced]` sends a token every 10 ms,
//! `[silent]` one token and then nothing until the other side leaves.
//!
//! It shares a core with the load, so it does as little as it can: answers lie there as they go over the wire.

use std::{io, rc::Rc, time::Duration};

use memchr::memmem;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior},
};

const WHOLE: &str = r#"{"id":"chatcmpl-0","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris. It lies on the Seine, and about two million people live there; with its suburbs there are twelve.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":31,"total_tokens":65},"system_fingerprint":"fp_0"}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const TAIL: &str = "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":34,\"completion_tokens\":100,\"total_tokens\":134}}\n\ndata: [DONE]\n\n";
/// The forms of <https://docs.anthropic.com/en/api/messages> and <https://docs.anthropic.com/en/api/messages-streaming>.
const MESSAGE: &str = r#"{"id":"msg_0","type":"message","role":"assistant","model":"bench","content":[{"type":"text","text":"The capital of France is Paris. It lies on the Seine, and about two million people live there; with its suburbs there are twelve."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":34,"output_tokens":31}}"#;
const MESSAGE_BEGIN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_0\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":34,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const MESSAGE_CHUNK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}}\n\n";
const MESSAGE_TAIL: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":100}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// What routers ask that look at their providers first.
const MODELS: &str = r#"{"object":"list","data":[{"id":"bench","object":"model","created":1700000000,"owned_by":"bench"}],"status":"ok","model_path":"bench"}"#;
const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const END: &str = "0\r\n\r\n";
const CHUNKS: u32 = 100;
/// Between two tokens of a paced stream.
const PACE: Duration = Duration::from_millis(10);
/// The longest request.
const REQUEST_LIMIT: usize = 1 << 20;

/// An answer in one API's form, as it goes over the wire.
struct Form {
    whole: Vec<u8>,
    /// The head of a stream, with what comes before the first token.
    begin: Vec<u8>,
    chunk: Vec<u8>,
    tail: Vec<u8>,
}

struct Forms {
    openai: Form,
    anthropic: Form,
    models: Vec<u8>,
}

impl Forms {
    fn new() -> Self {
        let stream = |begin: &str, chunk: &str, tail: &str, whole: &str| Form {
            whole: json(whole),
            begin: if begin.is_empty() {
                STREAM.into()
            } else {
                [STREAM.as_bytes(), &framed(begin)].concat()
            },
            chunk: framed(chunk),
            tail: [framed(tail), END.into()].concat(),
        };
        Self {
            openai: stream("", CHUNK, TAIL, WHOLE),
            anthropic: stream(MESSAGE_BEGIN, MESSAGE_CHUNK, MESSAGE_TAIL, MESSAGE),
            models: json(MODELS),
        }
    }
}

fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into()
}

/// A chunk of the transfer coding (RFC 9112, section 7.1).
fn framed(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into()
}

/// Answers whoever connects, for as long as the program runs. Must be called inside a `LocalSet`.
pub(super) async fn serve(listener: TcpListener) -> io::Result<()> {
    let forms = Rc::new(Forms::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let forms = Rc::clone(&forms);
        tokio::task::spawn_local(async move {
            // A connection that breaks is the load's business.
            let _ = converse(stream, &forms).await;
        });
    }
}

/// Answers the requests of a connection, one after the other.
async fn converse(mut stream: TcpStream, forms: &Forms) -> io::Result<()> {
    let mut input = Vec::with_capacity(4 << 10);
    loop {
        let length = loop {
            if let Some(length) = whole_request(&input)? {
                break length;
            }
            stream.readable().await?;
            match stream.try_read_buf(&mut input) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        let request = input.get(..length).unwrap_or_default();
        let has = |word: &str| memmem::find(request, word.as_bytes()).is_some();
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let form = if memmem::find(line, b"/messages").is_some() {
            &forms.anthropic
        } else {
            &forms.openai
        };
        if line.starts_with(b"GET ") {
            stream.write_all(&forms.models).await?;
        } else if !has("\"stream\":true") && !has("\"stream\": true") {
            stream.write_all(&form.whole).await?;
        } else if has("[silent]") {
            stream.write_all(&form.begin).await?;
            stream.write_all(&form.chunk).await?;
            return until_closed(&stream).await;
        } else {
            send_stream(&mut stream, form, has("[paced]")).await?;
        }
        input.drain(..length);
    }
}

/// The bytes of the first request, once all of it is there.
fn whole_request(input: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = input.get(..end).unwrap_or_default();
    let length = end + 4 + content_length(head).unwrap_or(0);
    if length > REQUEST_LIMIT {
        return Err(io::Error::other("the request is too long"));
    }
    Ok((input.len() >= length).then_some(length))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head.split(|byte| *byte == b'\n').find(|line| {
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })?;
    std::str::from_utf8(line.get(NAME.len()..)?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Sends each token by itself, as a model does.
async fn send_stream(stream: &mut TcpStream, form: &Form, paced: bool) -> io::Result<()> {
    stream.write_all(&form.begin).await?;
    let mut clock = tokio::time::interval_at(Instant::now() + PACE, PACE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..CHUNKS {
        if paced {
            clock.tick().await;
        } else {
            tokio::task::yield_now().await;
        }
        stream.write_all(&form.chunk).await?;
    }
    stream.write_all(&form.tail).await
}

async fn until_closed(stream: &TcpStream) -> io::Result<()> {
    let mut rest = [0; 64];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
