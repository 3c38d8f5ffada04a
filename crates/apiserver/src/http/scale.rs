//! Requests for the scale of an object.

use std::sync::{Arc, LazyLock};

use axum::http::Request;
use serde_json::{Value, json};
use stead_kernel::{Body, Verb};
use stead_resource::table::{CREATED, Columns};

use super::{Query, Representation, body, partial};
use crate::{
    engine::{Caller, Engine, PatchKind, Target},
    failure::{Failure, Outcome},
    object,
};

/// Answers with the scale, after what the request changes.
pub(super) async fn handle(
    engine: &Arc<Engine>,
    caller: &Caller,
    target: &Target,
    (verb, query, agent): (Verb, &Query, &str),
    request: Request<Body>,
) -> Outcome<Value> {
    let named = if verb == Verb::Patch {
        "PatchOptions"
    } else {
        "UpdateOptions"
    };
    let options = query.write_options(agent, named)?;
    match verb {
        Verb::Get => engine.scale(target),
        Verb::Update => {
            let wanted = body::object(request, engine.body_limit).await?.value;
            engine
                .rescale(caller, target, &options, verb, |_| Ok(wanted.clone()))
                .await
        }
        Verb::Patch => {
            let kind = PatchKind::from_media_type(&body::media_type(&request));
            let Some(kind @ (PatchKind::Json | PatchKind::Merge | PatchKind::Strategic)) = kind else {
                return Err(Failure::unsupported_media_type(
                    "application/json-patch+json, application/merge-patch+json",
                ));
            };
            // Nothing of a scale is merged in a way of its own.
            let kind = if kind == PatchKind::Strategic {
                PatchKind::Merge
            } else {
                kind
            };
            let bytes = body::bytes(request, engine.body_limit).await?;
            let patch = body::json(&bytes)?.value;
            let change = |scale: &Value| kind.apply(target, scale, &patch);
            engine.rescale(caller, target, &options, verb, change).await
        }
        Verb::List | Verb::Watch | Verb::Create | Verb::Delete | Verb::DeleteCollection => {
            Err(Failure::method_not_allowed())
        }
    }
}

/// What a table of scales shows, with the descriptions that Kubernetes gives them.
static COLUMNS: LazyLock<Option<Columns>> = LazyLock::new(|| {
    let column = |name: &str, kind: &str, path: &str, about: &str| json!({"name": name, "type": kind, "jsonPath": path, "description": about});
    let columns = json!([
        column(
            "Desired",
            "integer",
            ".spec.replicas",
            "Number of desired replicas"
        ),
        column(
            "Available",
            "integer",
            ".status.replicas",
            "Number of actual replicas"
        ),
        column("Age", "date", ".metadata.creationTimestamp", CREATED),
    ]);
    Columns::from_crd_version(Some(&columns)).ok()
});

/// A scale in the form that a client wants.
pub(super) fn shown(engine: &Engine, scale: Value, form: Representation) -> Value {
    match (form, &*COLUMNS) {
        (Representation::Whole, _) | (Representation::Table, None) => scale,
        (Representation::Metadata | Representation::MetadataList, _) => partial(&scale),
        (Representation::Table, Some(columns)) => {
            let cells = columns.cells(&scale, engine.clock.now().as_second());
            let version = object::text(&scale, "resourceVersion");
            json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": version},
                "columnDefinitions": columns.definitions(),
                "rows": [{"cells": cells, "object": partial(&scale)}],
            })
        }
    }
}
