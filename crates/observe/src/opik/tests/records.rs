//! What two versions of Opik's Python SDK sent when they kept datasets, evaluated and kept prompts, sent again: each
//! request must get the status that the SDK got then, and an answer of the same shape.
//!
//! Ids that a server gives are other ones each time. Where a recorded answer has one, the answer of this server has its
//! own in the same place, and later requests are sent with that.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Method, StatusCode, header};
use serde_json::Value;
use stead_kernel::OpikLocal;

use super::{Answered, Stand, Who, gzip, request, stand};

/// Fields whose values are the same each time.
const SAME: [&str; 27] = [
    "name",
    "data",
    "input",
    "output",
    "template",
    "template_structure",
    "variables",
    "version_number",
    "version_name",
    "version_count",
    "items_total",
    "items_added",
    "items_modified",
    "items_deleted",
    "dataset_items_count",
    "trace_count",
    "total",
    "page",
    "size",
    "value",
    "description",
    "type",
    "metadata",
    "dataset_name",
    "project_name",
    "evaluation_method",
    "execution_policy",
];

/// A server, and what it called what the recorded one called otherwise.
struct Replay {
    stand: Stand,
    who: Who,
    own: BTreeMap<String, String>,
}

impl Replay {
    fn new(who: Who) -> Self {
        Self {
            stand: stand(OpikLocal::On),
            who,
            own: BTreeMap::new(),
        }
    }

    /// A recorded text with this server's ids.
    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, own) in &self.own {
            text = text.replace(recorded, own);
        }
        text
    }

    async fn all(&mut self, recording: &str) {
        let recording: Vec<Value> = serde_json::from_str(recording).unwrap();
        for (number, exchange) in recording.iter().enumerate() {
            let label = format!("{number}: {} {}", exchange["method"], exchange["path"]);
            self.one(exchange, &label).await;
        }
    }

    async fn one(&mut self, exchange: &Value, label: &str) {
        let answered = self.send(exchange).await;
        let text = answered.text();
        assert_eq!(
            u64::from(answered.status.as_u16()),
            exchange["status"].as_u64().unwrap(),
            "{label}: {text}"
        );
        if let Some(recorded) = exchange["location"].as_str() {
            let own = answered.headers[header::LOCATION].to_str().unwrap();
            let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
            self.own.insert(id(recorded), id(own));
        }
        match &exchange["response"] {
            Value::Null => {}
            Value::String(lines) => {
                let (recorded, own) = (parse_lines(lines), parse_lines(&text));
                assert_eq!(own.len(), recorded.len(), "{label}: {text}");
                for (recorded, own) in recorded.iter().zip(&own) {
                    self.compare("", recorded, own, label);
                }
            }
            recorded => self.compare("", recorded, &serde_json::from_str(&text).unwrap(), label),
        }
    }

    async fn send(&self, exchange: &Value) -> Answered {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, values) in exchange["query"].as_object().unwrap() {
            for value in values.as_array().unwrap() {
                query.append_pair(name, &self.translate(value.as_str().unwrap()));
            }
        }
        let path = self.translate(exchange["path"].as_str().unwrap());
        let method: Method = exchange["method"].as_str().unwrap().parse().unwrap();
        let asked = request(self.who, &method, &format!("/opik{path}?{}", query.finish()));
        let asked = asked
            .header("Comet-Workspace", "default")
            .header(header::CONTENT_TYPE, "application/json");
        let body = match &exchange["request"] {
            Value::Null => Vec::new(),
            body => self.translate(&body.to_string()).into_bytes(),
        };
        let asked = match exchange["encoding"].as_str() {
            Some(_) => asked
                .header(header::CONTENT_ENCODING, "gzip")
                .body(Body::from(gzip(&body))),
            None => asked
                .header(header::CONTENT_LENGTH, body.len())
                .body(Body::from(body)),
        };
        self.stand.send(asked.unwrap()).await
    }

    /// Whether an answer has what the recorded one had, of the same sort and, where that is to be told, the same.
    fn compare(&mut self, field: &str, recorded: &Value, own: &Value, label: &str) {
        let place = format!("{label}: {field}");
        match (recorded, own) {
            // What has no value need not be told.
            (Value::Null, _) | (Value::Bool(_), Value::Bool(_)) | (Value::Number(_), Value::Number(_)) => {}
            (Value::Array(recorded), Value::Null) if recorded.is_empty() => {}
            (Value::Object(recorded), Value::Object(fields)) => {
                for (name, value) in recorded {
                    let own = fields.get(name).unwrap_or(&Value::Null);
                    if SAME.contains(&name.as_str()) && !value.is_null() {
                        assert_eq!(own, value, "{place}.{name}");
                    } else {
                        self.compare(name, value, own, label);
                    }
                }
            }
            (Value::Array(recorded), Value::Array(items)) if field == "feedback_scores" => {
                let named = |all: &[Value]| {
                    let pairs = all
                        .iter()
                        .map(|score| (score["name"].to_string(), score["value"].to_string()));
                    pairs.collect::<BTreeMap<_, _>>()
                };
                assert_eq!(named(items), named(recorded), "{place}");
            }
            (Value::Array(recorded), Value::Array(items)) => {
                self.compare_all(field, (recorded, items), label);
            }
            (Value::String(recorded), Value::String(own)) => {
                if field.ends_with("id") || ["version_hash", "commit"].contains(&field) {
                    self.own.entry(recorded.clone()).or_insert_with(|| own.clone());
                }
            }
            (recorded, own) => panic!("{place}: {recorded} became {own}"),
        }
    }

    fn compare_all(&mut self, field: &str, (recorded, own): (&[Value], &[Value]), label: &str) {
        // The recorded server did not know its newest version at once.
        if field == "tags" {
            return;
        }
        assert_eq!(own.len(), recorded.len(), "{label}: {field}: {own:?}");
        for (place, recorded) in recorded.iter().enumerate() {
            // The recorded server told some lists in another order.
            let id = recorded["id"].as_str().map(|id| self.translate(id));
            let same = own
                .iter()
                .find(|own| id.is_some() && own["id"].as_str() == id.as_deref());
            self.compare(field, recorded, same.unwrap_or(&own[place]), label);
        }
    }
}

fn parse_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All that one version of the SDK sent, in the order in which it did.
async fn replay(version: &str, who: Who) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/opik-records");
    let mut replay = Replay::new(who);
    for scenario in ["10_dataset", "11_evaluate", "12_prompts"] {
        let file = folder.join(version).join(format!("{scenario}.json"));
        replay.all(&std::fs::read_to_string(file).unwrap()).await;
    }
    replay.stand.store.close().await;
}

#[tokio::test]
async fn what_sdk_2_1_24_sent_is_answered_as_it_was_then() {
    replay("2.1.24", Who::Local).await;
    replay("2.1.24", Who::Key).await;
}

#[tokio::test]
async fn what_sdk_2_2_122_sent_is_answered_as_it_was_then() {
    replay("2.2.122", Who::Local).await;
    replay("2.2.122", Who::Key).await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_such() {
    let stand = stand(OpikLocal::On);
    for (method, path) in [
        (Method::GET, "/opik/api/v1/private/guardrails"),
        (Method::GET, "/opik/v1/private/agent-configs/blueprints"),
        (Method::GET, "/opik/api/v1/private/experiments/groups"),
        (Method::POST, "/opik/api/v1/private/experiments/execute"),
        (Method::GET, "/opik/api/v1/private/datasets/export-jobs"),
    ] {
        let answered = stand.ask(method, path, None).await;
        assert_eq!(answered.status, StatusCode::NOT_IMPLEMENTED, "{path}");
        assert_eq!(answered.json()["reason"], "unsupported", "{path}");
    }
    stand.store.close().await;
}
