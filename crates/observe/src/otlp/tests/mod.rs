//! The routes over a real store, read back as Opik's SDKs read.

mod costs;
mod doors;
mod signals;
mod trees;

use axum::body::Body;
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use serde_json::Value;

use crate::opik::tests::{Answered, Stand, Who, request};

/// The beginning of all spans: 2026-11-21T06:54:00Z.
const BEGAN: u64 = 1_795_244_040_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A name and a text or a number.
pub(crate) fn pair(key: &str, value: impl Into<Told>) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(value.into().0),
        }),
        key_strindex: 0,
    }
}

/// A value of an attribute.
pub(crate) struct Told(Any);

impl From<&str> for Told {
    fn from(text: &str) -> Self {
        Self(Any::StringValue(text.into()))
    }
}

impl From<i64> for Told {
    fn from(number: i64) -> Self {
        Self(Any::IntValue(number))
    }
}

impl From<f64> for Told {
    fn from(number: f64) -> Self {
        Self(Any::DoubleValue(number))
    }
}

/// A span that begins so many seconds after all and lasts one; 0 for no parent.
pub(crate) fn span(trace: u8, id: u8, parent: u8, second: u64, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: format!("span {id}"),
        start_time_unix_nano: BEGAN + second * SECOND,
        end_time_unix_nano: BEGAN + (second + 1) * SECOND,
        attributes,
        ..Span::default()
    }
}

/// A request with these spans of a service.
pub(crate) fn export(resource: Vec<KeyValue>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource,
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "tests".into(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Sends a body as somebody of this machine.
async fn send(stand: &Stand, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answered {
    let mut builder = request(Who::Local, &Method::POST, path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    stand.send(builder.body(Body::from(body)).unwrap()).await
}

/// Exports in protobuf, and is taken whole.
pub(crate) async fn tell(stand: &Stand, export: &ExportTraceServiceRequest) {
    let answered = send(
        stand,
        "/otlp/v1/traces",
        &[("content-type", PROTOBUF)],
        export.encode_to_vec(),
    )
    .await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let told = ExportTraceServiceResponse::decode(answered.body.as_slice()).unwrap();
    assert_eq!(told.partial_success, None);
}

/// Reads an address of Opik's API.
async fn get(stand: &Stand, path: &str) -> Value {
    let path = format!("/opik/api/v1/private{path}");
    stand.ask(Method::GET, &path, None).await.json()
}

/// What lies in a project, without what differs from store to store.
async fn all(stand: &Stand, project: &str) -> (Vec<Value>, Vec<Value>) {
    let list = async |kind: &str| {
        let page = get(stand, &format!("/{kind}?project_name={project}&size=100")).await;
        let mut entries = page["content"].as_array().unwrap().clone();
        for entry in &mut entries {
            let entry = entry.as_object_mut().unwrap();
            for own in ["project_id", "created_at", "last_updated_at"] {
                entry.remove(own);
            }
        }
        entries
    };
    (list("traces").await, list("spans").await)
}
