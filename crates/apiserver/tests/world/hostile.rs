//! Requests that are made to do harm.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::http::{Request, StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use stead_apiserver::{ApiServer, Options};
use stead_kernel::{Body, Credential, Identity, Principal, SystemClock, Tasks};
use tower::ServiceExt;

use crate::support::{Table, ToyVault, WIDGETS, World, definition, widget};

/// A collection whose objects may hold anything.
const OPEN: &str = "/apis/open.dev/v1/namespaces/default/boxes";

async fn with_boxes() -> World {
    let world = World::new().await;
    let mut boxes = definition("open.dev", "Box", "boxes");
    let spec = boxes.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    *spec.expect("a schema") = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(world.post(path, &boxes).await.0, StatusCode::CREATED);
    let made = json!({"apiVersion": "open.dev/v1", "kind": "Box", "metadata": {"name": "a"}, "spec": {}});
    assert_eq!(world.post(OPEN, &made).await.0, StatusCode::CREATED);
    world
}

/// `{"a":{"a":…}}`, so many levels deep.
fn nested(levels: usize) -> String {
    format!("{}0{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

#[tokio::test]
async fn an_api_key_gets_nothing_from_the_resource_api() {
    let world = World::new().await;
    let key = Identity::Known(Arc::new(Principal {
        user: "ada".into(),
        groups: vec!["system:authenticated".into()],
        projects: vec!["default".into()],
        credential: Credential::ApiKey {
            project: "default".into(),
            name: "ci".into(),
        },
    }));
    let review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    for (method, path) in [
        ("GET", "/version"),
        ("GET", "/api"),
        ("GET", "/apis"),
        ("GET", "/apis/example.dev/v1"),
        ("GET", "/openapi/v3"),
        ("GET", "/openapi/v3/apis/example.dev/v1"),
        ("GET", "/nowhere"),
        ("GET", WIDGETS),
        ("POST", review),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).expect("a request");
        let (status, answer, _) = world.send_as(key.clone(), request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {answer}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_nested_too_deeply_to_be_read_again_is_never_stored() {
    let world = with_boxes().await;
    let object = |spec: &str| {
        format!(r#"{{"apiVersion":"open.dev/v1","kind":"Box","metadata":{{"name":"a"}},"spec":{spec}}}"#)
    };
    let one = format!("{OPEN}/a");
    let deep = object(&nested(120));
    for (method, path, media_type, body) in [
        ("PUT", &*one, "application/json", deep.clone()),
        ("PUT", &*one, "application/yaml", object(&nested(1_000))),
        ("PATCH", &*one, "application/merge-patch+json", deep.clone()),
        (
            "PATCH",
            &*format!("{one}?fieldManager=m"),
            "application/apply-patch+yaml",
            object(&nested(300)),
        ),
        (
            "PATCH",
            &*one,
            "application/json-patch+json",
            format!(
                r#"[{{"op":"add","path":"/spec/x","value":{0}}},{{"op":"add","path":"/spec/x{1}","value":{0}}}]"#,
                nested(90),
                "/a".repeat(90)
            ),
        ),
    ] {
        let (status, answer) = world.send(method, path, media_type, body).await;
        assert!(
            status.is_client_error(),
            "{method} {media_type}: {status} {answer}"
        );
    }
    let (status, list) = world.get(OPEN).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    let patch = "application/merge-patch+json";
    let (status, answer) = world.send("PATCH", &one, patch, object(&nested(60))).await;
    assert_eq!(status, StatusCode::OK, "what is not so deep is welcome: {answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_json_patch_cannot_build_what_no_stack_can_hold() {
    let world = with_boxes().await;
    let mut operations = Vec::new();
    for step in 0..1_000 {
        let (to, from) = (format!("/spec/{}", step % 2), format!("/spec/{}", (step + 1) % 2));
        operations.push(json!({"op": "add", "path": to, "value": serde_json::from_str::<Value>(&nested(90)).expect("JSON")}));
        if step > 0 {
            operations.push(json!({"op": "move", "from": from, "path": format!("{to}{}", "/a".repeat(90))}));
        }
    }
    let body = Value::from(operations).to_string();
    let (status, answer) = world
        .send("PATCH", &format!("{OPEN}/a"), "application/json-patch+json", body)
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("levels deep")),
        "{answer}"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_yaml_document_cannot_grow_by_its_aliases() {
    let world = with_boxes().await;
    let mut bomb = String::from(
        "apiVersion: open.dev/v1\nkind: Box\nmetadata: {name: a}\nspec:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for level in 1..10 {
        let before = format!("*l{}", level - 1);
        let list = [&*before; 10].join(", ");
        writeln!(bomb, "  l{level}: &l{level} [{list}]").expect("written");
    }
    let (status, answer) = world
        .send("PUT", &format!("{OPEN}/a"), "application/yaml", bomb)
        .await;
    assert!(status.is_client_error(), "{status} {answer}");
    world.stop().await;
}

#[tokio::test]
async fn forged_numbers_are_refused_and_nothing_else() {
    let world = World::new().await;
    assert_eq!(world.post(WIDGETS, &widget("a")).await.0, StatusCode::CREATED);
    for version in [u64::MAX, u64::MAX - 1, i64::MAX.unsigned_abs(), 1 << 40] {
        let token = URL_SAFE_NO_PAD.encode(json!([version, "", ""]).to_string());
        let (status, answer) = world.get(&format!("{WIDGETS}?limit=1&continue={token}")).await;
        assert_eq!(status, StatusCode::GONE, "{version}: {answer}");
        let path = format!("{WIDGETS}?resourceVersion={version}&resourceVersionMatch=Exact");
        let (status, answer) = world.get(&path).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{version}: {answer}");
    }
    let huge = i64::MAX;
    let (status, answer) = world.get(&format!("{WIDGETS}?limit={huge}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, answer) = world
        .get(&format!(
            "{WIDGETS}?watch=1&resourceVersion={huge}&timeoutSeconds={huge}"
        ))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["object"]["code"], 410, "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_limit_meant_for_model_requests_lets_no_huge_object_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let server = ApiServer::open(Options {
        path: folder.path().join("state.db"),
        kinds: Vec::new(),
        vault: Arc::new(ToyVault),
        authorizer: Arc::new(Table),
        clock: Arc::new(SystemClock),
        tasks: tasks.clone(),
        body_limit: usize::MAX,
        version: "0.0.0",
    })
    .await
    .expect("a server");
    for (bytes, status) in [
        (2 << 20, StatusCode::CREATED),
        (4 << 20, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let space = " ".repeat(bytes);
        let body = format!(r#"{{"metadata":{{"name":"a"}}{space}}}"#);
        let request = Request::post("/api/v1/namespaces/default/configmaps")
            .extension(Identity::Known(Arc::new(Principal::admin())))
            .header("content-type", "application/json");
        let request = request.body(Body::from(body)).expect("a request");
        let response = server.router().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), status);
    }
    assert!(tasks.shutdown(Duration::from_secs(10)).await);
    server.close().await;
}
