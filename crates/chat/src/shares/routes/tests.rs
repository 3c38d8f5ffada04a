use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{Credential, Identity, Principal};
use stead_testkit::FakePorts;
use tower::ServiceExt;

use super::*;

struct Api(Router);

impl Api {
    fn new(public: Public) -> Self {
        let ports = FakePorts::default().ports();
        Self(crate::threads::routes(&ports).merge(routes(&ports, public)))
    }

    async fn call(&self, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let identity = if user.is_empty() {
            Identity::Anonymous
        } else {
            Identity::Known(Arc::new(Principal {
                user: user.into(),
                groups: Vec::new(),
                projects: vec!["research".into()],
                credential: Credential::Session,
            }))
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_string()))
            .unwrap();
        request.extensions_mut().insert(identity);
        let response = self.0.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// A thread of Ada's with a question and two answers, the second of which is shown; its id and the first's.
    async fn thread(&self) -> (String, String) {
        let (_, thread) = self.call("ada", "POST", "/api/threads", json!({})).await;
        let path = format!("/api/threads/{}/messages", thread["id"].as_str().unwrap());
        let (_, question) = self
            .call("ada", "POST", &path, json!({"role": "user", "content": "Why?"}))
            .await;
        let answer = |text: &str| json!({"role": "assistant", "content": text, "parent": question["id"]});
        let (_, first) = self.call("ada", "POST", &path, answer("one")).await;
        self.call("ada", "POST", &path, answer("two")).await;
        (
            thread["id"].as_str().unwrap().to_owned(),
            first["id"].as_str().unwrap().to_owned(),
        )
    }
}

fn texts(shown: &Value) -> Vec<&str> {
    let messages = shown["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_share_shows_one_branch_as_it_was_to_whoever_is_signed_in_until_it_is_taken_back() {
    let api = Api::new(Public::Refused);
    let (thread, first) = api.thread().await;
    let make = format!("/api/threads/{thread}/shares");
    let (status, share) = api.call("ada", "POST", &make, json!({})).await;
    assert_eq!(status, 201, "{share}");
    let path = format!("/api/shares/{}", share["id"].as_str().unwrap());
    let messages = format!("/api/threads/{thread}/messages");
    api.call(
        "ada",
        "POST",
        &messages,
        json!({"role": "user", "content": "later"}),
    )
    .await;
    let (status, shown) = api.call("bob", "GET", &path, Value::Null).await;
    assert_eq!((status, texts(&shown)), (200, vec!["Why?", "two"]));
    let (_, other) = api.call("ada", "POST", &make, json!({"leaf": first})).await;
    let other = format!("/api/shares/{}", other["id"].as_str().unwrap());
    let (_, shown) = api.call("bob", "GET", &other, Value::Null).await;
    assert_eq!(texts(&shown), ["Why?", "one"]);
    assert_eq!(api.call("", "GET", &path, Value::Null).await.0, 401);
    assert_eq!(api.call("bob", "DELETE", &path, Value::Null).await.0, 404);
    assert_eq!(api.call("ada", "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(api.call("bob", "GET", &path, Value::Null).await.0, 404);
    let (_, left) = api.call("ada", "GET", "/api/shares", Value::Null).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn everybody_sees_a_share_only_where_an_admin_allows_it() {
    let refused = Api::new(Public::Refused);
    let (thread, _) = refused.thread().await;
    let make = format!("/api/threads/{thread}/shares");
    let (status, _) = refused
        .call("ada", "POST", &make, json!({"audience": "public"}))
        .await;
    assert_eq!(status, 403);
    let allowed = Api::new(Public::Allowed);
    let (thread, _) = allowed.thread().await;
    let make = format!("/api/threads/{thread}/shares");
    let (_, share) = allowed
        .call("ada", "POST", &make, json!({"audience": "public"}))
        .await;
    let path = format!("/api/shares/{}", share["id"].as_str().unwrap());
    assert_eq!(allowed.call("", "GET", &path, Value::Null).await.0, 200);
    let (_, inside) = allowed.call("ada", "POST", &make, json!({})).await;
    let inside = format!("/api/shares/{}", inside["id"].as_str().unwrap());
    assert_eq!(allowed.call("", "GET", &inside, Value::Null).await.0, 401);
    assert_eq!(
        allowed.call("", "GET", "/api/shares/guess", Value::Null).await.0,
        401
    );
}

#[tokio::test]
async fn a_share_lasts_between_a_second_and_a_year_and_other_peoples_threads_do_not_exist() {
    let api = Api::new(Public::Refused);
    let (thread, _) = api.thread().await;
    let make = format!("/api/threads/{thread}/shares");
    for seconds in [0_u64, 400 * 24 * 3600] {
        let (status, _) = api.call("ada", "POST", &make, json!({"seconds": seconds})).await;
        assert_eq!(status, 400, "{seconds}");
    }
    assert_eq!(api.call("bob", "POST", &make, json!({})).await.0, 404);
}
