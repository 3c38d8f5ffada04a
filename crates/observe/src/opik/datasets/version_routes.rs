//! `/v1/private/datasets/{id}/versions`, and changes that make a version by themselves.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};
use stead_kernel::Error;
use uuid::Uuid;

use super::{
    Datasets, Version,
    convert::{self, Tags},
    item_routes::carries_over,
    plan::{Change, Seed},
    shape::{Dataset, ItemChanges, ItemWrite, LATEST, VersionRef, VersionUpdate},
};
use crate::opik::{
    Caller, Opik,
    desk::{filled, uuid, who},
    shelf::Who,
    wire::{Json, OpikError, PageOf, Paging, Query},
};

/// The longest tag, in characters.
const LONGEST_TAG: usize = 100;

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    let versions = "/v1/private/datasets/{id}/versions";
    Router::new()
        .route("/v1/private/datasets/{id}/items/changes", post(changes))
        .route(versions, get(list))
        .route(&format!("{versions}/diff"), get(difference))
        .route(&format!("{versions}/restore"), post(restore))
        .route(&format!("{versions}/retrieve"), post(retrieve))
        .route(&format!("{versions}/hash/{{hash}}"), get(one).patch(update))
        .route(&format!("{versions}/hash/{{hash}}/tags"), post(tag))
        .route(&format!("{versions}/{{hash}}/tags/{{tag}}"), delete(untag))
}

/// What every handler here begins with.
async fn dataset(opik: &Opik, caller: &Caller, id: Uuid) -> Result<(Datasets, Dataset), OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    let dataset = datasets.get(&caller.workspace, &id.to_string()).await?;
    Ok((datasets, dataset))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let (workspace, skip, size) = (&caller.workspace, paging.offset(), paging.size);
    let versions = datasets
        .items
        .versions(workspace, &dataset.id, skip, size)
        .await?;
    let told = versions.iter().map(|version| version.tell(dataset.latest));
    // Versions count from 1, and none is ever removed.
    Ok(Reply(paging.around(told.collect(), dataset.latest, &[])))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, hash)): Path<(Uuid, String)>,
) -> Result<Reply<Value>, OpikError> {
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, &hash)
        .await?;
    Ok(Reply(version.tell(dataset.latest)))
}

async fn retrieve(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<VersionRef>,
) -> Result<Reply<Value>, OpikError> {
    let digits = asked.name.strip_prefix('v').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OpikError::unprocessable(
            "version_name must have the form v<number>",
        ));
    }
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, &asked.name)
        .await?;
    Ok(Reply(version.tell(dataset.latest)))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, hash)): Path<(Uuid, String)>,
    Json(update): Json<VersionUpdate>,
) -> Result<Reply<Value>, OpikError> {
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, &hash)
        .await?;
    let tags = update.tags_to_add.unwrap_or_default();
    check_tags(&datasets, &caller, &version, &tags).await?;
    let who = who(&opik, &caller);
    let change = |version: &mut Version| {
        if update.change_description.is_some() {
            version.change_description.clone_from(&update.change_description);
        }
        add_tags(version, &tags);
        version.stamps.touch(&who);
        Ok(())
    };
    let version = datasets
        .items
        .change_version(&caller.workspace, &version.id, change)
        .await?;
    Ok(Reply(version.tell(dataset.latest)))
}

async fn tag(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, hash)): Path<(Uuid, String)>,
    Json(asked): Json<VersionRef>,
) -> Result<StatusCode, OpikError> {
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, &hash)
        .await?;
    let tags = [filled(&asked.tag, "tag")?.to_owned()];
    check_tags(&datasets, &caller, &version, &tags).await?;
    let change = |version: &mut Version| {
        add_tags(version, &tags);
        Ok(())
    };
    datasets
        .items
        .change_version(&caller.workspace, &version.id, change)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn untag(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, hash, tag)): Path<(Uuid, String, String)>,
) -> Result<StatusCode, OpikError> {
    if tag == LATEST {
        return Err(OpikError::invalid(
            "the tag `latest` goes with the newest version",
        ));
    }
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, &hash)
        .await?;
    let change = |version: &mut Version| {
        version.tags.retain(|own| *own != tag);
        Ok(())
    };
    datasets
        .items
        .change_version(&caller.workspace, &version.id, change)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A tag names one version of a dataset.
async fn check_tags(
    datasets: &Datasets,
    caller: &Caller,
    version: &Version,
    tags: &[String],
) -> Result<(), OpikError> {
    if tags.is_empty() {
        return Ok(());
    }
    if tags
        .iter()
        .any(|tag| tag.trim().is_empty() || tag.chars().count() > LONGEST_TAG)
    {
        return Err(OpikError::unprocessable(format!(
            "a tag must have 1 to {LONGEST_TAG} characters"
        )));
    }
    let all = datasets
        .items
        .versions(&caller.workspace, &version.dataset_id, 0, 0)
        .await?;
    let mut taken = all.iter().flat_map(|version| &version.tags);
    if tags.iter().any(|tag| tag == LATEST) || taken.any(|tag| tags.contains(tag)) {
        return Err(Error::conflict("Tag already exists for this dataset").into());
    }
    Ok(())
}

fn add_tags(version: &mut Version, tags: &[String]) {
    for tag in tags {
        if !version.tags.contains(tag) {
            version.tags.push(tag.clone());
        }
    }
}

async fn restore(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<VersionRef>,
) -> Result<Reply<Value>, OpikError> {
    let name = filled(&asked.reference, "version_ref")?;
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = datasets
        .items
        .version_by(&caller.workspace, &dataset, name)
        .await?;
    if version.number == dataset.latest {
        return Ok(Reply(version.tell(dataset.latest)));
    }
    let change = datasets
        .items
        .back_to(&caller.workspace, &dataset.id, version.number)
        .await?;
    let seed = Seed {
        forced: true,
        description: Some(format!("Restored from version: {name}")),
        evaluators: version.evaluators,
        execution_policy: version.execution_policy,
        ..Seed::default()
    };
    // What was worked out holds for the version that was the newest then.
    let (who, base) = (who(&opik, &caller), dataset.latest_id.as_deref());
    let restored = datasets
        .items
        .change(&who, &dataset.id, &seed, base, &change)
        .await?;
    Ok(Reply(restored.tell(restored.number)))
}

/// How the newest version differs from what is there now, or how two versions differ that `from` and `to` name. Every
/// change is in a version at once, so that nothing is ever between the newest one and what is there.
async fn difference(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let version = |name: Option<&str>| {
        let name = name.unwrap_or(LATEST).to_owned();
        let (items, workspace, dataset) = (&datasets.items, &caller.workspace, &dataset);
        async move { items.version_by(workspace, dataset, &name).await }
    };
    let (from, to) = (
        version(query.text("from")).await?,
        version(query.text("to")).await?,
    );
    let (workspace, id) = (&caller.workspace, &dataset.id);
    let counts = datasets
        .items
        .difference(workspace, id, from.number, to.number)
        .await?;
    let [added, modified, deleted, unchanged] = counts;
    Ok(Reply(json!({
        "from_version": from.hash,
        "to_version": query.text("to").map_or("draft", |_| to.hash.as_str()),
        "statistics": {
            "itemsAdded": added, "itemsModified": modified, "itemsDeleted": deleted, "itemsUnchanged": unchanged,
        },
    })))
}

async fn changes(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
    Json(asked): Json<ItemChanges>,
) -> Result<Response, OpikError> {
    carries_over(
        asked
            .copy_from_dataset_id
            .as_deref()
            .or(asked.copy_from_version_id.as_deref()),
    )?;
    let (datasets, dataset) = dataset(&opik, &caller, id).await?;
    let base = match (query.flag("override"), &asked.base_version) {
        (true, _) => None,
        (false, Some(base)) => Some(uuid(base, "base version")?.to_string()),
        (false, None) if dataset.latest_id.is_none() => None,
        (false, None) => {
            return Err(OpikError::invalid(
                "base_version must be given, or override be true",
            ));
        }
    };
    let who = who(&opik, &caller);
    let change = change(&datasets, &who, &dataset.id, &asked).await?;
    let seed = Seed {
        forced: true,
        group: None,
        description: asked.change_description,
        tags: asked.tags.unwrap_or_default(),
        metadata: asked.metadata,
        evaluators: asked.evaluators,
        execution_policy: asked.execution_policy,
        clear_execution_policy: asked.clear_execution_policy,
    };
    let made = datasets
        .items
        .change(&who, &dataset.id, &seed, base.as_deref(), &change)
        .await?;
    Ok((StatusCode::CREATED, Reply(made.tell(made.number))).into_response())
}

async fn change(
    datasets: &Datasets,
    who: &Who,
    dataset: &str,
    asked: &ItemChanges,
) -> Result<Change, OpikError> {
    let mut upserts = convert::batch(who, dataset, asked.added_items.clone().unwrap_or_default())?;
    let edits: Vec<&ItemWrite> = asked.edited_items.iter().flatten().collect();
    for edit in edits {
        let id = edit
            .id
            .as_deref()
            .or(edit.dataset_item_id.as_deref())
            .unwrap_or_default();
        let id = uuid(id, "dataset item")?.to_string();
        let item = datasets.items.item(&who.project, &id).await?;
        upserts.push(convert::changed(who, &item, edit, Tags::Replace)?);
    }
    let deletes = asked
        .deleted_ids
        .iter()
        .flatten()
        .map(|id| uuid(id, "dataset item"));
    let deletes = deletes.map(|id| id.map(|id| id.to_string()));
    Ok(Change {
        upserts,
        deletes: deletes.collect::<Result<_, _>>()?,
    })
}
