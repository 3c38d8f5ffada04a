//! The routes over records in memory.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use stead_kernel::{Credential, Identity, Principal};
use stead_testkit::FakePorts;
use tower::ServiceExt;

use super::*;

struct Api {
    router: Router,
    ports: FakePorts,
}

impl Api {
    fn new() -> Self {
        let ports = FakePorts::default();
        Self {
            router: routes(&ports.ports()),
            ports,
        }
    }

    async fn call(&self, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let identity = match user {
            "" => Identity::Anonymous,
            "admin" => Identity::Known(Arc::new(Principal::admin())),
            user => Identity::Known(Arc::new(Principal {
                user: user.into(),
                groups: Vec::new(),
                projects: vec!["research".into()],
                credential: if user == "key" {
                    Credential::ApiKey {
                        project: "research".into(),
                        name: "k".into(),
                    }
                } else {
                    Credential::Session
                },
            })),
        };
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        request.extensions_mut().insert(identity);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = Limited::new(response.into_body(), 1 << 20)
            .collect()
            .await
            .unwrap()
            .to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn thread(&self, user: &str, body: Value) -> String {
        let (status, thread) = self.call(user, "POST", "/api/threads", body).await;
        assert_eq!(status, 201, "{thread}");
        thread["id"].as_str().unwrap().to_owned()
    }

    async fn say(&self, thread: &str, body: Value) -> (u16, Value) {
        self.call("ada", "POST", &format!("/api/threads/{thread}/messages"), body)
            .await
    }
}

#[tokio::test]
async fn a_conversation_is_kept_with_its_title_order_and_branches() {
    let api = Api::new();
    let id = api.thread("ada", json!({"model": "chat"})).await;
    let (_, first) = api
        .say(
            &id,
            json!({"role": "user", "content": "Why is the sky blue?\nReally."}),
        )
        .await;
    let (_, answer) = api
        .say(
            &id,
            json!({"role": "assistant", "content": "Scattering.", "finish": "stop"}),
        )
        .await;
    assert_eq!(
        (&first["parent"], &answer["parent"]),
        (&Value::Null, &first["id"])
    );
    let (_, branch) = api
        .say(
            &id,
            json!({"role": "assistant", "content": "Ozone?", "parent": first["id"]}),
        )
        .await;
    let (_, begin) = api
        .say(
            &id,
            json!({"role": "user", "content": [{"type": "text", "text": "x"}], "parent": null}),
        )
        .await;
    assert_eq!(
        (&branch["parent"], &begin["parent"]),
        (&first["id"], &Value::Null)
    );
    let (_, thread) = api
        .call("ada", "GET", &format!("/api/threads/{id}"), Value::Null)
        .await;
    assert_eq!(
        (thread["title"].as_str(), &thread["leaf"]),
        (Some("Why is the sky blue?"), &begin["id"])
    );
    let path = format!("/api/threads/{id}/messages?limit=3");
    let (_, page) = api.call("ada", "GET", &path, Value::Null).await;
    let next = page["next"].as_str().unwrap();
    let (_, rest) = api
        .call("ada", "GET", &format!("{path}&after={next}"), Value::Null)
        .await;
    let all: Vec<&Value> = [&page, &rest]
        .into_iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .collect();
    assert_eq!(all, [&first, &answer, &branch, &begin]);
}

#[tokio::test]
async fn nobody_sees_the_threads_of_others_not_even_an_admin() {
    let api = Api::new();
    let id = api.thread("ada", json!({"title": "mine"})).await;
    let path = format!("/api/threads/{id}");
    for (user, project) in [("bob", ""), ("admin", "?project=research"), ("admin", "")] {
        for (method, path) in [
            ("GET", path.clone()),
            ("PATCH", path.clone()),
            ("DELETE", path.clone()),
            ("GET", format!("{path}/messages")),
        ] {
            let (status, _) = api
                .call(user, method, &format!("{path}{project}"), json!({}))
                .await;
            assert_eq!(status, 404, "{user} {method} {path}");
        }
        let (_, list) = api
            .call(user, "GET", &format!("/api/threads{project}"), Value::Null)
            .await;
        assert_eq!(list["items"], json!([]));
    }
    for (user, path, expected) in [
        ("", "/api/threads", 401),
        ("key", "/api/threads", 403),
        ("ada", "/api/threads?project=secret", 403),
    ] {
        assert_eq!(
            api.call(user, "GET", path, Value::Null).await.0,
            expected,
            "{user} {path}"
        );
    }
}

#[tokio::test]
async fn versions_keep_two_editors_apart() {
    let api = Api::new();
    let id = api.thread("ada", json!({"title": "a"})).await;
    let path = format!("/api/threads/{id}");
    let (status, thread) = api
        .call("ada", "PATCH", &path, json!({"title": " b ", "version": 1}))
        .await;
    assert_eq!(
        (status, thread["title"].as_str(), &thread["version"]),
        (200, Some("b"), &json!(2))
    );
    assert_eq!(
        api.call("ada", "PATCH", &path, json!({"title": "c", "version": 1}))
            .await
            .0,
        409
    );
    assert_eq!(
        api.say(&id, json!({"role": "user", "content": "x", "version": 1}))
            .await
            .0,
        409
    );
    assert_eq!(
        api.say(&id, json!({"role": "user", "content": "x", "version": 2}))
            .await
            .0,
        201
    );
}

#[tokio::test]
async fn a_deleted_thread_takes_its_messages_along() {
    let api = Api::new();
    let (id, other) = (
        api.thread("ada", json!({})).await,
        api.thread("ada", json!({})).await,
    );
    for thread in [&id, &id, &other] {
        api.say(thread, json!({"role": "user", "content": "x"})).await;
    }
    assert_eq!(
        api.call("ada", "DELETE", &format!("/api/threads/{id}"), Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        api.call("ada", "GET", &format!("/api/threads/{id}"), Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(api.ports.records.len(), 2);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_reason() {
    let api = Api::new();
    let id = api.thread("ada", json!({})).await;
    let stranger = api.thread("ada", json!({})).await;
    let (_, elsewhere) = api.say(&stranger, json!({"role": "user", "content": "x"})).await;
    let cases = [
        (json!({"role": "wizard", "content": "x"}), "wizard"),
        (json!({"role": "user"}), "content"),
        (json!({"role": "user", "content": 7}), "content"),
        (
            json!({"role": "user", "content": "x", "parent": "nobody"}),
            "nobody",
        ),
        (
            json!({"role": "user", "content": "x", "parent": elsewhere["id"]}),
            "parent",
        ),
        (json!({"role": "user", "content": "x", "shout": true}), "shout"),
    ];
    for (body, told) in cases {
        let (status, answer) = api.say(&id, body.clone()).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            status == 400 && message.contains(told),
            "{body}: {status} {message}"
        );
    }
    let long = json!({"title": "x".repeat(201)});
    assert_eq!(api.call("ada", "POST", "/api/threads", long).await.0, 400);
    assert_eq!(
        api.call("ada", "GET", "/api/threads?limit=x", Value::Null)
            .await
            .0,
        400
    );
    assert_eq!(
        api.call("ada", "GET", "/api/threads?colour=red", Value::Null)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_message_that_is_sent_twice_with_its_id_is_one_message() {
    let api = Api::new();
    let (_, thread) = api.call("ada", "POST", "/api/threads", json!({})).await;
    let path = format!("/api/threads/{}/messages", thread["id"].as_str().unwrap());
    let id = uuid::Uuid::now_v7().to_string();
    let message = json!({"id": id, "role": "user", "content": "once", "details": {"a": 1}});
    let (first, one) = api.call("ada", "POST", &path, message.clone()).await;
    let (again, two) = api.call("ada", "POST", &path, message.clone()).await;
    assert_eq!((first, again, &one), (201, 201, &two));
    let (_, messages) = api.call("ada", "GET", &path, Value::Null).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 1);
    let (_, other) = api.call("ada", "POST", "/api/threads", json!({})).await;
    let elsewhere = format!("/api/threads/{}/messages", other["id"].as_str().unwrap());
    assert_eq!(api.call("ada", "POST", &elsewhere, message).await.0, 409);
}

#[tokio::test]
async fn a_thread_has_a_folder_a_pin_options_and_the_branch_that_was_looked_at() {
    let api = Api::new();
    let (_, thread) = api
        .call("ada", "POST", "/api/threads", json!({"title": "T"}))
        .await;
    let path = format!("/api/threads/{}", thread["id"].as_str().unwrap());
    let messages = format!("{path}/messages");
    let (_, first) = api
        .call("ada", "POST", &messages, json!({"role": "user", "content": "a"}))
        .await;
    api.call(
        "ada",
        "POST",
        &messages,
        json!({"role": "user", "content": "b", "parent": null}),
    )
    .await;
    let change =
        json!({"folder": "Work", "pinned": true, "options": {"temperature": 0}, "leaf": first["id"]});
    let (status, changed) = api.call("ada", "PATCH", &path, change).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(
        (&changed["folder"], &changed["pinned"], &changed["leaf"]),
        (&json!("Work"), &json!(true), &first["id"])
    );
    for wrong in [
        json!({"leaf": "none"}),
        json!({"options": 1}),
        json!({"folder": "x".repeat(101)}),
    ] {
        assert_eq!(
            api.call("ada", "PATCH", &path, wrong.clone()).await.0,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn threads_are_found_by_title_and_by_what_was_said_and_only_ones_own() {
    let api = Api::new();
    for (user, title, text) in [
        ("ada", "Honey", "nothing"),
        ("ada", "Other", "where HONEY comes from"),
        ("bob", "Bees", "honey"),
    ] {
        let (_, thread) = api
            .call(user, "POST", "/api/threads", json!({"title": title}))
            .await;
        let path = format!("/api/threads/{}/messages", thread["id"].as_str().unwrap());
        api.call(user, "POST", &path, json!({"role": "user", "content": text}))
            .await;
    }
    let (_, found) = api
        .call("ada", "GET", "/api/threads/search?q=honey", Value::Null)
        .await;
    let titles: Vec<_> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["thread"]["title"].clone())
        .collect();
    assert_eq!(titles, ["Honey", "Other"], "{found}");
    assert_eq!(found["items"][1]["excerpt"], "where HONEY comes from");
    assert_eq!(found["complete"], true);
    let (_, none) = api
        .call("ada", "GET", "/api/threads/search?q=", Value::Null)
        .await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn an_export_of_open_webui_becomes_threads() {
    let api = Api::new();
    let file = json!([{"title": "Trees", "chat": {"models": ["m"], "history": {"currentId": "b", "messages": {
        "a": {"role": "user", "content": "A tree?"},
        "b": {"role": "assistant", "content": "Oak", "parentId": "a"},
    }}}}]);
    let (status, threads) = api.call("ada", "POST", "/api/threads/import", file).await;
    assert_eq!(status, 200, "{threads}");
    let path = format!("/api/threads/{}/messages", threads[0]["id"].as_str().unwrap());
    let (_, messages) = api.call("ada", "GET", &path, Value::Null).await;
    let [question, answer] = messages["items"].as_array().unwrap().as_slice() else {
        panic!("{messages}")
    };
    assert_eq!(
        (&answer["parent"], &threads[0]["leaf"]),
        (&question["id"], &answer["id"])
    );
    let (status, _) = api
        .call("ada", "POST", "/api/threads/import", json!({"a": 1}))
        .await;
    assert_eq!(status, 400);
}
