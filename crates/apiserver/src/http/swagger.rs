//! The old OpenAPI document (version 2.0, "Swagger"), all groups in one, made from the newer ones when first asked for.
//!
//! What the old form cannot say of a value is left out of it, as in the original: a value of several types has none.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::openapi::{Document, specification};
use crate::{
    failure::{Failure, Outcome},
    kinds::Registry,
    object::root_mut,
};

/// What the document is offered as.
const OFFERED: &str = "application/json";
/// What every answer is offered as.
const PRODUCES: [&str; 2] = ["application/json", "application/yaml"];

/// `/openapi/v2`. Its binary form, which old clients ask for and fall back from, is refused.
pub(super) fn document(registry: &Registry, headers: &HeaderMap) -> Outcome<Response> {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted: Vec<&str> = accepted.filter_map(|value| value.to_str().ok()).collect();
    let wants = |range: &str| {
        let name = range.split(';').next().unwrap_or_default().trim();
        matches!(name, "application/json" | "application/*" | "*/*")
    };
    if !accepted.is_empty() && !accepted.join(",").split(',').any(wants) {
        return Err(Failure::not_acceptable(OFFERED));
    }
    let document = registry.swagger.get_or_init(|| Document::new(&make(registry)));
    let mut response = document.body.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OFFERED));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", document.hash)) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

fn make(registry: &Registry) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, versions) in registry.groups() {
        for version in versions {
            let mut newer = specification(registry, group, version);
            if let Some(Value::Object(schemas)) = newer.pointer_mut("/components/schemas").map(Value::take) {
                for (name, mut schema) in schemas {
                    lower(&mut schema);
                    definitions.insert(name, schema);
                }
            }
            if let Some(Value::Object(found)) = newer.get_mut("paths").map(Value::take) {
                paths.extend(found.into_iter().map(|(path, item)| (path, lower_path(item))));
            }
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Stead", "version": "v1"},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {
            "BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"},
        },
        "security": [{"BearerToken": []}],
    })
}

/// Says a schema in the old form.
fn lower(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(all)) = map.shift_remove("allOf")
        && let [Value::Object(only)] = all.as_slice()
    {
        map.extend(only.clone());
    }
    if let Some(Value::String(reference)) = map.get_mut("$ref") {
        *reference = reference.replace("#/components/schemas/", "#/definitions/");
    }
    let is_set = |map: &Map<String, Value>, name: &str| map.get(name) == Some(&Value::Bool(true));
    let is_open = is_set(map, "x-kubernetes-int-or-string")
        || is_set(map, "nullable")
        || is_set(map, "x-kubernetes-preserve-unknown-fields") && !map.contains_key("properties");
    if is_open {
        for name in ["type", "items", "properties", "additionalProperties"] {
            map.shift_remove(name);
        }
    }
    for name in ["nullable", "oneOf", "anyOf", "not"] {
        map.shift_remove(name);
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(lower);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(name) {
            lower(inner);
        }
    }
}

fn lower_path(mut item: Value) -> Value {
    for (name, part) in root_mut(&mut item).iter_mut() {
        if name == "parameters" {
            lower_parameters(part);
        } else {
            lower_operation(part);
        }
    }
    item
}

fn lower_operation(operation: &mut Value) {
    let map = root_mut(operation);
    let mut parameters = map.shift_remove("parameters").unwrap_or_else(|| json!([]));
    lower_parameters(&mut parameters);
    let mut consumes = vec!["*/*".to_owned()];
    if let Some(body) = map.shift_remove("requestBody") {
        let content = body.get("content").and_then(Value::as_object);
        let content = content.cloned().unwrap_or_default();
        consumes = content.keys().cloned().collect();
        let schema = content
            .into_iter()
            .next()
            .and_then(|(_, content)| content.get("schema").cloned());
        let mut schema = schema.unwrap_or_default();
        lower(&mut schema);
        let body = json!({"name": "body", "in": "body", "required": true, "schema": schema});
        if let Some(list) = parameters.as_array_mut() {
            list.insert(0, body);
        }
    }
    map.insert("consumes".into(), consumes.into());
    map.insert("produces".into(), PRODUCES.to_vec().into());
    map.insert("schemes".into(), json!(["https"]));
    map.insert("parameters".into(), parameters);
    for response in map
        .get_mut("responses")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let response = root_mut(response.1);
        let content = response.shift_remove("content");
        let schema = content.and_then(|content| content.pointer("/application~1json/schema").cloned());
        if let Some(mut schema) = schema {
            lower(&mut schema);
            response.insert("schema".into(), schema);
        }
    }
}

/// A parameter's type is its own in the old form.
fn lower_parameters(list: &mut Value) {
    for parameter in list.as_array_mut().into_iter().flatten() {
        let map = root_mut(parameter);
        if let Some(Value::Object(schema)) = map.shift_remove("schema") {
            map.extend(schema);
        }
        map.insert("uniqueItems".into(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::core_kinds;

    #[test]
    fn the_document_says_nothing_that_the_old_form_has_not() {
        let registry = Registry::new(core_kinds().expect("the core kinds"));
        let document = make(&registry);
        let text = document.to_string();
        for word in [
            "\"allOf\"",
            "\"requestBody\"",
            "\"nullable\"",
            "#/components",
            "\"content\"",
        ] {
            assert!(!text.contains(word), "{word}");
        }
        let post = &document["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"];
        let body = &post["parameters"][0];
        assert_eq!(
            body["schema"]["$ref"],
            "#/definitions/io.k8s.api.core.v1.ConfigMap"
        );
        assert_eq!(post["parameters"][1]["type"], "string");
        let definitions = document["definitions"].as_object().expect("definitions");
        let named: Vec<&str> = text
            .split("#/definitions/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(named.iter().all(|name| definitions.contains_key(*name)));
    }

    #[test]
    fn a_value_of_several_types_has_none() {
        for (schema, lowered) in [
            (json!({"type": "string", "nullable": true}), json!({})),
            (
                json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "string"}]}),
                json!({"x-kubernetes-int-or-string": true}),
            ),
            (
                json!({"type": "array", "items": {"type": "string", "not": {}}}),
                json!({"type": "array", "items": {"type": "string"}}),
            ),
            (
                json!({"allOf": [{"$ref": "#/components/schemas/a.B"}], "default": {}}),
                json!({"default": {}, "$ref": "#/definitions/a.B"}),
            ),
        ] {
            let mut found = schema.clone();
            lower(&mut found);
            assert_eq!(found, lowered, "{schema}");
        }
    }
}
