//! What `kubectl get` shows of the core kinds: their columns, with the descriptions that Kubernetes gives them, and
//! the view of an object that the columns look at.

use serde_json::{Map, Value, json};
use stead_resource::table::{CREATED, NAME};

use crate::object;

fn column(name: &str, path: &str, description: &str) -> Value {
    json!({"name": name, "type": "string", "jsonPath": path, "description": description})
}

fn wide(name: &str, path: &str, description: &str) -> Value {
    with(column(name, path, description), "priority", &json!(1))
}

fn with(mut column: Value, field: &str, value: &Value) -> Value {
    object::root_mut(&mut column).insert(field.into(), value.clone());
    column
}

/// A number, of which the definition says that it is a text.
fn number(column: Value) -> Value {
    with(with(column, "type", &json!("integer")), "told", &json!("string"))
}

/// How long ago a time was, of which the definition says that it is a text.
fn since(column: Value) -> Value {
    with(with(column, "type", &json!("date")), "told", &json!("string"))
}

fn age() -> Value {
    since(column("Age", ".metadata.creationTimestamp", CREATED))
}

pub(super) fn aged() -> Value {
    json!([age()])
}

pub(super) fn namespace() -> Value {
    json!([
        column("Status", ".status.phase", "The status of the namespace"),
        age()
    ])
}

pub(super) fn config_map() -> Value {
    let about = "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or \
                 '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must \
                 not overlap with the keys in the BinaryData field, this is enforced during validation process.";
    json!([number(column("Data", ".count", about)), age()])
}

pub(super) fn secret() -> Value {
    let kind = "Used to facilitate programmatic handling of secret data. More info: \
                https://kubernetes.io/docs/concepts/configuration/secret/#secret-types";
    let about = "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The \
                 serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly \
                 non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4";
    json!([
        column("Type", ".type", kind),
        number(column("Data", ".count", about)),
        age()
    ])
}

pub(super) fn lease() -> Value {
    let about = "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election \
                 is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.";
    json!([column("Holder", ".spec.holderIdentity", about), age()])
}

/// Of kinds that the original gives no columns: when an object was made, as it is written there.
pub(super) fn created() -> Value {
    let made = column("Created At", ".metadata.creationTimestamp", CREATED);
    json!([with(made, "told", &json!("date"))])
}

pub(super) fn role_binding() -> Value {
    let about = "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the \
                 RoleRef cannot be resolved, the Authorizer must return an error.";
    bound(about, "roleBinding")
}

pub(super) fn cluster_role_binding() -> Value {
    let about = "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the \
                 Authorizer must return an error.";
    bound(about, "clusterRoleBinding")
}

fn bound(about: &str, kind: &str) -> Value {
    let subjects = |what: &str, path| wide(what, path, &format!("{what} in the {kind}"));
    json!([
        column("Role", ".role", about),
        age(),
        subjects("Users", ".users"),
        subjects("Groups", ".groups"),
        subjects("ServiceAccounts", ".accounts"),
    ])
}

/// A binding's role as one word, and its subjects by kind.
pub(super) fn binding_view(binding: &Value) -> Value {
    let role = binding.get("roleRef").unwrap_or(&Value::Null);
    let subjects = binding.get("subjects").and_then(Value::as_array);
    let named = |kind: &str| {
        let subjects = subjects.into_iter().flatten();
        let names = subjects
            .filter(|subject| object::top(subject, "kind") == kind)
            .map(|subject| match object::top(subject, "namespace") {
                "" => object::top(subject, "name").to_owned(),
                namespace => format!("{namespace}/{}", object::top(subject, "name")),
            });
        names.collect::<Vec<_>>().join(", ")
    };
    json!({
        "metadata": binding.get("metadata"),
        "role": format!("{}/{}", object::top(role, "kind"), object::top(role, "name")),
        "users": named("User"),
        "groups": named("Group"),
        "accounts": named("ServiceAccount"),
    })
}

pub(super) fn event() -> Value {
    let part = "If referring to a piece of an object instead of an entire object, this string should contain a valid \
                JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the \
                object reference is to a container within a pod, this would take on a value like: \
                \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the \
                event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this \
                pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.";
    let reason = "This should be a short, machine understandable string that gives the reason for the transition into \
                  the object's current status.";
    json!([
        since(column(
            "Last Seen",
            ".seen",
            "The time at which the most recent occurrence of this event was recorded."
        )),
        column(
            "Type",
            ".type",
            "Type of this event (Normal, Warning), new types could be added in the future"
        ),
        column("Reason", ".reason", reason),
        column("Object", ".object", "The object that this event is about."),
        wide("Subobject", ".part", part),
        wide(
            "Source",
            ".source",
            "The component reporting this event. Should be a short machine understandable string."
        ),
        column(
            "Message",
            ".message",
            "A human-readable description of the status of this operation."
        ),
        since(wide(
            "First Seen",
            ".first",
            "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)"
        )),
        number(wide(
            "Count",
            ".count",
            "The number of times this event has occurred."
        )),
        with(wide("Name", ".metadata.name", NAME), "format", &json!("name")),
    ])
}

/// How many entries `data` and `binaryData` have.
pub(super) fn counted(object: &Value) -> Value {
    let entries = |field| object.get(field).and_then(Value::as_object).map_or(0, Map::len);
    json!({
        "metadata": object.get("metadata"),
        "type": object.get("type"),
        "count": entries("data") + entries("binaryData"),
    })
}

pub(super) fn new_event_view(event: &Value) -> Value {
    let mut event = event.clone();
    super::from_newer(&mut event);
    event_view(&event)
}

pub(super) fn event_view(event: &Value) -> Value {
    let about = |field: &str| {
        event
            .get("involvedObject")
            .map(|about| object::top(about, field))
            .unwrap_or_default()
    };
    let source = event.get("source").unwrap_or(&Value::Null);
    let component = object::top(source, "component");
    let component = if component.is_empty() {
        object::top(event, "reportingComponent")
    } else {
        component
    };
    let source: Vec<&str> = [component, object::top(source, "host")]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
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
        "part": about("fieldPath"),
        "source": source.join(", "),
        "message": object::top(event, "message").trim(),
        "first": event.pointer("/firstTimestamp").filter(|time| !time.is_null()).or(event.get("eventTime")),
        "count": event.get("count").or(event.pointer("/series/count")).cloned().unwrap_or_else(|| json!(1)),
    })
}
