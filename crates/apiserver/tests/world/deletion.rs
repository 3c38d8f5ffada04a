//! Deleting: finalizers, owners, namespaces, definitions.

use axum::http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{
        DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy,
    },
};
use serde_json::{Value, json};

use crate::support::{WIDGETS, World, definition, dynamic, eventually, widget};

#[tokio::test]
async fn an_object_waits_for_its_last_finalizer() {
    let world = World::new().await;
    let widgets = world.widgets();
    let mut body = widget("a");
    body["metadata"]["finalizers"] = json!(["example.dev/one", "example.dev/two"]);
    widgets
        .create(&PostParams::default(), &dynamic(body))
        .await
        .expect("created");
    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("marked");
    let marked = widgets.get("a").await.expect("still there");
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.generation, Some(2));

    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    let more = finalizers(json!(["example.dev/three"]));
    assert!(widgets.patch("a", &PatchParams::default(), &more).await.is_err());
    let fewer = finalizers(json!(["example.dev/two"]));
    widgets
        .patch("a", &PatchParams::default(), &fewer)
        .await
        .expect("patched");
    assert!(widgets.get_opt("a").await.expect("asked").is_some());
    widgets
        .patch("a", &PatchParams::default(), &finalizers(Value::Null))
        .await
        .expect("patched");
    assert!(widgets.get_opt("a").await.expect("asked").is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_deletion_keeps_its_preconditions() {
    let world = World::new().await;
    let widgets = world.widgets();
    let made = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let with = |uid: &str| DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.into()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    assert!(widgets.delete("a", &with("another")).await.is_err());
    let dry = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    widgets.delete("a", &dry).await.expect("tried");
    widgets.get("a").await.expect("still there");
    widgets
        .delete("a", &with(&made.metadata.uid.expect("a uid")))
        .await
        .expect("deleted");
    world.stop().await;
}

/// An owner and something it owns.
async fn family(world: &World) -> (Api<DynamicObject>, Api<ConfigMap>) {
    let widgets = world.widgets();
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client());
    let owner = widgets
        .create(&PostParams::default(), &dynamic(widget("owner")))
        .await
        .expect("created");
    let child = json!({"metadata": {"name": "child", "ownerReferences": [{
        "apiVersion": "example.dev/v1", "kind": "Widget", "name": "owner", "uid": owner.metadata.uid,
    }]}});
    maps.create(
        &PostParams::default(),
        &serde_json::from_value(child).expect("a map"),
    )
    .await
    .expect("created");
    (widgets, maps)
}

#[tokio::test]
async fn what_an_object_owns_goes_with_it() {
    let world = World::new().await;
    let (widgets, maps) = family(&world).await;
    widgets
        .delete("owner", &DeleteParams::default())
        .await
        .expect("deleted");
    eventually("the child is gone", async || {
        maps.get_opt("child").await.expect("asked").is_none()
    })
    .await;
    world.stop().await;
}

fn foreground() -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    }
}

#[tokio::test]
async fn an_owner_waits_only_for_what_blocks_it() {
    let world = World::new().await;
    let (widgets, maps) = family(&world).await;
    let keep = Patch::Merge(json!({"metadata": {"finalizers": ["example.dev/hold"]}}));
    maps.patch("child", &PatchParams::default(), &keep)
        .await
        .expect("patched");
    widgets.delete("owner", &foreground()).await.expect("marked");
    eventually("the owner is gone", async || {
        widgets.get_opt("owner").await.expect("asked").is_none()
    })
    .await;
    eventually("the child is marked", async || {
        let child = maps.get("child").await.expect("there");
        child.metadata.deletion_timestamp.is_some()
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn what_has_another_owner_outlives_one_that_waits_for_it() {
    let world = World::new().await;
    let (widgets, maps) = family(&world).await;
    let other = widgets
        .create(&PostParams::default(), &dynamic(widget("other")))
        .await
        .expect("created");
    let mut owners = maps
        .get("child")
        .await
        .expect("there")
        .metadata
        .owner_references
        .unwrap_or_default();
    let mut second = owners[0].clone();
    owners[0].block_owner_deletion = Some(true);
    second.name = "other".into();
    second.uid = other.metadata.uid.expect("a uid");
    owners.push(second);
    let both = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
    maps.patch("child", &PatchParams::default(), &both)
        .await
        .expect("patched");
    widgets.delete("owner", &foreground()).await.expect("marked");
    eventually("the owner is gone", async || {
        widgets.get_opt("owner").await.expect("asked").is_none()
    })
    .await;
    let child = maps.get("child").await.expect("there").metadata;
    assert!(child.deletion_timestamp.is_none());
    let names: Vec<String> = child
        .owner_references
        .into_iter()
        .flatten()
        .map(|owner| owner.name)
        .collect();
    assert_eq!(names, ["other"]);
    world.stop().await;
}

#[tokio::test]
async fn two_that_wait_for_each_other_go() {
    let world = World::new().await;
    let widgets = world.widgets();
    let mut uids = Vec::new();
    for name in ["one", "two"] {
        let made = widgets
            .create(&PostParams::default(), &dynamic(widget(name)))
            .await
            .expect("created");
        uids.push(made.metadata.uid.expect("a uid"));
    }
    for (name, owner, uid) in [("one", "two", &uids[1]), ("two", "one", &uids[0])] {
        let owners = json!([{
            "apiVersion": "example.dev/v1", "kind": "Widget", "name": owner, "uid": uid, "blockOwnerDeletion": true,
        }]);
        let change = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
        widgets
            .patch(name, &PatchParams::default(), &change)
            .await
            .expect("patched");
    }
    widgets.delete("one", &foreground()).await.expect("marked");
    eventually("both are gone", async || {
        let rest = widgets.list(&ListParams::default()).await.expect("listed");
        rest.items.is_empty()
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn what_an_object_owns_goes_before_it_in_a_foreground_deletion() {
    let world = World::new().await;
    let (widgets, maps) = family(&world).await;
    let mut owners = maps.get("child").await.expect("there").metadata.owner_references;
    for owner in owners.iter_mut().flatten() {
        owner.block_owner_deletion = Some(true);
    }
    let keep = json!({"metadata": {"finalizers": ["example.dev/hold"], "ownerReferences": owners}});
    maps.patch("child", &PatchParams::default(), &Patch::Merge(keep))
        .await
        .expect("patched");
    widgets.delete("owner", &foreground()).await.expect("marked");
    eventually("the child is marked", async || {
        maps.get("child")
            .await
            .expect("there")
            .metadata
            .deletion_timestamp
            .is_some()
    })
    .await;
    widgets.get("owner").await.expect("the owner waits");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("child", &PatchParams::default(), &release)
        .await
        .expect("patched");
    eventually("both are gone", async || {
        widgets.get_opt("owner").await.expect("asked").is_none()
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn nobody_holds_or_outlives_an_owner_in_another_namespace() {
    let world = World::new().await;
    let space = json!({"metadata": {"name": "other"}});
    world.post("/api/v1/namespaces", &space).await;
    let owner = world
        .widgets()
        .create(&PostParams::default(), &dynamic(widget("owner")))
        .await
        .expect("created");
    let stranger = json!({"metadata": {
        "name": "stranger", "finalizers": ["example.dev/hold"], "ownerReferences": [{
            "apiVersion": "example.dev/v1", "kind": "Widget", "name": "owner", "uid": owner.metadata.uid,
            "blockOwnerDeletion": true,
        }],
    }});
    let (status, _) = world.post("/api/v1/namespaces/other/configmaps", &stranger).await;
    assert_eq!(status, StatusCode::CREATED);
    let foreground = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    world
        .widgets()
        .delete("owner", &foreground)
        .await
        .expect("marked");
    eventually("the owner is gone", async || {
        world.widgets().get_opt("owner").await.expect("asked").is_none()
    })
    .await;
    eventually("the stranger is treated as one without an owner", async || {
        let (_, stranger) = world.get("/api/v1/namespaces/other/configmaps/stranger").await;
        stranger.pointer("/metadata/deletionTimestamp").is_some()
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn orphans_stay_and_forget_their_owner() {
    let world = World::new().await;
    let (widgets, maps) = family(&world).await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    widgets.delete("owner", &orphan).await.expect("marked");
    eventually("the owner is gone", async || {
        widgets.get_opt("owner").await.expect("asked").is_none()
    })
    .await;
    let child = maps.get("child").await.expect("the child stays");
    assert!(child.metadata.owner_references.unwrap_or_default().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn collection_of_what_is_owned_goes_on_after_a_restart() {
    let mut world = World::new().await;
    let (widgets, _) = family(&world).await;
    widgets
        .delete("owner", &DeleteParams::default())
        .await
        .expect("deleted");
    // The tidying may or may not have come to it.
    world.restart().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client());
    eventually("the child is gone", async || {
        maps.get_opt("child").await.expect("asked").is_none()
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let world = World::new().await;
    let namespaces: Api<Namespace> = Api::all(world.client());
    let body = json!({"metadata": {"name": "team"}});
    let made = namespaces
        .create(
            &PostParams::default(),
            &serde_json::from_value(body).expect("a namespace"),
        )
        .await
        .expect("created");
    assert_eq!(
        made.status.and_then(|status| status.phase).as_deref(),
        Some("Active")
    );
    let collection = "/apis/example.dev/v1/namespaces/team/widgets";
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["example.dev/hold"]);
    for body in [widget("a"), widget("b"), held] {
        assert_eq!(world.post(collection, &body).await.0, StatusCode::CREATED);
    }
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .expect("marked");
    eventually("only what is held is left", async || {
        world.get(collection).await.1["items"].as_array().map(Vec::len) == Some(1)
    })
    .await;
    let (status, answer) = world.post(collection, &widget("late")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let release = json!({"metadata": {"finalizers": null}}).to_string();
    let path = format!("{collection}/held");
    world
        .send("PATCH", &path, "application/merge-patch+json", release)
        .await;
    eventually("the namespace is gone", async || {
        namespaces.get_opt("team").await.expect("asked").is_none()
    })
    .await;
    assert_eq!(
        world.post(collection, &widget("late")).await.0,
        StatusCode::NOT_FOUND
    );
    let error = namespaces.delete("default", &DeleteParams::default()).await;
    assert!(error.is_err(), "the default project stays");
    world.stop().await;
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let world = World::new().await;
    let widgets = world.widgets();
    for name in ["a", "b", "c"] {
        let mut body = widget(name);
        body["metadata"]["labels"] = json!({"keep": (name == "b").to_string()});
        widgets
            .create(&PostParams::default(), &dynamic(body))
            .await
            .expect("created");
    }
    let selected = ListParams::default().labels("keep=false");
    widgets
        .delete_collection(&DeleteParams::default(), &selected)
        .await
        .expect("deleted");
    let left = widgets.list(&ListParams::default()).await.expect("listed");
    assert_eq!(left.items.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_definition_made_at_run_time_is_served_at_once_and_goes_with_its_objects() {
    let world = World::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (status, made) = world
        .post(definitions, &definition("more.dev", "Gadget", "gadgets"))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let conditions = made["status"]["conditions"].as_array().expect("conditions");
    assert!(
        conditions.iter().all(|condition| condition["status"] == "True"),
        "{made}"
    );
    let collection = "/apis/more.dev/v1/namespaces/default/gadgets";
    let body = json!({
        "apiVersion": "more.dev/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3},
    });
    assert_eq!(world.post(collection, &body).await.0, StatusCode::CREATED);

    let path = format!("{definitions}/gadgets.more.dev");
    for (change, field) in [
        (json!({"spec": {"scope": "Cluster"}}), "spec.scope"),
        (json!({"spec": {"names": {"kind": "Other"}}}), "spec.names.kind"),
    ] {
        let (status, answer) = world
            .send("PATCH", &path, "application/merge-patch+json", change.to_string())
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer["details"]["causes"][0]["field"], field, "{answer}");
    }

    let mut taken = definition("more.dev", "Gadget", "gizmos");
    taken["spec"]["names"]["singular"] = json!("gizmo");
    let (_, refused) = world.post(definitions, &taken).await;
    assert_eq!(refused["status"]["conditions"][0]["status"], "False", "{refused}");
    assert_eq!(
        world.get("/apis/more.dev/v1/gizmos").await.0,
        StatusCode::NOT_FOUND
    );

    world.send("DELETE", &path, "", "").await;
    eventually("the definition is gone", async || {
        world.get(&path).await.0 == StatusCode::NOT_FOUND
    })
    .await;
    let served = world.get(collection).await.0;
    assert_eq!(
        served,
        StatusCode::NOT_FOUND,
        "whoever hears that it is gone finds no kind"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_definition_that_cannot_be_served_is_refused() {
    let world = World::new().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut wrong = definition("more.dev", "Gadget", "gadgets");
    wrong["metadata"]["name"] = json!("other.more.dev");
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "properties": {"spec": {}}});
    wrong["spec"]["conversion"] = json!({"strategy": "Webhook"});
    let (status, answer) = world.post(definitions, &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = answer["message"].as_str().expect("a message");
    for part in [
        "metadata.name",
        "spec.validation.openAPIV3Schema",
        "spec.conversion.strategy",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(world.get(WIDGETS).await.0, StatusCode::OK);
    world.stop().await;
}
