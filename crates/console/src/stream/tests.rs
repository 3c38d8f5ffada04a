use axum::{Json, extract::Request as Incoming, response::IntoResponse};
use http::StatusCode;
use stead_kernel::Body;
use tower::{ServiceExt, service_fn};

use super::*;

fn topic(path: &str, version: &str) -> Topic {
    Topic {
        path: path.into(),
        version: version.into(),
    }
}

#[test]
fn topics_are_paths_of_the_resource_api_with_a_version() {
    assert_eq!(
        parse("topic=apis%2Fstead.dev%2Fv1alpha1%2Fmodels%407&topic=api/v1/namespaces@0").expect("right"),
        [
            topic("apis/stead.dev/v1alpha1/models", "7"),
            topic("api/v1/namespaces", "0")
        ]
    );
    for wrong in [
        "",
        "topic=",
        "topic=apis/x",
        "topic=apis/x@",
        "topic=apis/x@-1",
        "topic=healthz@1",
        "topic=apis/../v1@1",
        "topic=apis/x%3Fwatch=1@1",
        "topic=apis/x%23@1",
        "other=1",
    ] {
        let result = parse(wrong);
        // A version that is left out begins with what is there now.
        let accepted = matches!(wrong, "topic=apis/x@");
        assert_eq!(result.is_ok(), accepted, "{wrong}: {result:?}");
    }
    assert!(parse(&"topic=api/v1/pods@1&".repeat(TOPICS + 1)).is_err());
}

#[test]
fn the_last_events_id_holds_all_versions() {
    for (last, expected) in [
        ("5,6", ["5", "6"]),
        ("5", ["1", "2"]),
        ("5,6,7", ["1", "2"]),
        ("5,", ["1", "2"]),
        ("5,x", ["1", "2"]),
    ] {
        let mut topics = [topic("api/a", "1"), topic("api/b", "2")];
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("last-event-id"),
            http::HeaderValue::from_static(last),
        )]);
        resume(&mut topics, &headers);
        assert_eq!(topics.map(|topic| topic.version), expected, "{last}");
    }
}

#[tokio::test]
async fn lines_are_whole_however_they_were_split() {
    for size in 1..12 {
        let text = b"{\"a\":1}\n\n{\"b\":22}\n{\"c\"";
        let pieces: Vec<Bytes> = text.chunks(size).map(Bytes::copy_from_slice).collect();
        let found: Vec<Bytes> = lines(stream::iter(pieces).boxed()).collect().await;
        assert_eq!(found, ["{\"a\":1}", "{\"b\":22}"], "{size}");
    }
}

/// A resource API of two paths: one is watched, the other forbidden.
fn clients() -> Clients {
    Arc::new(|_| {
        let service = service_fn(|request: http::Request<kube::client::Body>| async move {
            let request: Incoming = request.map(Body::new);
            Ok::<_, Infallible>(if request.uri().path() == "/apis/a" {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let object = json!({"metadata": {"resourceVersion": "9", "name": query}});
                format!("{}\n", json!({"type": "ADDED", "object": object})).into_response()
            } else {
                (StatusCode::FORBIDDEN, Json(json!({"code": 403}))).into_response()
            })
        });
        kube::Client::new(service, "default")
    })
}

async fn read(query: &str, identity: Identity) -> (StatusCode, String) {
    let mut request = Request::get(format!("/api/stream?{query}"))
        .body(Body::empty())
        .expect("a request");
    request.extensions_mut().insert(identity);
    let response = routes(clients()).oneshot(request).await.expect("an answer");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_change_is_told_with_its_topic_and_all_versions_and_the_end_of_a_watch_ends_the_stream() {
    let admin = Identity::Known(Arc::new(Principal::admin()));
    let (status, text) = read("topic=apis/b@3&topic=apis/a@4", admin).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("event: change"), "{text}");
    assert!(text.contains("id: 3,9"), "{text}");
    assert!(text.contains("resourceVersion=4"), "{text}");
    assert!(
        text.contains(r#""type":"ERROR","object":{"code":403},"topic":0"#),
        "{text}"
    );
}

#[tokio::test]
async fn nobody_follows_anything_without_being_known() {
    let (status, _) = read("topic=apis/a@1", Identity::Anonymous).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
