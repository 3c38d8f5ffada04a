//! From what `kubectl apply` did on the client's side to what it does on the server's: the annotation with the last
//! applied configuration.
//!
//! Only the manager `kubectl` migrates; other appliers neither read nor write the annotation.

use serde_json::{Value, json};

use super::{ApplyError, Conflict, Work, walk};
use crate::canonical;

/// Where clients that apply by themselves keep what they applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that migrates.
const KUBECTL: &str = "kubectl";
/// The largest sum of all annotations, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 << 10;

/// The conflicts that are not about what the client's own last apply has set and nobody has changed since.
pub(super) fn unexplained(work: &Work<'_>, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    let Some(last) = (work.manager.name == KUBECTL)
        .then(|| last_applied(&work.base))
        .flatten()
        .filter(|last| last.get("apiVersion").and_then(Value::as_str) == Some(work.manager.api_version))
    else {
        return conflicts;
    };
    let comparison = walk::compare(work.node, Some(&last), Some(&work.base));
    let known = walk::field_set(work.node, &last)
        .difference(&comparison.modified)
        .difference(&comparison.added)
        .difference(&comparison.removed);
    conflicts
        .into_iter()
        .filter(|conflict| !known.has_path(&conflict.field))
        .collect()
}

/// Keeps the annotation, where there is one, in step with what `kubectl` applied on the server's side.
pub(super) fn refresh(work: &Work<'_>, result: &mut Value) -> Result<(), ApplyError> {
    if work.manager.name != KUBECTL || annotation(result).is_none_or(str::is_empty) {
        return Ok(());
    }
    let mut applied = work.applied.clone();
    if let Some(annotations) = annotations(&mut applied) {
        annotations.shift_remove(LAST_APPLIED);
    }
    let text = format!("{}\n", canonical::text(&applied));
    let Some(annotations) = annotations(result) else {
        return Err(ApplyError::Invalid(
            "metadata.annotations must be a map".to_owned(),
        ));
    };
    annotations.insert(LAST_APPLIED.to_owned(), json!(text));
    let size: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > ANNOTATIONS_LIMIT {
        annotations.shift_remove(LAST_APPLIED);
    }
    Ok(())
}

fn last_applied(object: &Value) -> Option<Value> {
    serde_json::from_str(annotation(object)?).ok()
}

fn annotation(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()
}

fn annotations(object: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    object
        .get_mut("metadata")?
        .get_mut("annotations")?
        .as_object_mut()
}
