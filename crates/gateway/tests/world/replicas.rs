//! Several gateway processes that share quotas.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use stead_testkit::poll_until;
use tokio::task::JoinSet;

use crate::{
    prompts::admin,
    providers::{Provider, answer},
    quotas::{dollars_for, limited, stage},
    stage::{KEY, Line, SOON, Stage, post},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_and_their_leader_spend_a_budget_to_the_last_request_and_not_beyond() {
    let provider = Provider::script([answer("x")]);
    let leader = Arc::new(stage(&provider).await);
    leader
        .quota(
            "budget",
            json!({"limits": [{"per": "month", "spendUsd": dollars_for(100)}]}),
        )
        .await;
    let mut gateways = vec![Arc::clone(&leader)];
    for name in ["one", "two"] {
        gateways.push(Arc::new(leader.replica(name, Line::to(&leader)).await));
    }
    let mut clients = JoinSet::new();
    for number in 0..500 {
        let gateway = Arc::clone(&gateways[number % 3]);
        clients.spawn(async move { gateway.chat(limited(2)).await.status });
    }
    let statuses: Vec<StatusCode> = clients.join_all().await;
    let answered = statuses
        .iter()
        .filter(|status| **status == StatusCode::OK)
        .count();
    assert_eq!((answered, provider.asked().len()), (100, 100));
    let refused = statuses
        .iter()
        .filter(|status| **status == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.count(), 400);
    let rows = leader.rows(500).await;
    let spent: i64 = rows.iter().filter_map(|row| row.cost).map(|cost| cost.0).sum();
    assert_eq!(spent, 200_000);
    for name in ["", "one", "two"] {
        assert!(
            rows.iter().any(|row| row.replica == name),
            "{name:?} answered none"
        );
    }
}

#[tokio::test]
async fn what_a_replica_does_not_use_is_wanted_back_before_anybody_is_refused() {
    let provider = Provider::script([answer("x")]);
    let leader = stage(&provider).await;
    leader
        .quota(
            "budget",
            json!({"limits": [{"per": "month", "spendUsd": dollars_for(100)}]}),
        )
        .await;
    let (one, two) = (
        leader.replica("one", Line::to(&leader)).await,
        leader.replica("two", Line::to(&leader)).await,
    );
    // The first one borrows ahead for many such requests.
    assert_eq!(one.chat(limited(2)).await.status, StatusCode::OK);
    for number in 0..99 {
        assert_eq!(two.chat(limited(2)).await.status, StatusCode::OK, "{number}");
    }
    for gateway in [&one, &two, &leader] {
        assert_eq!(
            gateway.chat(limited(2)).await.error(),
            (429, "insufficient_quota".into())
        );
    }
}

#[tokio::test]
async fn without_its_leader_a_replica_denies_or_allows_as_the_quota_says() {
    let provider = Provider::script([answer("x")]);
    let leader = stage(&provider).await;
    let limits = json!([{"per": "month", "requests": 3}]);
    leader
        .quota("budget", json!({"limits": limits, "onLeaderLost": "allow"}))
        .await;
    leader
        .key("bob", "sk-stead-bob", json!({"owner": {"user": "bob"}}))
        .await;
    let strict = json!({"subject": {"kind": "Key", "name": "bob"}, "limits": limits, "onLeaderLost": "deny"});
    leader.quota("strict", strict).await;
    let line = Line::to(&leader);
    let replica = leader.replica("one", line.clone()).await;
    let by = async |key: &str| {
        let reply = replica
            .send(post("/v1/chat/completions", key, &limited(2).to_string()))
            .await;
        reply.status.as_u16()
    };
    line.cut.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(by(KEY).await, 200, "everything passes meanwhile");
    }
    assert_eq!(by("sk-stead-bob").await, 503);
    line.cut.store(false, Ordering::SeqCst);
    assert_eq!(by("sk-stead-bob").await, 200);
    // A lease holds for a while, and not for ever.
    line.cut.store(true, Ordering::SeqCst);
    leader.world.ports.clock.advance(Duration::from_mins(1));
    assert_eq!(by("sk-stead-bob").await, 503);
    line.cut.store(false, Ordering::SeqCst);
    assert_eq!(by("sk-stead-bob").await, 200);
    let refused = poll_until(SOON, "the leader to know what passed", async || {
        let reply = leader.chat(limited(2)).await;
        (reply.status == StatusCode::TOO_MANY_REQUESTS).then_some(reply)
    })
    .await;
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
}

#[tokio::test]
async fn a_leader_that_starts_anew_remembers_what_it_lent() {
    let provider = Provider::script([answer("x")]);
    let leader = stage(&provider).await;
    leader
        .quota("budget", json!({"limits": [{"per": "month", "requests": 10}]}))
        .await;
    let line = Line::to(&leader);
    let replica = leader.replica("one", line.clone()).await;
    assert_eq!(replica.chat(limited(2)).await.status, StatusCode::OK);
    leader.rows(1).await;
    let spent = async |stage: &Stage| -> u32 {
        let mut answered = 0;
        while stage.chat(limited(2)).await.status == StatusCode::OK {
            answered += 1;
        }
        answered
    };
    let leader = leader.restart().await;
    line.turn_to(&leader);
    let mine = spent(&leader).await;
    let theirs = spent(&replica).await;
    assert_eq!(mine + 1 + theirs, 10, "{mine} and {theirs}");
}

#[tokio::test]
async fn a_replica_has_the_prompts_of_its_leader_and_keeps_them_while_that_is_away() {
    let provider = Provider::script([answer("ok")]);
    let leader = stage(&provider).await;
    let put = async |text: &str| {
        let body = json!({"name": "greet", "text": text});
        admin(&leader, Method::POST, "/api/prompts", body).await
    };
    put("Hello {{ who }}.").await;
    let line = Line::to(&leader);
    let replica = leader.replica("one", line.clone()).await;
    let said = async || {
        let prompt = json!({"name": "greet", "variables": {"who": "Ada"}});
        let body =
            json!({"model": "chat", "prompt": prompt, "messages": [{"role": "user", "content": "hi"}]});
        let reply = replica.chat(body).await;
        match reply.status {
            StatusCode::OK => {
                let asked = provider.asked().pop().unwrap().json();
                asked["messages"][0]["content"].as_str().unwrap().to_owned()
            }
            _ => reply.error().1,
        }
    };
    let comes = async |wanted: &str| {
        poll_until(SOON, wanted, async || (said().await == wanted).then_some(())).await;
    };
    assert_eq!(said().await, "Hello Ada.", "from its start");
    put("Good day, {{ who }}.").await;
    comes("Good day, Ada.").await;
    let label = "/api/prompts/greet/labels/production";
    admin(&leader, Method::PUT, label, json!({"version": 1})).await;
    comes("Hello Ada.").await;
    line.cut.store(true, Ordering::SeqCst);
    admin(&leader, Method::DELETE, label, Value::Null).await;
    assert_eq!(said().await, "Hello Ada.");
    line.cut.store(false, Ordering::SeqCst);
    comes("Good day, Ada.").await;
    // Another leader begins to count anew.
    let leader = leader.restart().await;
    line.turn_to(&leader);
    admin(&leader, Method::DELETE, "/api/prompts/greet", Value::Null).await;
    // Without any prompt, what names one is for a provider that keeps some.
    comes("hi").await;
    admin(
        &leader,
        Method::POST,
        "/api/prompts",
        json!({"name": "other", "text": "x"}),
    )
    .await;
    comes("prompt_not_found").await;
    let refused = leader
        .send(post("/api/gateway/prompts", KEY, "{\"epoch\":\"\",\"number\":0}"))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_replica_that_knows_no_prompts_yet_says_so_and_answers_everything_else() {
    let provider = Provider::script([answer("ok")]);
    let leader = stage(&provider).await;
    let line = Line::to(&leader);
    line.cut.store(true, Ordering::SeqCst);
    let replica = leader.replica("one", line.clone()).await;
    let named = json!({"model": "chat", "prompt": {"name": "greet"}, "messages": []});
    assert_eq!(
        replica.chat(named.clone()).await.error(),
        (503, "prompts_unknown".into())
    );
    assert_eq!(replica.chat(limited(2)).await.status, StatusCode::OK);
}
