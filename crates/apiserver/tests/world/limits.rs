//! What is counted, under the names that the API server of Kubernetes has for it.

use axum::http::StatusCode;

use crate::support::{WIDGETS, World};

#[tokio::test]
async fn metrics_have_the_names_of_the_original() {
    let world = World::new().await;
    assert_eq!(world.get(WIDGETS).await.0, StatusCode::OK);
    let text = world.server.metrics();
    for line in [
        "apiserver_request_total{verb=\"LIST\",code=\"200\"} 1",
        "apiserver_request_duration_seconds_count{verb=\"LIST\"} 1",
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 0",
        "apiserver_longrunning_requests{verb=\"WATCH\"} 0",
        "apiserver_storage_objects{resource=\"namespaces\"} 1",
        "apiserver_watch_events_total 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    world.stop().await;
}
