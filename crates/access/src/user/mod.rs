//! The kind User: a person who may sign in.

mod admission;
mod controller;
mod directory;
mod plan;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::DEFAULT_PROJECT;

pub(crate) use self::{
    admission::{admit, is_name},
    controller::{Reconciler, run},
    directory::{Directory, principal},
};

/// A person who may sign in. Passwords and sessions are no part of the object: set a password with
/// `stead user passwd NAME`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "User",
    doc = "A person who signs in with a password and works in their own projects.",
    plural = "users",
    singular = "user",
    category = "stead",
    status = "UserStatus",
    printcolumn = r#"{"name":"Full name","type":"string","description":"The person's name","jsonPath":".spec.displayName"}"#,
    printcolumn = r#"{"name":"Admin","type":"boolean","description":"Whether the user may do everything","jsonPath":".spec.admin"}"#,
    printcolumn = r#"{"name":"Projects","type":"string","description":"The user's projects","jsonPath":".spec.projects"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","description":"Whether the user can sign in","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserSpec {
    /// The person's name, for display.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub display_name: String,
    /// Whether the user may do everything.
    #[serde(default)]
    pub admin: bool,
    /// The projects (namespaces) in which the user may do everything but see Secrets.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub projects: Vec<String>,
    /// Whether the user is kept out: signing in is refused, and open sessions are worth nothing.
    #[serde(default)]
    pub disabled: bool,
}

/// Whether the user can sign in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserStatus {
    /// The generation of the object that this is about.
    pub observed_generation: Option<i64>,
    /// Whether the user has a password.
    pub password_set: bool,
    /// `Ready`: whether the user can sign in.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The definition of the kind.
pub(crate) fn definition() -> CustomResourceDefinition {
    User::crd()
}

/// A complete, valid object.
pub(crate) fn example() -> Value {
    json!({
        "apiVersion": "stead.dev/v1alpha1",
        "kind": "User",
        "metadata": {"name": "ada"},
        "spec": {
            "displayName": "Ada Lovelace",
            "admin": false,
            "projects": [DEFAULT_PROJECT],
            "disabled": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_user_and_the_definition_is_of_the_whole_installation() {
        let user: User = serde_json::from_value(example()).expect("a user");
        assert_eq!(user.spec.display_name, "Ada Lovelace");
        let definition = definition();
        assert_eq!(definition.metadata.name.as_deref(), Some("users.stead.dev"));
        assert_eq!(definition.spec.scope, "Cluster");
        let schema = serde_json::to_value(&definition).expect("JSON");
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let fields = schema
            .pointer(&format!("{spec}/properties"))
            .and_then(Value::as_object)
            .expect("fields");
        assert_eq!(
            fields.keys().collect::<Vec<_>>(),
            ["admin", "disabled", "displayName", "projects"]
        );
        assert_eq!(schema.pointer(&format!("{spec}/required")), None);
        assert!(fields.values().all(|field| field["description"].is_string()));
    }
}
