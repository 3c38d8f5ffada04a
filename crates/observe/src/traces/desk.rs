//! What the handlers of traces work with: whose projects a question is about, and where what it names lies.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use stead_kernel::{
    DEFAULT_PROJECT, Error, Ports, Principal, Reason, Result,
    ports::{
        events::{RequestQuery, RequestRow},
        traces::{Entry, Kind},
    },
};
use uuid::Uuid;

use super::row::Row;
use crate::{
    opik::{Opik, Projects},
    otlp::{Named, named},
    routes::visible,
};

/// So many requests of one trace are shown at most.
const REQUESTS: usize = 1_000;

/// What every handler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) ports: Ports,
    pub(super) client: kube::Client,
    pub(super) projects: Arc<Projects>,
}

/// Which projects of Stead a question is about.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// As requests are asked for: `None` for all.
    pub(super) projects: Option<Vec<String>>,
    /// As traces are: each by its name.
    pub(super) workspaces: Vec<String>,
}

impl Scope {
    /// Whether a project is one of them.
    pub(super) fn has(&self, project: &str) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|projects| projects.iter().any(|own| own == project))
    }
}

/// What an id names.
pub(super) enum Found {
    /// A trace of an application, with the project that it is in, and the id by which OpenTelemetry knows it.
    Trace(Box<Entry>, String, Option<Otel>),
    /// A request in no trace of an application.
    Request(Box<RequestRow>),
}

/// A trace as OpenTelemetry knows it.
#[derive(Debug, Clone)]
pub(super) struct Otel {
    /// 32 hex digits.
    pub(super) hex: String,
    /// What it is here.
    pub(super) named: Named,
}

impl Desk {
    /// Over what Opik's API works with.
    pub(crate) fn new(opik: &Opik) -> Self {
        Self {
            ports: opik.ports.clone(),
            client: opik.client.clone(),
            projects: Arc::clone(&opik.projects),
        }
    }

    /// The projects that an answer may be about.
    ///
    /// # Errors
    /// `Forbidden` when a project that is asked for, or every project, is not the asker's.
    pub(super) async fn scope(&self, principal: &Principal, asked: Vec<String>) -> Result<Scope> {
        let projects = visible(&self.ports, principal, "requests", asked.clone())?;
        let workspaces = self.workspaces(principal, "traces", asked).await?;
        Ok(Scope { projects, workspaces })
    }

    /// The projects of which something may be listed, by their names.
    ///
    /// # Errors
    /// As [`scope`](Self::scope).
    pub(crate) async fn workspaces(
        &self,
        principal: &Principal,
        resource: &str,
        asked: Vec<String>,
    ) -> Result<Vec<String>> {
        match visible(&self.ports, principal, resource, asked)? {
            Some(own) => Ok(own),
            None => self.all_projects().await,
        }
    }

    async fn all_projects(&self) -> Result<Vec<String>> {
        let all: kube::Api<Namespace> = kube::Api::all(self.client.clone());
        let found = match all.list(&ListParams::default()).await {
            Ok(found) => found.items,
            // A gateway without the resource API has one project.
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut names: Vec<String> = found.into_iter().filter_map(|item| item.metadata.name).collect();
        if !names.iter().any(|name| name == DEFAULT_PROJECT) {
            names.push(DEFAULT_PROJECT.to_owned());
        }
        Ok(names)
    }

    /// What an id names: a trace of an application, a request, or a trace of OpenTelemetry.
    ///
    /// # Errors
    /// `NotFound` when there is no such thing in the scope.
    pub(super) async fn find(&self, scope: &Scope, id: &str) -> Result<Found> {
        let uuid = Uuid::try_parse(id).ok();
        if let Some(uuid) = uuid
            && let Some((entry, project)) = self.entry(scope, Kind::Trace, uuid).await?
        {
            let otel = self.otel_of(&entry, &project).await?;
            return Ok(Found::Trace(Box::new(entry), project, otel));
        }
        let request = self.ports.events.request(id).await?;
        let request = request.filter(|row| scope.has(&row.project));
        let hex = match (&request, uuid) {
            (Some(row), _) => Some(row.trace_id.clone()),
            (None, Some(uuid)) => Some(uuid.simple().to_string()),
            (None, None) => None,
        };
        if let Some(hex) = hex
            && let Some((entry, project, otel)) = self.traced(scope, &hex).await?
        {
            return Ok(Found::Trace(Box::new(entry), project, Some(otel)));
        }
        let request = request.ok_or_else(|| {
            Error::not_found(format!("there is no trace or request {id:?}"))
                .hint("it may be older than what is kept; see what there is with: stead trace list")
        })?;
        Ok(Found::Request(Box::new(request)))
    }

    /// A trace or span in one of the workspaces.
    pub(super) async fn entry(&self, scope: &Scope, kind: Kind, id: Uuid) -> Result<Option<(Entry, String)>> {
        for workspace in &scope.workspaces {
            let found = self.ports.traces.entry(kind, workspace, id).await;
            if let Some(entry) = absent_as_none(found)?.flatten() {
                return Ok(Some((entry, workspace.clone())));
            }
        }
        Ok(None)
    }

    /// The application's trace that OpenTelemetry knows by an id.
    async fn traced(&self, scope: &Scope, hex: &str) -> Result<Option<(Entry, String, Otel)>> {
        for workspace in &scope.workspaces {
            let Some(named) = self.named(workspace, hex).await? else {
                continue;
            };
            let found = self.ports.traces.entry(Kind::Trace, workspace, named.id).await?;
            if let Some(entry) = found {
                let hex = hex.to_owned();
                return Ok(Some((entry, workspace.clone(), Otel { hex, named })));
            }
        }
        Ok(None)
    }

    /// The id by which OpenTelemetry knows a trace, if it came that way.
    async fn otel_of(&self, entry: &Entry, project: &str) -> Result<Option<Otel>> {
        let Some(hex) = Row::of_trace(entry, project, None).trace_id else {
            return Ok(None);
        };
        let named = self.named(project, &hex).await?;
        Ok(named.map(|named| Otel { hex, named }))
    }

    /// What a trace of OpenTelemetry is here.
    pub(crate) async fn named(&self, workspace: &str, hex: &str) -> Result<Option<Named>> {
        named(self.ports.records.as_ref(), workspace, hex).await
    }

    /// All requests of a trace, the oldest first.
    pub(super) async fn requests_of(&self, scope: &Scope, hex: &str) -> Result<Vec<RequestRow>> {
        let query = RequestQuery {
            projects: scope.projects.clone(),
            trace: Some(hex.to_owned()),
            limit: REQUESTS,
            ..RequestQuery::default()
        };
        let mut found = self.ports.events.requests(query).await?.items;
        found.reverse();
        Ok(found)
    }

    /// The names of the applications' projects of a workspace.
    pub(super) async fn applications(&self, workspace: &str) -> Result<HashMap<Uuid, String>> {
        let all = self.projects.all(workspace).await;
        let all = absent_as_none(all)?.unwrap_or_default();
        Ok(all
            .into_iter()
            .map(|project| (project.id, project.body.name))
            .collect())
    }

    /// The name of one of them.
    pub(super) async fn application(&self, workspace: &str, id: Uuid) -> Result<Option<String>> {
        match self.projects.get(workspace, id).await {
            Ok(project) => Ok(Some(project.body.name)),
            Err(error) if error.reason() == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Nothing where this process has no such store.
pub(crate) fn absent_as_none<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.reason() == Reason::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}
