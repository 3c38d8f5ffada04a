//! Creating, reading, changing.

use axum::http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::support::{WIDGETS, World, dynamic, widget};

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let world = World::new().await;
    let widgets = world.widgets();
    let made = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    assert_eq!(made.data["spec"], json!({"color": "blue", "size": 1}));
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());

    let mut read = widgets.get("a").await.expect("read");
    assert_eq!(read, made);
    read.data["spec"]["color"] = json!("green");
    let changed = widgets
        .replace("a", &PostParams::default(), &read)
        .await
        .expect("replaced");
    assert_eq!(changed.metadata.generation, Some(2));
    assert_ne!(changed.metadata.resource_version, made.metadata.resource_version);

    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    assert!(widgets.get_opt("a").await.expect("asked").is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_write_against_an_old_version_is_a_conflict() {
    let world = World::new().await;
    let widgets = world.widgets();
    let old = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let merge = Patch::Merge(json!({"spec": {"color": "green"}}));
    widgets
        .patch("a", &PatchParams::default(), &merge)
        .await
        .expect("patched");
    let mut stale = old.clone();
    stale.data["spec"]["color"] = json!("yellow");
    let error = widgets
        .replace("a", &PostParams::default(), &stale)
        .await
        .expect_err("refused");
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let error = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect_err("refused");
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "AlreadyExists"));
    world.stop().await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_version() {
    let world = World::new().await;
    let widgets = world.widgets();
    let made = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let same = widgets
        .replace("a", &PostParams::default(), &made)
        .await
        .expect("replaced");
    assert_eq!(same, made);
    let merge = Patch::Merge(json!({"spec": {"color": "blue"}}));
    let same = widgets
        .patch("a", &PatchParams::default(), &merge)
        .await
        .expect("patched");
    assert_eq!(same.metadata.resource_version, made.metadata.resource_version);
    world.stop().await;
}

#[tokio::test]
async fn the_status_and_the_rest_have_different_writers() {
    let world = World::new().await;
    let widgets = world.widgets();
    let mut body = widget("a");
    body["status"] = json!({"phase": "Forged"});
    let made = widgets
        .create(&PostParams::default(), &dynamic(body))
        .await
        .expect("created");
    assert!(made.data.get("status").is_none());

    let patch = Patch::Merge(json!({"status": {"phase": "Ready"}, "spec": {"color": "green"}}));
    let status = widgets
        .patch_status("a", &PatchParams::default(), &patch)
        .await
        .expect("patched");
    assert_eq!(status.data["status"]["phase"], "Ready");
    assert_eq!(status.data["spec"]["color"], "blue");
    assert_eq!(status.metadata.generation, Some(1));

    let patch = Patch::Merge(json!({"status": {"phase": "Forged"}, "spec": {"color": "green"}}));
    let main = widgets
        .patch("a", &PatchParams::default(), &patch)
        .await
        .expect("patched");
    assert_eq!(main.data["status"]["phase"], "Ready");
    assert_eq!(main.data["spec"]["color"], "green");
    assert_eq!(main.metadata.generation, Some(2));
    world.stop().await;
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let world = World::new().await;
    let widgets = world.widgets();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = widgets.create(&dry, &dynamic(widget("a"))).await.expect("tried");
    assert_eq!(made.data["spec"]["size"], 1);
    assert!(widgets.get_opt("a").await.expect("asked").is_none());
    let (status, _) = world
        .send(
            "POST",
            &format!("{WIDGETS}?dryRun=Some"),
            "application/json",
            widget("a").to_string(),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    world.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_refused_or_told() {
    let world = World::new().await;
    let mut body = widget("a");
    body["spec"]["colour"] = json!("blue");
    let strict = format!("{WIDGETS}?fieldValidation=Strict");
    let (status, answer) = world.post(&strict, &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = answer["message"].as_str().expect("a message");
    assert!(message.ends_with("unknown field \"spec.colour\""), "{message}");
    let (status, answer) = world.post(WIDGETS, &body).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(answer["spec"].get("colour").is_none());
    world.stop().await;
}

#[tokio::test]
async fn an_invalid_object_is_refused_with_its_causes() {
    let world = World::new().await;
    let mut body = widget("a");
    body["spec"]["size"] = json!(-1);
    let (status, answer) = world.post(WIDGETS, &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["reason"], "Invalid");
    assert_eq!(answer["details"]["causes"][0]["field"], "spec.size");
    let (status, answer) = world.post(WIDGETS, &widget("Not A Name")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["details"]["causes"][0]["field"], "metadata.name");
    world.stop().await;
}

#[tokio::test]
async fn a_kinds_own_rule_can_refuse_a_write() {
    let world = World::new().await;
    let mut body = widget("a");
    body["spec"]["color"] = json!("red");
    let (status, answer) = world.post(WIDGETS, &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["message"], "red is taken; choose another color");
    world.stop().await;
}

#[tokio::test]
async fn names_can_be_generated() {
    let world = World::new().await;
    let body = json!({
        "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"generateName": "job-"}, "spec": {},
    });
    let (first, second) = tokio::join!(world.post(WIDGETS, &body), world.post(WIDGETS, &body));
    let name = |answer: &serde_json::Value| answer["metadata"]["name"].as_str().expect("a name").to_owned();
    assert!(name(&first.1).starts_with("job-"));
    assert_ne!(name(&first.1), name(&second.1));
    let (status, _) = world.post(WIDGETS, &json!({"spec": {}})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    world.stop().await;
}

#[tokio::test]
async fn applies_merge_and_conflict_by_owner() {
    let world = World::new().await;
    let widgets = world.widgets();
    let applied = |color: &str| {
        Patch::Apply(json!({
            "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"color": color},
        }))
    };
    let made = widgets
        .patch("a", &PatchParams::apply("one"), &applied("blue"))
        .await
        .expect("applied");
    assert_eq!(made.data["spec"]["color"], "blue");
    let size = Patch::Apply(json!({
        "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 7},
    }));
    let merged = widgets.patch("a", &PatchParams::apply("two"), &size).await;
    // The default was set at creation by nobody's will, so that this is a merge.
    let merged = merged.expect("merged");
    assert_eq!(merged.data["spec"], json!({"color": "blue", "size": 7}));
    let error = widgets
        .patch("a", &PatchParams::apply("two"), &applied("green"))
        .await
        .expect_err("a conflict");
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(
        status.message.contains("conflict with \"one\""),
        "{}",
        status.message
    );
    let forced = widgets
        .patch("a", &PatchParams::apply("two").force(), &applied("green"))
        .await
        .expect("forced");
    assert_eq!(forced.data["spec"]["color"], "green");
    world.stop().await;
}

#[tokio::test]
async fn json_and_strategic_patches_change_core_kinds() {
    let world = World::new().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client());
    let map = json!({"metadata": {"name": "a"}, "data": {"x": "1"}});
    maps.create(
        &PostParams::default(),
        &serde_json::from_value(map).expect("a map"),
    )
    .await
    .expect("created");
    let strategic = Patch::Strategic(json!({"data": {"y": "2"}}));
    maps.patch("a", &PatchParams::default(), &strategic)
        .await
        .expect("patched");
    let path = "/api/v1/namespaces/default/configmaps/a";
    let operations = json!([{"op": "remove", "path": "/data/x"}]).to_string();
    let (status, answer) = world
        .send("PATCH", path, "application/json-patch+json", operations)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["data"], json!({"y": "2"}));
    let (status, _) = world.send("PATCH", path, "text/plain", "x").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let error = widgets
        .patch("a", &PatchParams::default(), &Patch::Strategic(json!({})))
        .await;
    assert!(error.is_err(), "custom resources have no strategic patches");
    world.stop().await;
}

/// Seven widgets, labelled by whether their number is even.
async fn seven(world: &World) -> Api<DynamicObject> {
    let widgets = world.widgets();
    for index in 0..7 {
        let even = (index % 2 == 0).to_string();
        let body = json!({
            "metadata": {"name": format!("w{index}"), "labels": {"even": even}}, "spec": {"color": "blue"},
            "apiVersion": "example.dev/v1", "kind": "Widget",
        });
        widgets
            .create(&PostParams::default(), &dynamic(body))
            .await
            .expect("created");
    }
    widgets
}

#[tokio::test]
async fn lists_select_by_labels_and_fields() {
    let world = World::new().await;
    let widgets = seven(&world).await;
    let even = widgets
        .list(&ListParams::default().labels("even=true"))
        .await
        .expect("listed");
    assert_eq!(even.items.len(), 4);
    let one = widgets
        .list(&ListParams::default().fields("metadata.name=w3"))
        .await
        .expect("listed");
    assert_eq!(one.items.len(), 1);
    assert!(
        widgets
            .list(&ListParams::default().fields("spec.color=blue"))
            .await
            .is_err()
    );
    world.stop().await;
}

#[tokio::test]
async fn pages_of_a_list_show_one_state() {
    let world = World::new().await;
    let widgets = seven(&world).await;
    let first = widgets
        .list(&ListParams::default().limit(3))
        .await
        .expect("listed");
    let token = first.metadata.continue_.clone().expect("a token");
    widgets
        .delete("w4", &DeleteParams::default())
        .await
        .expect("deleted");
    widgets
        .patch(
            "w5",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"color": "green"}})),
        )
        .await
        .expect("patched");
    widgets
        .create(&PostParams::default(), &dynamic(widget("w55")))
        .await
        .expect("created");
    let rest = ListParams {
        continue_token: Some(token),
        ..ListParams::default()
    };
    let rest = widgets.list(&rest).await.expect("listed");
    let seen: Vec<_> = rest
        .items
        .iter()
        .map(|item| {
            (
                item.metadata.name.clone().unwrap_or_default(),
                item.data["spec"]["color"].clone(),
            )
        })
        .collect();
    let expected: Vec<_> = ["w3", "w4", "w5", "w6"]
        .map(|name| (name.to_owned(), json!("blue")))
        .into();
    assert_eq!(seen, expected);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(rest.metadata.continue_.unwrap_or_default(), "");
    let then = first.metadata.resource_version.expect("a version");
    let (_, exact) = world
        .get(&format!(
            "{WIDGETS}?resourceVersion={then}&resourceVersionMatch=Exact&limit=5"
        ))
        .await;
    let names: Vec<_> = exact["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert_eq!(names, ["w0", "w1", "w2", "w3", "w4"]);
    world.stop().await;
}

#[tokio::test]
async fn plain_values_of_secrets_are_folded_and_their_type_stays() {
    let world = World::new().await;
    let secrets: Api<Secret> = Api::default_namespaced(world.client());
    let body = json!({"metadata": {"name": "a"}, "stringData": {"key": "value"}});
    let made = secrets
        .create(
            &PostParams::default(),
            &serde_json::from_value(body).expect("a secret"),
        )
        .await
        .expect("created");
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert_eq!(made.data.expect("data")["key"].0, b"value");
    let other = Patch::Merge(json!({"type": "example.dev/other"}));
    assert!(secrets.patch("a", &PatchParams::default(), &other).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_refused_secret_is_not_repeated() {
    let world = World::new().await;
    let path = "/api/v1/namespaces/default/secrets";
    for data in [
        json!({"key": "hunter2!"}),
        json!({"key": 20_021_999}),
        json!("hunter2!"),
    ] {
        let body = json!({"metadata": {"name": "a"}, "data": data, "type": "Opaque"});
        let (status, answer) = world.post(path, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let text = answer.to_string();
        assert!(!text.contains("hunter2") && !text.contains("20021999"), "{text}");
    }
    world.stop().await;
}
