//! What both versions of the SDK were recorded to send, sent again.

use std::{collections::BTreeMap, fs, path::Path};

use axum::body::Body;
use http::Method;
use serde_json::Value;
use stead_kernel::{OpikLocal, Timestamp};

use super::{Answered, Stand, Who, gzip, request, stand};

/// What differs between two servers that answer alike.
const OWN: [&str; 12] = [
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "project_id",
    "link",
    "pre_sign_urls",
    // The recorder's threads were always over.
    "status",
    // Of pages: how many were there at the time.
    "size",
    "total",
    // Ours lists what it can sort by.
    "sortable_by",
    "page",
];

/// Requests that are other resources' than traces'.
fn is_ours(path: &str) -> bool {
    !path.contains("/datasets")
}

struct Replay {
    stand: Stand,
    who: Who,
    /// The recorded ids of projects, and ours.
    projects: BTreeMap<String, String>,
    /// Where the last file that was announced is to be sent.
    upload: Option<String>,
}

impl Replay {
    /// Our path for a recorded one.
    fn path(&self, entry: &Value) -> String {
        let recorded = entry["path"].as_str().unwrap();
        if recorded.ends_with("/attachment/upload") {
            let address = self.upload.clone().expect("a file was announced");
            let path = address
                .strip_prefix("http://127.0.0.1:")
                .expect("the address that the SDK named");
            return path
                .split_once('/')
                .map(|(_, path)| format!("/opik/{path}"))
                .unwrap();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, values) in entry["query"].as_object().unwrap() {
            for value in values.as_array().unwrap() {
                query.append_pair(name, value.as_str().unwrap());
            }
        }
        let query = query.finish();
        let mut path = format!("/opik{recorded}");
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        for (recorded, own) in &self.projects {
            path = path.replace(recorded, own);
        }
        path
    }

    async fn send(&self, entry: &Value) -> Answered {
        let method: Method = entry["method"].as_str().unwrap().parse().unwrap();
        let mut builder = request(self.who, &method, &self.path(entry));
        let mut compressed = false;
        for (name, value) in entry["req_headers"].as_object().unwrap() {
            compressed |= name.eq_ignore_ascii_case("content-encoding");
            // The length is that of the body below; the rest is sent as it was.
            if !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("transfer-encoding")
            {
                builder = builder.header(name, value.as_str().unwrap());
            }
        }
        let body = match &entry["req_json"] {
            Value::Null => Vec::new(),
            body if body.get("_binary_len").is_some() => {
                vec![b'x'; usize::try_from(body["_binary_len"].as_u64().unwrap()).unwrap()]
            }
            body => body.to_string().into_bytes(),
        };
        let body = if compressed { gzip(&body) } else { body };
        self.stand.send(builder.body(Body::from(body)).unwrap()).await
    }

    /// Learns what later requests name.
    fn learn(&mut self, entry: &Value, answered: &Answered) {
        let path = entry["path"].as_str().unwrap();
        if path.ends_with("/projects/retrieve") {
            let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
            self.projects.insert(id(&entry["resp"]), id(&answered.json()));
        }
        if path.ends_with("/upload-start") {
            let address = answered.json()["pre_sign_urls"][0].as_str().unwrap().to_owned();
            self.upload = Some(address);
        }
    }
}

/// Whether our value says all that the recorded one says.
fn compare(recorded: &Value, own: &Value, at: &str) {
    match (recorded, own) {
        (Value::Object(recorded), Value::Object(own)) => {
            for (name, value) in recorded.iter().filter(|(_, value)| !value.is_null()) {
                let at = format!("{at}.{name}");
                if OWN.contains(&name.as_str()) {
                    let there = own.contains_key(name) || name == "sortable_by";
                    assert!(there, "{at} is missing");
                    continue;
                }
                let is_project = name == "id" && recorded.contains_key("visibility");
                let empty = value.as_array().is_some_and(Vec::is_empty);
                match own.get(name) {
                    Some(_) if is_project => {}
                    Some(own) => compare(value, own, &at),
                    None => assert!(empty, "{at} is missing"),
                }
            }
        }
        (Value::Array(recorded), Value::Array(own)) => {
            assert_eq!(recorded.len(), own.len(), "{at}");
            // Scores come in any order.
            let by_name = |all: &[Value]| {
                let mut all = all.to_vec();
                all.sort_by_key(|one| one["name"].as_str().map(str::to_owned));
                all
            };
            for (place, (recorded, own)) in by_name(recorded).iter().zip(&by_name(own)).enumerate() {
                compare(recorded, own, &format!("{at}[{place}]"));
            }
        }
        (Value::Number(recorded), Value::Number(own)) => {
            let difference = recorded.as_f64().unwrap() - own.as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{at}: {recorded} and {own}");
        }
        _ => assert_eq!(recorded, own, "{at}"),
    }
}

/// Compares the lines of a stream by their ids: other scenarios' requests put more into it.
fn compare_lines(recorded: &str, answered: &Answered, at: &str) {
    let own = answered.lines();
    // A long recorded answer was cut, and so was its last line.
    let known = recorded
        .lines()
        .map_while(|line| serde_json::from_str::<Value>(line).ok());
    let known: Vec<Value> = known.collect();
    assert!(known.len() + 1 >= recorded.lines().count(), "{at}");
    for line in known {
        let of_datasets = line["name"]
            .as_str()
            .is_some_and(|name| name == "evaluation_task");
        match own.iter().find(|own| own["id"] == line["id"]) {
            Some(own) => compare(&line, own, at),
            None => assert!(
                of_datasets || at.contains("15_"),
                "{at}: {} is missing",
                line["id"]
            ),
        }
    }
}

async fn replay(version: &str, who: Who) {
    let mut replay = Replay {
        stand: stand(OpikLocal::On),
        who,
        projects: BTreeMap::new(),
        upload: None,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/opik")
        .join(version);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 15);
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let entries: Vec<Value> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for entry in entries
            .iter()
            .filter(|entry| is_ours(entry["path"].as_str().unwrap()))
        {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
            let millis = (entry["ts"].as_f64().unwrap() * 1_000.0) as i64;
            replay
                .stand
                .clock
                .set(Timestamp::from_millisecond(millis).unwrap());
            let at = format!("{version} {name} {} {}", entry["method"], entry["path"]);
            let answered = replay.send(entry).await;
            let expected = entry["status"].as_u64().unwrap();
            assert_eq!(
                u64::from(answered.status.as_u16()),
                expected,
                "{at}: {}",
                answered.text()
            );
            if let Some(location) = entry["resp_headers"]["Location"].as_str() {
                let own = answered.headers["location"].to_str().unwrap();
                assert!(own.ends_with(location), "{at}: {own}");
            }
            replay.learn(entry, &answered);
            match &entry["resp"] {
                Value::Null => assert!(answered.body.is_empty(), "{at}"),
                Value::String(lines) => compare_lines(lines, &answered, &at),
                recorded => compare(recorded, &answered.json(), &at),
            }
        }
    }
    replay.stand.store.close().await;
}

#[tokio::test]
async fn every_recorded_request_of_2_1_24_gets_the_answer_that_the_sdk_took() {
    replay("2.1.24", Who::Local).await;
}

#[tokio::test]
async fn every_recorded_request_of_2_2_122_gets_the_answer_that_the_sdk_took() {
    replay("2.2.122", Who::Local).await;
}

#[tokio::test]
async fn the_same_requests_with_a_key_get_the_same_answers() {
    replay("2.2.122", Who::Key).await;
    replay("2.1.24", Who::Key).await;
}
