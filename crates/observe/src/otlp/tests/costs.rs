//! What spans cost, through the real doors: golden amounts for the ways in which others got them wrong.
//!
//! The cases have the numbers of reports about wrong costs. Where a report's thread could be read, or only those that
//! were made with it, the case says so.

use std::sync::Arc;

use http::Method;
use opentelemetry_proto::tonic::{common::v1::KeyValue, trace::v1::Span};
use serde_json::{Value, json};
use stead_kernel::{
    OpikLocal,
    ports::{PicoUsd, Price, Prices, Tier, TokenPrices},
};

use super::{all, export, pair, span, tell};
use crate::{
    opik::tests::{Stand, stand_with},
    traces::tests::get,
};

/// Prices as their vendors listed them, in dollars per million tokens.
struct Listed;

impl Prices for Listed {
    fn price(&self, _: &str, model: &str) -> Option<Arc<Price>> {
        // A dollar per million tokens is a million trillionths each.
        let micro = |cents: i64| PicoUsd(cents * 10_000);
        let tokens = |input, output, cached, write| TokenPrices {
            input: micro(input),
            output: micro(output),
            cached_input: Some(micro(cached)),
            cache_write: Some(micro(write)),
            ..TokenPrices::default()
        };
        let price = |tokens, tiers| {
            Some(Arc::new(Price {
                tokens,
                tiers,
                ..Price::default()
            }))
        };
        match model {
            "gpt-4o" => price(tokens(250, 1_000, 125, 0), Vec::new()),
            "claude-sonnet-4-5" => price(
                tokens(300, 1_500, 30, 375),
                vec![Tier {
                    above: 200_000,
                    tokens: tokens(600, 2_250, 60, 750),
                }],
            ),
            _ => None,
        }
    }
}

fn stand() -> Stand {
    stand_with(OpikLocal::On, Arc::new(Listed))
}

/// A span that asks a model.
fn model(id: u8, parent: u8, more: Vec<KeyValue>) -> Span {
    let mut attributes = vec![pair("gen_ai.operation.name", "chat")];
    attributes.extend(more);
    span(7, id, parent, u64::from(id), attributes)
}

/// What a trace of these spans costs, in dollars; and the same as the console's list says, in billionths.
async fn cost(spans: Vec<Span>) -> (Option<f64>, Value) {
    let stand = stand();
    tell(&stand, &export(Vec::new(), spans)).await;
    let (traces, _) = all(&stand, "Default%20Project").await;
    let listed = get(&stand, "/api/traces").await["items"][0]["cost"].clone();
    stand.store.close().await;
    stand.signals.close().await;
    (traces[0]["total_estimated_cost"].as_f64(), listed)
}

fn is(found: &(Option<f64>, Value), dollars: f64, nanos: i64) {
    assert!((found.0.unwrap_or_default() - dollars).abs() < 1e-12, "{found:?}");
    assert_eq!(found.1, nanos, "{found:?}");
}

/// Reported in one series with <https://github.com/comet-ml/opik/issues/5618> (tokens from a cache at the full price when
/// LiteLLM tells them) and <https://github.com/comet-ml/opik/issues/5619> (a count of tokens in the metadata read as
/// dollars), whose threads say what is tested here.
#[tokio::test]
async fn opik_5620_tokens_from_a_cache_have_their_own_price_and_a_count_is_no_amount() {
    let told = model(
        1,
        0,
        vec![
            pair("gen_ai.system", "openai"),
            pair("gen_ai.request.model", "gpt-4o"),
            pair("gen_ai.usage.input_tokens", 100_000),
            pair("gen_ai.usage.output_tokens", 1_000),
            pair("gen_ai.usage.cache_read_input_tokens", 90_000),
        ],
    );
    // 10,000 at 2.50, 90,000 at 1.25, 1,000 at 10 a million; at the full price it were 0.26.
    is(&cost(vec![told]).await, 0.1475, 147_500_000);
    let told = model(
        1,
        0,
        vec![
            pair("gen_ai.system", "nobody"),
            pair("gen_ai.request.model", "unknown"),
            pair("gen_ai.usage.input_tokens", 150_000),
            pair(
                "metadata",
                "{\"cost\": {\"currency\": \"USD\", \"total_tokens\": 150000}}",
            ),
            pair("cost", "{\"currency\": \"USD\", \"total_tokens\": 150000}"),
        ],
    );
    // A model without a price costs an unknown amount, not 150,000 dollars, and not nothing.
    let (dollars, listed) = cost(vec![told]).await;
    assert_eq!((dollars, listed), (None, Value::Null));
}

/// Of the time of <https://github.com/comet-ml/opik/issues/6982> and its follow-ups (prices of long inputs): beyond the
/// limit the higher price is that of all tokens, and those from a cache count towards the limit.
#[tokio::test]
async fn opik_7473_a_long_input_has_the_price_of_long_inputs_for_all_of_its_tokens() {
    let told = |input: i64, cached: i64| {
        let attributes = vec![
            pair("gen_ai.provider.name", "anthropic"),
            pair("gen_ai.request.model", "claude-sonnet-4-5"),
            pair("gen_ai.usage.input_tokens", input),
            pair("gen_ai.usage.output_tokens", 1_000),
            pair("gen_ai.usage.cache_read.input_tokens", cached),
        ];
        vec![model(1, 0, attributes)]
    };
    // 200,000 at 3 and 1,000 at 15 a million.
    is(&cost(told(200_000, 0)).await, 0.615, 615_000_000);
    // One more: 200,001 at 6 and 1,000 at 22.50.
    is(&cost(told(200_001, 0)).await, 1.222_506, 1_222_506_000);
    // 60,001 at 6, 140,000 from a cache at 0.60, 1,000 at 22.50.
    is(&cost(told(200_001, 140_000)).await, 0.466_506, 466_506_000);
}

/// As in <https://github.com/comet-ml/opik/issues/1446>: Anthropic counts what was read from and written to a cache beside
/// the input, not in it; each has a price of its own.
#[tokio::test]
async fn opik_2148_what_anthropic_counts_beside_its_input_is_paid_once_and_at_its_own_price() {
    let stand = stand();
    let trace = "01a1fce2-ce78-765d-a902-9bc62616e36b";
    let body = json!({"spans": [{
        "id": "01a1fce2-ce79-71a0-927b-112963103fc5", "trace_id": trace, "name": "ask", "type": "llm",
        "start_time": "2026-11-21T06:54:00Z", "end_time": "2026-11-21T06:54:01Z",
        "model": "claude-sonnet-4-5", "provider": "anthropic",
        "usage": {"prompt_tokens": 110, "completion_tokens": 50, "total_tokens": 160,
            "original_usage.input_tokens": 20, "original_usage.output_tokens": 50,
            "original_usage.cache_read_input_tokens": 80, "original_usage.cache_creation_input_tokens": 10}
    }]});
    let answered = stand
        .ask(Method::POST, "/opik/api/v1/private/spans/batch", Some(body))
        .await;
    assert_eq!(answered.status, 204, "{}", answered.text());
    let (_, spans) = all(&stand, "Default%20Project").await;
    // 20 at 3, 80 at 0.30, 10 at 3.75 and 50 at 15 a million.
    let dollars = spans[0]["total_estimated_cost"].as_f64().unwrap();
    assert!((dollars - 0.000_871_5).abs() < 1e-12, "{dollars}");
    stand.store.close().await;
    stand.signals.close().await;
}

/// As in <https://github.com/langfuse/langfuse/issues/7549> and <https://github.com/comet-ml/opik/issues/4695>: a span that
/// repeats what those in it count doubles a trace, unless it is known for what it is.
#[tokio::test]
async fn langfuse_2596_an_agent_that_repeats_what_its_calls_count_does_not_double_the_trace() {
    let counts = |input: i64, output: i64| {
        vec![
            pair("gen_ai.provider.name", "openai"),
            pair("gen_ai.request.model", "gpt-4o"),
            pair("gen_ai.usage.input_tokens", input),
            pair("gen_ai.usage.output_tokens", output),
        ]
    };
    let mut agent = vec![pair("gen_ai.operation.name", "invoke_agent")];
    agent.extend(counts(3_000, 300));
    let spans = vec![
        span(7, 1, 0, 0, agent),
        model(2, 1, counts(1_000, 100)),
        model(3, 1, counts(2_000, 200)),
    ];
    // 3,000 at 2.50 and 300 at 10 a million, once.
    is(&cost(spans).await, 0.010_5, 10_500_000);
}

/// <https://github.com/comet-ml/opik/issues/6969>: the newer of OpenAI's APIs tells tokens from a cache elsewhere.
#[tokio::test]
async fn opik_6969_cached_tokens_of_openais_responses_are_discounted() {
    let stand = stand();
    let body = json!({"spans": [{
        "id": "01a1fce2-ce79-71a0-927b-112963103fc5", "trace_id": "01a1fce2-ce78-765d-a902-9bc62616e36b", "name": "ask",
        "type": "llm", "start_time": "2026-11-21T06:54:00Z", "end_time": "2026-11-21T06:54:01Z", "model": "gpt-4o",
        "provider": "openai", "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
            "original_usage.input_tokens": 1_000, "original_usage.output_tokens": 100,
            "original_usage.input_tokens_details.cached_tokens": 800}
    }]});
    stand
        .ask(Method::POST, "/opik/api/v1/private/spans/batch", Some(body))
        .await;
    let (_, spans) = all(&stand, "Default%20Project").await;
    // 200 at 2.50, 800 at 1.25 and 100 at 10 a million.
    let dollars = spans[0]["total_estimated_cost"].as_f64().unwrap();
    assert!((dollars - 0.002_5).abs() < 1e-12, "{dollars}");
    stand.store.close().await;
    stand.signals.close().await;
}

/// <https://github.com/comet-ml/opik/issues/4136>: a trace of 3,000 spans, of which each is listed and in the tree.
#[tokio::test]
async fn opik_4136_a_trace_of_three_thousand_spans_is_whole_in_every_list_and_in_its_tree() {
    let stand = stand();
    let mut spans = vec![span(7, 1, 0, 0, Vec::new())];
    for number in 2_u64..=3_000 {
        let mut one = span(7, 1, 1, 1, vec![pair("number", i64::try_from(number).unwrap())]);
        one.span_id = number.to_be_bytes().to_vec();
        spans.push(one);
    }
    for chunk in spans.chunks(512) {
        tell(&stand, &export(Vec::new(), chunk.to_vec())).await;
    }
    let row = get(&stand, "/api/traces").await["items"][0].clone();
    assert_eq!(row["spans"], 3_000);
    let tree = get(&stand, &format!("/api/traces/{}", row["id"].as_str().unwrap())).await;
    let nodes = tree["spans"].as_array().unwrap();
    assert_eq!(nodes.len(), 3_000);
    assert_eq!(nodes.iter().filter(|node| node["parent"].is_null()).count(), 1);
    let (mut listed, mut page) = (0, 1);
    loop {
        let path = format!(
            "/spans?project_name=Default%20Project&trace_id={}&size=1000&page={page}",
            row["id"].as_str().unwrap()
        );
        let found = super::get(&stand, &path).await;
        assert_eq!(found["total"], 3_000);
        let items = found["content"].as_array().unwrap().len();
        listed += items;
        page += 1;
        if items == 0 {
            break;
        }
    }
    assert_eq!(listed, 3_000);
    stand.store.close().await;
    stand.signals.close().await;
}

/// <https://github.com/comet-ml/opik/issues/1905>: an input of 30,000 lines comes back as it went in, and a list stays small.
#[tokio::test]
async fn opik_1905_an_input_of_thirty_thousand_lines_comes_back_whole_and_lists_stay_short() {
    let stand = stand();
    let lines: Vec<String> = (0..30_000)
        .map(|number| format!("line {number} of the input"))
        .collect();
    let text = lines.join("\n");
    let body = json!({"traces": [{"id": "01a1fce2-ce78-765d-a902-9bc62616e36b", "name": "long",
        "start_time": "2026-11-21T06:54:00Z", "end_time": "2026-11-21T06:54:01Z", "input": {"text": text}}]});
    let answered = stand
        .ask(Method::POST, "/opik/api/v1/private/traces/batch", Some(body))
        .await;
    assert_eq!(answered.status, 204, "{}", answered.text());
    tell(
        &stand,
        &export(
            Vec::new(),
            vec![span(8, 1, 0, 0, vec![pair("input.value", text.as_str())])],
        ),
    )
    .await;
    let whole = super::get(&stand, "/traces/01a1fce2-ce78-765d-a902-9bc62616e36b").await;
    assert_eq!(whole["input"]["text"], text.as_str());
    let page = get(&stand, "/api/traces").await;
    for row in page["items"].as_array().unwrap() {
        assert_eq!(row["input"].as_str().unwrap().chars().count(), 200);
        let id = row["id"].as_str().unwrap();
        let payload = get(&stand, &format!("/api/traces/{id}/spans/{id}")).await;
        let input = payload["input"]["text"].as_str().or(payload["input"].as_str());
        assert_eq!(input.map(str::len), Some(text.len()));
    }
    // A line in the middle is found.
    let found = get(&stand, "/api/traces?q=%22line+15000+of%22").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 2);
    stand.store.close().await;
    stand.signals.close().await;
}
