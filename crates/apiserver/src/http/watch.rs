//! Watches: what is, then what happens, as a stream of JSON lines.
//!
//! *Invariant:* a watch sends each change after its cursor once and in order, or ends with `410 Gone`.
//!
//! *Invariant:* a watch holds a bounded number of lines, however slowly they are read.
//!
//! *Invariant:* a change that many watches tell alike is written once; no Secret is kept so.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use stead_kernel::{Body, Verb};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Representation,
    fairness::Turn,
    partial,
    query::{Initial, not_a_version},
    resource::{Include, table},
};
use crate::{
    engine::{Caller, Engine, ListOptions, Selectors, Target},
    failure::{Failure, Outcome},
    kinds::{Form, ResourceType},
    metrics::Watching,
    object::{metadata_mut, root_mut},
    store::{Change, ChangeKind, StoreError, Told},
};

/// How many objects are listed, and how many changes are taken from the window, at a time.
const CHUNK: usize = 100;
/// How often an idle watch tells how far it is.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// How often it is asked again whether the watcher still may.
const RECHECK: Duration = Duration::from_secs(20);
/// How long a watch lasts at most, and if it does not say: who the watcher is was found out at its beginning only.
const LONGEST: Duration = Duration::from_hours(1);
/// How long a watch from a version that is not there yet waits for it.
const FUTURE: Duration = Duration::from_secs(1);

/// What to watch, and how.
pub(super) struct WatchRequest {
    /// The collection.
    pub(super) target: Target,
    pub(super) selectors: Selectors,
    pub(super) representation: Representation,
    pub(super) include: Include,
    /// The resource version after which to begin; empty or `0` for what is now.
    pub(super) from: String,
    pub(super) initial: Initial,
    pub(super) bookmarks: bool,
    /// In seconds; 0 when not given.
    pub(super) timeout: u64,
    /// The watcher's turn, for as long as the watch lasts.
    pub(super) _turn: Option<Turn>,
    /// Who watches, and what the authorizer was asked about.
    pub(super) asked: (Caller, Target),
}

/// A watch under way.
struct Follow {
    engine: Arc<Engine>,
    request: WatchRequest,
    cursor: u64,
    /// Where the list of what is now goes on, until it has ended.
    page: Option<String>,
    latest: Receiver<u64>,
    /// Lines that are ready.
    queue: VecDeque<Bytes>,
    deadline: Instant,
    next_bookmark: Instant,
    next_check: Instant,
    stop: CancellationToken,
    /// Whether a table's columns have been told.
    columns: bool,
    ended: bool,
    _watching: Watching,
}

/// Starts a watch; the answer's body goes on until the client or the server ends it.
pub(super) async fn start(engine: Arc<Engine>, request: WatchRequest) -> Outcome<Response> {
    let limit = lasting(request.timeout);
    let now = Instant::now();
    let mut follow = Follow {
        cursor: 0,
        page: None,
        latest: engine.store.window().subscribe(),
        queue: VecDeque::new(),
        deadline: now + limit,
        next_bookmark: now + BOOKMARKS,
        next_check: now + RECHECK,
        stop: engine.tasks.token(),
        columns: false,
        ended: false,
        _watching: Watching::begin(&engine),
        request,
        engine,
    };
    follow.begin().await?;
    let lines = stream::unfold(follow, |mut follow| async move {
        let line = follow.next().await?;
        follow.engine.metrics.watch_event();
        Some((Ok::<_, Infallible>(line), follow))
    });
    let mut response = (StatusCode::OK, Body::from_stream(lines)).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// How long a watch lasts that asks for so many seconds, 0 for any.
fn lasting(seconds: u64) -> Duration {
    match seconds {
        0 => LONGEST,
        seconds => Duration::from_secs(seconds).min(LONGEST),
    }
}

impl Follow {
    async fn begin(&mut self) -> Outcome<()> {
        let from = self.request.from.clone();
        let current = matches!(from.as_str(), "" | "0");
        match self.request.initial {
            Initial::Nothing if current => {
                self.cursor = self.engine.store.window().latest();
                return Ok(());
            }
            Initial::State => return self.list(String::new()).await,
            Initial::Unsaid if current => return self.list(String::new()).await,
            Initial::Unsaid | Initial::Nothing => {}
        }
        self.cursor = from.parse().map_err(|_| Failure::plain(not_a_version(&from)))?;
        let (cursor, latest) = (self.cursor, &mut self.latest);
        let late = timeout(FUTURE, latest.wait_for(|latest| *latest >= cursor))
            .await
            .is_err();
        if late {
            // Such a version was given by a server whose state was newer: an older backup has been restored.
            self.fail(&Failure::expired());
        }
        Ok(())
    }

    /// Takes a page of what is now; every page shows the state that the first one showed.
    async fn list(&mut self, page: String) -> Outcome<()> {
        let options = ListOptions {
            selectors: self.request.selectors.clone(),
            limit: CHUNK,
            page,
            ..ListOptions::default()
        };
        let listed = self.engine.list(&self.request.target, options).await?;
        self.cursor = listed.version;
        for object in &listed.items {
            self.push("ADDED", object);
        }
        self.page = Some(listed.next).filter(|next| !next.is_empty());
        if self.page.is_none() && self.request.initial == Initial::State && self.request.bookmarks {
            self.bookmark(true);
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            if let Some(page) = self.page.take() {
                if let Err(failure) = self.list(page).await {
                    self.fail(&failure);
                }
                continue;
            }
            self.latest.mark_unchanged();
            if !self.still_may() {
                continue;
            }
            if !self.take() {
                self.wait().await;
            }
        }
    }

    /// Takes changes from the window; whether there were any lines.
    fn take(&mut self) -> bool {
        let target = &self.request.target;
        let wanted = |key: &crate::store::Key| {
            *key.resource == *target.kind.storage
                && (target.namespace.is_empty() || *key.namespace == *target.namespace)
        };
        match self.engine.store.window().after(self.cursor, CHUNK, wanted) {
            Ok((changes, seen)) => {
                self.cursor = seen;
                for change in changes {
                    self.tell(&change);
                }
            }
            Err(StoreError::Expired) => {
                let kept = self.engine.store.window().floor();
                self.fail(&Failure::expired_watch(self.cursor, kept));
            }
            Err(error) => self.fail(&error.into()),
        }
        self.ended || !self.queue.is_empty()
    }

    /// Asks from time to time whether the watcher still may; ends the watch when not.
    fn still_may(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next_check {
            return true;
        }
        self.next_check = now + RECHECK;
        let (caller, target) = &self.request.asked;
        match self.engine.authorize(caller, Verb::Watch, target) {
            Ok(()) => true,
            Err(failure) => {
                self.fail(&failure);
                false
            }
        }
    }

    async fn wait(&mut self) {
        let wake = self.deadline.min(self.next_bookmark).min(self.next_check);
        tokio::select! {
            changed = self.latest.changed() => self.ended |= changed.is_err(),
            () = self.stop.cancelled() => self.ended = true,
            () = sleep_until(wake) => {
                let now = Instant::now();
                self.ended = now >= self.deadline;
                if now < self.next_bookmark && !self.ended {
                    return;
                }
                self.next_bookmark = now + BOOKMARKS;
                if self.request.bookmarks {
                    self.bookmark(false);
                }
            }
        }
    }

    /// Tells a change as it looks through the selectors: an object can come into sight and leave it, and one that
    /// leaves it is told as it was when it was last seen.
    fn tell(&mut self, change: &Change) {
        let told = self.try_tell(change);
        if let Err(failure) = told {
            self.fail(&failure);
        }
    }

    fn try_tell(&mut self, change: &Change) -> Outcome<()> {
        let kind = Arc::clone(&self.request.target.kind);
        let selectors = &self.request.selectors;
        if selectors.is_empty() && self.request.representation == Representation::Whole {
            let line = shared(&self.engine, &kind, change)?;
            self.queue.push_back(line);
            return Ok(());
        }
        let decode = |body| self.engine.decode_body(&kind, &change.key, change.version, body);
        let mut object = decode(&change.body)?;
        let seen_now = selectors.is_empty() || selectors.matches(&object);
        let seen_before = match &change.was {
            Some(was) => serde_json::from_str(was).is_ok_and(|was: Value| selectors.matches(&was)),
            None => seen_now,
        };
        let event = match (change.kind, seen_before, seen_now) {
            (ChangeKind::Added, _, true) | (ChangeKind::Modified, false, true) => "ADDED",
            (ChangeKind::Modified, true, true) => "MODIFIED",
            (ChangeKind::Modified, true, false) | (ChangeKind::Deleted, true, _) => "DELETED",
            (ChangeKind::Added, _, false)
            | (ChangeKind::Modified, false, false)
            | (ChangeKind::Deleted, false, _) => return Ok(()),
        };
        if let Some(previous) = change.previous.as_ref().filter(|_| !seen_now) {
            object = decode(previous)?;
        }
        if self.request.representation == Representation::Whole && event == name(change.kind) {
            let line = shared(&self.engine, &kind, change)?;
            self.queue.push_back(line);
        } else {
            self.push(event, &object);
        }
        Ok(())
    }

    fn push(&mut self, event: &str, object: &Value) {
        match self.request.representation {
            Representation::Whole => self.line(event, object),
            Representation::Metadata | Representation::MetadataList => self.line(event, &partial(object)),
            Representation::Table => {
                let kind = Arc::clone(&self.request.target.kind);
                let now = self.engine.clock.now().as_second();
                let mut rows = table(&kind, std::slice::from_ref(object), self.request.include, now);
                let columns = if self.columns {
                    Value::Null
                } else {
                    kind.columns.definitions()
                };
                self.columns = true;
                root_mut(&mut rows).insert("columnDefinitions".into(), columns);
                let version = crate::object::text(object, "resourceVersion").to_owned();
                metadata_mut(&mut rows).insert("resourceVersion".into(), version.into());
                self.line(event, &rows);
            }
        }
    }

    fn bookmark(&mut self, initial_end: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial_end {
            root_mut(&mut metadata)
                .insert("annotations".into(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let kind = Arc::clone(&self.request.target.kind);
        let (name, api_version) = match self.request.representation {
            Representation::Whole => (kind.kind.clone(), kind.api_version()),
            Representation::Metadata | Representation::MetadataList | Representation::Table => {
                ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into())
            }
        };
        let object = json!({"kind": name, "apiVersion": api_version, "metadata": metadata});
        if self.request.representation == Representation::Table {
            let mut nameless = object.clone();
            metadata_mut(&mut nameless).insert("name".into(), "".into());
            let row = json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": null,
                "metadata": {"resourceVersion": self.cursor.to_string()},
                "rows": [{"cells": kind.columns.cells(&nameless, 0), "object": object}],
            });
            self.line("BOOKMARK", &row);
        } else {
            self.line("BOOKMARK", &object);
        }
    }

    /// Ends the watch with an error event.
    fn fail(&mut self, failure: &Failure) {
        self.line("ERROR", &failure.status());
        self.ended = true;
    }

    fn line(&mut self, event: &str, object: &Value) {
        self.queue.push_back(line(event, object));
    }
}

fn line(event: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n").into()
}

/// The event of a change that no selector hides.
const fn name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    }
}

/// The line of a change that is told whole, written once for all watches of its kind.
fn shared(engine: &Engine, kind: &ResourceType, change: &Change) -> Outcome<Bytes> {
    let api_version = kind.api_version();
    if let Some(told) = change.told.get()
        && told.api_version == api_version
    {
        return Ok(told.line.clone());
    }
    let object = engine.decode_body(kind, &change.key, change.version, &change.body)?;
    let line = line(name(change.kind), &object);
    if kind.form != Form::Sealed {
        let told = Told {
            api_version,
            line: line.clone(),
        };
        // Another watch may have been quicker, with the same line.
        let _ = change.told.set(told);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_watch_outlasts_the_rights_of_its_reader_by_more_than_an_hour() {
        for (asked, lasts) in [(0, 3600), (1, 1), (300, 300), (86_400, 3600), (u64::MAX, 3600)] {
            assert_eq!(lasting(asked), Duration::from_secs(lasts), "{asked}");
        }
    }
}
