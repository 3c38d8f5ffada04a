//! `/v1/private/traces/threads`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, patch, post, put},
};
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Error,
    ports::traces::{
        self, Bucket, Count, Counted, Filter, Operator, Subject, TagChange, Thread, ThreadChange, Threads,
        Write,
    },
};
use uuid::Uuid;

use super::shape::{Asked, Change, Changes, Named, Removed, SORTABLE, Shown, known};
use crate::opik::{
    Caller, Opik,
    desk::checked_batch,
    entries::{
        Given, Text, comment_of, delete_comments, edit_comment, lookup, of_sums, score_of, scored_names,
        stream_limit, write_comment,
    },
    wire::{Json, OpikError, PageOf, Paging, Query, created, filters, from_text, ndjson, order, typed},
};

const BASE: &str = "/v1/private/traces/threads";

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new()
        .route(BASE, get(list))
        .route(&format!("{BASE}/search"), post(search))
        .route(&format!("{BASE}/retrieve"), post(retrieve))
        .route(&format!("{BASE}/stats"), get(stats))
        .route(&format!("{BASE}/open"), put(open))
        .route(&format!("{BASE}/close"), put(close))
        .route(&format!("{BASE}/delete"), post(delete))
        .route(&format!("{BASE}/batch"), patch(change_all))
        .route(&format!("{BASE}/{{id}}"), patch(change))
        .route(&format!("{BASE}/feedback-scores"), put(give))
        .route(&format!("{BASE}/feedback-scores/names"), get(names))
        .route(&format!("{BASE}/feedback-scores/delete"), post(take))
        .route(&format!("{BASE}/comments/delete"), post(delete_comments))
        .route(&format!("{BASE}/comments/{{comment}}"), patch(edit_comment))
        .route(&format!("{BASE}/{{id}}/comments"), post(comment))
        .route(&format!("{BASE}/{{id}}/comments/{{comment}}"), get(one_comment))
}

#[derive(Debug, Deserialize)]
struct GivenBatch {
    scores: Vec<Given>,
}

async fn query_of(opik: &Opik, caller: &Caller, query: &Query) -> Result<traces::Query, OpikError> {
    Ok(traces::Query {
        workspace: caller.workspace.clone(),
        project: Some(lookup(opik, caller, query.text("project_name"), query.id("project_id")?).await?),
        since: query.text("from_time").map(from_text).transpose()?,
        until: query.text("to_time").map(from_text).transpose()?,
        filters: filters(query.text("filters"), known)?,
        search: query.text("search").map(str::to_owned),
        limit: usize::MAX,
        ..traces::Query::default()
    })
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let asked = traces::Query {
        order: order(query.text("sorting"), known)?,
        offset: paging.offset(),
        limit: paging.size,
        ..query_of(&opik, &caller, &query).await?
    };
    let slim = query.flag("truncate");
    let found = opik.ports.traces.threads(asked).await?;
    let items = found
        .items
        .iter()
        .map(|thread| shown(thread, slim))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Reply(paging.around(items, found.total, &SORTABLE)))
}

fn shown(thread: &Thread, slim: bool) -> Result<Value, OpikError> {
    let value = serde_json::to_value(Shown { thread, slim });
    value.map_err(|error| {
        Error::internal("a thread could not be written")
            .because(error)
            .into()
    })
}

async fn search(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Option<Asked>>,
) -> Result<Response, OpikError> {
    let asked = asked.unwrap_or_default();
    let project = lookup(&opik, &caller, asked.project_name.as_deref(), asked.project_id).await?;
    let query = traces::Query {
        workspace: caller.workspace,
        project: Some(project),
        since: asked.from_time.as_deref().map(from_text).transpose()?,
        until: asked.to_time.as_deref().map(from_text).transpose()?,
        filters: typed(asked.filters.unwrap_or_default(), known)?,
        after: asked.last_retrieved_thread_model_id,
        limit: stream_limit(asked.limit)?,
        count: Count::None,
        ..traces::Query::default()
    };
    let slim = asked.truncate.unwrap_or(true);
    let found = opik.ports.traces.threads(query).await?;
    ndjson(found.items.iter().map(|thread| Shown { thread, slim }))
}

async fn retrieve(
    caller: Caller,
    State(opik): State<Opik>,
    Json(named): Json<Named>,
) -> Result<Reply<Value>, OpikError> {
    let project = lookup(&opik, &caller, named.project_name.as_deref(), named.project_id).await?;
    let name = named
        .thread_id
        .ok_or_else(|| OpikError::unprocessable("thread_id must not be blank"))?;
    let query = traces::Query {
        workspace: caller.workspace,
        project: Some(project),
        filters: vec![Filter::new("id", "", Operator::Equal, name.clone())],
        limit: 1,
        ..traces::Query::default()
    };
    let found = opik.ports.traces.threads(query).await?;
    let thread = found.items.first();
    let thread = thread.ok_or_else(|| OpikError::not_found(format!("Trace Thread id: {name} not found")))?;
    shown(thread, named.truncate.unwrap_or(false)).map(Reply)
}

async fn stats(caller: Caller, State(opik): State<Opik>, query: Query) -> Result<Reply<Value>, OpikError> {
    let asked = query_of(&opik, &caller, &query).await?;
    let sums = opik
        .ports
        .traces
        .sums(Counted::Threads, asked, Bucket::Whole)
        .await?;
    let sums = sums.into_iter().next().map(|(_, sums)| sums).unwrap_or_default();
    Ok(Reply(of_sums(Counted::Threads, &sums)))
}

async fn open(caller: Caller, opik: State<Opik>, named: Json<Named>) -> Result<StatusCode, OpikError> {
    change_named(caller, opik, named, ThreadChange::Open).await
}

async fn close(caller: Caller, opik: State<Opik>, named: Json<Named>) -> Result<StatusCode, OpikError> {
    change_named(caller, opik, named, ThreadChange::Close).await
}

async fn delete(caller: Caller, opik: State<Opik>, named: Json<Named>) -> Result<StatusCode, OpikError> {
    change_named(caller, opik, named, ThreadChange::Delete).await
}

async fn change_named(
    caller: Caller,
    State(opik): State<Opik>,
    Json(named): Json<Named>,
    change: ThreadChange,
) -> Result<StatusCode, OpikError> {
    let project = lookup(&opik, &caller, named.project_name.as_deref(), named.project_id).await?;
    let mut names = named.thread_ids.unwrap_or_default();
    names.extend(named.thread_id);
    checked_batch(names.len(), "thread_ids")?;
    make(&opik, caller, Threads::Named(project, names), change).await
}

async fn make(
    opik: &Opik,
    caller: Caller,
    threads: Threads,
    change: ThreadChange,
) -> Result<StatusCode, OpikError> {
    let write = Write::Thread {
        workspace: caller.workspace,
        threads,
        change,
        at: opik.ports.clock.now(),
        by: caller.user,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The change of labels that is asked for.
fn tags(change: Change, merge: bool) -> ThreadChange {
    let add = change.tags_to_add.unwrap_or_default();
    let remove = change.tags_to_remove.unwrap_or_default();
    match change.tags {
        Some(tags) if !merge => ThreadChange::Tags(tags),
        tags => ThreadChange::ChangeTags(TagChange {
            add: [add, tags.unwrap_or_default()].concat(),
            remove,
        }),
    }
}

async fn change(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Change>,
) -> Result<StatusCode, OpikError> {
    make(&opik, caller, Threads::Ids(vec![id]), tags(asked, false)).await
}

async fn change_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Changes>,
) -> Result<StatusCode, OpikError> {
    checked_batch(asked.ids.len(), "ids")?;
    let change = tags(asked.update, asked.merge_tags == Some(true));
    make(&opik, caller, Threads::Ids(asked.ids), change).await
}

async fn give(
    caller: Caller,
    State(opik): State<Opik>,
    Json(batch): Json<GivenBatch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(batch.scores.len(), "scores")?;
    let now = opik.ports.clock.now();
    let mut writes = Vec::with_capacity(batch.scores.len());
    for mut given in batch.scores {
        let name = given.thread_id.take().filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| OpikError::unprocessable("thread_id must not be blank"))?;
        let project = opik
            .projects
            .to_write(&caller, given.project_name.as_deref(), given.project_id)
            .await?;
        writes.push(Write::Score {
            workspace: caller.workspace.clone(),
            subject: Subject::Thread(project, name),
            score: score_of(given, &caller, now)?,
        });
    }
    opik.ports.traces.write(writes).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take(
    caller: Caller,
    State(opik): State<Opik>,
    Json(removed): Json<Removed>,
) -> Result<StatusCode, OpikError> {
    let project = lookup(&opik, &caller, Some(&removed.project_name), None).await?;
    let write = Write::Unscore {
        workspace: caller.workspace,
        subject: Subject::Thread(project, removed.thread_id),
        names: removed.names,
        author: removed.author,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn names(caller: Caller, State(opik): State<Opik>, query: Query) -> Result<Reply<Value>, OpikError> {
    let project = opik
        .projects
        .to_read(&caller.workspace, None, query.id("project_id")?)
        .await?;
    scored_names(&opik, Counted::Threads, &caller, project.as_slice()).await
}

/// The project and name of a thread by the id that it was given here.
async fn by_id(opik: &Opik, caller: &Caller, id: Uuid) -> Result<Thread, OpikError> {
    let query = traces::Query {
        workspace: caller.workspace.clone(),
        filters: vec![Filter::new(
            "thread_model_id",
            "",
            Operator::Equal,
            id.to_string(),
        )],
        limit: 1,
        ..traces::Query::default()
    };
    let found = opik.ports.traces.threads(query).await?.items.into_iter().next();
    found.ok_or_else(|| OpikError::not_found(format!("Thread id: {id} not found")))
}

async fn comment(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Text>,
) -> Result<Response, OpikError> {
    let thread = by_id(&opik, &caller, id).await?;
    let subject = Subject::Thread(thread.project, thread.name);
    let written = write_comment(&opik, &caller, subject, asked).await?;
    Ok(created(&format!("{BASE}/{id}/comments/{written}")))
}

async fn one_comment(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, comment)): Path<(Uuid, Uuid)>,
) -> Result<Reply<Value>, OpikError> {
    let thread = by_id(&opik, &caller, id).await?;
    let subject = Subject::Thread(thread.project, thread.name);
    comment_of(&opik, &caller, comment, |on| *on == subject).await
}
