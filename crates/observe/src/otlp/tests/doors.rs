//! Which requests are taken, and how others are refused.

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::json;
use stead_kernel::OpikLocal;

use super::{JSON, PROTOBUF, all, export, get, pair, send, span, tell};
use crate::{
    opik::tests::{gzip, stand},
    otlp::wire::Status,
};

#[tokio::test]
async fn every_door_takes_protobuf_and_json_compressed_or_not() {
    let stand = stand(OpikLocal::On);
    let doors = super::super::DOORS.map(|door| format!("{door}/traces"));
    let mut trace = 0;
    for door in &doors {
        for media in [PROTOBUF, JSON] {
            for compressed in [false, true] {
                trace += 1;
                let told = export(Vec::new(), vec![span(trace, 1, 0, 0, Vec::new())]);
                let body = match media {
                    JSON => serde_json::to_vec(&told).unwrap(),
                    _ => told.encode_to_vec(),
                };
                let mut headers = vec![("content-type", media)];
                let body = if compressed {
                    headers.push(("content-encoding", "gzip"));
                    gzip(&body)
                } else {
                    body
                };
                let answered = send(&stand, door, &headers, body).await;
                assert_eq!(
                    answered.status,
                    StatusCode::OK,
                    "{door} {media}: {}",
                    answered.text()
                );
                assert_eq!(answered.headers["content-type"], media);
                match media {
                    JSON => assert_eq!(answered.json(), json!({})),
                    _ => assert!(answered.body.is_empty()),
                }
            }
        }
    }
    let (traces, spans) = all(&stand, "Default%20Project").await;
    assert_eq!((traces.len(), spans.len()), (trace.into(), trace.into()));
    stand.store.close().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_in_the_encoding_of_the_request() {
    let stand = stand(OpikLocal::On);
    let path = "/otlp/v1/traces";
    let workspace = ("comet-workspace", "research");
    for (headers, body, status, code) in [
        (vec![], b"\x0a\xff".to_vec(), StatusCode::BAD_REQUEST, 3),
        (
            vec![("content-encoding", "gzip")],
            b"no gzip".to_vec(),
            StatusCode::BAD_REQUEST,
            3,
        ),
        (
            vec![("content-encoding", "br")],
            Vec::new(),
            StatusCode::BAD_REQUEST,
            3,
        ),
        (vec![workspace], Vec::new(), StatusCode::UNAUTHORIZED, 16),
        (
            vec![("origin", "https://evil.example")],
            Vec::new(),
            StatusCode::UNAUTHORIZED,
            16,
        ),
        (vec![], vec![0; 40 << 20], StatusCode::PAYLOAD_TOO_LARGE, 8),
    ] {
        let headers = [headers, vec![("content-type", PROTOBUF)]].concat();
        let answered = send(&stand, path, &headers, body).await;
        assert_eq!(answered.status, status, "{headers:?}");
        assert_eq!(answered.headers["content-type"], PROTOBUF);
        let told = Status::decode(answered.body.as_slice()).unwrap();
        assert!(told.code == code && !told.message.is_empty(), "{told:?}");
    }
    let answered = send(
        &stand,
        path,
        &[("content-type", JSON)],
        b"{\"resourceSpans\": 1}".to_vec(),
    )
    .await;
    assert_eq!(
        (answered.status, &answered.json()["code"]),
        (StatusCode::BAD_REQUEST, &json!(3))
    );
    let answered = send(&stand, path, &[("content-type", "text/plain")], Vec::new()).await;
    assert_eq!(answered.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    stand.store.close().await;
}

#[tokio::test]
async fn a_span_that_is_wrong_is_rejected_and_the_others_are_taken() {
    let stand = stand(OpikLocal::On);
    let mut wrong = span(1, 2, 1, 0, Vec::new());
    wrong.span_id = vec![0; 8];
    let told = export(Vec::new(), vec![span(1, 1, 0, 0, Vec::new()), wrong]);
    let path = "/otlp/v1/traces";
    let answered = send(&stand, path, &[("content-type", PROTOBUF)], told.encode_to_vec()).await;
    assert_eq!(answered.status, StatusCode::OK);
    let partial = ExportTraceServiceResponse::decode(answered.body.as_slice())
        .unwrap()
        .partial_success
        .unwrap();
    assert!(
        partial.rejected_spans == 1 && partial.error_message.contains("span id"),
        "{partial:?}"
    );
    // A span that is told to be elsewhere than before.
    let told = export(
        Vec::new(),
        vec![span(1, 3, 1, 0, Vec::new()), span(1, 4, 1, 0, Vec::new())],
    );
    tell(&stand, &told).await;
    let told = export(
        Vec::new(),
        vec![span(1, 3, 4, 0, Vec::new()), span(1, 5, 1, 0, Vec::new())],
    );
    let body = serde_json::to_vec(&told).unwrap();
    let answered = send(&stand, path, &[("content-type", JSON)], body).await.json();
    assert_eq!(answered["partialSuccess"]["rejectedSpans"], "1");
    let (traces, spans) = all(&stand, "Default%20Project").await;
    assert_eq!((traces.len(), spans.len()), (1, 4));
    stand.store.close().await;
}

#[tokio::test]
async fn a_project_is_the_one_of_the_header_or_of_the_resource_or_the_default_one() {
    let stand = stand(OpikLocal::On);
    let resource = || vec![pair("openinference.project.name", "of-resource")];
    for (trace, resource, header, project) in [
        (1, vec![], None, "Default%20Project"),
        (2, resource(), None, "of-resource"),
        (3, resource(), Some("of-header"), "of-header"),
        // What a trace is in is said once.
        (3, resource(), None, "of-header"),
    ] {
        let told = export(resource, vec![span(trace, 1, 0, 0, Vec::new())]);
        let mut headers = vec![("content-type", PROTOBUF)];
        headers.extend(header.map(|name| ("projectName", name)));
        let answered = send(&stand, "/otlp/v1/traces", &headers, told.encode_to_vec()).await;
        assert_eq!(answered.status, StatusCode::OK);
        assert_eq!(all(&stand, project).await.0.len(), 1, "{project}");
    }
    assert_eq!(get(&stand, "/traces?project_name=of-resource").await["total"], 1);
    stand.store.close().await;
}
