//! `/v1/private/datasets/{id}/items/experiments/items`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::{Value, json};
use stead_kernel::Result as KernelResult;
use uuid::Uuid;

use super::{
    Experiments, Sums,
    compare::{row_has, row_keeps, tell_row},
    routes::words,
    shape::{Experiment, Item},
    tell::{Found, add_all},
};
use crate::opik::{
    Caller, Opik,
    datasets::{Datasets, View},
    shelf::listing::{known_filters, sort},
    wire::{OpikError, PageOf, Paging, Query, order},
};

/// By what rows can be filtered.
const FIELDS: [&str; 24] = [
    "id",
    "data",
    "source",
    "trace_id",
    "span_id",
    "description",
    "tags",
    "input",
    "output",
    "expected_output",
    "trace_metadata",
    "metadata",
    "feedback_scores",
    "comments",
    "duration",
    "total_estimated_cost",
    "usage",
    "status",
    "experiment_id",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
    "assertion_results",
];

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    let items = "/v1/private/datasets/{id}/items/experiments/items";
    Router::new()
        .route(items, get(compare))
        .route(&format!("{items}/stats"), get(stats))
        .route(&format!("{items}/output/columns"), get(columns))
}

/// The experiments of a comparison with their items, by item of the dataset, the newest last.
struct Compared {
    experiments: Vec<Experiment>,
    rows: BTreeMap<String, Vec<Item>>,
}

impl Compared {
    async fn of(opik: &Opik, caller: &Caller, dataset: Uuid, query: &Query) -> Result<Self, OpikError> {
        let ids = words(query, "experiment_ids")?;
        let ids = ids.ok_or_else(|| OpikError::invalid("query param experiment_ids must not be null"))?;
        let (store, dataset) = (Experiments::new(&opik.ports.records), dataset.to_string());
        let mut experiments = store.get_many(&caller.workspace, &ids).await?;
        experiments.retain(|experiment| experiment.dataset_id == dataset);
        let mut rows: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for experiment in &experiments {
            for item in store.items(&caller.workspace, &experiment.id).await? {
                rows.entry(item.dataset_item_id.clone()).or_default().push(item);
            }
        }
        Ok(Self { experiments, rows })
    }

    /// Some of the rows as they are told, the newest first.
    async fn tell(&self, opik: &Opik, caller: &Caller, ids: &[String]) -> KernelResult<Vec<Value>> {
        let rows: Vec<(&String, Vec<&Item>)> = ids
            .iter()
            .filter_map(|id| Some((id, self.rows.get(id)?.iter().collect())))
            .collect();
        let items: Vec<Item> = rows
            .iter()
            .flat_map(|(_, items)| items.iter().copied().cloned())
            .collect();
        let found = Found::of(opik, &caller.workspace, &items).await?;
        let states = self.states(opik, caller, ids).await?;
        let rows = rows.into_iter().map(|(id, items)| {
            let state = states.get(id).cloned();
            // An item can be gone for good.
            let state = state.unwrap_or_else(|| json!({"id": id, "source": "sdk", "data": {}}));
            tell_row(state, &items, &found)
        });
        rows.collect()
    }

    /// The dataset's items as they were in the version of the newest experiment that has one.
    async fn states(
        &self,
        opik: &Opik,
        caller: &Caller,
        ids: &[String],
    ) -> KernelResult<HashMap<String, Value>> {
        let datasets = Datasets::new(&opik.ports.records);
        let newest = self.experiments.iter().max_by(|a, b| a.id.cmp(&b.id));
        let version = newest.and_then(|experiment| experiment.dataset_version_id.as_deref());
        let mut view = View::Latest;
        if let Some(version) = version
            && let Some(version) = datasets.items.version(&caller.workspace, version).await?
        {
            view = View::At(version.number);
        }
        let mut found = HashMap::new();
        for view in [view, View::Latest] {
            let left: Vec<String> = ids
                .iter()
                .filter(|id| !found.contains_key(*id))
                .cloned()
                .collect();
            if left.is_empty() {
                break;
            }
            for item in datasets.items.states(&caller.workspace, &left, view).await? {
                let told = serde_json::to_value(&item).unwrap_or_default();
                found.insert(item.id, told);
            }
        }
        Ok(found)
    }
}

async fn compare(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let filters = known_filters(query.text("filters"), &FIELDS)?;
    let orders = order(query.text("sorting"), |_| true)?;
    let search = query.text("search").map(str::to_lowercase);
    let compared = Compared::of(&opik, &caller, id, &query).await?;
    let ids: Vec<String> = compared.rows.keys().rev().cloned().collect();
    if filters.is_empty() && orders.is_empty() && search.is_none() {
        let part: Vec<String> = ids
            .iter()
            .skip(paging.offset())
            .take(paging.size)
            .cloned()
            .collect();
        let rows = compared.tell(&opik, &caller, &part).await?;
        return Ok(Reply(paging.around(rows, ids.len() as u64, &[])));
    }
    let mut rows = compared.tell(&opik, &caller, &ids).await?;
    rows.retain(|row| row_keeps(row, &filters) && search.as_deref().is_none_or(|text| row_has(row, text)));
    sort(&mut rows, &orders);
    Ok(Reply(paging.cut(rows, &[])))
}

async fn stats(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let filters = known_filters(query.text("filters"), &FIELDS)?;
    let compared = Compared::of(&opik, &caller, id, &query).await?;
    let mut kept: BTreeSet<&String> = compared.rows.keys().collect();
    let ids: Vec<String> = compared.rows.keys().cloned().collect();
    if !filters.is_empty() {
        let rows = compared.tell(&opik, &caller, &ids).await?;
        let rows = rows.iter().filter(|row| row_keeps(row, &filters));
        let named: BTreeSet<&str> = rows.filter_map(|row| row.get("id")?.as_str()).collect();
        kept.retain(|id| named.contains(id.as_str()));
    }
    let items = kept.into_iter().filter_map(|id| compared.rows.get(id)).flatten();
    let items: Vec<Item> = items.cloned().collect();
    let mut sums = Sums::default();
    add_all(&opik, &caller.workspace, &items, &mut sums).await?;
    Ok(Reply(sums.stats()))
}

/// The fields of what came out of the experiments, with the sorts of their values.
async fn columns(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let compared = Compared::of(&opik, &caller, id, &query).await?;
    let items: Vec<Item> = compared.rows.into_values().flatten().collect();
    let mut columns: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for part in items.chunks(500) {
        let found = Found::of(&opik, &caller.workspace, part).await?;
        let outputs = part
            .iter()
            .filter_map(|item| found.entry(item)?.fields.output.as_ref());
        for output in outputs {
            let Ok(Value::Object(fields)) = serde_json::from_str(output.get()) else {
                continue;
            };
            for (name, value) in fields {
                columns.entry(name).or_default().insert(sort_of(&value));
            }
        }
    }
    let columns = columns.into_iter().map(|(name, types)| {
        json!({"filterField": format!("output.{name}"), "filter_field_prefix": "output", "name": name, "types": types})
    });
    Ok(Reply(json!({"columns": columns.collect::<Vec<_>>()})))
}

fn sort_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
