//! Server-side apply against what Kubernetes' own merge engine makes of the same steps.

use serde_json::{Map, Value, json};
use stead_resource::{
    Schema,
    apply::{ApplyError, Manager, server_side_apply, track_update},
};

mod support;
use support::provider_schema;

/// One step with its outcome.
struct Step<'a>(&'a Value);

impl Step<'_> {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn take(&self, live: Option<&Value>, schema: &Schema) -> Result<Value, Vec<String>> {
        let mut object = json!({"spec": self.0.get("spec")});
        let manager = Manager {
            name: self.text("manager"),
            api_version: "v1",
            subresource: "",
            resets: &[],
            empty: &serde_json::Value::Null,
            now: "2026-01-02T03:04:05Z",
        };
        if self.text("op") == "update" {
            track_update(live, &mut object, schema, &manager);
            return Ok(object);
        }
        let force = self.0.get("force") == Some(&Value::Bool(true));
        server_side_apply(live, &object, schema, &manager, force).map_err(|error| match error {
            ApplyError::Conflicts(conflicts) => {
                let named = |by_update: bool, name: &str| owner_name(by_update, name);
                let mut lines: Vec<String> = conflicts
                    .iter()
                    .map(|conflict| {
                        format!(
                            "{} {}",
                            named(conflict.by_update, &conflict.manager),
                            conflict.field
                        )
                    })
                    .collect();
                lines.sort();
                lines
            }
            ApplyError::Invalid(reason) | ApplyError::Untyped(reason) => vec![reason],
        })
    }
}

/// The recording puts a `U` before the names of updaters.
fn owner_name(by_update: bool, name: &str) -> String {
    if by_update && name != "before-first-apply" {
        format!("U{name}")
    } else {
        name.to_owned()
    }
}

fn owners(object: &Value) -> Map<String, Value> {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let entries = entries.into_iter().flatten().map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = owner_name(text("operation") == "Update", text("manager"));
        (name, entry.get("fieldsV1").cloned().unwrap_or_default())
    });
    entries.collect()
}

/// The engine leaves null where this implementation leaves an empty map or list; to readers both are nothing.
fn plain(value: &Value) -> Value {
    let is_something =
        |value: &Value| !matches!(value, Value::Null) && *value != json!({}) && *value != json!([]);
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), plain(member)));
            members.filter(|(_, member)| is_something(member)).collect()
        }
        Value::Array(elements) => elements.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_step_ends_as_kubernetes_ends_it() {
    let cases: Vec<Vec<Value>> =
        serde_json::from_str(include_str!("fixtures/apply.json")).expect("the fixture is JSON");
    let schema = provider_schema();
    for (number, case) in cases.iter().enumerate() {
        let mut live: Option<Value> = None;
        for (position, step) in case.iter().enumerate() {
            let place = format!("case {number}, step {position}: {step}");
            match Step(step).take(live.as_ref(), &schema) {
                Err(conflicts) => assert_eq!(Some(&json!(conflicts)), step.get("conflicts"), "{place}"),
                Ok(object) => {
                    let (spec, wanted) = (object.get("spec").map(plain), step.get("result").map(plain));
                    let nothing = || Some(json!({}));
                    assert_eq!(
                        spec.or_else(nothing),
                        wanted.filter(|it| !it.is_null()).or_else(nothing),
                        "{place}"
                    );
                    assert_eq!(
                        Some(&Value::Object(owners(&object))),
                        step.get("owners"),
                        "{place}"
                    );
                    live = Some(object);
                }
            }
        }
    }
}
