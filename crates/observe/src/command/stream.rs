//! Answers that are read as they come: lines, and server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).
//!
//! *Invariant:* who follows goes on where it was when a connection breaks, and gives up when the server is away long.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use http::{Request, Response, header};
use stead_kernel::{Body, Error, Reason, Result, command::Session};
use tokio::time::Instant;

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between tries to come back.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest line, in bytes.
const LINE: usize = 64 << 20;

/// An answer, piece by piece.
pub(super) struct Lines {
    body: futures::stream::BoxStream<'static, std::result::Result<Bytes, Error>>,
    read: BytesMut,
    searched: usize,
}

impl Lines {
    /// The lines of an answer that is no failure.
    pub(super) async fn of(answer: Response<Body>) -> Result<Self> {
        let (parts, body) = answer.into_parts();
        let mut lines = Self {
            body: body
                .into_data_stream()
                .map(|piece| piece.map_err(|error| Error::unavailable("the answer broke off").because(error)))
                .boxed(),
            read: BytesMut::new(),
            searched: 0,
        };
        if parts.status.is_success() {
            return Ok(lines);
        }
        let mut text = Vec::new();
        while let Some(line) = lines.next().await? {
            text.extend_from_slice(&line);
        }
        Err(failure(&text))
    }

    /// The next line without its end; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let rest = self.read.get(self.searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(self.searched + at).freeze();
                self.read.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.read.len();
            if self.searched > LINE {
                return Err(Error::internal("the server sends a line that does not end"));
            }
            match self.body.next().await {
                Some(piece) => self.read.extend_from_slice(&piece?),
                None if self.read.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.read.split().freeze()));
                }
            }
        }
    }
}

/// The error that a failed answer tells.
fn failure(text: &[u8]) -> Error {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let part = |name: &str| {
        value
            .pointer(&format!("/error/{name}"))
            .and_then(serde_json::Value::as_str)
    };
    let reason = part("reason").and_then(Reason::parse).unwrap_or(Reason::Internal);
    let error = Error::new(
        reason,
        part("message").unwrap_or("the server failed without a word"),
    );
    match part("hint") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A stream of events that is followed across broken connections.
pub(super) struct Events<'a> {
    session: &'a Session,
    path: String,
    last: Option<String>,
    lines: Option<Lines>,
    away: Option<Instant>,
}

impl<'a> Events<'a> {
    /// Follows what a path tells.
    pub(super) fn new(session: &'a Session, path: String) -> Self {
        Self {
            session,
            path,
            last: None,
            lines: None,
            away: None,
        }
    }

    /// The data of the next event.
    ///
    /// # Errors
    /// What the server answers; `Unavailable` when it has been away for a minute.
    pub(super) async fn next(&mut self) -> Result<Bytes> {
        loop {
            match self.read().await {
                Ok(Some(data)) => {
                    self.away = None;
                    return Ok(data);
                }
                Ok(None) => {
                    self.lines = None;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) if error.reason() == Reason::Unavailable && self.last.is_some() => {
                    self.lines = None;
                    let since = *self.away.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            none => none.insert(open(self.session, &self.path, self.last.as_deref()).await?),
        };
        let (mut id, mut data) = (None, None);
        while let Some(line) = lines.next().await? {
            if line.is_empty() {
                self.last = id.take().or(self.last.take());
                if let Some(data) = data.take() {
                    return Ok(Some(data));
                }
            } else if let Some(value) = field(&line, b"id:") {
                id = Some(String::from_utf8_lossy(&value).into_owned());
            } else if let Some(value) = field(&line, b"data:") {
                data = Some(value);
            }
        }
        Ok(None)
    }
}

async fn open(session: &Session, path: &str, last: Option<&str>) -> Result<Lines> {
    let mut request = Request::get(path).header(header::ACCEPT, "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let request = request
        .body(Body::empty())
        .map_err(|error| Error::invalid("the request is malformed").because(error))?;
    Lines::of(session.server.send(request).await?).await
}

/// The value of a field of an event, which our server writes on one line.
fn field(line: &Bytes, name: &[u8]) -> Option<Bytes> {
    let value = line.strip_prefix(name)?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some(line.slice_ref(value.strip_suffix(b"\r").unwrap_or(value)))
}
