//! SIGKILL in the middle of every sort of write, with watches that go on where they were: no acknowledged write is lost,
//! and no watch misses a change or tells it twice.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    kill::{kill_after, rounds},
    support::{Installation, SOON},
};

const MAPS: &str = "/k8s/api/v1/namespaces/storm/configmaps";
const WRITERS: usize = 4;
/// How many objects each writer has.
const OBJECTS: usize = 6;
/// Query parameters of the watches, of which all must see the same.
const WATCHES: [&str; 3] = ["", "&allowWatchBookmarks=true", "&labelSelector=storm%3Dyes"];

/// What happens to an object, as a watch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Happening {
    event: &'static str,
    name: String,
    /// What the object's `data` says; of a deleted one, what it said last.
    value: u64,
}

/// A watch from round to round.
#[derive(Debug, Default)]
struct Watcher {
    version: u64,
    seen: Vec<(u64, Happening)>,
}

/// A writer from round to round: its objects, with what they say and the version they say it in, and what it did.
struct Writer {
    number: usize,
    random: u64,
    next: u64,
    objects: BTreeMap<String, (u64, String)>,
    done: Vec<Happening>,
    acknowledged: usize,
}

/// One write.
struct Attempt {
    happening: Happening,
    method: &'static str,
    media_type: &'static str,
    path: String,
    body: Value,
}

impl Writer {
    fn new(number: usize) -> Self {
        Self {
            number,
            random: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number as u64 + 1),
            next: 0,
            objects: BTreeMap::new(),
            done: Vec::new(),
            acknowledged: 0,
        }
    }

    /// A number below `limit`; the same in every run (the generator of Knuth's MMIX).
    fn choose(&mut self, limit: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % limit
    }

    fn plan(&mut self) -> Attempt {
        let object = self.choose(OBJECTS as u64);
        let name = format!("writer-{}-{object}", self.number);
        self.next += 1;
        let value = self.next;
        let path = format!("{MAPS}/{name}");
        let map = |version: &str| {
            let metadata = match version {
                "" => json!({"name": name, "labels": {"storm": "yes"}}),
                version => json!({"name": name, "labels": {"storm": "yes"}, "resourceVersion": version}),
            };
            let data = json!({"value": value.to_string(), "filling": "x".repeat(600)});
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        };
        let current = self.objects.get(&name).cloned();
        let kind = self.choose(8);
        let (event, method, media_type, body) = match (&current, kind) {
            (None, 0..4) => ("ADDED", "POST", "application/json", map("")),
            (None, _) => ("ADDED", "PATCH", "application/apply-patch+yaml", map("")),
            (Some((_, version)), 0..2) => ("MODIFIED", "PUT", "application/json", map(version)),
            (Some(_), 2..4) => {
                let change = json!({"data": {"value": value.to_string()}});
                ("MODIFIED", "PATCH", "application/merge-patch+json", change)
            }
            (Some(_), 4..6) => ("MODIFIED", "PATCH", "application/apply-patch+yaml", map("")),
            (Some(_), _) => ("DELETED", "DELETE", "application/json", Value::Null),
        };
        let path = match (method, media_type) {
            ("POST", _) => MAPS.to_owned(),
            (_, "application/apply-patch+yaml") => format!("{path}?fieldManager=storm&force=true"),
            _ => path,
        };
        let value = match (event, current) {
            ("DELETED", Some((last, _))) => last,
            _ => value,
        };
        let happening = Happening { event, name, value };
        Attempt {
            happening,
            method,
            media_type,
            path,
            body,
        }
    }

    /// Notes that something happened, and in which version it left the object.
    fn note(&mut self, happening: Happening, version: String) {
        if happening.event == "DELETED" {
            self.objects.remove(&happening.name);
        } else {
            self.objects
                .insert(happening.name.clone(), (happening.value, version));
        }
        self.done.push(happening);
    }

    /// Writes until the server is gone; returns the write that was not answered.
    async fn write(&mut self, installation: &Installation, over: &AtomicBool) -> Option<Happening> {
        while !over.load(Ordering::Relaxed) {
            let attempt = self.plan();
            let answer = installation
                .try_send(attempt.method, &attempt.path, &attempt.body, attempt.media_type)
                .await;
            let Some((status, answer)) = answer else {
                return Some(attempt.happening);
            };
            assert!(status.is_success(), "{:?}: {answer}", attempt.happening);
            self.acknowledged += 1;
            self.note(attempt.happening, version_of(&answer));
        }
        None
    }

    /// Looks whether a write happened that was not answered.
    async fn settle(&mut self, installation: &Installation, doubtful: Happening) {
        let path = format!("{MAPS}/{}", doubtful.name);
        let (status, found) = installation.json("GET", &path, Value::Null).await;
        let found = status.is_success().then_some(found);
        let happened = match (&found, doubtful.event) {
            (None, event) => event == "DELETED",
            (Some(_), "DELETED") => false,
            (Some(map), _) => value_of(map) == doubtful.value,
        };
        if happened {
            let version = found.as_ref().map(version_of).unwrap_or_default();
            self.note(doubtful, version);
        } else if let Some((value, _)) = self.objects.get(&doubtful.name) {
            assert_eq!(
                found.as_ref().map(value_of),
                Some(*value),
                "{doubtful:?} left something else"
            );
        } else {
            assert!(found.is_none(), "{doubtful:?} left {found:?}");
        }
    }
}

fn version_of(object: &Value) -> String {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.unwrap_or_default().to_owned()
}

fn value_of(map: &Value) -> u64 {
    let value = map["data"]["value"].as_str().and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no value: {map}"))
}

impl Watcher {
    /// Reads on until the connection ends, or until `last` was seen.
    async fn read(&mut self, installation: &Installation, parameters: &str, last: Option<u64>) {
        let path = format!("{MAPS}?watch=true&resourceVersion={}{parameters}", self.version);
        let Some(response) = installation.try_open(&path).await else {
            return;
        };
        assert_eq!(response.status(), 200, "{path}");
        let (mut body, mut buffer) = (response.into_body(), Vec::new());
        while last.is_none_or(|last| self.version < last) {
            let frame = tokio::time::timeout(SOON, body.frame())
                .await
                .expect("an event in time");
            let Some(Ok(frame)) = frame else { return };
            buffer.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                self.take(&serde_json::from_slice(&line).expect("a whole line"));
            }
        }
    }

    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let version: u64 = version_of(object).parse().unwrap_or_else(|_| panic!("{event}"));
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = match event["type"].as_str() {
            Some("ADDED") => "ADDED",
            Some("MODIFIED") => "MODIFIED",
            Some("DELETED") => "DELETED",
            Some("BOOKMARK") => {
                assert!(version >= self.version, "{event} after {}", self.version);
                self.version = version;
                return;
            }
            _ => panic!("{event}"),
        };
        assert!(version > self.version, "{event} after {}", self.version);
        self.version = version;
        let happening = Happening {
            event: kind,
            name: name.into(),
            value: value_of(object),
        };
        self.seen.push((version, happening));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_mixed_writes_lose_none_and_resumed_watches_miss_and_repeat_nothing() {
    let mut installation = Installation::started().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "storm"}});
    let (_, namespace) = installation
        .json("POST", "/k8s/api/v1/namespaces", namespace)
        .await;
    let begin: u64 = version_of(&namespace).parse().expect("a version");
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut watchers: Vec<Watcher> = WATCHES
        .map(|_| Watcher {
            version: begin,
            seen: Vec::new(),
        })
        .into();
    for round in 0..rounds(5) {
        let doubtful = storm(&installation, &mut writers, &mut watchers, round).await;
        installation.kill().await;
        installation.up(&["--no-discover", "--no-default-model"]).await;
        for (number, happening) in doubtful {
            writers[number].settle(&installation, happening).await;
        }
    }
    let end = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "end", "labels": {"storm": "yes"}}, "data": {"value": "0"}});
    let (_, end) = installation.json("POST", MAPS, end).await;
    let last = version_of(&end).parse().expect("a version");
    for (watcher, parameters) in watchers.iter_mut().zip(WATCHES) {
        watcher.read(&installation, parameters, Some(last)).await;
    }
    check(&writers, &watchers);
    let (_, list) = installation.json("GET", MAPS, Value::Null).await;
    let stored: BTreeMap<String, u64> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|map| {
            (
                map["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                value_of(map),
            )
        })
        .filter(|(name, _)| name != "end")
        .collect();
    let known = writers.iter().flat_map(|writer| &writer.objects);
    assert_eq!(
        stored,
        known.map(|(name, (value, _))| (name.clone(), *value)).collect()
    );
}

/// Writes and watches until the server is killed; what was not answered, by writer.
async fn storm(
    installation: &Installation,
    writers: &mut [Writer],
    watchers: &mut [Watcher],
    round: u64,
) -> Vec<(usize, Happening)> {
    let over = AtomicBool::new(false);
    let over = &over;
    let doubtful = Mutex::new(Vec::new());
    let writing = writers.iter_mut().enumerate().map(|(number, writer)| {
        let doubtful = &doubtful;
        async move {
            if let Some(happening) = writer.write(installation, over).await {
                doubtful.lock().expect("not poisoned").push((number, happening));
            }
        }
    });
    let watching = watchers.iter_mut().zip(WATCHES).enumerate();
    let watching = watching.map(|(number, (watcher, parameters))| async move {
        if number == 0 && round % 2 == 1 {
            // One is away in every second round, and must find what it missed.
            return;
        }
        watcher.read(installation, parameters, None).await;
    });
    let moment = Duration::from_millis(300 + (round * 137) % 500);
    tokio::join!(
        join_all(writing),
        join_all(watching),
        kill_after(installation, moment, over)
    );
    doubtful.into_inner().expect("not poisoned")
}

/// Every watch saw the same, and of each object just what its writer did, in that order.
fn check(writers: &[Writer], watchers: &[Watcher]) {
    let first = &watchers[0].seen;
    for watcher in watchers {
        assert_eq!(&watcher.seen, first);
    }
    let mut seen: BTreeMap<&str, Vec<&Happening>> = BTreeMap::new();
    for (_, happening) in first.iter().filter(|(_, happening)| happening.name != "end") {
        seen.entry(&happening.name).or_default().push(happening);
    }
    let mut done: BTreeMap<&str, Vec<&Happening>> = BTreeMap::new();
    for happening in writers.iter().flat_map(|writer| &writer.done) {
        done.entry(&happening.name).or_default().push(happening);
    }
    assert_eq!(seen, done);
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    assert!(acknowledged > 50, "only {acknowledged} writes were acknowledged");
}
