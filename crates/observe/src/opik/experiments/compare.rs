//! Experiments beside each other: by item of the dataset, what came of it in each. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stead_kernel::{
    Error, Result,
    ports::traces::{Entry, Filter},
};

use super::{shape::Item, sums::Runs, tell::Found};
use crate::opik::{
    assertions::Assertion,
    datasets::merge,
    entries::{comments_of, shown_scores},
    shelf::listing::keeps,
};

/// An item of an experiment as `ExperimentItem_Compare`, with what its trace says and how that was scored.
pub(super) fn tell_item(item: &Item, found: &Found) -> Result<Value> {
    let mut told = json!({
        "id": item.id,
        "experiment_id": item.experiment_id,
        "dataset_item_id": item.dataset_item_id,
        "trace_id": item.trace_id,
        "project_name": item.project_name,
        "execution_policy": item.execution_policy,
    });
    merge(&mut told, &item.stamps)?;
    let mut more = Map::new();
    if let Some(entry) = found.entry(item) {
        tell_entry(entry, &mut more)?;
    }
    let assertions = found.assertions(item);
    if !assertions.is_empty() {
        let passed = assertions.iter().all(Assertion::passed);
        more.insert(
            "assertion_results".into(),
            assertions.iter().map(Assertion::tell).collect(),
        );
        more.insert("status".into(), if passed { "passed" } else { "failed" }.into());
    }
    if let Some(told) = told.as_object_mut() {
        told.extend(more);
    }
    Ok(told)
}

fn tell_entry(entry: &Entry, more: &mut Map<String, Value>) -> Result<()> {
    let mut tell = |name: &str, value: Value| more.insert(name.to_owned(), value);
    let fields = &entry.fields;
    for (name, json) in [
        ("input", &fields.input),
        ("output", &fields.output),
        ("trace_metadata", &fields.metadata),
    ] {
        if let Some(json) = json {
            let value = serde_json::from_str(json.get());
            let value = value.map_err(|error| Error::internal("a stored trace is damaged").because(error))?;
            tell(name, value);
        }
    }
    tell("project_id", entry.project.to_string().into());
    tell("feedback_scores", shown_scores(&entry.scores).into());
    tell("comments", comments_of(&entry.comments).into());
    if let Some(cost) = entry.cost {
        tell("total_estimated_cost", cost.into());
    }
    if let Some(duration) = entry.duration_ms() {
        tell("duration", duration.into());
    }
    if let Some(spans) = entry.spans.as_ref().filter(|spans| !spans.usage.is_empty()) {
        tell("usage", json!(spans.usage));
    }
    Ok(())
}

/// An item of the dataset as `DatasetItem_Compare`: with the items of experiments on it.
pub(super) fn tell_row(mut dataset_item: Value, items: &[&Item], found: &Found) -> Result<Value> {
    let told = items.iter().map(|item| tell_item(item, found));
    let told = told.collect::<Result<Vec<_>>>()?;
    let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
    for item in items {
        let assertions = found.assertions(item);
        if !assertions.is_empty() {
            runs.entry(&item.experiment_id).or_default().add(item, assertions);
        }
    }
    if let Some(row) = dataset_item.as_object_mut() {
        row.insert("experiment_items".to_owned(), told.into());
        if !runs.is_empty() {
            let summaries = runs.into_iter().map(|(id, runs)| {
                let summary = json!({
                    "passed_runs": runs.passed, "total_runs": runs.total, "status": runs.status(),
                });
                (id.to_owned(), summary)
            });
            let summaries: Map<String, Value> = summaries.collect();
            row.insert("run_summaries_by_experiment".to_owned(), summaries.into());
        }
    }
    Ok(dataset_item)
}

/// Whether a row, or one of the items of experiments in it, meets all conditions.
pub(super) fn row_keeps(row: &Value, filters: &[Filter]) -> bool {
    if filters.is_empty() {
        return true;
    }
    let items = row.get("experiment_items").and_then(Value::as_array);
    let mut items = items.into_iter().flatten().filter_map(Value::as_object);
    items.any(|item| {
        let mut both = row.as_object().cloned().unwrap_or_default();
        both.remove("experiment_items");
        for (name, value) in item {
            // The dataset's own fields come first.
            both.entry(name).or_insert_with(|| value.clone());
        }
        keeps(&Value::Object(both), filters)
    })
}

/// Whether a text is anywhere in a row, in any case.
pub(super) fn row_has(row: &Value, text: &str) -> bool {
    let has =
        |value: Option<&Value>| value.is_some_and(|value| value.to_string().to_lowercase().contains(text));
    let items = row.get("experiment_items").and_then(Value::as_array);
    has(row.get("data"))
        || items
            .into_iter()
            .flatten()
            .any(|item| has(item.get("input")) || has(item.get("output")))
}
