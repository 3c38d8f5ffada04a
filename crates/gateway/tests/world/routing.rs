//! Which target is asked when, and who is left alone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::ports::{PicoUsd, Price, Prices, events::Outcome};
use stead_testkit::{World, poll_until};
use tokio::time::{Instant, sleep};

use crate::{
    faults::with,
    providers::{Act, CHUNK_A, CHUNK_B, CHUNK_ROLE, End, Provider, answer, failure, slowly, whole_stream},
    stage::{KEY, SOON, Stage, ask, ask_stream, post},
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A failure with this status, message and code.
fn refusal(status: u16, message: &str, code: &str) -> Act {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": code}});
    Act::Say(status, &[], body.to_string())
}

/// The value of a metric of a target.
fn target_metric(stage: &Stage, name: &str, provider: &str) -> String {
    let text = stage.metrics();
    let start = format!("stead_gateway_{name}{{project=\"default\",provider=\"{provider}\",model=\"m\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {start} in {text}")).to_owned()
}

/// Who answered so many requests.
async fn shares(stage: &Stage, count: usize, body: &Value) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let reply = stage.chat(body.clone()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        *shares
            .entry(reply.header("x-stead-provider").to_owned())
            .or_default() += 1;
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_is_left_alone_until_a_probe_succeeds() {
    let no = failure(500);
    let bad = Provider::script([no.clone(), no.clone(), no.clone(), no, answer("again")]);
    let good = Provider::script([answer("x")]);
    let stage = with(
        &[("bad", &bad), ("good", &good)],
        json!({"retry": {"attempts": 2}, "breaker": {"failures": 3, "cooldown": "30s"}}),
    )
    .await;
    assert_eq!(shares(&stage, 5, &ask("chat")).await, [("good".into(), 5)].into());
    assert_eq!(bad.asked().len(), 3, "the breaker opened");
    assert_eq!(target_metric(&stage, "target_state", "bad"), "2");
    assert_eq!(target_metric(&stage, "target_state", "good"), "0");
    sleep(seconds(31)).await;
    assert_eq!(target_metric(&stage, "target_state", "bad"), "1");
    // The probe fails, and it is left alone for twice as long.
    shares(&stage, 2, &ask("chat")).await;
    assert_eq!(bad.asked().len(), 4);
    sleep(seconds(45)).await;
    shares(&stage, 1, &ask("chat")).await;
    assert_eq!(bad.asked().len(), 4);
    sleep(seconds(16)).await;
    assert_eq!(shares(&stage, 3, &ask("chat")).await, [("bad".into(), 3)].into());
    assert_eq!(target_metric(&stage, "target_opened_total", "bad"), "2");
    assert_eq!(target_metric(&stage, "target_in_flight", "bad"), "0");
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_tries_a_target_that_failed() {
    let bad = Provider::script([failure(500), slowly(5_000, answer("slow"))]);
    let good = Provider::script([answer("x")]);
    let stage = with(
        &[("bad", &bad), ("good", &good)],
        json!({"retry": {"attempts": 2}, "breaker": {"failures": 1, "cooldown": "10s"}}),
    )
    .await;
    shares(&stage, 1, &ask("chat")).await;
    sleep(seconds(11)).await;
    let probe = stage.chat(ask("chat"));
    let others = async {
        sleep(seconds(1)).await;
        shares(&stage, 3, &ask("chat")).await
    };
    let (probe, others) = futures::join!(probe, others);
    assert_eq!(probe.header("x-stead-provider"), "bad");
    assert_eq!(others, [("good".into(), 3)].into());
    assert_eq!(bad.asked().len(), 2);
    // A client that leaves a probe makes room for the next one.
    let stage = with(
        &[("bad", &Provider::script([failure(500), Act::Hang, answer("x")]))],
        json!({"breaker": {"failures": 1, "cooldown": "10s", "whenAllOpen": "Refuse"}}),
    )
    .await;
    stage.chat(ask("chat")).await;
    sleep(seconds(11)).await;
    let request = post("/v1/chat/completions", KEY, &ask("chat").to_string());
    let left = tokio::time::timeout(seconds(1), stage.open(request)).await;
    assert!(left.is_err());
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn when_every_target_is_left_alone_the_route_tries_or_refuses_as_it_says() {
    for (when, asked, told) in [
        ("Try", 4, (502, "upstream_error")),
        ("Refuse", 2, (503, "targets_cooling_down")),
    ] {
        let bad = Provider::script([failure(500)]);
        let stage = with(
            &[("bad", &bad)],
            json!({"breaker": {"failures": 2, "cooldown": "30s", "whenAllOpen": when}}),
        )
        .await;
        for _ in 0..3 {
            stage.chat(ask("chat")).await;
        }
        let reply = stage.chat(ask("chat")).await;
        assert_eq!(reply.error(), (told.0, told.1.to_owned()), "{when}");
        assert_eq!(bad.asked().len(), asked, "{when}");
        if when == "Refuse" {
            assert_eq!(reply.header("retry-after"), "30");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_asks_for_a_pause_gets_it_from_every_request() {
    let busy = Act::Say(429, &[("retry-after", "60")], "{}".into());
    let (one, two) = (
        Provider::script([busy.clone(), answer("again")]),
        Provider::script([answer("x")]),
    );
    let stage = with(&[("one", &one), ("two", &two)], json!({"retry": {"attempts": 2}})).await;
    assert_eq!(shares(&stage, 4, &ask("chat")).await, [("two".into(), 4)].into());
    assert_eq!(one.asked().len(), 1);
    sleep(seconds(61)).await;
    assert_eq!(shares(&stage, 1, &ask("chat")).await, [("one".into(), 1)].into());
    // Alone, it is not asked either, and the client hears how long.
    let only = Provider::script([busy]);
    let stage = with(&[("only", &only)], json!({})).await;
    stage.chat(ask("chat")).await;
    sleep(seconds(20)).await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(reply.error(), (429, "rate_limit_exceeded".into()));
    assert_eq!(reply.header("retry-after"), "40");
    assert_eq!(only.asked().len(), 1);
    let rows = stage.rows(2).await;
    assert!(
        rows.iter()
            .any(|row| row.attempts.is_empty() && row.status == 429)
    );
}

#[tokio::test]
async fn each_sort_of_failure_has_the_fallback_that_is_meant_for_it() {
    let long = "This model's maximum context length is 8192 tokens.";
    let cases = [
        (refusal(400, long, "context_length_exceeded"), "big"),
        (
            refusal(400, "the prompt triggered a policy", "content_filter"),
            "mild",
        ),
        (failure(429), "other"),
        (failure(500), "any"),
        (failure(401), "any"),
    ];
    for (act, expected) in cases {
        let sick = Provider::script([act.clone()]);
        let spare: Vec<(&str, Provider)> = ["big", "mild", "other", "any"]
            .map(|name| (name, Provider::script([answer(name)])))
            .into();
        let fallbacks = json!([
            {"route": "to-big", "on": ["ContextLength"]},
            {"route": "to-mild", "on": ["ContentFilter"]},
            {"route": "to-other", "on": ["RateLimit"]},
            "to-any",
        ]);
        let stage = with(&[("sick", &sick)], json!({"fallbacks": fallbacks})).await;
        for (name, provider) in &spare {
            let host = format!("{name}.test");
            stage.world.ports.web.host(&host, provider.router());
            stage.provider(name, json!({})).await;
            let targets = json!([{"provider": name, "model": "m"}]);
            stage
                .route(&format!("to-{name}"), json!({"targets": targets}))
                .await;
        }
        let reply = stage.chat(ask("chat")).await;
        assert_eq!(reply.status, StatusCode::OK, "{expected}: {}", reply.text());
        assert_eq!(reply.header("x-stead-provider"), expected);
        let row = stage.row().await;
        assert_eq!((row.outcome, row.attempts.len()), (Outcome::Ok, 2), "{expected}");
    }
}

#[tokio::test]
async fn an_answer_of_which_a_filter_left_nothing_falls_back_where_there_is_a_fallback_for_it() {
    let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": null},
        "finish_reason": "content_filter"}], "usage": {"prompt_tokens": 5, "completion_tokens": 0}});
    let chunk = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n";
    let acts = [
        (Act::Say(200, &[], whole.to_string()), ask("chat")),
        (
            Act::Stream(vec![CHUNK_ROLE, chunk, "data: [DONE]\n\n"], End::Close),
            ask_stream("chat"),
        ),
    ];
    for (act, body) in acts {
        for (fallbacks, expected) in [
            (json!([{"route": "mild", "on": ["ContentFilter"]}]), "q"),
            (json!(["mild"]), "strict"),
        ] {
            let strict = Provider::script([act.clone()]);
            let spare = if body["stream"] == true {
                whole_stream()
            } else {
                answer("x")
            };
            let mild = Provider::script([spare]);
            let stage = with(&[("strict", &strict)], json!({"fallbacks": fallbacks})).await;
            stage.world.ports.web.host("q.test", mild.router());
            stage.provider("q", json!({})).await;
            let targets = json!([{"provider": "q", "model": "m"}]);
            stage.route("mild", json!({"targets": targets})).await;
            let reply = stage.chat(body.clone()).await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
            assert_eq!(reply.header("x-stead-provider"), expected);
        }
    }
}

#[tokio::test]
async fn a_failure_without_its_fallback_is_told_in_the_providers_words() {
    let long = "This model's maximum context length is 8192 tokens.";
    let sick = Provider::script([refusal(400, long, "context_length_exceeded")]);
    let stage = with(
        &[("sick", &sick)],
        json!({"fallbacks": ["other"], "retry": {"attempts": 3}}),
    )
    .await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(reply.error(), (400, "context_length_exceeded".into()));
    assert_eq!(sick.asked().len(), 1, "it is not asked the same again");
}

#[tokio::test]
async fn conditions_choose_by_labels_tools_and_size() {
    let providers: Vec<(&str, Provider)> = ["team", "tools", "long", "rest"]
        .map(|name| (name, Provider::script([answer(name)])))
        .into();
    let stage = Stage::start(World::new()).await;
    for (name, provider) in &providers {
        let host = format!("{name}.test");
        stage.world.ports.web.host(&host, provider.router());
        stage.provider(name, json!({})).await;
    }
    let target =
        |name: &str, conditions: Value| json!({"provider": name, "model": "m", "conditions": conditions});
    let targets = json!([
        target("team", json!({"labels": {"team": ["search", "ads"]}})),
        target("tools", json!({"tools": true})),
        target("long", json!({"minInputTokens": 500})),
        {"provider": "rest", "model": "m"},
    ]);
    stage
        .route("chat", json!({"strategy": "Priority", "targets": targets}))
        .await;
    stage
        .key(
            "search",
            "sk-stead-key-of-search",
            json!({"metadata": {"team": "search"}}),
        )
        .await;
    let with_tools =
        json!({"model": "chat", "messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]});
    let long = json!({"model": "chat", "messages": [{"role": "user", "content": "x".repeat(4_000)}]});
    let cases = [
        (KEY, ask("chat"), "rest"),
        ("sk-stead-key-of-search", ask("chat"), "team"),
        (KEY, with_tools, "tools"),
        (KEY, long, "long"),
    ];
    for (key, body, expected) in cases {
        let reply = stage
            .send(post("/v1/chat/completions", key, &body.to_string()))
            .await;
        assert_eq!(reply.header("x-stead-provider"), expected, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_canary_gets_its_part_and_a_sticky_key_stays_where_it_is() {
    let (old, new) = (
        Provider::script([answer("old")]),
        Provider::script([answer("new")]),
    );
    let stage = with(&[("old", &old), ("new", &new)], json!({})).await;
    let route = |percent: u32, more: Value| {
        let mut spec = json!({"targets": [{"provider": "old", "model": "m"},
            {"provider": "new", "model": "m", "canary": {"percent": percent}}]});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    stage.route("all", route(100, json!({}))).await;
    stage.route("none", route(0, json!({}))).await;
    stage
        .route("half", route(50, json!({"sticky": {"by": "Key"}})))
        .await;
    assert_eq!(shares(&stage, 5, &ask("all")).await, [("new".into(), 5)].into());
    assert_eq!(shares(&stage, 5, &ask("none")).await, [("old".into(), 5)].into());
    assert_eq!(shares(&stage, 20, &ask("half")).await.len(), 1);
}

#[tokio::test]
async fn the_less_busy_target_is_asked() {
    let stream = Act::Stream(vec![CHUNK_A], End::Stall);
    let (one, two) = (Provider::script([stream.clone()]), Provider::script([stream]));
    let stage = with(&[("one", &one), ("two", &two)], json!({"strategy": "LeastBusy"})).await;
    let mut open = Vec::new();
    for _ in 0..6 {
        let request = post("/v1/chat/completions", KEY, &ask_stream("chat").to_string());
        let mut body = stage.open(request).await.into_body();
        body.frame().await.unwrap().unwrap();
        open.push(body);
    }
    assert_eq!((one.asked().len(), two.asked().len()), (3, 3));
    assert_eq!(target_metric(&stage, "target_in_flight", "one"), "3");
    drop(open);
    assert_eq!(target_metric(&stage, "target_in_flight", "one"), "0");
}

#[tokio::test(start_paused = true)]
async fn the_faster_target_is_asked_once_both_are_known_and_a_slow_one_comes_back() {
    let slow = Provider::script([slowly(900, whole_stream()), slowly(10, whole_stream())]);
    let fast = Provider::script([slowly(100, whole_stream())]);
    let stage = with(
        &[("slow", &slow), ("fast", &fast)],
        json!({"strategy": "LowestLatency"}),
    )
    .await;
    let found = shares(&stage, 40, &ask_stream("chat")).await;
    assert!(found["fast"] >= 30, "{found:?}");
    let average: f64 = target_metric(&stage, "target_first_token_seconds", "fast")
        .parse()
        .unwrap();
    assert!((0.09..0.13).contains(&average), "{average}");
    // What is known of it fades while nobody asks, so that it is tried again and found to be fast now.
    sleep(Duration::from_mins(10)).await;
    shares(&stage, 40, &ask_stream("chat")).await;
    assert!(slow.asked().len() > 20, "{}", slow.asked().len());
}

struct TwoPrices;

impl Prices for TwoPrices {
    fn price(&self, vendor: &str, _: &str) -> Option<Arc<Price>> {
        let input = match vendor {
            "dear.test" => 9_000,
            "cheap.test" => 1_000,
            _ => return None,
        };
        Some(Arc::new(Price::per_token(PicoUsd(input), PicoUsd(input * 4))))
    }
}

#[tokio::test]
async fn the_cheapest_target_is_asked_and_the_next_one_when_it_fails() {
    let stage = Stage::start_with(World::new(), Arc::new(TwoPrices)).await;
    let cheap = Provider::script([answer("a"), failure(500)]);
    let providers = [
        ("unknown", Provider::script([answer("x")])),
        ("dear", Provider::script([answer("y")])),
        ("cheap", cheap),
    ];
    for (name, provider) in &providers {
        let host = format!("{name}.test");
        stage.world.ports.web.host(&host, provider.router());
        stage.provider(name, json!({})).await;
    }
    let targets: Vec<Value> = providers
        .iter()
        .map(|(name, _)| json!({"provider": name, "model": "m"}))
        .collect();
    stage
        .route("chat", json!({"strategy": "LowestCost", "targets": targets}))
        .await;
    let first = stage.chat(ask("chat")).await;
    assert_eq!(first.header("x-stead-provider"), "cheap");
    let second = stage.chat(ask("chat")).await;
    assert_eq!(second.header("x-stead-provider"), "dear");
}

#[tokio::test]
async fn a_conversation_stays_with_the_replica_that_has_read_it() {
    let replicas: Vec<(&str, Provider)> = ["a", "b", "c"]
        .map(|name| (name, Provider::script([answer(name)])))
        .into();
    let named: Vec<(&str, &Provider)> = replicas
        .iter()
        .map(|(name, provider)| (*name, provider))
        .collect();
    let stage = with(&named, json!({"strategy": "PrefixAffinity"})).await;
    for conversation in 0..5 {
        let mut messages =
            vec![json!({"role": "user", "content": format!("{conversation}{}", "x".repeat(2_000))})];
        let mut homes = Vec::new();
        for turn in 0..4 {
            let body = json!({"model": "chat", "messages": messages});
            homes.push(stage.chat(body).await.header("x-stead-provider").to_owned());
            messages.push(json!({"role": "assistant", "content": "y".repeat(500)}));
            messages.push(json!({"role": "user", "content": format!("and {turn}?")}));
        }
        homes.dedup();
        assert_eq!(homes.len(), 1, "conversation {conversation}: {homes:?}");
    }
}

#[tokio::test]
async fn a_session_stays_with_its_target_and_finds_another_one_when_that_fails() {
    let replicas: Vec<(&str, Provider)> = ["a", "b", "c", "d"]
        .map(|name| (name, Provider::script([answer(name)])))
        .into();
    let named: Vec<(&str, &Provider)> = replicas
        .iter()
        .map(|(name, provider)| (*name, provider))
        .collect();
    let stage = with(
        &named,
        json!({"strategy": "Session", "session": {"header": "x-thread"}, "retry": {"attempts": 2}}),
    )
    .await;
    let home = async |thread: &str| {
        let mut request = post("/v1/chat/completions", KEY, &ask("chat").to_string());
        request.headers_mut().insert("x-thread", thread.parse().unwrap());
        stage.send(request).await.header("x-stead-provider").to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    for thread in 0..12 {
        let thread = format!("thread-{thread}");
        let first = home(&thread).await;
        assert_eq!(first, home(&thread).await);
        seen.insert(first);
    }
    assert!(seen.len() > 1, "sessions spread");
    let first = home("thread-1").await;
    stage.world.ports.web.remove(&format!("{first}.test"));
    let second = home("thread-1").await;
    assert_ne!(first, second);
    assert_eq!(second, home("thread-1").await);
}

#[tokio::test(start_paused = true)]
async fn a_health_check_finds_out_before_a_request_does() {
    let status = Arc::new(AtomicU16::new(503));
    let health = {
        let status = Arc::clone(&status);
        get(async move || StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap())
    };
    let (sick, well) = (
        Provider::script([answer("sick")]),
        Provider::script([answer("well")]),
    );
    let stage = with(&[("sick", &sick), ("well", &well)], json!({})).await;
    let router = Router::new()
        .route("/health", health)
        .fallback_service(sick.router());
    stage.world.ports.web.host("sick.test", router);
    let targets = json!([{"provider": "sick", "model": "m"}, {"provider": "well", "model": "m"}]);
    let check = json!({"interval": "10s", "timeout": "2s", "path": "/health"});
    let breaker = json!({"failures": 2, "cooldown": "24h", "maxCooldown": "24h"});
    let spec = json!({"strategy": "Priority", "targets": targets, "healthCheck": check, "breaker": breaker});
    stage.route("checked", spec).await;
    sleep(seconds(25)).await;
    assert_eq!(target_metric(&stage, "target_state", "sick"), "2");
    assert_eq!(
        shares(&stage, 3, &ask("checked")).await,
        [("well".into(), 3)].into()
    );
    status.store(200, Ordering::SeqCst);
    sleep(seconds(11)).await;
    assert_eq!(
        target_metric(&stage, "target_state", "sick"),
        "1",
        "a request may try it"
    );
    assert_eq!(
        shares(&stage, 3, &ask("checked")).await,
        [("sick".into(), 3)].into()
    );
    assert_eq!(target_metric(&stage, "target_state", "sick"), "0");
}

#[tokio::test(start_paused = true)]
async fn a_check_without_a_path_asks_the_model_for_one_token() {
    let sick = Provider::script([failure(500), failure(500), answer("x")]);
    let stage = with(&[("sick", &sick)], json!({})).await;
    let targets = json!([{"provider": "sick", "model": "m"}]);
    let breaker = json!({"failures": 2, "cooldown": "1h", "maxCooldown": "1h"});
    let spec = json!({"targets": targets, "healthCheck": {"interval": "10s"}, "breaker": breaker});
    stage.route("checked", spec).await;
    sleep(seconds(15)).await;
    assert_eq!(target_metric(&stage, "target_state", "sick"), "2");
    sleep(seconds(10)).await;
    assert_eq!(target_metric(&stage, "target_state", "sick"), "0", "it answered");
    let asked = sick.asked().pop().unwrap();
    assert_eq!(
        (asked.json()["max_tokens"].clone(), asked.json()["model"].clone()),
        (json!(1), json!("m"))
    );
    let rows = stage.rows(3).await;
    assert!(
        rows.iter()
            .all(|row| row.labels["stead.dev/purpose"] == "health-check")
    );
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).take(3).collect();
    assert_eq!(outcomes, [Outcome::Error, Outcome::Error, Outcome::Ok]);
    assert_eq!(
        (rows[2].usage.input, rows[2].usage.output),
        (5, 2),
        "it is paid for"
    );
    assert!(stage.metrics().contains("stead_gateway_in_flight 0"));
}

#[tokio::test(start_paused = true)]
async fn a_routes_status_says_how_its_targets_fare() {
    let (bad, good) = (
        Provider::script([failure(500)]),
        Provider::script([whole_stream()]),
    );
    let stage = with(
        &[("bad", &bad), ("good", &good)],
        json!({"retry": {"attempts": 2}, "breaker": {"failures": 1, "cooldown": "1h", "maxCooldown": "1h"}}),
    )
    .await;
    stage.chat(ask_stream("chat")).await;
    let path = "/apis/stead.dev/v1alpha1/namespaces/default/modelroutes/chat";
    let targets = poll_until(SOON, "the status to tell", async || {
        let object = stage.world.api.get(path)?;
        let targets = object.pointer("/status/targets")?.clone();
        (targets[0]["state"] == "Open").then_some(targets)
    })
    .await;
    assert_eq!(
        (targets[0]["opened"].clone(), targets[1]["state"].clone()),
        (json!(1), json!("Closed"))
    );
    assert!(targets[1]["firstTokenMs"].is_u64(), "{targets}");
    let path = "/apis/stead.dev/v1alpha1/namespaces/default/modelproviders/bad";
    let status = poll_until(SOON, "the provider's status to tell", async || {
        let object = stage.world.api.get(path)?;
        let status = object.get("status")?.clone();
        status.get("resting").is_some().then_some(status)
    })
    .await;
    assert_eq!(status["resting"], json!([{"model": "m", "state": "Open"}]));
    assert!(status["conditions"].is_array(), "the rest stays: {status}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_target_survives_changes_of_its_route() {
    let bad = Provider::script([failure(500)]);
    let good = Provider::script([answer("x")]);
    let spec =
        json!({"retry": {"attempts": 2}, "breaker": {"failures": 1, "cooldown": "1h", "maxCooldown": "1h"}});
    let stage = with(&[("bad", &bad), ("good", &good)], spec).await;
    shares(&stage, 1, &ask("chat")).await;
    let targets = json!([{"provider": "bad", "model": "m"}, {"provider": "good", "model": "m"}]);
    stage
        .route("other", json!({"strategy": "Priority", "targets": targets}))
        .await;
    shares(&stage, 2, &ask("other")).await;
    assert_eq!(bad.asked().len(), 1, "it is left alone by every route");
}

#[tokio::test(start_paused = true)]
async fn every_timeout_holds_whether_streamed_translated_or_neither() {
    let timeouts = json!({"connect": "3s", "firstToken": "5s", "idle": "7s", "total": "20s"});
    let stalled = Act::Stream(vec![CHUNK_ROLE], End::Stall);
    let cut = Act::Stream(vec![CHUNK_A, CHUNK_B], End::Stall);
    let silent = [
        ("anthropic", true, 5),
        ("anthropic", false, 20),
        ("gemini", true, 5),
        ("openai-compatible", true, 5),
        ("openai-compatible", false, 20),
    ];
    for (kind, streams, limit) in silent {
        let provider = Provider::script([Act::Hang]);
        let stage = with(
            &[],
            json!({"targets": [{"provider": "p", "model": "m"}], "timeouts": timeouts}),
        )
        .await;
        stage.world.ports.web.host("p.test", provider.router());
        stage.provider("p", json!({"type": kind})).await;
        let began = Instant::now();
        let body = if streams { ask_stream("chat") } else { ask("chat") };
        let reply = stage.chat(body).await;
        assert_eq!(
            reply.error(),
            (504, "upstream_timeout".into()),
            "{kind} {streams}"
        );
        assert_eq!(began.elapsed().as_secs(), limit, "{kind} {streams}");
        let sent = stage.world.ports.web.sent();
        let (_, options) = sent.iter().find(|(line, _)| line.starts_with("POST")).unwrap();
        assert_eq!(options.connect_timeout, seconds(3));
    }
    // A head that comes at once does not stop the clock of the first token; a body that stalls meets the idle limit.
    for (act, streams, limit) in [(stalled.clone(), true, 5), (cut, false, 7), (stalled, false, 7)] {
        let provider = Provider::script([act]);
        let stage = with(&[("p", &provider)], json!({"timeouts": timeouts})).await;
        let began = Instant::now();
        let body = if streams { ask_stream("chat") } else { ask("chat") };
        let reply = stage.chat(body).await;
        assert_eq!(reply.error(), (504, "upstream_timeout".into()));
        assert_eq!(began.elapsed().as_secs(), limit);
    }
}
