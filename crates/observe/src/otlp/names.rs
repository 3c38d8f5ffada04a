//! Which trace of ours a trace of OpenTelemetry is.
//!
//! A trace id of OpenTelemetry carries no time, and ours are sorted by theirs, so that the first request that tells of a
//! trace gives it its name: an id with the time at which it is first known to begin (as Opik does), and the project that
//! all its spans lie in, whichever service they come from. Both are kept as a record for as long as traces are.
//!
//! *Invariant:* a trace has one name, however many requests tell of it at once, and the name is on disk before a span is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::{
    Collection, Error, Ports, Reason, Result, Tasks, Timestamp,
    ports::{RecordKey, RecordQuery, RecordWrite, Records},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::ids::{self, TraceId, hex};
use crate::opik::Projects;

/// The collection.
const TRACES: &str = "otlp.traces";
/// The collections of records.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: TRACES,
    indexes: &[],
}];
/// How many names are remembered.
const REMEMBERED: usize = 50_000;
/// How often names are looked for whose traces are gone.
const LOOK: Duration = Duration::from_hours(1);
/// How many records are removed at once.
const CHUNK: usize = 500;

/// What a trace is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// Its id.
    pub(crate) id: Uuid,
    /// The project that it is in.
    pub(crate) project: Uuid,
}

/// A trace that is told of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// When its first span of this request began.
    pub(super) start: Timestamp,
    /// The project that this request names.
    pub(super) project: Uuid,
}

/// The names of all traces.
pub(super) struct Names {
    records: Arc<dyn Records>,
    projects: Arc<Projects>,
    known: RwLock<HashMap<(String, TraceId), Named>>,
    /// Held while names are given.
    naming: Mutex<()>,
}

impl Names {
    /// Over the ports.
    pub(super) fn new(ports: &Ports, projects: Arc<Projects>) -> Self {
        Self {
            records: Arc::clone(&ports.records),
            projects,
            known: RwLock::default(),
            naming: Mutex::default(),
        }
    }

    /// What these traces are; those that are new are given a name.
    ///
    /// # Errors
    /// Those of the store of records.
    pub(super) async fn of(
        &self,
        workspace: &str,
        wanted: &HashMap<TraceId, Wanted>,
    ) -> Result<HashMap<TraceId, Named>> {
        let mut found = self.remembered(workspace, wanted);
        self.drop_strays(workspace, wanted, &mut found).await?;
        if found.len() == wanted.len() {
            return Ok(found);
        }
        let _naming = self.naming.lock().await;
        let mut writes = Vec::new();
        for (trace, want) in wanted {
            if found.contains_key(trace) {
                continue;
            }
            let key = key(workspace, trace);
            let mut known =
                match self.records.get(&key).await? {
                    Some(record) => Some(serde_json::from_value::<Named>(record.body).map_err(|error| {
                        Error::internal("the record of a trace is damaged").because(error)
                    })?),
                    None => None,
                };
            if let Some(named) = known
                && !self.is_there(workspace, named.project, want.project).await?
            {
                known = None;
            }
            let named = known.unwrap_or_else(|| Named {
                id: ids::trace(trace, want.start),
                project: want.project,
            });
            if known.is_none() {
                writes.push(RecordWrite::Put {
                    key,
                    expected: None,
                    body: json!(named),
                });
            }
            found.insert(*trace, named);
        }
        if !writes.is_empty() {
            self.records.commit(writes).await?;
        }
        self.remember(workspace, &found);
        Ok(found)
    }

    /// Takes out names whose project was deleted since.
    async fn drop_strays(
        &self,
        workspace: &str,
        wanted: &HashMap<TraceId, Wanted>,
        found: &mut HashMap<TraceId, Named>,
    ) -> Result<()> {
        let mut gone = HashSet::new();
        let mut there = HashSet::new();
        for (trace, named) in found.iter() {
            let asked = wanted.get(trace).map_or(named.project, |want| want.project);
            if there.contains(&named.project) || gone.contains(&named.project) {
                continue;
            }
            if self.is_there(workspace, named.project, asked).await? {
                there.insert(named.project);
            } else {
                gone.insert(named.project);
            }
        }
        found.retain(|_, named| !gone.contains(&named.project));
        Ok(())
    }

    /// Whether a trace's project is there; the one that the request names is.
    async fn is_there(&self, workspace: &str, project: Uuid, asked: Uuid) -> Result<bool> {
        if project == asked {
            return Ok(true);
        }
        match self.projects.get(workspace, project).await {
            Ok(_) => Ok(true),
            Err(error) if error.reason() == Reason::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remembered(&self, workspace: &str, wanted: &HashMap<TraceId, Wanted>) -> HashMap<TraceId, Named> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of = |trace: &TraceId| known.get(&(workspace.to_owned(), *trace)).copied();
        wanted
            .keys()
            .filter_map(|trace| Some((*trace, of(trace)?)))
            .collect()
    }

    fn remember(&self, workspace: &str, found: &HashMap<TraceId, Named>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len().saturating_add(found.len()) > REMEMBERED {
            known.clear();
        }
        for (trace, named) in found {
            known.insert((workspace.to_owned(), *trace), *named);
        }
    }
}

/// What a trace is here that OpenTelemetry knows by an id of 32 hex digits; nothing when it was never told of.
pub(crate) async fn named(records: &dyn Records, workspace: &str, hex: &str) -> Result<Option<Named>> {
    let key = RecordKey {
        collection: TRACES.into(),
        project: workspace.to_owned(),
        id: hex.to_owned(),
    };
    let record = records.get(&key).await?;
    let read = |record: stead_kernel::ports::Record| {
        serde_json::from_value(record.body)
            .map_err(|error| Error::internal("the record of a trace is damaged").because(error))
    };
    record.map(read).transpose()
}

/// Removes, again and again, the names of traces that are no longer kept.
pub(super) fn forget_old(tasks: &Tasks, ports: &Ports, days: u16) {
    let (records, clock) = (Arc::clone(&ports.records), Arc::clone(&ports.clock));
    let kept = Duration::from_hours(24) * u32::from(days.max(1));
    tasks.spawn_until_stopped("names of traces", async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let Ok(before) = clock.now().checked_sub(kept) else {
                continue;
            };
            // A process that keeps no records has none to remove.
            if let Err(error) = forget(records.as_ref(), before).await
                && error.reason() != Reason::Unsupported
            {
                tracing::warn!(%error, "names of old traces were not removed");
            }
        }
    });
}

/// Removes the names that were given before a time.
async fn forget(records: &dyn Records, before: Timestamp) -> Result<()> {
    loop {
        let query = RecordQuery {
            collection: TRACES.into(),
            order_by: Some("created".into()),
            limit: CHUNK,
            ..RecordQuery::default()
        };
        let oldest = records.list(query).await?.items;
        let old: Vec<RecordWrite> = oldest
            .into_iter()
            .filter(|record| record.created < before)
            .map(|record| RecordWrite::Delete {
                key: record.key,
                expected: None,
            })
            .collect();
        let is_last = old.len() < CHUNK;
        if !old.is_empty() {
            records.commit(old).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn key(workspace: &str, trace: &TraceId) -> RecordKey {
    RecordKey {
        collection: TRACES.into(),
        project: workspace.to_owned(),
        id: hex(trace),
    }
}

#[cfg(test)]
mod tests {
    use stead_testkit::World;

    use super::*;

    #[tokio::test]
    async fn a_trace_keeps_its_name_until_it_is_old() {
        let world = World::new();
        let context = world.context();
        let projects = Arc::new(Projects::new(&context.ports));
        let names = Names::new(&context.ports, Arc::clone(&projects));
        let caller = crate::opik::Caller {
            workspace: "default".into(),
            user: "ada".into(),
        };
        let first = projects.to_write(&caller, Some("a"), None).await.unwrap();
        let second = projects.to_write(&caller, Some("b"), None).await.unwrap();
        let want = |second: i64, project| {
            let start = Timestamp::from_second(second).unwrap();
            HashMap::from([([1; 16], Wanted { start, project })])
        };
        let named = names.of("default", &want(1_000, first)).await.unwrap();
        assert_eq!(named, names.of("default", &want(1, second)).await.unwrap());
        // Another process, and another workspace.
        let names = Names::new(&context.ports, Arc::clone(&projects));
        assert_eq!(named, names.of("default", &want(1, second)).await.unwrap());
        assert_ne!(named, names.of("other", &want(1, first)).await.unwrap());
        // Its project is gone.
        projects.delete("default", first).await.unwrap();
        let moved = names.of("default", &want(1_000, second)).await.unwrap();
        assert_eq!(
            (moved[&[1; 16]].id, moved[&[1; 16]].project),
            (named[&[1; 16]].id, second)
        );
        // It is old.
        let records = Arc::clone(&context.ports.records);
        let all = || RecordQuery {
            collection: TRACES.into(),
            ..RecordQuery::default()
        };
        let kept = records.list(all()).await.unwrap().items;
        forget(records.as_ref(), kept[0].created).await.unwrap();
        assert_eq!(records.list(all()).await.unwrap().items.len(), 2);
        forget(records.as_ref(), Timestamp::MAX).await.unwrap();
        assert!(records.list(all()).await.unwrap().items.is_empty());
    }
}
