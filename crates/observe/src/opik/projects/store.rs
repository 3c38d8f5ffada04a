//! Projects as records.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{
    Clock, Error, Ports, Result, Timestamp,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::opik::{Caller, wire::new_id};

/// The collection.
pub(super) const PROJECTS: &str = "opik.projects";
/// The project of what names none.
pub(crate) const DEFAULT: &str = "Default Project";
/// How many names are remembered.
const REMEMBERED: usize = 10_000;
/// How many records are read at once.
const CHUNK: usize = 1_000;

/// An application's project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// The id.
    pub(crate) id: Uuid,
    /// What it says.
    pub(crate) body: ProjectBody,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// When it was last changed.
    pub(crate) updated: Timestamp,
}

/// What is stored of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProjectBody {
    /// The name, unique in its workspace.
    pub(crate) name: String,
    /// More words.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// `private` or `public`.
    #[serde(default)]
    pub(crate) visibility: Option<String>,
    /// Who made it.
    pub(crate) created_by: String,
    /// Who changed it last.
    pub(crate) updated_by: String,
}

/// The projects of all workspaces.
pub(crate) struct Projects {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    /// Ids by workspace and name.
    known: RwLock<HashMap<(String, String), Uuid>>,
    /// Held while a name is given, so that none is given twice.
    naming: Mutex<()>,
}

impl Projects {
    /// Over the ports.
    pub(crate) fn new(ports: &Ports) -> Self {
        Self {
            records: Arc::clone(&ports.records),
            clock: Arc::clone(&ports.clock),
            known: RwLock::default(),
            naming: Mutex::default(),
        }
    }

    /// The id of the project that a write names by name or id, or of the default one; one that is named and not there
    /// is made.
    ///
    /// # Errors
    /// `NotFound` when there is no project with the id.
    pub(crate) async fn to_write(
        &self,
        caller: &Caller,
        name: Option<&str>,
        id: Option<Uuid>,
    ) -> Result<Uuid> {
        if let Some(id) = id {
            return Ok(self.get(&caller.workspace, id).await?.id);
        }
        let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(DEFAULT);
        if let Some(id) = self.remembered(&caller.workspace, name) {
            return Ok(id);
        }
        let _naming = self.naming.lock().await;
        if let Some(project) = self.find(&caller.workspace, name).await? {
            return Ok(project.id);
        }
        let body = ProjectBody {
            name: name.to_owned(),
            description: None,
            visibility: None,
            created_by: caller.user.clone(),
            updated_by: caller.user.clone(),
        };
        self.put(&caller.workspace, new_id(self.clock.now()), body).await
    }

    /// The id of the project that a question names by name or id; of all the workspace's when it names none is `None`.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub(crate) async fn to_read(
        &self,
        workspace: &str,
        name: Option<&str>,
        id: Option<Uuid>,
    ) -> Result<Option<Uuid>> {
        if let Some(id) = id {
            return Ok(Some(self.get(workspace, id).await?.id));
        }
        let Some(name) = name.filter(|name| !name.trim().is_empty()) else {
            return Ok(None);
        };
        if let Some(id) = self.remembered(workspace, name) {
            return Ok(Some(id));
        }
        let found = self.find(workspace, name).await?;
        found.map(|project| Some(project.id)).ok_or_else(|| absent(name))
    }

    /// One project by its id.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub(crate) async fn get(&self, workspace: &str, id: Uuid) -> Result<Project> {
        let record = self.records.get(&key(workspace, id)).await?;
        record
            .as_ref()
            .map(read)
            .transpose()?
            .ok_or_else(|| absent(&id.to_string()))
    }

    /// One project by its name.
    pub(crate) async fn find(&self, workspace: &str, name: &str) -> Result<Option<Project>> {
        let query = RecordQuery {
            collection: PROJECTS.into(),
            project: Some(workspace.to_owned()),
            equals: vec![("name".to_owned(), Value::from(name))],
            limit: 1,
            ..RecordQuery::default()
        };
        let found = self.records.list(query).await?.items;
        let project = found.first().map(read).transpose()?;
        if let Some(project) = &project {
            self.remember(workspace, name, project.id);
        }
        Ok(project)
    }

    /// All projects of a workspace, newest first.
    pub(crate) async fn all(&self, workspace: &str) -> Result<Vec<Project>> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let query = RecordQuery {
                collection: PROJECTS.into(),
                project: Some(workspace.to_owned()),
                order_by: Some("created".into()),
                descending: true,
                after,
                limit: CHUNK,
                ..RecordQuery::default()
            };
            let page = self.records.list(query).await?;
            for record in &page.items {
                all.push(read(record)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a project.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    pub(crate) async fn create(&self, workspace: &str, body: ProjectBody) -> Result<Uuid> {
        let _naming = self.naming.lock().await;
        if self.find(workspace, &body.name).await?.is_some() {
            return Err(Error::conflict("Project already exists"));
        }
        self.put(workspace, new_id(self.clock.now()), body).await
    }

    /// Changes a project.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `Conflict` when the new name is another one's.
    pub(crate) async fn change(
        &self,
        workspace: &str,
        id: Uuid,
        change: impl FnOnce(&mut ProjectBody) + Send,
    ) -> Result<()> {
        let _naming = self.naming.lock().await;
        let mut body = self.get(workspace, id).await?.body;
        let before = body.name.clone();
        change(&mut body);
        if body.name != before {
            if self.find(workspace, &body.name).await?.is_some() {
                return Err(Error::conflict("Project already exists"));
            }
            self.forget(workspace, &before);
        }
        self.put(workspace, id, body).await.map(|_| ())
    }

    /// Removes a project's record; one that is not there is passed over.
    pub(crate) async fn delete(&self, workspace: &str, id: Uuid) -> Result<()> {
        let _naming = self.naming.lock().await;
        let Some(record) = self.records.get(&key(workspace, id)).await? else {
            return Ok(());
        };
        self.forget(workspace, &read(&record)?.body.name);
        let delete = RecordWrite::Delete {
            key: record.key,
            expected: None,
        };
        self.records.commit(vec![delete]).await.map(|_| ())
    }

    async fn put(&self, workspace: &str, id: Uuid, body: ProjectBody) -> Result<Uuid> {
        let name = body.name.clone();
        let write = RecordWrite::Put {
            key: key(workspace, id),
            expected: None,
            body: json!(body),
        };
        self.records.commit(vec![write]).await?;
        self.remember(workspace, &name, id);
        Ok(id)
    }

    fn remembered(&self, workspace: &str, name: &str) -> Option<Uuid> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(workspace.to_owned(), name.to_owned())).copied()
    }

    fn remember(&self, workspace: &str, name: &str, id: Uuid) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((workspace.to_owned(), name.to_owned()), id);
    }

    fn forget(&self, workspace: &str, name: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(&(workspace.to_owned(), name.to_owned()));
    }
}

fn absent(what: &str) -> Error {
    Error::not_found(format!("Project not found: {what}"))
}

fn key(workspace: &str, id: Uuid) -> RecordKey {
    RecordKey {
        collection: PROJECTS.into(),
        project: workspace.to_owned(),
        id: id.to_string(),
    }
}

fn read(record: &Record) -> Result<Project> {
    let damaged =
        |error: &dyn std::fmt::Display| Error::internal(format!("a project's record is damaged: {error}"));
    Ok(Project {
        id: record
            .key
            .id
            .parse()
            .map_err(|error: uuid::Error| damaged(&error))?,
        body: serde_json::from_value(record.body.clone()).map_err(|error| damaged(&error))?,
        created: record.created,
        updated: record.updated,
    })
}
