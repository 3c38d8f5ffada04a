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
use serde_json::{Value, json};
use stead_kernel::{Error, Result};
use stead_resource::{
    Schema,
    table::{ColumnError, Columns},
};

use super::{Form, ResourceType, printing, rules::Rules};
use crate::object;

/// Where namespaces are stored.
pub(crate) const NAMESPACES: &str = "namespaces";
/// Where definitions are stored.
pub(crate) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Where leases are stored.
pub(crate) const LEASES: &str = "coordination.k8s.io/leases";
/// Where events of both groups are stored.
pub(crate) const EVENTS: &str = "events";

pub(super) struct CoreKind {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) short_names: &'static [&'static str],
    pub(super) namespaced: bool,
    pub(super) status: bool,
    pub(super) storage: &'static str,
    pub(super) form: Form,
    pub(super) rules: Rules,
    pub(super) schema: fn() -> Value,
    /// Printer columns as a definition would have them.
    pub(super) columns: fn() -> Value,
    pub(super) view: Option<fn(&Value) -> Value>,
    pub(super) fields: &'static [&'static str],
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
    "source.component",
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
        columns: printing::namespace,
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
        columns: printing::config_map,
        view: Some(printing::counted),
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
        columns: printing::secret,
        view: Some(printing::counted),
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
        columns: printing::event,
        view: Some(printing::event_view),
        fields: EVENT_FIELDS,
    },
    CoreKind {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        namespaced: true,
        status: false,
        storage: EVENTS,
        form: Form::NewEvent,
        rules: Rules::Event,
        schema: schema_of::<NewEvent>,
        columns: printing::event,
        view: Some(printing::new_event_view),
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
        rules: Rules::Lease,
        schema: schema_of::<Lease>,
        columns: printing::lease,
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
        columns: printing::created,
        view: None,
        fields: &[],
    },
];

/// The core kinds, ready to serve.
pub(crate) fn core_kinds() -> Result<Vec<ResourceType>> {
    CORE.iter()
        .chain(super::roles::ACCESS)
        .map(resource_type)
        .collect()
}

fn resource_type(core: &CoreKind) -> Result<ResourceType> {
    let unusable = |message: String| Error::internal(format!("the core kind {}: {message}", core.kind));
    let mut open_api = (core.schema)();
    settle(core, &mut open_api);
    let strings = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect::<Vec<String>>();
    Ok(ResourceType {
        group: core.group.into(),
        version: "v1".into(),
        stored_version: "v1".into(),
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
        columns: columns(core).map_err(|error| unusable(error.to_string()))?,
        view: core.view,
        status: core.status,
        scale: None,
        counted: core.rules == Rules::Definition,
        fields: strings(core.fields),
        form: core.form,
        rules: core.rules,
        admit: None,
        strategic: true,
        empty: empty(core),
        warning: None,
    })
}

fn columns(core: &CoreKind) -> std::result::Result<Columns, ColumnError> {
    let columns = (core.columns)();
    match core.rules {
        // Their name is among the last of the columns.
        Rules::Event => Columns::in_full(&columns),
        Rules::None
        | Rules::Namespace
        | Rules::Secret
        | Rules::ConfigMap
        | Rules::Lease
        | Rules::Role
        | Rules::Binding
        | Rules::Account
        | Rules::Definition => Columns::from_crd_version(Some(&columns)),
    }
}

/// What the original always writes of a core kind, given or not.
fn empty(core: &CoreKind) -> Value {
    match (core.kind, core.form) {
        ("Namespace", _) => json!({"spec": {}, "status": {}}),
        ("Lease", _) => json!({"spec": {}}),
        ("CustomResourceDefinition", _) => json!({"spec": {"names": {}}}),
        ("Event", Form::NewEvent) => json!({
            "eventTime": null, "regarding": {}, "deprecatedSource": {}, "deprecatedFirstTimestamp": null,
            "deprecatedLastTimestamp": null,
        }),
        ("Event", _) => json!({
            "involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
            "reportingComponent": "", "reportingInstance": "",
        }),
        _ => json!({}),
    }
}

/// Adds to a core kind's schema what its Rust type does not tell: which fields merge as a whole, and which may be
/// null.
fn settle(core: &CoreKind, schema: &mut Value) {
    for name in ["involvedObject", "regarding", "related"] {
        if let Some(field) = schema.pointer_mut(&format!("/properties/{name}")) {
            object::root_mut(field).insert("x-kubernetes-map-type".into(), "atomic".into());
        }
    }
    if matches!(core.rules, Rules::Namespace | Rules::Definition)
        && let Some(conditions) = schema.pointer_mut("/properties/status/properties/conditions")
    {
        let conditions = object::root_mut(conditions);
        conditions.insert("x-kubernetes-list-type".into(), "map".into());
        conditions.insert("x-kubernetes-list-map-keys".into(), json!(["type"]));
    }
    for (name, value) in empty(core).as_object().into_iter().flatten() {
        if let Some(field) = schema
            .pointer_mut(&format!("/properties/{name}"))
            .filter(|_| value.is_null())
        {
            object::root_mut(field).insert("nullable".into(), true.into());
        }
    }
}

/// The schema of Kubernetes' object metadata, for the OpenAPI documents.
pub(crate) fn object_meta() -> Value {
    schema_of::<ObjectMeta>()
}

/// A type's schema as a structural one: references resolved, and what refers to itself left open.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
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
