//! Two targets at a time: who answers, and who is paid.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use stead_kernel::ports::{NanoUsd, events::Outcome};
use stead_testkit::World;
use tokio::time::Instant;

use crate::{
    providers::{Act, Provider, failure, slowly, whole_stream},
    stage::{Stage, ask, ask_stream},
};

/// What a request is taken to have sent, in tokens, where nobody says.
fn sent() -> u64 {
    ask_stream("chat").to_string().len().div_ceil(4) as u64
}

/// A stage whose first target has answered so many streams after 50 ms, and thinks for `pause` before the next one.
async fn hedged(warm: usize, pause: u64, second: Act, hedge: Value) -> (Stage, Provider, Provider) {
    let mut acts = vec![slowly(50, whole_stream()); warm];
    acts.push(slowly(pause, whole_stream()));
    let (first, second) = (Provider::script(acts), Provider::script([second]));
    let stage = Stage::start(World::new()).await;
    let prices = json!([{"model": "a", "perMillionTokens": {"input": 3.0, "output": 0.0}},
        {"model": "b", "perMillionTokens": {"input": 1.0, "output": 2.0}}]);
    for (name, provider) in [("first", &first), ("second", &second)] {
        let host = format!("{name}.test");
        stage.world.ports.web.host(&host, provider.router());
        stage.secret(name, "k", &format!("sk-{name}")).await;
        let credential = json!({"secretRef": {"name": name, "key": "k"}});
        let spec = json!({"credential": credential, "prices": prices});
        stage.provider(name, spec).await;
    }
    let targets = json!([{"provider": "first", "model": "a"}, {"provider": "second", "model": "b"}]);
    let spec = json!({"strategy": "Priority", "targets": targets, "retry": {"attempts": 1}, "hedge": hedge});
    stage.route("chat", spec).await;
    for _ in 0..warm {
        stage.chat(ask_stream("chat")).await;
    }
    (stage, first, second)
}

#[tokio::test(start_paused = true)]
async fn a_slow_beginning_is_hedged_and_the_input_of_the_loser_is_billed_too() {
    let hedge = json!({"percentile": 95, "maxPercent": 10, "minDelay": "10ms"});
    let (stage, first, second) = hedged(25, 30_000, whole_stream(), hedge).await;
    let began = Instant::now();
    let reply = stage.chat(ask_stream("chat")).await;
    assert!(
        began.elapsed() < Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(reply.header("x-stead-provider"), "second");
    assert_eq!(reply.text().matches("\"role\"").count(), 1, "one answer");
    assert_eq!(first.open.load(Ordering::SeqCst), 0, "the first one is cancelled");
    let rows = stage.rows(26).await;
    let row = rows.iter().find(|row| row.attempts.len() > 1).unwrap();
    assert_eq!(
        (row.provider.as_str(), row.provider_model.as_str()),
        ("second", "b")
    );
    let asked = sent();
    assert_eq!((row.usage.input, row.usage.output), (asked + 5, 2));
    let cost = i64::try_from(asked * 3_000 + 5 * 1_000 + 2 * 2_000).unwrap();
    assert_eq!(row.cost, Some(NanoUsd(cost)), "each at its own price");
    assert_eq!(row.labels["stead.dev/usage"], "estimated");
    assert_eq!(row.labels["stead.dev/hedge"], "second");
    assert!(
        row.attempts[0].error.contains("another target began"),
        "{:?}",
        row.attempts
    );
    assert!(row.attempts[1].error.is_empty() && row.attempts[1].status == 200);
    let (a, b) = (first.asked().pop().unwrap(), second.asked().remove(0));
    assert_eq!(a.headers["authorization"], "Bearer sk-first");
    assert_eq!(b.headers["authorization"], "Bearer sk-second");
    assert_eq!(
        (a.json()["model"].clone(), b.json()["model"].clone()),
        (json!("a"), json!("b"))
    );
    let metrics = stage.metrics();
    assert!(
        metrics.contains("hedges_total{project=\"default\",route=\"chat\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("hedges_won_total{project=\"default\",route=\"chat\"} 1"));
    assert!(
        metrics.contains("attempts_in_flight{project=\"default\",provider=\"first\"} 0"),
        "{metrics}"
    );
    assert!(metrics.contains("attempts_in_flight{project=\"default\",provider=\"second\"} 0"));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_loses_or_fails_leaves_only_its_line() {
    for (second, said) in [(Act::Hang, "another target began"), (failure(500), "500")] {
        let hedge = json!({"maxPercent": 10, "minDelay": "10ms"});
        let (stage, _, second) = hedged(25, 400, second, hedge).await;
        let reply = stage.chat(ask_stream("chat")).await;
        assert_eq!(reply.header("x-stead-provider"), "first");
        assert!(reply.text().ends_with("[DONE]\n\n"));
        assert_eq!(second.asked().len(), 1);
        let rows = stage.rows(26).await;
        let row = rows.iter().find(|row| row.attempts.len() > 1).unwrap();
        assert_eq!((row.provider.as_str(), row.usage.output), ("first", 2));
        let lost = if said == "500" { 0 } else { sent() };
        assert_eq!(row.usage.input, 5 + lost, "a failure costs nothing");
        assert!(row.attempts[0].error.contains(said), "{:?}", row.attempts);
        assert_eq!(row.labels["stead.dev/hedge"], "first");
    }
}

#[tokio::test(start_paused = true)]
async fn hedges_are_bounded_and_wait_until_enough_is_known() {
    // Of 25 requests at 5 percent one may be hedged, and no second one.
    let hedge = json!({"maxPercent": 5, "minDelay": "10ms"});
    let (stage, _, second) = hedged(25, 3_000, whole_stream(), hedge.clone()).await;
    for _ in 0..4 {
        stage.chat(ask_stream("chat")).await;
    }
    assert_eq!(second.asked().len(), 1);
    let (stage, _, second) = hedged(5, 3_000, whole_stream(), json!({"maxPercent": 100})).await;
    stage.chat(ask_stream("chat")).await;
    assert_eq!(second.asked().len(), 0, "five answers tell nothing");
    let (stage, _, second) = hedged(25, 3_000, whole_stream(), json!({"maxPercent": 100})).await;
    stage.chat(ask("chat")).await;
    assert_eq!(second.asked().len(), 0, "what is not streamed has no first token");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_two_targets_think_is_billed_for_both() {
    let hedge = json!({"maxPercent": 10, "minDelay": "10ms"});
    let (stage, _, second) = hedged(25, 30_000, Act::Hang, hedge).await;
    let patience = Duration::from_secs(5);
    let left = tokio::time::timeout(patience, stage.chat(ask_stream("chat"))).await;
    assert!(left.is_err());
    assert_eq!(second.asked().len(), 1);
    let rows = stage.rows(26).await;
    let row = rows.iter().find(|row| row.outcome == Outcome::Cancelled).unwrap();
    assert_eq!((row.usage.input, row.usage.output), (2 * sent(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_hard_quota_on_money_or_tokens_is_not_hedged_and_others_count_both() {
    let hedge = || json!({"maxPercent": 100, "minDelay": "10ms"});
    for limits in [
        json!({"per": "month", "spendUsd": 100}),
        json!({"per": "day", "tokens": 1_000_000}),
    ] {
        let (stage, _, second) = hedged(25, 3_000, whole_stream(), hedge()).await;
        stage.quota("hard", json!({"limits": [limits]})).await;
        let reply = stage.chat(ask_stream("chat")).await;
        assert_eq!(reply.header("x-stead-provider"), "first");
        assert_eq!(
            second.asked().len(),
            0,
            "one attempt is reserved, and one is made"
        );
    }
    let soft = json!({"limits": [{"per": "day", "tokens": 1_000_000}], "hard": false});
    let requests = json!({"limits": [{"per": "day", "requests": 1_000}]});
    for (quota, tokens) in [(soft, Some(sent() + 5 + 2)), (requests, None)] {
        let (stage, _, second) = hedged(25, 3_000, whole_stream(), hedge()).await;
        stage.quota("q", quota).await;
        let before = remaining(&stage).await;
        let reply = stage.chat(ask_stream("chat")).await;
        assert_eq!(reply.header("x-stead-provider"), "second");
        assert_eq!(second.asked().len(), 2);
        if let Some(tokens) = tokens {
            let after = remaining(&stage).await;
            assert_eq!(before - after, tokens + 7, "the loser's input counts");
        }
    }
}

/// What a quota has left beside a request of seven tokens that is not hedged.
async fn remaining(stage: &Stage) -> u64 {
    let reply = stage.chat(ask_stream("second/m")).await;
    let told = reply.header("x-ratelimit-remaining-tokens");
    told.parse().unwrap_or_default()
}
