//! What is known of attached files, as records.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    ports::{
        Record, RecordKey, RecordQuery, RecordWrite,
        traces::{self, Count, Kind},
    },
};
use uuid::Uuid;

use super::files;
use crate::opik::{Caller, Opik};

/// The collection.
pub(super) const ATTACHMENTS: &str = "opik.attachments";
/// So many records are read at once.
const CHUNK: usize = 1_000;

/// What is stored of an attached file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attachment {
    /// `trace:UUID` or `span:UUID`.
    pub(super) entity: String,
    /// The name.
    pub(super) file_name: String,
    /// How long it is, in bytes.
    pub(super) file_size: u64,
    /// What it holds.
    pub(super) mime_type: String,
    /// The application's project.
    pub(super) project: Uuid,
}

/// The name of what a file is attached to.
pub(super) fn entity(kind: Kind, id: Uuid) -> String {
    format!("{}:{id}", kind.as_str())
}

fn key(caller: &Caller, id: Uuid) -> RecordKey {
    RecordKey {
        collection: ATTACHMENTS.into(),
        project: caller.workspace.clone(),
        id: id.to_string(),
    }
}

pub(super) fn read(record: &Record) -> Result<(Uuid, Attachment)> {
    let damaged = |error: &dyn std::fmt::Display| {
        Error::internal(format!("the record of an attached file is damaged: {error}"))
    };
    let id = record
        .key
        .id
        .parse()
        .map_err(|error: uuid::Error| damaged(&error))?;
    let body = serde_json::from_value(record.body.clone()).map_err(|error| damaged(&error))?;
    Ok((id, body))
}

/// The files attached to something, oldest first.
pub(super) async fn attached(opik: &Opik, caller: &Caller, entity: &str) -> Result<Vec<(Uuid, Attachment)>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let query = RecordQuery {
            collection: ATTACHMENTS.into(),
            project: Some(caller.workspace.clone()),
            equals: vec![("entity".into(), Value::from(entity))],
            order_by: Some("created".into()),
            after,
            limit: CHUNK,
            ..RecordQuery::default()
        };
        let page = opik.ports.records.list(query).await?;
        for record in &page.items {
            all.push(read(record)?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Notes a file whose content is stored; one of the same name is replaced.
pub(super) async fn put(opik: &Opik, caller: &Caller, id: Uuid, attachment: Attachment) -> Result<()> {
    let mut old = attached(opik, caller, &attachment.entity).await?;
    old.retain(|(_, known)| known.file_name == attachment.file_name);
    let mut writes = vec![RecordWrite::Put {
        key: key(caller, id),
        expected: None,
        body: json!(attachment),
    }];
    writes.extend(old.iter().map(|(old, _)| delete(caller, *old)));
    opik.ports.records.commit(writes).await?;
    for (old, _) in old {
        files::remove(&opik.data, old).await;
    }
    Ok(())
}

fn delete(caller: &Caller, id: Uuid) -> RecordWrite {
    RecordWrite::Delete {
        key: key(caller, id),
        expected: None,
    }
}

/// Removes files: their records first, so that none names a file that is gone.
pub(super) async fn remove(opik: &Opik, caller: &Caller, ids: Vec<Uuid>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    opik.ports
        .records
        .commit(ids.iter().map(|id| delete(caller, *id)).collect())
        .await?;
    for id in ids {
        files::remove(&opik.data, id).await;
    }
    Ok(())
}

/// Removes what is attached to traces and their spans, or to spans, which are about to go.
pub(in crate::opik) async fn forget(opik: &Opik, caller: &Caller, ids: &[Uuid]) -> Result<()> {
    let any = RecordQuery {
        collection: ATTACHMENTS.into(),
        project: Some(caller.workspace.clone()),
        limit: 1,
        ..RecordQuery::default()
    };
    if opik.ports.records.list(any).await?.items.is_empty() {
        return Ok(());
    }
    let mut entities = Vec::new();
    for id in ids {
        entities.extend([entity(Kind::Trace, *id), entity(Kind::Span, *id)]);
        let spans = traces::Query {
            workspace: caller.workspace.clone(),
            trace: Some(*id),
            limit: usize::MAX,
            count: Count::None,
            ..traces::Query::default()
        };
        let spans = opik.ports.traces.entries(Kind::Span, spans).await?.items;
        entities.extend(spans.iter().map(|span| entity(Kind::Span, span.id)));
    }
    let mut found = Vec::new();
    for entity in entities {
        found.extend(
            attached(opik, caller, &entity)
                .await?
                .into_iter()
                .map(|(id, _)| id),
        );
    }
    remove(opik, caller, found).await
}
