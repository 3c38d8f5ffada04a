use std::sync::Arc;

use axum::Router;
use http::StatusCode;
use http_body_util::BodyExt;
use stead_kernel::{Credential, Identity, Principal};
use stead_testkit::World;
use tower::ServiceExt;

use super::*;

struct Bench {
    world: World,
    router: Router,
}

impl Bench {
    async fn new() -> Self {
        let world = World::new();
        let files = Files::open(&world.context()).await.unwrap();
        let router = super::routes(files);
        Self { world, router }
    }

    async fn send(
        &self,
        project: &str,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> (StatusCode, Vec<u8>) {
        let key = Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec![project.to_owned()],
            credential: Credential::ApiKey {
                project: project.to_owned(),
                name: "k".into(),
            },
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "multipart/form-data; boundary=b0")
            .extension(Identity::Known(Arc::new(key)))
            .body(body.map_or_else(Body::empty, Body::from))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, body.to_vec())
    }

    async fn upload(&self, project: &str, name: &str, content: &str) -> Value {
        let form = form(&[("purpose", None, "batch"), ("file", Some(name), content)]);
        let (status, body) = self.send(project, "POST", "/v1/files", Some(form)).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    fn contents(&self) -> usize {
        std::fs::read_dir(self.world.data().blobs().join("files"))
            .unwrap()
            .count()
    }
}

fn form(fields: &[(&str, Option<&str>, &str)]) -> String {
    let mut text = String::new();
    for (name, filename, content) in fields {
        let filename = filename
            .map(|name| format!("; filename=\"{name}\""))
            .unwrap_or_default();
        let head = format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"{filename}");
        text.extend([head.as_str(), "\r\n\r\n", content, "\r\n"]);
    }
    text + "--b0--\r\n"
}

fn id(file: &Value) -> &str {
    file["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_file_is_read_back_as_it_was_sent() {
    let bench = Bench::new().await;
    let file = bench.upload("a", "../in.jsonl", "line\r\n").await;
    assert_eq!(
        (
            &file["object"],
            &file["bytes"],
            &file["filename"],
            &file["purpose"]
        ),
        (&json!("file"), &json!(6), &json!("in.jsonl"), &json!("batch"))
    );
    let path = format!("/v1/files/{}", id(&file));
    let (_, again) = bench.send("a", "GET", &path, None).await;
    assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), file);
    let (status, content) = bench.send("a", "GET", &format!("{path}/content"), None).await;
    assert_eq!((status, content.as_slice()), (StatusCode::OK, &b"line\r\n"[..]));
}

#[tokio::test]
async fn a_files_content_goes_with_the_last_file_that_has_it() {
    let bench = Bench::new().await;
    let (one, two) = (
        bench.upload("a", "1", "same").await,
        bench.upload("b", "2", "same").await,
    );
    assert_eq!(bench.contents(), 1);
    let (status, body) = bench
        .send("a", "DELETE", &format!("/v1/files/{}", id(&one)), None)
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"id": id(&one), "object": "file", "deleted": true})
    );
    let path = format!("/v1/files/{}/content", id(&two));
    assert_eq!(bench.send("b", "GET", &path, None).await.1, b"same");
    bench
        .send("b", "DELETE", &format!("/v1/files/{}", id(&two)), None)
        .await;
    assert_eq!(bench.contents(), 0);
}

#[tokio::test]
async fn a_content_without_a_file_is_removed_at_the_next_start() {
    let bench = Bench::new().await;
    let file = bench.upload("a", "1", "kept").await;
    std::fs::write(bench.world.data().blobs().join("files/0a"), b"lost").unwrap();
    Files::open(&bench.world.context()).await.unwrap();
    assert_eq!(bench.contents(), 1);
    let path = format!("/v1/files/{}/content", id(&file));
    assert_eq!(bench.send("a", "GET", &path, None).await.1, b"kept");
}

#[tokio::test]
async fn files_of_other_projects_do_not_exist() {
    let bench = Bench::new().await;
    let file = bench.upload("a", "1", "x").await;
    for method in ["GET", "DELETE"] {
        let (status, body) = bench
            .send("b", method, &format!("/v1/files/{}", id(&file)), None)
            .await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (status.as_u16(), &body["error"]["code"], &body["error"]["param"]),
            (404, &json!("not_found"), &json!("id"))
        );
    }
    let (_, body) = bench.send("b", "GET", "/v1/files", None).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
    );
}

#[tokio::test]
async fn lists_go_on_after_the_last_file_of_a_page() {
    let bench = Bench::new().await;
    let mut made = Vec::new();
    for name in ["1", "2", "3"] {
        bench.world.ports.clock.advance(Duration::from_secs(1));
        made.push(id(&bench.upload("a", name, name).await).to_owned());
    }
    let read = async |query: &str| {
        let (_, body) = bench.send("a", "GET", &format!("/v1/files?{query}"), None).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let ids: Vec<String> = body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| id(file).to_owned())
            .collect();
        (ids, body["has_more"] == true)
    };
    let [one, two, three] = &made[..] else {
        unreachable!()
    };
    assert_eq!(read("limit=2").await, (vec![three.clone(), two.clone()], true));
    assert_eq!(
        read(&format!("limit=2&after={two}")).await,
        (vec![one.clone()], false)
    );
    assert_eq!(read("order=asc&limit=1").await, (vec![one.clone()], true));
    assert_eq!(read("purpose=user_data").await, (Vec::new(), false));
}

#[tokio::test]
async fn what_is_no_upload_is_refused_and_leaves_nothing() {
    let bench = Bench::new().await;
    let table = [
        (form(&[("purpose", None, "batch")]), 400, "file"),
        (form(&[("file", Some("a"), "x")]), 400, "purpose"),
        (
            form(&[("file", Some("a"), "x"), ("purpose", None, "fun")]),
            400,
            "purpose",
        ),
        (
            form(&[("purpose", None, "batch"), ("file", None, "x")]),
            400,
            "file",
        ),
        (
            form(&[
                ("file", Some("a"), "x"),
                ("purpose", None, "batch"),
                ("expires_after[anchor]", None, "created_at"),
                ("expires_after[seconds]", None, "9"),
            ]),
            400,
            "expires_after",
        ),
    ];
    for (form, status, param) in table {
        let (found, body) = bench.send("a", "POST", "/v1/files", Some(form.clone())).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (found.as_u16(), &body["error"]["param"]),
            (status, &json!(param)),
            "{form}"
        );
    }
    let whole = form(&[("purpose", None, "batch"), ("file", Some("a"), "x")]);
    let (status, _) = bench
        .send(
            "a",
            "POST",
            "/v1/files",
            Some(whole[..whole.len() - 10].to_owned()),
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(bench.contents(), 0);
    let scratch = bench.world.data().scratch().join("files");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
}
