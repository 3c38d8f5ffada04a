use futures::FutureExt;
use stead_kernel::{Credential, Principal};
use stead_testkit::FakePorts;
use tower::ServiceExt;

use super::*;

/// A model whose vectors count letters: what shares words is alike.
fn counts(text: &str) -> Vec<u32> {
    (b'a'..=b'z')
        .map(|letter| {
            let same = text.bytes().filter(|byte| byte.to_ascii_lowercase() == letter);
            u32::try_from(same.count()).unwrap()
        })
        .collect()
}

struct Api(Router);

impl Api {
    fn new() -> Self {
        let ports = FakePorts::default();
        ports.models.script(|_, request| {
            async move {
                assert_eq!(request.uri().path(), "/v1/embeddings");
                assert_eq!(request.headers()[PROJECT_HEADER], "research");
                let bytes = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&bytes).unwrap();
                let mut response = http::Response::new(Body::empty());
                if body["model"] == "broken" {
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    *response.body_mut() =
                        Body::from(json!({"error": {"message": "no such model"}}).to_string());
                    return response;
                }
                let texts = body["input"].as_array().unwrap().iter().enumerate();
                // Backwards, since the index says which is which.
                let data: Vec<Value> = texts
                    .rev()
                    .map(|(index, text)| json!({"index": index, "embedding": counts(text.as_str().unwrap())}))
                    .collect();
                *response.body_mut() = Body::from(json!({"data": data}).to_string());
                response
            }
            .boxed()
        });
        Self(routes(&ports.ports()))
    }

    async fn call(&self, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_string()))
            .unwrap();
        request
            .extensions_mut()
            .insert(Identity::Known(Arc::new(Principal {
                user: user.into(),
                groups: Vec::new(),
                projects: vec!["research".into()],
                credential: Credential::Session,
            })));
        let response = self.0.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn collection(&self, model: &str) -> String {
        let body = json!({"name": "Handbook", "model": model});
        let (status, made) = self.call("ada", "POST", "/api/collections", body).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_passage_that_is_most_alike_is_found_first_with_its_document() {
    let api = Api::new();
    let id = api.collection("embeddings").await;
    let path = format!("/api/collections/{id}/documents");
    for (name, text) in [
        ("bees", "buzzing bees build combs"),
        ("foxes", "quick foxes jump"),
    ] {
        let (status, made) = api
            .call("ada", "POST", &path, json!({"name": name, "text": text}))
            .await;
        assert_eq!((status, &made["passages"]), (201, &json!(1)), "{made}");
    }
    let question = json!({"collections": [id], "query": "jump, fox", "limit": 1});
    let (_, found) = api
        .call("ada", "POST", "/api/collections/search", question.clone())
        .await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&found["items"][0]["name"], &found["items"][0]["text"]),
        (&json!("foxes"), &json!("quick foxes jump"))
    );
    // Nobody else's.
    assert_eq!(
        api.call("bob", "POST", "/api/collections/search", question)
            .await
            .0,
        404
    );
    let (_, documents) = api.call("ada", "GET", &path, Value::Null).await;
    let foxes = documents["items"][1]["id"].as_str().unwrap();
    assert_eq!(
        api.call("ada", "DELETE", &format!("{path}/{foxes}"), Value::Null)
            .await
            .0,
        204
    );
    let question = json!({"collections": [id], "query": "jump, fox"});
    let (_, found) = api.call("ada", "POST", "/api/collections/search", question).await;
    assert_eq!(found["items"][0]["name"], "bees");
    assert_eq!(
        api.call("ada", "DELETE", &format!("/api/collections/{id}"), Value::Null)
            .await
            .0,
        204
    );
    let (_, left) = api.call("ada", "GET", "/api/collections", Value::Null).await;
    assert_eq!(left["items"], json!([]));
}

#[tokio::test]
async fn a_document_whose_model_does_not_answer_is_not_stored_and_the_reason_is_told() {
    let api = Api::new();
    let id = api.collection("broken").await;
    let path = format!("/api/collections/{id}/documents");
    let (status, told) = api
        .call("ada", "POST", &path, json!({"name": "a", "text": "b"}))
        .await;
    assert_eq!(status, 503);
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no such model"),
        "{told}"
    );
    let (_, documents) = api.call("ada", "GET", &path, Value::Null).await;
    assert_eq!(documents["items"], json!([]));
    let (status, _) = api
        .call("ada", "POST", &path, json!({"name": "a", "text": " "}))
        .await;
    assert_eq!(status, 400);
}
