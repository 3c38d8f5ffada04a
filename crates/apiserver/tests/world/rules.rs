//! Definitions as users install them: validation rules, scales, fields for selectors, several versions.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{World, definition};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GADGETS: &str = "/apis/more.dev/v1/namespaces/default/gadgets";

fn with_rules(rules: &Value) -> Value {
    let mut body = definition("more.dev", "Gadget", "gadgets");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let spec = body.pointer_mut(spec).and_then(Value::as_object_mut);
    spec.expect("a specification")
        .insert("x-kubernetes-validations".into(), rules.clone());
    body
}

fn gadget(size: i64, color: &str) -> Value {
    json!({
        "apiVersion": "more.dev/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": size, "color": color},
    })
}

#[tokio::test]
async fn rules_decide_about_objects_when_they_are_made_and_changed() {
    let world = World::new().await;
    let rules = json!([
        {"rule": "self.size < 10", "messageExpression": "'size ' + string(self.size) + ' is too much'", "fieldPath": ".size"},
        {"rule": "self.color == oldSelf.color", "message": "color is immutable"},
    ]);
    let (status, answer) = world.post(DEFINITIONS, &with_rules(&rules)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (status, answer) = world.post(GADGETS, &gadget(10, "blue")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer["message"],
        "Gadget.more.dev \"g\" is invalid: spec.size: Invalid value: size 10 is too much"
    );
    assert_eq!(
        answer["details"]["causes"],
        json!([{"reason": "FieldValueInvalid", "message": "Invalid value: size 10 is too much", "field": "spec.size"}])
    );
    let (status, _) = world.post(GADGETS, &gadget(1, "blue")).await;
    assert_eq!(status, StatusCode::CREATED);
    let change = |patch: Value| {
        let world = &world;
        async move {
            let path = format!("{GADGETS}/g");
            world
                .send("PATCH", &path, "application/merge-patch+json", patch.to_string())
                .await
        }
    };
    let (status, answer) = change(json!({"spec": {"color": "green"}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer["message"],
        "Gadget.more.dev \"g\" is invalid: spec: Invalid value: color is immutable"
    );
    assert_eq!(change(json!({"spec": {"size": 9}})).await.0, StatusCode::OK);
    let (status, answer) = change(json!({"spec": {"size": "x"}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.ends_with(
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct \
             the existing errors to complete validation]"
        ),
        "{message}"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_rule_with_an_unknown_function_is_refused_by_its_name() {
    let world = World::new().await;
    let (status, answer) = world
        .post(
            DEFINITIONS,
            &with_rules(&json!([{"rule": "frobnicate(self.size)"}])),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("undeclared reference to 'frobnicate'"),
        "{message}"
    );
    assert_eq!(
        answer["details"]["causes"][0]["field"],
        "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_scale_is_read_and_changed_where_the_definition_says_it_is() {
    let world = World::new().await;
    let mut body = definition("more.dev", "Gadget", "gadgets");
    let version = body.pointer_mut("/spec/versions/0").expect("a version");
    version["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector",
    });
    let status = json!({"type": "object", "properties": {"size": {"type": "integer"}, "selector": {"type": "string"}}});
    version["schema"]["openAPIV3Schema"]["properties"]["status"] = status;
    assert_eq!(world.post(DEFINITIONS, &body).await.0, StatusCode::CREATED);
    assert_eq!(
        world.post(GADGETS, &gadget(2, "blue")).await.0,
        StatusCode::CREATED
    );
    let path = format!("{GADGETS}/g");
    let merge = "application/merge-patch+json";
    let reported = json!({"status": {"size": 1, "selector": "app=g"}}).to_string();
    let (code, _) = world
        .send("PATCH", &format!("{path}/status"), merge, reported)
        .await;
    assert_eq!(code, StatusCode::OK);
    let scale = format!("{path}/scale");
    let (code, found) = world.get(&scale).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(
        [
            &found["kind"],
            &found["apiVersion"],
            &found["spec"],
            &found["status"]
        ],
        [
            &json!("Scale"),
            &json!("autoscaling/v1"),
            &json!({"replicas": 2}),
            &json!({"replicas": 1, "selector": "app=g"})
        ]
    );
    let wanted = json!({"spec": {"replicas": 5}}).to_string();
    let (code, changed) = world.send("PATCH", &scale, merge, wanted).await;
    assert_eq!(
        (code, &changed["spec"]),
        (StatusCode::OK, &json!({"replicas": 5}))
    );
    let (_, object) = world.get(&path).await;
    assert_eq!(
        [&object["spec"]["size"], &object["metadata"]["generation"]],
        [&json!(5), &json!(2)]
    );
    // The scale that was read first is of an older version.
    let (code, _) = world
        .send("PUT", &scale, "application/json", found.to_string())
        .await;
    assert_eq!(code, StatusCode::CONFLICT);
    let refused = json!({"spec": {"replicas": -1}}).to_string();
    let (code, answer) = world.send("PATCH", &scale, merge, refused).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let (_, resources) = world.get("/apis/more.dev/v1").await;
    let listed = resources["resources"].as_array().expect("a list");
    assert!(
        listed
            .iter()
            .any(|resource| resource["name"] == "gadgets/scale" && resource["group"] == "autoscaling")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_definition_is_refused_in_the_words_of_the_original() {
    let world = World::new().await;
    let at = "CustomResourceDefinition.apiextensions.k8s.io \"gadgets.more.dev\" is invalid: ";
    let cases: [(&str, Value, &str); 6] = [
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
            json!({"type": "object", "properties": {"a": {}}}),
            "spec.validation.openAPIV3Schema.properties[spec].properties[a].type: Required value: must not be empty for \
             specified object fields",
        ),
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"description": "x"}]}),
            "spec.validation.openAPIV3Schema.properties[spec].anyOf[0].description: Forbidden: must be empty to be structural",
        ),
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"}),
            "[spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-list-map-keys: Required value: must not be empty \
             if x-kubernetes-list-type is map, spec.validation.openAPIV3Schema.properties[spec].items.type: Invalid value: \
             \"string\": must be object if parent array's x-kubernetes-list-type is map]",
        ),
        (
            "/spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": "status.n"}}),
            "[spec.subresources.scale.specReplicasPath: Invalid value: \".status.n\": should be a json path under .spec, \
             spec.subresources.scale.statusReplicasPath: Invalid value: \"status.n\": must be a simple json path starting \
             with .]",
        ),
        (
            "/spec/names/kind",
            json!("gadgetList"),
            "spec.names.listKind: Invalid value: \"gadgetList\": kind and listKind may not be the same",
        ),
        (
            "/spec/scope",
            json!("World"),
            "spec.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespaced\"",
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut body = definition("more.dev", "Gadget", "gadgets");
        if pointer.ends_with("kind") {
            body["spec"]["names"]["listKind"] = value.clone();
        }
        *body.pointer_mut(pointer).expect("a place") = value;
        let (status, answer) = world.post(DEFINITIONS, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(message.strip_prefix(at), Some(expected), "{message}");
    }
    world.stop().await;
}
