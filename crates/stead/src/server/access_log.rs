//! The access log: a line for each request once its answer has ended, in words or as JSON.
//!
//! *Invariant:* no line holds a body, a query, a header of the client or a key's text.
//!
//! *Invariant:* no request waits for the log. Lines wait in a bounded queue; when it is full, they are dropped and
//! counted.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use serde_json::{Map, Value};
use stead_kernel::{
    AccessLog, Body, Credential, Error, Identity, Result, Settings, Tasks, Timestamp, http::Connection,
};
use tokio::{sync::mpsc, time::Instant};

use super::operations::Metrics;

/// How many lines may wait.
const QUEUE: usize = 8_192;
/// The longest path that is written, in bytes.
const PATH_LIMIT: usize = 512;

/// What answers say about themselves, and under which name it is written.
const HEADERS: [(&str, &str); 6] = [
    ("x-stead-request-id", "id"),
    ("x-stead-trace-id", "trace"),
    ("x-stead-route", "route"),
    ("x-stead-provider", "provider"),
    ("x-stead-attempts", "attempts"),
    ("x-stead-cache", "cache"),
];

/// Writes lines. Cheap to clone.
#[derive(Clone)]
pub(super) struct AccessLogger {
    form: AccessLog,
    lines: mpsc::Sender<String>,
    dropped: Arc<AtomicU64>,
}

impl AccessLogger {
    /// Opens the log, if the settings want one; it is written until the tasks are told to stop.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened.
    pub(super) fn open(settings: &Settings, tasks: &Tasks) -> Result<Option<Self>> {
        if settings.access_log == AccessLog::Off {
            return Ok(None);
        }
        let target = Target::open(&settings.access_log_file)?;
        let (lines, waiting) = mpsc::channel(QUEUE);
        let stop = tasks.token();
        tasks.spawn("access log", write_lines(waiting, target, stop));
        Ok(Some(Self {
            form: settings.access_log,
            lines,
            dropped: Arc::default(),
        }))
    }

    /// Puts the layer around a router.
    pub(super) fn layer(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, observe))
    }

    /// What it adds to `/metrics`.
    pub(super) fn metrics(&self) -> Metrics {
        let dropped = Arc::clone(&self.dropped);
        Arc::new(move || {
            let dropped = dropped.load(Ordering::Relaxed);
            format!(
                "# HELP stead_access_log_dropped_total Lines dropped because they could not be written fast enough.\n\
                 # TYPE stead_access_log_dropped_total counter\nstead_access_log_dropped_total {dropped}\n"
            )
        })
    }

    fn write(&self, entry: &Entry, bytes: u64) {
        let mut line = match self.form {
            AccessLog::Off => return,
            AccessLog::Text => entry.text(bytes),
            AccessLog::Json => Value::Object(entry.fields(bytes)).to_string(),
        };
        line.push('\n');
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

enum Target {
    Stderr,
    File(File),
}

impl Target {
    fn open(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(Self::Stderr);
        }
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path);
        opened.map(Self::File).map_err(|error| {
            Error::unavailable(format!("the access log {} cannot be opened", path.display())).because(error)
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
            Self::File(file) => file.write_all(text.as_bytes()),
        }
    }
}

async fn write_lines(
    mut waiting: mpsc::Receiver<String>,
    target: Target,
    stop: tokio_util::sync::CancellationToken,
) {
    let mut target = Some(target);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = waiting.recv_many(&mut batch, 512) => if count == 0 { return },
            () = stop.cancelled() => return,
        }
        let text: String = batch.drain(..).collect();
        let Some(mut open) = target.take() else { return };
        let written = tokio::task::spawn_blocking(move || {
            let result = open.write(&text);
            (open, result)
        });
        let Ok((open, result)) = written.await else { return };
        if let Err(error) = result {
            tracing::warn!(%error, "lines of the access log could not be written");
        }
        target = Some(open);
    }
}

async fn observe(State(log): State<AccessLogger>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let mut entry = Entry::of(&request, began);
    let response = next.run(request).await;
    entry.complete(&response);
    response.map(|body| {
        Body::new(Observed {
            body,
            bytes: 0,
            entry,
            log,
        })
    })
}

/// What is known of a request.
struct Entry {
    time: Timestamp,
    began: Instant,
    method: String,
    path: String,
    peer: String,
    status: u16,
    caller: Vec<(&'static str, String)>,
    told: Vec<(&'static str, String)>,
}

impl Entry {
    fn of(request: &Request, began: Instant) -> Self {
        let path = request.uri().path();
        let peer = request.extensions().get::<Connection>();
        Self {
            time: Timestamp::now(),
            began,
            method: request.method().to_string(),
            path: path
                .get(..path.floor_char_boundary(PATH_LIMIT))
                .unwrap_or_default()
                .to_owned(),
            peer: peer.map(|peer| peer.peer.ip().to_string()).unwrap_or_default(),
            status: 0,
            caller: Vec::new(),
            told: Vec::new(),
        }
    }

    fn complete(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        self.caller = response
            .extensions()
            .get::<Identity>()
            .map(caller)
            .unwrap_or_default();
        self.told = told(response.headers());
    }

    fn fields(&self, bytes: u64) -> Map<String, Value> {
        let mut fields = Map::new();
        let milliseconds = self.began.elapsed().as_secs_f64() * 1_000.0;
        fields.insert("time".into(), self.time.to_string().into());
        fields.insert("method".into(), self.method.as_str().into());
        fields.insert("path".into(), self.path.as_str().into());
        fields.insert("status".into(), self.status.into());
        fields.insert("ms".into(), ((milliseconds * 1_000.0).round() / 1_000.0).into());
        fields.insert("bytes".into(), bytes.into());
        fields.insert("peer".into(), self.peer.as_str().into());
        for (name, text) in self.caller.iter().chain(&self.told) {
            fields.insert((*name).to_owned(), text.as_str().into());
        }
        fields
    }

    fn text(&self, bytes: u64) -> String {
        let mut line = String::new();
        for (name, value) in self.fields(bytes) {
            let separator = if line.is_empty() { "" } else { " " };
            let plain = match &value {
                Value::String(text) if is_plain(text) => text.clone(),
                // In quotes, so that no client can make up a field or a line.
                other => other.to_string(),
            };
            let _ = write!(line, "{separator}{name}={plain}");
        }
        line
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=')
}

/// Who asked, by names.
fn caller(identity: &Identity) -> Vec<(&'static str, String)> {
    let Identity::Known(principal) = identity else {
        return Vec::new();
    };
    let mut caller = vec![("user", principal.user.clone())];
    if let Credential::ApiKey { project, name } = &principal.credential {
        caller.push(("key", format!("{project}/{name}")));
    }
    caller
}

fn told(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let told = HEADERS.iter().filter_map(|(header, name)| {
        let value = headers.get(*header)?.to_str().ok()?;
        Some((*name, value.to_owned()))
    });
    told.collect()
}

/// A body whose end, or whose abandonment, is the end of the request.
struct Observed {
    body: Body,
    bytes: u64,
    entry: Entry,
    log: AccessLogger,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.bytes += u64::try_from(length).unwrap_or(u64::MAX);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.log.write(&self.entry, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn lines(form: AccessLog, uri: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let settings = Settings {
            access_log: form,
            access_log_file: file.clone(),
            ..Settings::default()
        };
        let tasks = Tasks::new();
        let log = AccessLogger::open(&settings, &tasks).unwrap().unwrap();
        let answer = || async { ([("x-stead-route", "chat")], "hello") };
        let router = Router::new().route("/v1/{*path}", axum::routing::post(answer));
        let request = Request::post(uri)
            .header("authorization", "Bearer sk-secret")
            .body(Body::from("{\"prompt\":\"private\"}"))
            .unwrap();
        let response = log.layer(router).oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert!(tasks.shutdown(std::time::Duration::from_secs(10)).await);
        std::fs::read_to_string(file).unwrap()
    }

    #[tokio::test]
    async fn a_request_has_one_line_without_its_body_its_key_and_its_query() {
        let text = lines(AccessLog::Json, "/v1/models/m:generate?key=sk-secret").await;
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        for (field, value) in [
            ("method", Value::from("POST")),
            ("path", "/v1/models/m:generate".into()),
            ("status", 200.into()),
            ("bytes", 5.into()),
            ("route", "chat".into()),
        ] {
            assert_eq!(line[field], value, "{text}");
        }
        assert!(!text.contains("secret") && !text.contains("private"), "{text}");
    }

    #[tokio::test]
    async fn a_client_cannot_make_up_a_line_or_a_field() {
        let text = lines(AccessLog::Text, "/v1/a%0Ab=c\"%20status=500").await;
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(" status=200 "), "{text}");
        assert!(text.contains(r#"path="/v1/a%0Ab=c\"%20status=500""#), "{text}");
    }
}
