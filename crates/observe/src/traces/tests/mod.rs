//! The routes over a real store of traces, told of traces as OpenTelemetry's exporters tell.

mod moved;
mod shown;
mod usage;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use stead_kernel::{
    OpikLocal, Principal,
    ports::{
        Events, NanoUsd, TokenUsage,
        events::{Attempt, Event, Outcome, RequestRow},
    },
};
use tower::ServiceExt;

use crate::{
    opik::tests::{Answered, Stand, stand},
    otlp::tests::{export, pair, span, tell},
};

/// The W3C id of the trace whose bytes are all 7.
const HEX: &str = "07070707070707070707070707070707";

/// A server with an application's trace of three spans, a request made under its second span, and two requests alone.
async fn world() -> Stand {
    let stand = stand(OpikLocal::On);
    tell(&stand, &export(vec![pair("service.name", "shop")], spans())).await;
    let rows = requests().into_iter().map(|row| Event::Request(Box::new(row)));
    stand.world.ports.events.append(rows.collect()).await.unwrap();
    stand
}

fn spans() -> Vec<Span> {
    let agent = vec![
        pair("input.value", "where is my refund?"),
        pair("output.value", "on its way"),
        pair("session.id", "chat-1"),
        pair("opik.tags", "a,b"),
    ];
    let model = vec![
        pair("gen_ai.operation.name", "chat"),
        pair("gen_ai.provider.name", "openai"),
        pair("gen_ai.request.model", "gpt-4o"),
        pair("gen_ai.usage.input_tokens", 12),
        pair("gen_ai.usage.output_tokens", 3),
        pair("gen_ai.usage.cost", 0.25),
    ];
    vec![
        span(7, 1, 0, 0, agent),
        span(7, 2, 1, 1, model),
        span(7, 3, 1, 2, vec![pair("gen_ai.operation.name", "execute_tool")]),
    ]
}

fn requests() -> Vec<RequestRow> {
    let inside = RequestRow {
        id: "01a1fce2-ce78-765d-a902-9bc62616e36b".into(),
        trace_id: HEX.into(),
        span_id: "aaaaaaaaaaaaaaaa".into(),
        parent_span_id: "0202020202020202".into(),
        started: "2026-11-21T06:54:01.100Z".parse().unwrap(),
        duration_us: 500_000,
        project: "default".into(),
        user: "ada".into(),
        key: "ci".into(),
        operation: "chat".into(),
        model: "chat".into(),
        provider: "far".into(),
        provider_model: "qwen3-32b".into(),
        status: 200,
        usage: TokenUsage {
            input: 12,
            output: 3,
            ..TokenUsage::default()
        },
        cost: Some(NanoUsd(2_500)),
        attempts: vec![Attempt {
            provider: "far".into(),
            model: "qwen3-32b".into(),
            duration_us: 400_000,
            status: 200,
            ..Attempt::default()
        }],
        input: Some("{\"messages\":[]}".into()),
        output: Some("plain".into()),
        ..RequestRow::default()
    };
    let alone = RequestRow {
        id: "01a1fce2-ce79-71a0-927b-112963103fc5".into(),
        trace_id: "01a1fce2ce7971a0927b112963103fc5".into(),
        span_id: "927b112963103fc5".into(),
        parent_span_id: String::new(),
        started: "2026-11-21T06:54:30Z".parse().unwrap(),
        outcome: Outcome::Error,
        status: 503,
        error: "far is busy".into(),
        cost: None,
        ..inside.clone()
    };
    let older = RequestRow {
        id: "01a1fce2-ce7a-71a0-927b-112963103fc5".into(),
        trace_id: "01a1fce2ce7a71a0927b112963103fc5".into(),
        started: "2026-11-21T06:53:00Z".parse().unwrap(),
        outcome: Outcome::Ok,
        status: 200,
        error: String::new(),
        duration_us: 20_000,
        ..alone.clone()
    };
    vec![inside, alone, older]
}

/// A request of the administrator.
pub(crate) async fn send(stand: &Stand, method: Method, path: &str, body: impl Into<Body>) -> Answered {
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    request
        .extensions_mut()
        .insert(stead_kernel::Identity::Known(Principal::admin().into()));
    let (parts, body) = stand.router.clone().oneshot(request).await.unwrap().into_parts();
    Answered {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

pub(crate) async fn get(stand: &Stand, path: &str) -> Value {
    let answered = send(stand, Method::GET, path, Body::empty()).await;
    assert_eq!(answered.status, 200, "{path}: {}", answered.text());
    answered.json()
}
