//! Feedback scores.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stead_kernel::{
    Timestamp,
    ports::traces::{Counted, Kind, Score, Subject, Write},
};
use uuid::Uuid;

use super::shown::by_name;
use crate::opik::{
    Caller, Opik,
    desk::checked_batch,
    wire::{Json, OpikError, Query, id_of, text},
};

/// The largest value of a score, and with a minus the smallest.
const LARGEST: f64 = 1e9;

/// A score that is given (`FeedbackScore`, `FeedbackScoreBatchItem` and the one of threads).
#[derive(Debug, Deserialize)]
pub(in crate::opik) struct Given {
    #[serde(default)]
    pub(in crate::opik) id: Option<Uuid>,
    #[serde(default)]
    pub(in crate::opik) thread_id: Option<String>,
    #[serde(default)]
    pub(in crate::opik) project_name: Option<String>,
    #[serde(default)]
    pub(in crate::opik) project_id: Option<Uuid>,
    name: String,
    #[serde(default)]
    category_name: Option<String>,
    value: f64,
    #[serde(default)]
    reason: Option<String>,
    source: String,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    source_queue_id: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
struct GivenBatch {
    scores: Vec<Given>,
}

/// A score that is taken back (`DeleteFeedbackScore`).
#[derive(Debug, Deserialize)]
pub(in crate::opik) struct Removed {
    pub(in crate::opik) name: String,
    #[serde(default)]
    pub(in crate::opik) author: Option<String>,
}

/// The score to store.
pub(in crate::opik) fn score_of(given: Given, caller: &Caller, now: Timestamp) -> Result<Score, OpikError> {
    if given.name.trim().is_empty() {
        return Err(OpikError::unprocessable("name must not be blank"));
    }
    if !(-LARGEST..=LARGEST).contains(&given.value) {
        return Err(OpikError::unprocessable(
            "value must be between -1000000000 and 1000000000",
        ));
    }
    if !["ui", "sdk", "online_scoring"].contains(&given.source.as_str()) {
        return Err(OpikError::invalid(
            "source must be one of ui, sdk, online_scoring",
        ));
    }
    Ok(Score {
        name: given.name,
        value: given.value,
        category: given.category_name,
        reason: given.reason,
        source: given.source,
        queue: given.source_queue_id,
        author: given.author.unwrap_or_else(|| caller.user.clone()),
        created: now,
        updated: now,
    })
}

/// The mean of several values.
pub(in crate::opik) fn average(sum: f64, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    let count = count.max(1) as f64;
    sum / count
}

/// Scores as they are answered: one for each name, whose value is the mean of all authors'.
pub(in crate::opik) fn shown(scores: &[Score]) -> Vec<Value> {
    by_name(scores)
        .into_iter()
        .map(|(name, own)| shown_one(name, &own))
        .collect()
}

fn shown_one(name: &str, own: &[&Score]) -> Value {
    let value = average(own.iter().map(|score| score.value).sum(), own.len() as u64);
    let last = own.iter().max_by_key(|score| score.updated);
    let first = own.iter().min_by_key(|score| score.created);
    let joined = |part: fn(&Score) -> Option<&str>| {
        let texts: Vec<&str> = own.iter().filter_map(|score| part(score)).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    let mut shown = json!({
        "name": name,
        "category_name": joined(|score| score.category.as_deref()),
        "value": value,
        "reason": joined(|score| score.reason.as_deref()),
        "source": last.map(|score| score.source.as_str()),
        "created_at": first.map(|score| text(score.created)),
        "last_updated_at": last.map(|score| text(score.updated)),
        "created_by": first.map(|score| score.author.as_str()),
        "last_updated_by": last.map(|score| score.author.as_str()),
    });
    if own.len() > 1
        && let Some(shown) = shown.as_object_mut()
    {
        let authors: Map<String, Value> = own
            .iter()
            .map(|score| (score.author.clone(), opinion(score)))
            .collect();
        shown.insert("value_by_author".into(), authors.into());
    }
    shown
}

fn opinion(score: &Score) -> Value {
    json!({
        "value": score.value, "reason": score.reason, "category_name": score.category, "source": score.source,
        "last_updated_at": text(score.updated), "author": score.author, "source_queue_id": score.queue,
    })
}

/// `{"scores": [{"name", "type"}]}`.
pub(in crate::opik) async fn scored_names(
    opik: &Opik,
    on: Counted,
    caller: &Caller,
    projects: &[Uuid],
) -> Result<Reply<Value>, OpikError> {
    let names = opik
        .ports
        .traces
        .score_names(on, &caller.workspace, projects)
        .await?;
    let scores: Vec<Value> = names
        .into_iter()
        .map(|name| json!({"name": name, "type": "numerical"}))
        .collect();
    Ok(Reply(json!({"scores": scores})))
}

/// The routes of one kind.
pub(super) fn routes(kind: Kind, base: &str) -> Router<Opik> {
    let on = if kind == Kind::Trace {
        Counted::Traces
    } else {
        Counted::Spans
    };
    Router::new()
        .route(
            &format!("{base}/feedback-scores"),
            put(
                move |caller: Caller, state: State<Opik>, body: Json<GivenBatch>| {
                    give_all(kind, caller, state, body)
                },
            ),
        )
        .route(
            &format!("{base}/feedback-scores/names"),
            get(move |caller: Caller, state: State<Opik>, query: Query| names(on, caller, state, query)),
        )
        .route(
            &format!("{base}/{{id}}/feedback-scores"),
            put(
                move |caller: Caller, state: State<Opik>, id: Path<Uuid>, body: Json<Given>| {
                    give(kind, caller, state, id, body)
                },
            ),
        )
        .route(
            &format!("{base}/{{id}}/feedback-scores/delete"),
            post(
                move |caller: Caller, state: State<Opik>, id: Path<Uuid>, body: Json<Removed>| {
                    remove(kind, caller, state, id, body)
                },
            ),
        )
}

async fn give_all(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Json(batch): Json<GivenBatch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(batch.scores.len(), "scores")?;
    let now = opik.ports.clock.now();
    let mut writes = Vec::with_capacity(batch.scores.len());
    for given in batch.scores {
        let id = given
            .id
            .ok_or_else(|| OpikError::unprocessable("id must not be null"))?;
        // A project that a score names is made, as one that a trace names is.
        opik.projects
            .to_write(&caller, given.project_name.as_deref(), given.project_id)
            .await?;
        writes.push(Write::Score {
            workspace: caller.workspace.clone(),
            subject: Subject::Entry(kind, id_of(id, kind.as_str())?),
            score: score_of(given, &caller, now)?,
        });
    }
    opik.ports.traces.write(writes).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(given): Json<Given>,
) -> Result<StatusCode, OpikError> {
    let write = Write::Score {
        workspace: caller.workspace.clone(),
        subject: Subject::Entry(kind, id_of(id, kind.as_str())?),
        score: score_of(given, &caller, opik.ports.clock.now())?,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(removed): Json<Removed>,
) -> Result<StatusCode, OpikError> {
    let write = Write::Unscore {
        workspace: caller.workspace,
        subject: Subject::Entry(kind, id),
        names: vec![removed.name],
        author: removed.author,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn names(
    on: Counted,
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let project = opik
        .projects
        .to_read(&caller.workspace, None, query.id("project_id")?)
        .await?;
    scored_names(&opik, on, &caller, project.as_slice()).await
}
