//! Prompts by name and version.

use axum::extract::Request;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::{Body, Reason};
use stead_testkit::World;

use crate::{
    commands,
    providers::{Provider, answer},
    stage::{KEY, Reply, Stage},
};

/// Asks as an admin.
pub(crate) async fn admin(stage: &Stage, method: Method, path: &str, body: Value) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer admin")
        .body(Body::from(body.to_string()))
        .unwrap();
    stage.send(request).await
}

#[tokio::test]
async fn a_request_that_names_a_prompt_says_what_the_prompt_says() {
    let provider = Provider::script([answer("ok")]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    let first = json!({"name": "support", "text": "You help {{ who }}."});
    let made = admin(&stage, Method::POST, "/api/prompts", first).await;
    assert_eq!(
        (made.status, &made.json()["version"], &made.json()["variables"]),
        (StatusCode::CREATED, &json!(1), &json!(["who"]))
    );
    let second =
        json!({"name": "support", "messages": [{"role": "system", "content": "Be kind to {{ who }}."}]});
    admin(&stage, Method::POST, "/api/prompts", second).await;
    let pointed = admin(
        &stage,
        Method::PUT,
        "/api/prompts/support/labels/production",
        json!({"version": 1}),
    )
    .await;
    assert_eq!(pointed.json()["labels"], json!({"production": 1}));

    let system = async |prompt: Value| {
        let body = json!({"model": "p/m", "prompt": prompt, "messages": [{"role": "user", "content": "hi"}]});
        let reply = stage.chat(body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let asked = provider.asked().pop().unwrap().json();
        assert_eq!(asked.get("prompt"), None);
        assert_eq!(asked["messages"][1], json!({"role": "user", "content": "hi"}));
        asked["messages"][0]["content"].clone()
    };
    let variables = json!({"who": "Ada"});
    assert_eq!(
        system(json!({"name": "support", "variables": variables})).await,
        "You help Ada."
    );
    assert_eq!(
        system(json!({"name": "support", "version": 2, "variables": variables})).await,
        "Be kind to Ada."
    );
    assert_eq!(
        system(json!({"id": "support", "label": "latest", "variables": variables})).await,
        "Be kind to Ada."
    );

    let body = json!({"model": "p/m", "prompt": {"name": "support"}, "messages": []});
    let reply = stage.chat(body).await;
    assert_eq!(reply.error(), (400, "invalid_prompt".into()));
    assert!(reply.text().contains("the variables who are missing"));
    let body = json!({"model": "p/m", "prompt": {"name": "nothing"}, "messages": []});
    assert_eq!(stage.chat(body).await.error(), (400, "prompt_not_found".into()));
}

#[tokio::test]
async fn prompts_are_listed_shown_and_removed_and_keys_may_not() {
    let stage = Stage::start(World::new()).await;
    admin(
        &stage,
        Method::POST,
        "/api/prompts",
        json!({"name": "a", "text": "x", "purpose": "for tests"}),
    )
    .await;
    let list = admin(&stage, Method::GET, "/api/prompts", Value::Null)
        .await
        .json();
    assert_eq!(
        list["items"],
        json!([{"name": "a", "description": "for tests", "latest": 1, "labels": {}}])
    );
    let shown = admin(&stage, Method::GET, "/api/prompts/a", Value::Null)
        .await
        .json();
    assert_eq!(
        (&shown["versions"][0]["template"], &shown["versions"][0]["author"]),
        (&json!({"text": "x"}), &json!("admin"))
    );
    let one = admin(&stage, Method::GET, "/api/prompts/a/versions/latest", Value::Null).await;
    assert_eq!((one.status, &one.json()["version"]), (StatusCode::OK, &json!(1)));
    for (method, path, body, status) in [
        (Method::GET, "/api/prompts/b", Value::Null, 404),
        (Method::GET, "/api/prompts/a/versions/7", Value::Null, 404),
        (Method::POST, "/api/prompts", json!({"name": "a"}), 400),
        (
            Method::POST,
            "/api/prompts",
            json!({"name": "a", "text": "{% include 'x' %}"}),
            400,
        ),
        (Method::DELETE, "/api/prompts/a", Value::Null, 204),
        (Method::GET, "/api/prompts/a", Value::Null, 404),
    ] {
        let reply = admin(&stage, method.clone(), path, body).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path}: {}", reply.text());
    }
    assert_eq!(stage.get("/api/prompts", KEY).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn prompts_are_made_labelled_and_shown_by_the_command() {
    let stage = Stage::start(World::new()).await;
    let run = async |line: &str| {
        let views = commands::run(&stage.world.api, stage.routes(), line, &[]).await;
        views.map(|views| views.last().map_or(Value::Null, |view| view.items.clone().into()))
    };
    let made = run("prompt put greet --text Hello,{{who}} --description first")
        .await
        .unwrap();
    assert_eq!(
        (&made[0]["version"], &made[0]["variables"]),
        (&json!(1), &json!(["who"]))
    );
    run("prompt put greet --messages [{\"role\":\"user\",\"content\":\"Hi\"}]")
        .await
        .unwrap();
    run("prompt label greet production --version 1").await.unwrap();
    let list = run("prompt list").await.unwrap();
    assert_eq!(list[0]["labels"], json!({"production": 1}));
    let shown = run("prompt get greet --version production").await.unwrap();
    assert_eq!(shown[0]["template"], json!({"text": "Hello,{{who}}"}));
    run("prompt label greet production").await.unwrap();
    for (line, reason) in [
        ("prompt get greet --version production", Reason::NotFound),
        ("prompt put greet", Reason::Invalid),
        ("prompt put greet --messages x", Reason::Invalid),
        ("prompt label greet x --version 9", Reason::NotFound),
    ] {
        assert_eq!(run(line).await.unwrap_err().reason(), reason, "{line}");
    }
}
