//! The gateway's commands.

use std::sync::Arc;

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use stead_kernel::{
    Principal, Reason, Result,
    command::{Format, View},
};
use stead_testkit::{FakeApi, FakeTerminal, LocalServer};

use crate::stage::hash;

/// Runs a command line and returns what it printed.
pub(crate) async fn run(api: &FakeApi, routes: Router, line: &str, input: &[&str]) -> Result<Vec<View>> {
    let terminal = Arc::new(FakeTerminal::input(input));
    let session = terminal.session(
        LocalServer::new(routes, Principal::admin(), api.clone()),
        Format::Json,
    );
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let command = stead_gateway::module()
        .commands
        .into_iter()
        .find(|command| command.spec.get_name() == name)
        .unwrap();
    let matches = command
        .spec
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    (command.run)(matches, session).await?;
    Ok(terminal.printed())
}

async fn ok(api: &FakeApi, line: &str, input: &[&str]) -> Value {
    let views = run(api, Router::new(), line, input).await.unwrap();
    views.last().map_or(Value::Null, |view| {
        if view.list {
            view.items.clone().into()
        } else {
            view.items[0].clone()
        }
    })
}

async fn refused(api: &FakeApi, line: &str, input: &[&str]) -> Reason {
    run(api, Router::new(), line, input).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_key_is_shown_once_and_only_its_hash_stored() {
    let api = FakeApi::default();
    let made = ok(&api, "key create ci --owner ada --route chat --expires 30d", &[]).await;
    let key = made["key"].as_str().unwrap();
    assert_eq!(key.len(), 52);
    let stored = api.all("apikeys").remove(0);
    assert_eq!(stored["spec"]["keyHash"], hash(key));
    assert_eq!(stored["spec"]["owner"]["user"], "ada");
    assert!(stored["spec"]["expires"].is_string());
    assert!(!stored.to_string().contains(key));
    let listed = ok(&api, "key list", &[]).await;
    assert_eq!(listed[0]["metadata"]["name"], "ci");
    assert_eq!(refused(&api, "key create ci", &[]).await, Reason::Conflict);
    assert_eq!(
        refused(&api, "key create x --expires soon", &[]).await,
        Reason::Invalid
    );
    ok(&api, "key revoke ci", &[]).await;
    assert!(api.all("apikeys").is_empty());
    assert_eq!(refused(&api, "key revoke ci", &[]).await, Reason::NotFound);
}

#[tokio::test]
async fn a_provider_is_added_with_its_key_in_a_secret() {
    let api = FakeApi::default();
    let line =
        "provider add up --type openai-compatible --url http://10.0.0.5/v1 --private --model a --model b";
    let dry = ok(&api, &format!("{line} --dry-run"), &[]).await;
    assert!(api.all("modelproviders").is_empty());
    assert_eq!(dry["kind"], "ModelProvider");
    assert_eq!(dry["spec"]["models"], json!(["a", "b"]));
    assert_eq!(dry["spec"]["network"], "Private");

    ok(&api, &format!("{line} --key-stdin"), &["sk-secret"]).await;
    let stored = api.all("modelproviders").remove(0);
    assert_eq!(
        stored["spec"]["credential"]["secretRef"],
        json!({"name": "up", "key": "api-key"})
    );
    assert!(!stored.to_string().contains("sk-secret"));
    assert_eq!(api.all("secrets").len(), 1);
    ok(&api, &format!("{line} --key-stdin"), &["sk-other"]).await;
    assert_eq!(api.all("secrets").len(), 1, "its own Secret gets the new key");
    ok(&api, "provider rm up", &[]).await;
    assert!(api.all("modelproviders").is_empty());

    assert_eq!(
        refused(&api, &format!("{line} --key-stdin"), &[""]).await,
        Reason::Invalid
    );
    let bad = "provider add bad --type openai --url ftp://example.com";
    assert_eq!(refused(&api, bad, &[]).await, Reason::Invalid);
    assert_eq!(
        refused(&api, "provider add bad --type openai-compatible", &[]).await,
        Reason::Invalid
    );
}

#[tokio::test]
async fn a_provider_is_tested_by_a_question() {
    let api = FakeApi::default();
    ok(&api, "provider add up --type openai --model m", &[]).await;
    let answer = async |Json(asked): Json<Value>| {
        assert_eq!(asked["model"], "up/m");
        Json(json!({"choices": [{"message": {"content": " ok\n"}}]}))
    };
    let routes = Router::new().route("/v1/chat/completions", post(answer));
    let printed = run(&api, routes, "provider test up --model m", &[])
        .await
        .unwrap();
    assert_eq!(printed[0].items[0]["answer"], "ok");
    let failing = async || {
        (
            http::StatusCode::BAD_GATEWAY,
            Json(json!({"error": {"message": "it is down"}})),
        )
    };
    let routes = Router::new().route("/v1/chat/completions", post(failing));
    let error = run(&api, routes, "provider test up --model m", &[])
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.message()),
        (Reason::Unavailable, "it is down")
    );
    assert_eq!(refused(&api, "provider test up", &[]).await, Reason::NotFound);
}

#[tokio::test]
async fn a_key_is_replaced_and_the_old_one_works_for_a_while() {
    let api = FakeApi::default();
    let line = "key create ci --team blue --address 10.0.0.0/8 --address ::1 --metadata app=shop";
    let first = ok(&api, line, &[]).await;
    let stored = api.all("apikeys").remove(0);
    assert_eq!(stored["spec"]["team"], "blue");
    assert_eq!(stored["spec"]["allowedAddresses"], json!(["10.0.0.0/8", "::1"]));
    assert_eq!(stored["spec"]["metadata"], json!({"app": "shop"}));
    let second = ok(&api, "key rotate ci --overlap 24h", &[]).await;
    assert_ne!(first["key"], second["key"]);
    let stored = api.all("apikeys").remove(0);
    assert_eq!(stored["spec"]["keyHash"], hash(second["key"].as_str().unwrap()));
    assert_eq!(
        stored["spec"]["previous"]["keyHash"],
        hash(first["key"].as_str().unwrap())
    );
    assert!(stored["spec"]["previous"]["until"].is_string());
    assert_eq!(
        refused(&api, "key rotate ci --overlap soon", &[]).await,
        Reason::Invalid
    );
    assert_eq!(refused(&api, "key rotate nobody", &[]).await, Reason::NotFound);
}
