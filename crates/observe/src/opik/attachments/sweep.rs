//! Removes files whose trace or span is gone, as it is when a day is no longer kept, and what is left of uploads that
//! ended early.

use std::{collections::HashSet, time::Duration};

use stead_kernel::{
    Result, Timestamp,
    ports::{RecordQuery, RecordWrite, traces::Kind},
};

use super::{files, store};
use crate::opik::Opik;

/// How often it is looked.
const LOOK: Duration = Duration::from_hours(1);
/// A file may be there so long before what it is attached to.
const PATIENCE: Duration = Duration::from_hours(24);
/// So many records are read at once.
const CHUNK: usize = 500;

/// Looks now and then.
pub(in crate::opik) fn start(tasks: &stead_kernel::Tasks, opik: Opik) {
    tasks.spawn_until_stopped("attached files", async move {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = sweep(&opik).await
                && error.reason() != stead_kernel::Reason::Unsupported
            {
                tracing::warn!(%error, "attached files without an owner were not removed");
            }
        }
    });
}

/// Removes what nobody needs.
pub(super) async fn sweep(opik: &Opik) -> Result<()> {
    let Ok(before) = opik.ports.clock.now().checked_sub(PATIENCE) else {
        return Ok(());
    };
    files::remove_drafts(&opik.data, before).await;
    let mut after = None;
    loop {
        let query = RecordQuery {
            collection: store::ATTACHMENTS.into(),
            after,
            limit: CHUNK,
            ..RecordQuery::default()
        };
        let page = opik.ports.records.list(query).await?;
        for record in page.items.iter().filter(|record| record.created < before) {
            let (id, attachment) = store::read(record)?;
            if is_owned(opik, &record.key.project, &attachment.entity).await? {
                continue;
            }
            let delete = RecordWrite::Delete {
                key: record.key.clone(),
                expected: None,
            };
            opik.ports.records.commit(vec![delete]).await?;
            files::remove(&opik.data, id).await;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Whether what a file is attached to is there.
async fn is_owned(opik: &Opik, workspace: &str, entity: &str) -> Result<bool> {
    let kinds = [Kind::Trace, Kind::Span];
    let Some((kind, id)) = entity.split_once(':').and_then(|(kind, id)| {
        let kind = kinds.into_iter().find(|own| own.as_str() == kind)?;
        Some((kind, id.parse().ok()?))
    }) else {
        return Ok(true);
    };
    Ok(opik.ports.traces.entry(kind, workspace, id).await?.is_some())
}

/// Which drafts are old: those of uploads that ended early. Pure.
pub(super) fn old_drafts(files: &[(String, Option<Timestamp>)], before: Timestamp) -> HashSet<&str> {
    let drafts = files
        .iter()
        .filter(|(name, _)| name.strip_suffix(".part").is_some());
    drafts
        .filter(|(_, changed)| changed.is_some_and(|changed| changed < before))
        .map(|(name, _)| name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_drafts_are_left_overs() {
        let at = |second| Timestamp::from_second(second).ok();
        let files = [
            ("a.part".to_owned(), at(1)),
            ("b.part".to_owned(), at(9)),
            ("c.part".to_owned(), None),
            ("d".to_owned(), at(1)),
        ];
        let old = old_drafts(&files, Timestamp::from_second(5).unwrap());
        assert_eq!(old, HashSet::from(["a.part"]));
    }
}
