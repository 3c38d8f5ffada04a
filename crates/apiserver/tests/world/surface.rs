//! Discovery, documents, forms and faults of HTTP.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use kube::discovery::Discovery;
use serde_json::{Value, json};
use stead_kernel::{Body, Identity, Principal};

use crate::support::{WIDGETS, World, widget};

fn admin() -> Identity {
    Identity::Known(Arc::new(Principal::admin()))
}

async fn accept(world: &World, path: &str, form: &str) -> (StatusCode, Value) {
    let request = Request::get(path)
        .header("accept", form)
        .body(Body::empty())
        .expect("a request");
    let (status, answer, _) = world.send_as(admin(), request).await;
    (status, answer)
}

#[tokio::test]
async fn kubes_discovery_finds_every_kind() {
    let world = World::new().await;
    let discovery = Discovery::new(world.client()).run().await.expect("discovered");
    let widgets = discovery.get("example.dev").expect("the group");
    let (resource, capabilities) = widgets.recommended_kind("Widget").expect("the kind");
    assert_eq!(resource.plural, "widgets");
    assert!(
        capabilities
            .subresources
            .iter()
            .any(|(name, _)| name.plural.ends_with("status"))
    );
    for (group, kind) in [
        ("", "Secret"),
        ("", "Namespace"),
        ("coordination.k8s.io", "Lease"),
        ("events.k8s.io", "Event"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ] {
        let group = discovery.get(group).expect("the group");
        assert!(group.recommended_kind(kind).is_some(), "{kind}");
    }
    world.stop().await;
}

#[tokio::test]
async fn everything_is_discovered_in_one_answer_when_asked_so() {
    let world = World::new().await;
    let form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (_, answer) = accept(&world, "/apis", form).await;
    assert_eq!(answer["kind"], "APIGroupDiscoveryList");
    let groups: Vec<_> = answer["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert!(groups.contains(&&json!("example.dev")) && groups.contains(&&json!("authorization.k8s.io")));
    let (_, answer) = accept(&world, "/api", form).await;
    let resources = answer["items"][0]["versions"][0]["resources"]
        .as_array()
        .expect("resources");
    let namespaces = resources.iter().find(|kind| kind["resource"] == "namespaces");
    assert_eq!(namespaces.map(|kind| &kind["scope"]), Some(&json!("Cluster")));
    world.stop().await;
}

#[tokio::test]
async fn the_openapi_documents_describe_the_kinds() {
    let world = World::new().await;
    let (_, index) = world.get("/openapi/v3").await;
    let url = index["paths"]["apis/example.dev/v1"]["serverRelativeURL"]
        .as_str()
        .expect("a URL");
    let (_, document) = world.get(url).await;
    let schema = &document["components"]["schemas"]["dev.example.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{"group": "example.dev", "version": "v1", "kind": "Widget"}])
    );
    assert_eq!(
        schema["properties"]["spec"]["properties"]["color"]["description"],
        "Any but red."
    );
    let patch = &document["paths"]["/apis/example.dev/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(
        parameters
            .iter()
            .any(|parameter| parameter["name"] == "fieldValidation")
    );
    let (_, core) = world.get("/openapi/v3/api/v1").await;
    assert!(core["components"]["schemas"]["io.k8s.api.core.v1.Secret"]["properties"]["data"].is_object());
    assert_eq!(world.get("/openapi/v1").await.0, StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test]
async fn tables_have_the_columns_of_the_definition() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("a")).await;
    let form = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (_, table) = accept(&world, WIDGETS, form).await;
    assert_eq!(table["kind"], "Table");
    let names: Vec<_> = table["columnDefinitions"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(names, ["Name", "Color"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "blue"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, table) = accept(&world, "/api/v1/namespaces/default", form).await;
    assert_eq!(table["rows"][0]["cells"][1], "Active");
    let body = json!({"metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}});
    world.post("/api/v1/namespaces/default/configmaps", &body).await;
    let (_, table) = accept(&world, "/api/v1/configmaps", form).await;
    assert_eq!(table["rows"][0]["cells"][1], 2);
    world.stop().await;
}

#[tokio::test]
async fn metadata_alone_can_be_asked_for() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("a")).await;
    let form = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let (_, list) = accept(&world, WIDGETS, form).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("spec").is_none());
    world.stop().await;
}

#[tokio::test]
async fn malformed_requests_get_a_clear_status() {
    let world = World::new().await;
    let json = "application/json";
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let unknown = "/apis/example.dev/v1/namespaces/default/gizmos";
    let missing = "/apis/example.dev/v1/namespaces/nowhere/widgets";
    let body = widget("a").to_string();
    for (method, path, media_type, body, expected) in [
        ("POST", WIDGETS, json, "{\"a\":", 400),
        ("POST", WIDGETS, json, "[]", 400),
        ("POST", WIDGETS, "application/yaml", "a: [", 400),
        ("POST", WIDGETS, json, big.as_str(), 413),
        ("POST", WIDGETS, "application/cbor", "x", 415),
        ("POST", unknown, json, &body, 404),
        ("POST", missing, json, &body, 404),
        ("PUT", WIDGETS, json, &body, 400),
        ("GET", "/apis/example.dev/v1/widgets?timeout=soon", "", "", 400),
        ("POST", "/apis/example.dev/v1/widgets", json, &body, 404),
        ("GET", "/apis/example.dev/v1/widgets/a", "", "", 404),
        ("GET", "/apis/example.dev/v1/widgets?continue=zzz", "", "", 400),
        (
            "GET",
            "/apis/example.dev/v1/widgets?labelSelector=a%3D%3D%3Db",
            "",
            "",
            400,
        ),
        (
            "GET",
            "/apis/example.dev/v1/widgets?watch=1&resourceVersion=x",
            "",
            "",
            500,
        ),
        ("GET", "/nothing/here", "", "", 404),
        (
            "PATCH",
            "/apis/example.dev/v1/namespaces/default/widgets/a",
            "application/apply-patch+yaml",
            "{}",
            422,
        ),
    ] {
        let (status, answer) = world.send(method, path, media_type, body.to_owned()).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        // Nothing of the API is there.
        if answer == "404 page not found\n" {
            assert!(
                ["/nothing/here", "/apis/example.dev/v1/widgets", unknown].contains(&path)
                    || path.ends_with("/widgets/a"),
                "{method} {path}"
            );
            continue;
        }
        assert_eq!(answer["kind"], "Status", "{method} {path}: {answer}");
        assert_eq!(answer["code"], expected);
    }
    let (status, _) = accept(&world, WIDGETS, "application/vnd.kubernetes.protobuf").await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    let (status, _) = accept(
        &world,
        WIDGETS,
        "application/vnd.kubernetes.protobuf,application/json",
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn yaml_is_read_too_and_a_warning_is_a_header() {
    let world = World::new().await;
    let yaml = "apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec: {colour: blue}\n";
    let request = Request::post(WIDGETS)
        .header("content-type", "application/yaml")
        .body(Body::from(yaml))
        .expect("a request");
    let (status, _, response) = world.send_as(admin(), request).await;
    assert_eq!(status, StatusCode::CREATED);
    let warning = response.headers()["warning"].to_str().expect("text");
    assert!(
        warning.starts_with("299 - \"unknown field \\\"spec.colour\\\""),
        "{warning}"
    );
    world.stop().await;
}

#[tokio::test]
async fn answers_and_failures_are_yaml_where_that_is_wanted() {
    let world = World::new().await;
    assert_eq!(world.post(WIDGETS, &widget("a")).await.0, StatusCode::CREATED);
    for (path, status, text) in [
        ("/a", StatusCode::OK, "kind: Widget\n"),
        ("", StatusCode::OK, "kind: WidgetList\n"),
        ("/none", StatusCode::NOT_FOUND, "reason: NotFound\n"),
        ("?watch=1", StatusCode::NOT_ACCEPTABLE, "reason: NotAcceptable\n"),
    ] {
        let request = Request::get(format!("{WIDGETS}{path}"))
            .header("accept", "application/yaml")
            .body(Body::empty())
            .expect("a request");
        let (found, answer, response) = world.send_as(admin(), request).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert_eq!(response.headers()["content-type"], "application/yaml", "{path}");
        assert!(
            answer.as_str().is_some_and(|answer| answer.contains(text)),
            "{path}: {answer}"
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn members_that_yaml_has_twice_are_told_with_their_lines() {
    let world = World::new().await;
    let yaml = "apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec:\n  size: 1\n  size: 2\n";
    let request = Request::post(WIDGETS)
        .header("content-type", "application/yaml")
        .body(Body::from(yaml))
        .expect("a request");
    let (status, answer, response) = world.send_as(admin(), request).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert_eq!(answer["spec"]["size"], 2);
    let warning = response.headers()["warning"].to_str().expect("text");
    assert_eq!(warning, "299 - \"line 6: key \\\"size\\\" already set in map\"");
    world.stop().await;
}

#[tokio::test]
async fn the_old_openapi_document_has_every_kind() {
    let world = World::new().await;
    let (status, document) = world.get("/openapi/v2").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(document["swagger"], "2.0");
    let kinds = document["definitions"].as_object().expect("definitions");
    let widget = kinds
        .iter()
        .find(|(_, schema)| schema["x-kubernetes-group-version-kind"][0]["kind"] == "Widget");
    let (_, widget) = widget.expect("the kind");
    assert_eq!(
        widget["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    assert!(document["paths"][WIDGETS.replace("default", "{namespace}")]["post"].is_object());
    let binary = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(
        accept(&world, "/openapi/v2", binary).await.0,
        StatusCode::NOT_ACCEPTABLE
    );
    world.stop().await;
}

#[tokio::test]
async fn events_of_both_groups_are_the_same_objects() {
    let world = World::new().await;
    let event = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "Tested",
        "note": "all is well", "type": "Normal", "action": "Testing", "reportingController": "test",
        "reportingInstance": "test-1", "regarding": {"kind": "Widget", "name": "a", "namespace": "default"},
    });
    let (status, answer) = world
        .post("/apis/events.k8s.io/v1/namespaces/default/events", &event)
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let path = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da";
    let (_, list) = world.get(path).await;
    assert_eq!(list["items"][0]["message"], "all is well");
    assert_eq!(list["apiVersion"], "v1");
    let (_, newer) = world
        .get("/apis/events.k8s.io/v1/namespaces/default/events/e")
        .await;
    assert_eq!(
        (&newer["note"], &newer["apiVersion"]),
        (&json!("all is well"), &json!("events.k8s.io/v1"))
    );
    world.stop().await;
}

#[tokio::test]
async fn metrics_count_objects_and_requests() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("a")).await;
    let text = world.server.metrics();
    assert!(
        text.contains("stead_apiserver_objects{resource=\"example.dev/widgets\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("stead_apiserver_requests_total{verb=\"create\",code=\"201\"} 1\n"),
        "{text}"
    );
    world.stop().await;
}
