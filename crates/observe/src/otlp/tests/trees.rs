//! What comes back of what was exported.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, Status, span::Event, status::StatusCode},
};
use serde_json::{Value, json};
use stead_kernel::{
    OpikLocal,
    ports::{PicoUsd, Price, Prices, TokenPrices},
};

use super::{BEGAN, all, export, get, pair, span, tell};
use crate::opik::tests::{stand, stand_with};

/// An agent that asks a model and uses a tool.
fn tree() -> Vec<Span> {
    let messages = r#"[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]"#;
    let mut tool = span(
        7,
        3,
        1,
        2,
        vec![
            pair("gen_ai.operation.name", "execute_tool"),
            pair("gen_ai.tool.call.arguments", "{\"q\": 1}"),
        ],
    );
    tool.status = Some(Status {
        message: "no network".into(),
        code: StatusCode::Error.into(),
    });
    tool.events = vec![Event {
        time_unix_nano: BEGAN,
        name: "exception".into(),
        attributes: vec![
            pair("exception.type", "IOError"),
            pair("exception.message", "refused"),
        ],
        dropped_attributes_count: 0,
    }];
    let model = vec![
        pair("gen_ai.operation.name", "chat"),
        pair("gen_ai.provider.name", "openai"),
        pair("gen_ai.request.model", "gpt-4o"),
        pair("gen_ai.input.messages", messages),
        pair("gen_ai.usage.input_tokens", 1_000),
        pair("gen_ai.usage.cache_read.input_tokens", 400),
        pair("gen_ai.usage.output_tokens", 100),
        pair("gen_ai.usage.reasoning.output_tokens", 50),
        pair("session.id", "chat-1"),
    ];
    let agent = vec![
        pair("gen_ai.operation.name", "invoke_agent"),
        pair("input.value", "the question"),
        pair("output.value", "the answer"),
        pair("opik.tags", "a,b"),
    ];
    vec![span(7, 1, 0, 0, agent), span(7, 2, 1, 1, model), tool]
}

#[tokio::test]
async fn a_tree_comes_back_with_its_parents_types_inputs_and_errors() {
    let stand = stand(OpikLocal::On);
    tell(&stand, &export(vec![pair("service.name", "shop")], tree())).await;
    let (traces, spans) = all(&stand, "Default%20Project").await;
    let [trace] = traces.as_slice() else {
        panic!("{traces:?}")
    };
    assert_eq!(
        json!([
            trace["name"],
            trace["input"],
            trace["output"],
            trace["thread_id"],
            trace["tags"],
            trace["span_count"]
        ]),
        json!(["span 1", "the question", "the answer", "chat-1", ["a", "b"], 3])
    );
    assert_eq!(trace["start_time"], "2026-11-21T06:54:00.000000Z");
    assert_eq!(trace["end_time"], "2026-11-21T06:54:01.000000Z");
    assert_eq!(
        trace["metadata"]["otel.resource"],
        json!({"service.name": "shop"})
    );
    let of = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (agent, model, tool) = (of("span 1"), of("span 2"), of("span 3"));
    assert_eq!(
        [&agent["type"], &model["type"], &tool["type"]],
        ["general", "llm", "tool"]
    );
    assert_eq!(agent.get("parent_span_id").unwrap_or(&Value::Null), &Value::Null);
    assert_eq!(
        [&model["parent_span_id"], &tool["parent_span_id"]],
        [&agent["id"], &agent["id"]]
    );
    assert!(spans.iter().all(|span| span["trace_id"] == trace["id"]));
    assert_eq!(
        json!([model["model"], model["provider"]]),
        json!(["gpt-4o", "openai"])
    );
    assert_eq!(
        model["usage"],
        json!({"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
            "cache_read_input_tokens": 400, "reasoning_tokens": 50})
    );
    assert_eq!(model["input"]["messages"][0]["role"], "user");
    assert_eq!(tool["input"], json!({"q": 1}));
    assert_eq!(
        json!([
            tool["error_info"]["exception_type"],
            tool["error_info"]["message"]
        ]),
        json!(["IOError", "refused"])
    );
    assert_eq!(tool["metadata"]["otel.span_id"], "0303030303030303");
    assert_eq!(tool["metadata"]["opentelemetry.events"][0]["name"], "exception");
    let threads = get(&stand, "/traces/threads?project_name=Default%20Project").await;
    assert_eq!(threads["content"][0]["id"], "chat-1");
    stand.store.close().await;
}

/// What lies in a store that was told of spans in these requests.
async fn after(requests: Vec<Vec<Span>>) -> (Vec<Value>, Vec<Value>) {
    let stand = stand(OpikLocal::On);
    for spans in requests {
        tell(&stand, &export(Vec::new(), spans)).await;
    }
    let mut found = all(&stand, "Default%20Project").await;
    // The id tells when the trace was first known to begin, which depends on what came first.
    for entry in found.0.iter_mut().chain(&mut found.1) {
        let entry = entry.as_object_mut().unwrap();
        for id in ["id", "trace_id", "parent_span_id"] {
            entry.remove(id);
        }
    }
    found.1.sort_by_key(|span| span["name"].to_string());
    stand.store.close().await;
    found
}

#[tokio::test]
async fn spans_give_the_same_in_any_order_and_however_often_they_are_told() {
    let [agent, model, tool] = <[Span; 3]>::try_from(tree()).unwrap();
    let expected = after(vec![vec![agent.clone(), model.clone(), tool.clone()]]).await;
    for requests in [
        vec![vec![tool.clone(), model.clone(), agent.clone()]],
        vec![vec![tool.clone()], vec![model.clone()], vec![agent.clone()]],
        vec![vec![agent.clone()], vec![tool.clone(), model.clone()]],
        vec![
            vec![model.clone(), agent.clone()],
            vec![tool.clone()],
            vec![model.clone(), agent.clone()],
        ],
    ] {
        assert_eq!(after(requests).await, expected);
    }
}

#[tokio::test]
async fn a_parent_that_comes_later_is_the_one_that_its_spans_named() {
    let stand = stand(OpikLocal::On);
    let [agent, model, tool] = <[Span; 3]>::try_from(tree()).unwrap();
    tell(&stand, &export(Vec::new(), vec![tool])).await;
    tell(&stand, &export(Vec::new(), vec![model])).await;
    // Until its first span is told, a trace is what is known of it.
    let (traces, spans) = all(&stand, "Default%20Project").await;
    assert_eq!(
        json!([traces[0]["name"], traces[0]["span_count"]]),
        json!(["span 2", 2])
    );
    assert_eq!(traces[0]["start_time"], "2026-11-21T06:54:01.000000Z");
    assert_eq!(traces[0]["end_time"], "2026-11-21T06:54:03.000000Z");
    let parent = spans[0]["parent_span_id"].clone();
    assert_eq!(parent, spans[1]["parent_span_id"]);
    tell(&stand, &export(Vec::new(), vec![agent])).await;
    let (traces, spans) = all(&stand, "Default%20Project").await;
    assert_eq!(json!([traces.len(), traces[0]["name"]]), json!([1, "span 1"]));
    let agent = spans.iter().find(|span| span["name"] == "span 1").unwrap();
    assert_eq!(agent["id"], parent);
    stand.store.close().await;
}

/// Prices of a model at a provider; thousandths of a dollar per token.
struct Known;

impl Prices for Known {
    fn price(&self, vendor: &str, model: &str) -> Option<Arc<Price>> {
        let milli = |count: i64| PicoUsd(count * 1_000_000_000);
        (vendor == "openai" && model == "gpt-4o").then(|| {
            Arc::new(Price {
                tokens: TokenPrices {
                    input: milli(2),
                    output: milli(10),
                    cached_input: Some(milli(1)),
                    reasoning: Some(milli(20)),
                    ..TokenPrices::default()
                },
                ..Price::default()
            })
        })
    }
}

#[tokio::test]
async fn a_cost_is_the_one_that_is_told_or_tokens_by_price_with_cached_and_reasoning_tokens_apart() {
    let stand = stand_with(OpikLocal::On, Arc::new(Known));
    tell(&stand, &export(Vec::new(), tree())).await;
    let told = vec![
        pair("gen_ai.system", "openai"),
        pair("gen_ai.usage.cost", 0.5),
        pair("gen_ai.request.model", "x"),
    ];
    tell(&stand, &export(Vec::new(), vec![span(7, 4, 1, 1, told)])).await;
    let (traces, spans) = all(&stand, "Default%20Project").await;
    let cost = |name: &str| {
        let span = spans.iter().find(|span| span["name"] == name).unwrap();
        span["total_estimated_cost"].as_f64()
    };
    // 600 x 2 + 400 x 1 + 50 x 10 + 50 x 20 thousandths.
    assert_eq!(cost("span 2"), Some(3.1));
    assert_eq!(cost("span 4"), Some(0.5));
    assert_eq!(cost("span 1"), None);
    assert!((traces[0]["total_estimated_cost"].as_f64().unwrap() - 3.6).abs() < 1e-9);
    stand.store.close().await;
}

#[tokio::test]
async fn a_span_joins_a_trace_of_opiks_where_it_says_so() {
    let stand = stand(OpikLocal::On);
    let (trace, parent) = (
        "01a1fce2-ce78-765d-a902-9bc62616e36b",
        "01a1fce2-ce79-71a0-927b-112963103fc5",
    );
    let told = vec![pair("opik.trace_id", trace), pair("opik.parent_span_id", parent)];
    tell(&stand, &export(Vec::new(), vec![span(9, 1, 5, 0, told)])).await;
    let (traces, spans) = all(&stand, "Default%20Project").await;
    assert!(traces.is_empty());
    assert_eq!(
        json!([spans[0]["trace_id"], spans[0]["parent_span_id"]]),
        json!([trace, parent])
    );
    stand.store.close().await;
}

#[tokio::test]
async fn what_a_span_says_of_its_trace_by_name_outranks_its_first_span() {
    let said = vec![
        pair("langfuse.trace.name", "the trace"),
        pair("langfuse.trace.tags", "[\"t\"]"),
    ];
    let (first, other) = (span(7, 1, 0, 0, Vec::new()), span(7, 2, 1, 1, said));
    for requests in [
        vec![vec![first.clone(), other.clone()]],
        vec![vec![other.clone()], vec![first.clone()]],
        vec![vec![first.clone()], vec![other]],
    ] {
        let (traces, _) = after(requests).await;
        assert_eq!(
            json!([traces[0]["name"], traces[0]["tags"]]),
            json!(["the trace", ["t"]])
        );
    }
}

#[tokio::test]
async fn a_request_of_many_spans_of_many_traces_is_taken_whole() {
    let stand = stand(OpikLocal::On);
    let mut spans = Vec::new();
    for trace in 1_u8..=50 {
        spans.extend((1_u8..=50).map(|id| span(trace, id, id - 1, u64::from(id), Vec::new())));
    }
    let told: ExportTraceServiceRequest = export(Vec::new(), spans);
    tell(&stand, &told).await;
    tell(&stand, &told).await;
    let traces = get(&stand, "/traces?project_name=Default%20Project&size=1").await;
    let spans = get(&stand, "/spans?project_name=Default%20Project&size=1").await;
    assert_eq!((&traces["total"], &spans["total"]), (&json!(50), &json!(2_500)));
    assert_eq!(traces["content"][0]["span_count"], 50);
    stand.store.close().await;
}
