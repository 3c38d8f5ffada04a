//! Quotas: nothing is overspent, and nothing is refused that fits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request, response::IntoResponse};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use stead_kernel::ports::events::Outcome;
use stead_testkit::{World, poll_until};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    providers::{Act, CHUNK_A, CHUNK_ROLE, End, Provider, answer, failure, whole_stream},
    stage::{KEY, Reply, SOON, Stage, ask, ask_stream, post},
};

/// A dollar per million output tokens: a thousand nano-dollars each. The scripted answers have two.
fn priced() -> Value {
    json!({"prices": [{"model": "m", "perMillionTokens": {"input": 0.0, "output": 1.0}}]})
}

/// A stage with a provider `p`, whose answers have a price, and a route `chat` to it.
pub(crate) async fn stage(provider: &Provider) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", priced()).await;
    stage
        .route(
            "chat",
            json!({"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 1}}),
        )
        .await;
    stage
}

/// Dollars for so many answers of two tokens.
pub(crate) fn dollars_for(answers: u32) -> f64 {
    f64::from(answers) * 2e-6
}

pub(crate) fn limited(tokens: u64) -> Value {
    let mut body = ask("chat");
    body["max_tokens"] = tokens.into();
    body
}

fn spend(stage_rows: &[stead_kernel::ports::events::RequestRow]) -> i64 {
    stage_rows
        .iter()
        .filter_map(|row| row.cost)
        .map(|cost| cost.0)
        .sum()
}

fn header(reply: &Reply, name: &str) -> String {
    reply.header(name).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn litellm_34732_500_clients_spend_a_budget_for_100_requests_to_the_last_and_not_beyond() {
    let provider = Provider::script([answer("x")]);
    let stage = Arc::new(stage(&provider).await);
    stage
        .quota(
            "budget",
            json!({"limits": [{"per": "month", "spendUsd": dollars_for(100)}]}),
        )
        .await;
    let mut clients = JoinSet::new();
    for _ in 0..500 {
        let stage = Arc::clone(&stage);
        clients.spawn(async move { stage.chat(limited(2)).await });
    }
    let replies: Vec<Reply> = clients.join_all().await;
    let answered = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::OK)
        .count();
    assert_eq!((answered, provider.asked().len()), (100, 100));
    let refused = replies
        .iter()
        .find(|reply| reply.status != StatusCode::OK)
        .unwrap();
    assert_eq!(refused.error(), (429, "insufficient_quota".into()));
    assert!(header(refused, "retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(header(refused, "x-ratelimit-remaining-usd"), "0.000000000");
    let rows = stage.rows(500).await;
    assert_eq!(spend(&rows), 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_while_a_request_fits_beside_what_is_used_and_reserved() {
    let provider = Provider::script([answer("x")]);
    let stage = Arc::new(stage(&provider).await);
    stage
        .quota(
            "budget",
            json!({"limits": [{"per": "day", "spendUsd": dollars_for(100)}]}),
        )
        .await;
    // Each reserves ten tokens and uses two. Who is refused comes back, until nobody is under way any more.
    let mut clients = JoinSet::new();
    for _ in 0..60 {
        let stage = Arc::clone(&stage);
        clients.spawn(async move {
            let mut answered = 0;
            for _ in 0..40 {
                answered += u32::from(stage.chat(limited(10)).await.status == StatusCode::OK);
            }
            answered
        });
    }
    let answered: u32 = clients.join_all().await.into_iter().sum();
    // Beyond 95 answers, which use 190 of 200 tokens, ten more do not fit.
    assert_eq!(answered, 96);
    let reply = stage.chat(limited(8)).await;
    assert_eq!(reply.status, StatusCode::OK, "eight tokens are left");
    assert_eq!(header(&reply, "x-stead-cost"), "0.000002000");
}

#[tokio::test]
async fn litellm_40095_the_first_requests_of_a_user_whom_nobody_knew_are_limited_too() {
    let provider = Provider::script([answer("x")]);
    let stage = Arc::new(stage(&provider).await);
    let each = json!({"subject": {"kind": "User", "name": "*"}, "limits": [{"per": "day", "requests": 1}]});
    stage.quota("each-user", each).await;
    stage
        .key("bob", "sk-stead-bob", json!({"owner": {"user": "bob"}}))
        .await;
    for key in [KEY, "sk-stead-bob"] {
        let replies = join_all((0..8).map(|_| {
            let stage = Arc::clone(&stage);
            async move {
                stage
                    .send(post("/v1/chat/completions", key, &ask("chat").to_string()))
                    .await
            }
        }));
        let answered = replies
            .await
            .iter()
            .filter(|reply| reply.status == StatusCode::OK)
            .count();
        assert_eq!(answered, 1, "{key}");
    }
}

#[tokio::test]
async fn limits_are_told_in_openais_headers_and_begin_anew_with_their_window() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    let limits = json!({"limits": [{"per": "minute", "requests": 2, "tokens": 10_000}, {"per": "day", "requests": 50}]});
    stage.quota("rate", limits).await;
    let first = stage.chat(limited(5)).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(header(&first, "x-ratelimit-limit-requests"), "2");
    assert_eq!(header(&first, "x-ratelimit-remaining-requests"), "1");
    assert_eq!(header(&first, "x-ratelimit-limit-tokens"), "10000");
    assert!(header(&first, "x-ratelimit-reset-requests").ends_with('s'));
    assert_eq!(stage.chat(limited(5)).await.status, StatusCode::OK);
    let refused = stage.chat(limited(5)).await;
    assert_eq!(refused.error(), (429, "rate_limit_exceeded".into()));
    assert_eq!(refused.json()["error"]["type"], "requests");
    assert_eq!(header(&refused, "x-ratelimit-remaining-requests"), "0");
    stage.world.ports.clock.advance(std::time::Duration::from_mins(1));
    let next = stage.chat(limited(5)).await;
    assert_eq!(next.status, StatusCode::OK);
    assert_eq!(header(&next, "x-ratelimit-remaining-requests"), "1");
    assert_eq!(
        header(&next, "x-ratelimit-remaining-tokens"),
        "9993",
        "five and two were used"
    );
}

#[tokio::test]
async fn an_output_without_a_limit_gets_one_where_a_hard_limit_counts_it() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    stage.chat(ask("chat")).await;
    let budget = json!({"limits": [{"per": "day", "spendUsd": 1.0}], "defaultMaxTokens": 77});
    stage.quota("budget", budget).await;
    stage.chat(ask("chat")).await;
    stage.chat(limited(5)).await;
    let limits: Vec<Value> = provider
        .asked()
        .iter()
        .map(|asked| asked.json()["max_tokens"].clone())
        .collect();
    assert_eq!(limits, [Value::Null, json!(77), json!(5)]);
}

#[tokio::test]
async fn what_cannot_be_bounded_or_never_fits_is_refused_under_a_hard_budget_and_not_sent() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    stage.world.ports.web.host("free.test", provider.router());
    stage.provider("free", json!({})).await;
    let fallback = json!({"targets": [{"provider": "p", "model": "m"}], "fallbacks": ["unpriced"]});
    stage
        .route(
            "unpriced",
            json!({"targets": [{"provider": "free", "model": "m"}]}),
        )
        .await;
    stage.route("with-fallback", fallback).await;
    stage
        .quota(
            "budget",
            json!({"limits": [{"per": "day", "spendUsd": dollars_for(10)}]}),
        )
        .await;
    let mut searching = limited(2);
    searching["web_search_options"] = json!({});
    let mut fallback = limited(2);
    fallback["model"] = "with-fallback".into();
    let mut unpriced = limited(2);
    unpriced["model"] = "free/m".into();
    for body in [searching, fallback, unpriced] {
        let reply = stage.chat(body.clone()).await;
        assert_eq!(reply.error(), (400, "unbounded_request".into()), "{body}");
    }
    let reply = stage.chat(limited(21)).await;
    assert_eq!(reply.error(), (400, "larger_than_quota".into()));
    assert_eq!(provider.asked().len(), 0);
    assert_eq!(stage.chat(limited(20)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_limit_that_is_not_hard_warns_and_lets_pass() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    let soft = json!({"hard": false, "limits": [{"per": "day", "requests": 1, "spendUsd": 0.0}]});
    stage.quota("soft", soft).await;
    stage.chat(ask("chat")).await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let warnings: Vec<&str> = reply
        .headers
        .get_all("x-stead-quota-warning")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("requests per day of quota `soft`")),
        "{warnings:?}"
    );
    assert_eq!(
        provider.asked()[0].json()["max_tokens"],
        Value::Null,
        "it limits no output"
    );
    stage
        .quota_status("soft", "it to be exceeded", |status| {
            let conditions = status["conditions"].as_array()?;
            conditions
                .iter()
                .find(|c| c["type"] == "Exceeded" && c["status"] == "True")
                .map(drop)
        })
        .await;
}

#[tokio::test]
async fn the_status_says_what_is_used_and_when_it_begins_anew() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    stage
        .quota(
            "day",
            json!({"limits": [{"per": "day", "requests": 10, "spendUsd": 1.0}]}),
        )
        .await;
    for _ in 0..3 {
        stage.chat(limited(2)).await;
    }
    let limits = stage
        .quota_status("day", "three requests", |status| {
            let limits = status["limits"].as_array()?;
            limits
                .iter()
                .any(|limit| limit["used"] == 3.0)
                .then(|| limits.clone())
        })
        .await;
    let requests = limits
        .iter()
        .find(|limit| limit["measure"] == "requests")
        .unwrap();
    let money = limits
        .iter()
        .find(|limit| limit["measure"] == "spendUsd")
        .unwrap();
    assert_eq!(
        (&requests["remaining"], &requests["subject"]),
        (&json!(7.0), &json!("key ada"))
    );
    assert_eq!((&money["used"], &money["reserved"]), (&json!(6e-6), &json!(0.0)));
    assert!(requests["resetAt"].as_str().unwrap().ends_with("T00:00:00Z"));
}

#[tokio::test]
async fn what_was_used_before_a_restart_or_before_the_quota_still_counts() {
    let provider = Provider::script([answer("x"), failure(500), answer("x")]);
    let stage = stage(&provider).await;
    stage.chat(limited(2)).await;
    stage.chat(limited(2)).await;
    stage.chat(json!({"model": "nothing"})).await;
    stage.rows(3).await;
    stage
        .quota(
            "day",
            json!({"limits": [{"per": "day", "requests": 4, "spendUsd": dollars_for(3)}]}),
        )
        .await;
    assert_eq!(stage.chat(limited(2)).await.status, StatusCode::OK);
    let refused = stage.chat(limited(4)).await;
    assert_eq!(refused.error(), (429, "insufficient_quota".into()));
    let stage = stage.restart().await;
    let refused = stage.chat(limited(4)).await;
    assert_eq!(refused.error(), (429, "insufficient_quota".into()));
    assert_eq!(stage.chat(limited(2)).await.status, StatusCode::OK);
    let refused = stage.chat(limited(1)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        header(&refused, "x-ratelimit-remaining-requests"),
        "0",
        "refused requests do not count, failed ones do"
    );
}

#[tokio::test]
async fn a_team_and_a_route_are_limited_over_all_their_keys() {
    let provider = Provider::script([answer("x")]);
    let stage = stage(&provider).await;
    let by = async |key: &str, model: &str| {
        let mut body = limited(2);
        body["model"] = model.into();
        stage
            .send(post("/v1/chat/completions", key, &body.to_string()))
            .await
            .status
            .as_u16()
    };
    stage.key("one", "sk-stead-one", json!({"team": "blue"})).await;
    stage.key("two", "sk-stead-two", json!({"team": "blue"})).await;
    let limits = |subject: Value, requests: u64| json!({"subject": subject, "limits": [{"per": "day", "requests": requests}]});
    stage
        .quota("blue", limits(json!({"kind": "Team", "name": "blue"}), 2))
        .await;
    stage
        .quota("chat", limits(json!({"kind": "Route", "name": "chat"}), 3))
        .await;
    stage.quota("all", limits(json!({"kind": "Project"}), 4)).await;
    assert_eq!(by("sk-stead-one", "chat").await, 200);
    assert_eq!(by("sk-stead-two", "chat").await, 200);
    assert_eq!(by("sk-stead-one", "p/m").await, 429, "the team has had its two");
    assert_eq!(by(KEY, "chat").await, 200);
    assert_eq!(by(KEY, "chat").await, 429, "the route has had its three");
    assert_eq!(by(KEY, "p/m").await, 200);
    assert_eq!(by(KEY, "p/m").await, 429, "the project has had its four");
    let teams: Vec<String> = stage.rows(7).await.into_iter().map(|row| row.team).collect();
    assert_eq!(teams.iter().filter(|team| *team == "blue").count(), 3);
}

#[tokio::test]
async fn a_client_that_leaves_is_billed_for_what_came_and_frees_the_rest() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Stall), whole_stream()]);
    let stage = stage(&provider).await;
    let limits = json!({"limits": [{"per": "day", "spendUsd": dollars_for(6)}], "concurrency": 1});
    stage.quota("budget", limits).await;
    let body = |tokens: u64| {
        let mut body = ask_stream("chat");
        body["max_tokens"] = tokens.into();
        post("/v1/chat/completions", KEY, &body.to_string())
    };
    let open = stage.open(body(10)).await;
    assert_eq!(open.status(), StatusCode::OK);
    let busy = stage.send(body(1)).await;
    assert_eq!(busy.error(), (429, "rate_limit_exceeded".into()));
    assert_eq!(header(&busy, "retry-after"), "1");
    drop(open);
    let reply = poll_until(SOON, "the place to be free", async || {
        let reply = stage.send(body(9)).await;
        (reply.status == StatusCode::OK).then_some(reply)
    })
    .await;
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    let rows = stage.rows(3).await;
    let left = rows.iter().find(|row| row.outcome == Outcome::Cancelled).unwrap();
    assert_eq!((left.usage.output, left.cost.unwrap().0), (1, 1_000));
}

/// A provider whose answers wait until they are let go.
fn held(gate: &Arc<Notify>, asked: &Arc<AtomicUsize>) -> Router {
    let (gate, asked) = (Arc::clone(gate), Arc::clone(asked));
    Router::new().fallback(move |request: Request| {
        let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
        async move {
            if request.method() == http::Method::GET {
                return axum::Json(json!({"data": []})).into_response();
            }
            asked.fetch_add(1, Ordering::SeqCst);
            gate.notified().await;
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 1});
            axum::Json(json!({"choices": [{"message": {"content": "x"}}], "usage": usage})).into_response()
        }
    })
}

#[tokio::test]
async fn a_request_that_a_limit_refuses_uses_nothing_of_the_others() {
    let (gate, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let stage = Arc::new(Stage::start(World::new()).await);
    stage.world.ports.web.host("p.test", held(&gate, &asked));
    stage.provider("p", json!({})).await;
    stage
        .quota(
            "both",
            json!({"concurrency": 1, "limits": [{"per": "day", "requests": 2}]}),
        )
        .await;
    let mut first = {
        let stage = Arc::clone(&stage);
        let mut client = JoinSet::new();
        client.spawn(async move { stage.chat(ask("p/m")).await.status });
        client
    };
    poll_until(SOON, "the first to be asked", async || {
        (asked.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    for _ in 0..3 {
        assert_eq!(stage.chat(ask("p/m")).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    gate.notify_one();
    assert_eq!(first.join_next().await.unwrap().unwrap(), StatusCode::OK);
    gate.notify_one();
    let second = stage.chat(ask("p/m")).await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.text());
    assert_eq!(stage.chat(ask("p/m")).await.status, StatusCode::TOO_MANY_REQUESTS);
}
