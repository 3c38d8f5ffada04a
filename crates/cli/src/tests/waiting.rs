//! `wait`.

use serde_json::{Value, json};

use super::world::World;

fn model(ready: &str) -> Value {
    json!({"apiVersion": "stead.dev/v1alpha1", "kind": "Model", "metadata": {"name": "m", "namespace": "default"},
        "status": {"phase": "Fetching", "steps": [{"name": "fetch", "state": "Running", "progress": {"done": 1, "total": 2}}],
            "conditions": [{"type": "Ready", "status": ready, "reason": "Fetching", "message": "half is there"}]}})
}

#[test]
fn wait_ends_when_the_condition_comes() {
    let world = World::new();
    world.put(model("False"));
    world.server.when_asked(
        "GET /k8s/apis/stead.dev/v1alpha1/namespaces/default/models?",
        |put| {
            put(model("Unknown"));
            put(model("True"));
        },
    );
    let ended = world.run(&["wait", "model/m", "--for=condition=Ready", "--timeout=1m"]);
    insta::assert_snapshot!(ended.all(), @"
    model.stead.dev/m condition met
    --- 0
    model.stead.dev/m
    ");
    assert_eq!(
        world
            .run(&["wait", "model", "m", "--for=jsonpath={.status.phase}=Fetching"])
            .code,
        0
    );
}

#[test]
fn wait_that_times_out_says_what_is_missing() {
    let world = World::new();
    world.put(model("False"));
    insta::assert_snapshot!(world.run(&["wait", "models", "--all", "--timeout=0"]).all(), @"
    --- 6
    model.stead.dev/m
    error: model.stead.dev/m is not as wanted after 0ns: Ready is False (Fetching): half is there
    ");
}

#[test]
fn wait_for_what_is_not_there_fails_at_once_unless_that_is_wanted() {
    let world = World::new();
    let ended = world.run(&["wait", "model/gone", "--timeout=10m"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(world.run(&["wait", "model/gone", "--for=delete"]).code, 0);
    world.server.when_asked(
        "GET /k8s/apis/stead.dev/v1alpha1/namespaces/default/models?",
        |put| put(model("False")),
    );
    assert_eq!(
        world
            .run(&["wait", "model/m", "--for=create", "--timeout=1m"])
            .ok(),
        "model.stead.dev/m created\n"
    );
    assert_eq!(world.run(&["wait", "model/m", "--for=nonsense"]).code, 2);
    assert_eq!(world.run(&["wait", "model/m", "--timeout=soon"]).code, 2);
}
