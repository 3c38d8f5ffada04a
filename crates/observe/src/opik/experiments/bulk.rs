//! `PUT /v1/private/experiments/items/bulk`: items of an experiment with their traces, spans and scores in one request.

use axum::{Router, extract::State, http::StatusCode, routing::put};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use stead_kernel::{
    Error, Timestamp,
    ports::traces::{Fields, Json as Text, Kind, Origin, Put, Subject, TagChange, Write},
};
use uuid::{Builder, Uuid};

use super::{
    Experiments,
    item_routes::made as made_item,
    routes::made,
    shape::{Experiment, ExperimentWrite, ItemWrite},
    store::check,
};
use crate::opik::{
    Caller, Opik,
    desk::{checked_batch, entity, filled, uuid, who},
    entries::{Given, Told, score_of},
    shelf::Who,
    wire::{Json, OpikError, new_id},
};

/// The most spans or scores of one item.
const MOST: usize = 100;

/// `ExperimentItemBulkUpload`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bulk {
    experiment_name: String,
    dataset_name: String,
    experiment_id: Option<String>,
    project_name: Option<String>,
    items: Vec<Record>,
}

/// `ExperimentItemBulkRecord`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    dataset_item_id: String,
    /// What came out, where there is no trace of its own.
    evaluate_task_result: Option<Text>,
    trace: Option<Told>,
    spans: Option<Vec<Told>>,
    feedback_scores: Option<Vec<Given>>,
}

/// The route.
pub(super) fn routes() -> Router<Opik> {
    Router::new().route("/v1/private/experiments/items/bulk", put(store))
}

async fn store(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<Bulk>,
) -> Result<StatusCode, OpikError> {
    checked_batch(sent.items.len(), "items")?;
    filled(&sent.experiment_name, "experiment_name")?;
    let who = who(&opik, &caller);
    let experiment = experiment(&opik, &caller, &who, &sent).await?;
    let (mut writes, mut items) = (Vec::new(), Vec::new());
    for record in sent.items {
        let dataset_item = uuid(&record.dataset_item_id, "dataset item")?;
        let trace = add(&opik, &caller, record, sent.project_name.as_deref(), &mut writes).await?;
        let write = ItemWrite {
            id: Some(item_id(&experiment.id, dataset_item, trace).to_string()),
            experiment_id: experiment.id.clone(),
            dataset_item_id: dataset_item.to_string(),
            trace_id: trace.to_string(),
            project_name: sent.project_name.clone(),
            execution_policy: None,
        };
        items.push(made_item(&who, write)?);
    }
    // Who sends a request that failed again finds the same traces, and the items name them.
    opik.ports.traces.write(writes).await?;
    Experiments::new(&opik.ports.records)
        .add_items(&who, &items)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The experiment that is named by its id, or a new one.
async fn experiment(opik: &Opik, caller: &Caller, who: &Who, sent: &Bulk) -> Result<Experiment, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    let id = sent.experiment_id.as_deref().map(|id| uuid(id, "experiment"));
    let id = id.transpose()?.map(|id| id.to_string());
    if let Some(id) = &id {
        let found = experiments
            .get_many(&caller.workspace, std::slice::from_ref(id))
            .await?;
        if let Some(found) = found.into_iter().next() {
            if found.dataset_name != sent.dataset_name {
                let error = Error::conflict("the experiment is on another dataset than the request names");
                return Err(error.into());
            }
            return Ok(found);
        }
    }
    let write = ExperimentWrite {
        id,
        dataset_name: sent.dataset_name.clone(),
        name: Some(sent.experiment_name.clone()),
        project_name: sent.project_name.clone(),
        ..ExperimentWrite::default()
    };
    let made = made(opik, caller, who, write).await?;
    check(&made).map_err(entity)?;
    experiments.create(who, &made).await?;
    Ok(made)
}

/// Adds what is written of one item's trace; returns the trace's id.
async fn add(
    opik: &Opik,
    caller: &Caller,
    record: Record,
    project_name: Option<&str>,
    writes: &mut Vec<Write>,
) -> Result<Uuid, OpikError> {
    let now = opik.ports.clock.now();
    let (spans, scores) = (
        record.spans.unwrap_or_default(),
        record.feedback_scores.unwrap_or_default(),
    );
    if spans.len() > MOST || scores.len() > MOST {
        return Err(OpikError::unprocessable(format!(
            "an item may have {MOST} spans and {MOST} feedback_scores at most"
        )));
    }
    let named = record.trace.as_ref().and_then(|trace| trace.project_name.clone());
    let named = named.as_deref().or(project_name);
    let project = opik.projects.to_write(caller, named, None).await?;
    let trace = match (record.trace, record.evaluate_task_result) {
        (Some(_), Some(_)) => {
            return Err(OpikError::invalid(
                "an item may have a trace or an evaluate_task_result, not both",
            ));
        }
        (Some(trace), None) => trace.report(Kind::Trace, project, caller, now)?,
        (None, result) => bare(caller, project, result, now),
    };
    let id = trace.id;
    writes.push(Write::Put(Box::new(trace)));
    for mut span in spans {
        span.belongs_to(id);
        writes.push(Write::Put(Box::new(span.report(
            Kind::Span,
            project,
            caller,
            now,
        )?)));
    }
    for given in scores {
        writes.push(Write::Score {
            workspace: caller.workspace.clone(),
            subject: Subject::Entry(Kind::Trace, id),
            score: score_of(given, caller, now)?,
        });
    }
    Ok(id)
}

/// A trace that says nothing but what came out.
fn bare(caller: &Caller, project: Uuid, output: Option<Text>, now: Timestamp) -> Put {
    Put {
        kind: Kind::Trace,
        workspace: caller.workspace.clone(),
        project,
        id: new_id(now),
        origin: Origin::Report,
        told: now,
        by: caller.user.clone(),
        fields: Fields {
            start: Some(now),
            end: Some(now),
            output,
            source: Some("experiment".to_owned()),
            ..Fields::default()
        },
        tags: TagChange::default(),
    }
}

/// The id of an item, which is the same whenever the same item is sent: the time of its trace, and for the rest a hash.
fn item_id(experiment: &str, dataset_item: Uuid, trace: Uuid) -> Uuid {
    let digest = Sha256::digest(format!("{experiment}/{dataset_item}/{trace}"));
    let (time, _) = trace.as_u64_pair();
    let rest: Vec<u8> = digest.iter().copied().take(10).collect();
    let rest: [u8; 10] = rest.try_into().unwrap_or_default();
    Builder::from_unix_timestamp_millis(time >> 16, &rest).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_same_id_whenever_it_is_sent() {
        let trace: Uuid = "01a1fce2-ce78-765d-a902-9bc62616e36b".parse().unwrap();
        let id = item_id("e", Uuid::nil(), trace);
        assert_eq!(id, item_id("e", Uuid::nil(), trace));
        assert_ne!(id, item_id("f", Uuid::nil(), trace));
        assert_eq!(
            (id.get_version_num(), id.as_u64_pair().0 >> 16),
            (7, 0x01a1_fce2_ce78)
        );
    }
}
