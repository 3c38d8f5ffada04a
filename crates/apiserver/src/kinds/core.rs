//! The core kinds, as a table.

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event, Namespace, Secret},
        events::v1::Event as NewEvent,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Result};
use stead_resource::{Schema, table::Columns};

use super::{Form, ResourceType, rules::Rules};
use crate::object;

/// Where namespaces are stored.
pub(crate) const NAMESPACES: &str = "namespaces";
/// Where definitions are stored.
pub(crate) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Where leases are stored.
pub(crate) const LEASES: &str = "coordination.k8s.io/leases";
/// Where events of both groups are stored.
pub(crate) const EVENTS: &str = "events";

struct CoreKind {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: &'static [&'static str],
    namespaced: bool,
    status: bool,
    storage: &'static str,
    form: Form,
    rules: Rules,
    schema: fn() -> Value,
    /// Printer columns as a definition would have them.
    columns: fn() -> Value,
    view: Option<fn(&Value) -> Value>,
    fields: &'static [&'static str],
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const NEW_EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "reason",
    "reportingController",
    "type",
];

const CORE: &[CoreKind] = &[
    CoreKind {
        group: "",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        status: true,
        storage: NAMESPACES,
        form: Form::Plain,
        rules: Rules::Namespace,
        schema: schema_of::<Namespace>,
        columns: || json!([column("Status", "string", ".status.phase"), age()]),
        view: None,
        fields: &["status.phase"],
    },
    CoreKind {
        group: "",
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        namespaced: true,
        status: false,
        storage: "configmaps",
        form: Form::Plain,
        rules: Rules::ConfigMap,
        schema: schema_of::<ConfigMap>,
        columns: || json!([column("Data", "integer", ".count"), age()]),
        view: Some(counted),
        fields: &[],
    },
    CoreKind {
        group: "",
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        short_names: &[],
        namespaced: true,
        status: false,
        storage: "secrets",
        form: Form::Sealed,
        rules: Rules::Secret,
        schema: schema_of::<Secret>,
        columns: || {
            json!([
                column("Type", "string", ".type"),
                column("Data", "integer", ".count"),
                age()
            ])
        },
        view: Some(counted),
        fields: &["type"],
    },
    CoreKind {
        group: "",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        namespaced: true,
        status: false,
        storage: EVENTS,
        form: Form::Plain,
        rules: Rules::Event,
        schema: schema_of::<Event>,
        columns: event_columns,
        view: Some(event_view),
        fields: EVENT_FIELDS,
    },
    CoreKind {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        // The short name leads to the core group only.
        short_names: &[],
        namespaced: true,
        status: false,
        storage: EVENTS,
        form: Form::NewEvent,
        rules: Rules::Event,
        schema: schema_of::<NewEvent>,
        columns: event_columns,
        view: Some(new_event_view),
        fields: NEW_EVENT_FIELDS,
    },
    CoreKind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        short_names: &[],
        namespaced: true,
        status: false,
        storage: LEASES,
        form: Form::Plain,
        rules: Rules::None,
        schema: schema_of::<Lease>,
        columns: || json!([column("Holder", "string", ".spec.holderIdentity"), age()]),
        view: None,
        fields: &[],
    },
    CoreKind {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short_names: &["crd", "crds"],
        namespaced: false,
        status: true,
        storage: DEFINITIONS,
        form: Form::Plain,
        rules: Rules::Definition,
        schema: schema_of::<CustomResourceDefinition>,
        columns: || json!([column("Created At", "date", ".metadata.creationTimestamp")]),
        view: None,
        fields: &[],
    },
];

/// The core kinds, ready to serve.
pub(crate) fn core_kinds() -> Result<Vec<ResourceType>> {
    CORE.iter().map(resource_type).collect()
}

fn resource_type(core: &CoreKind) -> Result<ResourceType> {
    let unusable = |message: String| Error::internal(format!("the core kind {}: {message}", core.kind));
    let open_api = (core.schema)();
    let strings = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect::<Vec<String>>();
    Ok(ResourceType {
        group: core.group.into(),
        version: "v1".into(),
        kind: core.kind.into(),
        list_kind: format!("{}List", core.kind),
        plural: core.plural.into(),
        defined: false,
        singular: core.singular.into(),
        short_names: strings(core.short_names),
        categories: Vec::new(),
        namespaced: core.namespaced,
        storage: core.storage.into(),
        schema: Schema::compile(&open_api).map_err(|error| unusable(error.to_string()))?,
        open_api,
        columns: Columns::from_crd_version(Some(&(core.columns)()))
            .map_err(|error| unusable(error.to_string()))?,
        view: core.view,
        status: core.status,
        counted: core.rules == Rules::Definition,
        fields: strings(core.fields),
        form: core.form,
        rules: core.rules,
        admit: None,
        strategic: true,
        warning: None,
    })
}

fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}

fn age() -> Value {
    column("Age", "date", ".metadata.creationTimestamp")
}

fn event_columns() -> Value {
    json!([
        column("Last Seen", "date", ".seen"),
        column("Type", "string", ".type"),
        column("Reason", "string", ".reason"),
        column("Object", "string", ".object"),
        column("Message", "string", ".message"),
    ])
}

/// How many entries `data` and `binaryData` have.
fn counted(object: &Value) -> Value {
    let entries = |field| object.get(field).and_then(Value::as_object).map_or(0, Map::len);
    json!({
        "metadata": object.get("metadata"),
        "type": object.get("type"),
        "count": entries("data") + entries("binaryData"),
    })
}

fn new_event_view(event: &Value) -> Value {
    let mut event = event.clone();
    super::from_newer(&mut event);
    event_view(&event)
}

fn event_view(event: &Value) -> Value {
    let about = |field: &str| {
        event
            .get("involvedObject")
            .map(|about| object::top(about, field))
            .unwrap_or_default()
    };
    let seen = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .find_map(|path| event.pointer(path).and_then(Value::as_str));
    json!({
        "metadata": event.get("metadata"),
        "seen": seen,
        "type": event.get("type"),
        "reason": event.get("reason"),
        "object": format!("{}/{}", about("kind").to_lowercase(), about("name")),
        "message": event.get("message"),
    })
}

/// The schema of Kubernetes' object metadata, for the OpenAPI documents.
pub(crate) fn object_meta() -> Value {
    schema_of::<ObjectMeta>()
}

/// A type's schema as a structural one: references resolved, and what refers to itself left open.
fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    let root = object::root_mut(&mut schema);
    for field in ["title", "components", "$defs", "definitions"] {
        root.shift_remove(field);
    }
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut)
        && let Some(metadata) = properties.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.retain(|key, _| matches!(key.as_str(), "type" | "description"));
    }
    open_recursion(&mut schema);
    schema
}

/// Lets every value through where a schema refers to itself, says nothing, or says how definitions look.
fn open_recursion(schema: &mut Value) {
    match schema {
        Value::Bool(_) => *schema = anything(None),
        Value::Object(map) if map.contains_key("$ref") || map.contains_key("allOf") => {
            *schema = anything(map.get("description").cloned());
        }
        Value::Object(map) => {
            if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
                if let Some(open) = properties.get_mut("openAPIV3Schema") {
                    *open = anything(open.get("description").cloned());
                    object::root_mut(open).insert("type".into(), "object".into());
                }
                properties.values_mut().for_each(open_recursion);
            }
            for field in ["items", "additionalProperties"] {
                if let Some(inner) = map.get_mut(field) {
                    open_recursion(inner);
                }
            }
            if !map.contains_key("type") && !map.contains_key("x-kubernetes-int-or-string") {
                map.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
            }
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

fn anything(description: Option<Value>) -> Value {
    let mut schema = json!({"x-kubernetes-preserve-unknown-fields": true});
    if let Some(description) = description {
        object::root_mut(&mut schema).insert("description".into(), description);
    }
    schema
}
