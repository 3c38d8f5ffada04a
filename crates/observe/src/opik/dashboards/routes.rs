//! `/v1/private/dashboards` and `/v1/private/insights-views`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    DASHBOARDS, VIEWS,
    shape::{Dashboard, Write},
};
use crate::opik::{
    Caller, Opik,
    desk::{entity, ids, project_to_write, who},
    shelf::{Stamps, Titles, listing, new_id},
    wire::{IdList, Json, OpikError, PREFIX, PageOf, Query},
};

/// By what the lists can be filtered and sorted.
const FIELDS: [&str; 9] = [
    "id",
    "name",
    "description",
    "type",
    "scope",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
];

/// One of the two sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Dashboard,
    View,
}

impl Sort {
    const fn path(self) -> &'static str {
        match self {
            Self::Dashboard => "/v1/private/dashboards",
            Self::View => "/v1/private/insights-views",
        }
    }

    const fn scope(self) -> &'static str {
        match self {
            Self::Dashboard => "workspace",
            Self::View => "insights",
        }
    }

    fn titles(self, opik: &Opik) -> Titles<Dashboard> {
        let records = &opik.ports.records;
        match self {
            Self::Dashboard => Titles::new(records, DASHBOARDS, "dashboard", "Dashboard"),
            Self::View => Titles::new(records, VIEWS, "insights_view", "Insights view"),
        }
    }
}

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    let project = "/v1/private/projects/{id}/dashboards";
    let of_project = |caller: Caller, opik: State<Opik>, Path(id): Path<Uuid>, query: Query| async move {
        list(Sort::Dashboard, &caller, &opik, &query, Some(id)).await
    };
    routes_of(Sort::Dashboard)
        .merge(routes_of(Sort::View))
        .route(project, get(of_project))
}

fn routes_of(sort: Sort) -> Router<Opik> {
    let path = sort.path();
    let all = move |caller: Caller, opik: State<Opik>, query: Query| async move {
        let project = query.id("project_id")?;
        list(sort, &caller, &opik, &query, project).await
    };
    let make = move |caller: Caller, opik: State<Opik>, Json(write): Json<Write>| async move {
        create(sort, &caller, &opik, &write).await
    };
    let one = move |caller: Caller, opik: State<Opik>, Path(id): Path<Uuid>| async move {
        let found = sort.titles(&opik).get(&caller.workspace, &id.to_string()).await?;
        Ok::<_, OpikError>(Reply(found))
    };
    let change = move |caller: Caller, opik: State<Opik>, Path(id): Path<Uuid>, Json(write): Json<Write>| async move {
        let apply = |dashboard: &mut Dashboard| dashboard.apply(&write);
        let changed = sort
            .titles(&opik)
            .change(&who(&opik, &caller), &id.to_string(), apply)
            .await;
        Ok::<_, OpikError>(Reply(changed.map_err(entity)?))
    };
    let remove = move |caller: Caller, opik: State<Opik>, Path(id): Path<Uuid>| async move {
        sort.titles(&opik)
            .delete(&caller.workspace, &[id.to_string()])
            .await?;
        Ok::<_, OpikError>(StatusCode::NO_CONTENT)
    };
    let remove_all = move |caller: Caller, opik: State<Opik>, Json(asked): Json<IdList>| async move {
        sort.titles(&opik)
            .delete(&caller.workspace, &ids(&asked)?)
            .await?;
        Ok::<_, OpikError>(StatusCode::NO_CONTENT)
    };
    Router::new()
        .route(path, get(all).post(make))
        .route(&format!("{path}/delete-batch"), post(remove_all))
        .route(&format!("{path}/{{id}}"), get(one).patch(change).delete(remove))
}

async fn list(
    sort: Sort,
    caller: &Caller,
    opik: &Opik,
    query: &Query,
    project: Option<Uuid>,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let mut all = sort.titles(opik).all(&caller.workspace).await?;
    if let Some(project) = project.map(|id| id.to_string()) {
        all.retain(|dashboard| dashboard.project_id.as_ref() == Some(&project));
    }
    let told = all
        .iter()
        .map(|dashboard| serde_json::to_value(dashboard).unwrap_or_default());
    Ok(Reply(listing::page(told.collect(), query, &FIELDS)?))
}

async fn create(sort: Sort, caller: &Caller, opik: &Opik, write: &Write) -> Result<Response, OpikError> {
    let (name, id) = (write.project_name.as_deref(), write.project_id.as_deref());
    let mut made = Dashboard {
        id: new_id(),
        workspace_id: caller.workspace.clone(),
        project_id: project_to_write(opik, caller, name, id).await?,
        name: String::new(),
        slug: String::new(),
        sort: "multi_project".to_owned(),
        scope: sort.scope().to_owned(),
        description: None,
        config: Value::Null,
        stamps: Stamps::new(&who(opik, caller)),
    };
    made.apply(write).map_err(entity)?;
    sort.titles(opik).create(&caller.workspace, &made).await?;
    let path = format!("{PREFIX}{}/{}", sort.path(), made.id);
    let mut response = (StatusCode::CREATED, Reply(made)).into_response();
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}
