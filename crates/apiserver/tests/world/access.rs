//! Who may do what.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use stead_kernel::{Body, Credential, Identity, Principal};

use crate::support::{WIDGETS, World, widget};

fn ada() -> Identity {
    Identity::Known(Arc::new(Principal {
        user: "ada".into(),
        groups: vec!["system:authenticated".into()],
        projects: vec!["default".into()],
        credential: Credential::Token,
    }))
}

async fn ask(
    world: &World,
    identity: Identity,
    method: &str,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let (status, answer, _) = world
        .send_as(identity, request.body(body).expect("a request"))
        .await;
    (status, answer)
}

#[tokio::test]
async fn nothing_is_answered_to_nobody() {
    let world = World::new().await;
    for path in ["/api", "/version", "/openapi/v3", WIDGETS] {
        let (status, answer) = ask(&world, Identity::Anonymous, "GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            (&answer["kind"], &answer["reason"]),
            (&json!("Status"), &json!("Unauthorized"))
        );
    }
    let rejected = Identity::Rejected("the key has expired".into());
    let (status, answer) = ask(&world, rejected, "GET", WIDGETS, Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("expired"))
    );
    world.stop().await;
}

#[tokio::test]
async fn a_user_works_in_their_own_project_without_secrets() {
    let world = World::new().await;
    assert_eq!(
        ask(&world, ada(), "POST", WIDGETS, widget("a")).await.0,
        StatusCode::CREATED
    );
    for (method, path) in [
        ("GET", "/api/v1/namespaces/default/secrets"),
        ("GET", "/api/v1/secrets"),
        ("GET", "/apis/example.dev/v1/widgets"),
        ("GET", "/apis/example.dev/v1/namespaces/other/widgets?watch=1"),
        ("DELETE", "/api/v1/namespaces/default"),
    ] {
        let (status, answer) = ask(&world, ada(), method, path, Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(answer["reason"], "Forbidden");
    }
    world.stop().await;
}

#[tokio::test]
async fn one_can_ask_who_one_is_and_what_one_may() {
    let world = World::new().await;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (status, answer) = ask(&world, ada(), "POST", path, json!({})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(answer["status"]["userInfo"]["username"], "ada");
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, resource, allowed) in [
        ("create", "widgets", true),
        ("get", "secrets", false),
        ("*", "widgets", true),
        ("impersonate", "users", false),
    ] {
        let question = json!({"spec": {"resourceAttributes": {
            "namespace": "default", "verb": verb, "resource": resource,
        }}});
        let (_, answer) = ask(&world, ada(), "POST", path, question).await;
        assert_eq!(answer["status"]["allowed"], allowed, "{verb} {resource}");
    }
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (_, answer) = ask(
        &world,
        ada(),
        "POST",
        path,
        json!({"spec": {"namespace": "default"}}),
    )
    .await;
    let rules = answer["status"]["resourceRules"].as_array().expect("rules");
    assert!(rules.iter().any(|rule| rule["resources"] == json!(["widgets"])));
    assert!(!rules.iter().any(|rule| rule["resources"] == json!(["secrets"])));
    world.stop().await;
}
