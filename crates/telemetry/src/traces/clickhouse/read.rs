//! Facts, read back and put together: by ids, by what they are part of, and for the writer.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_kernel::{
    Clock, Result,
    ports::{
        Prices,
        traces::{Comment, Detail, Entry, Kind},
    },
};
use uuid::Uuid;

use super::{
    facts::{Fact, LARGE, NARROW, THREAD, list, literal, number_of, rows},
    fold::{self, Known, KnownThread, ThreadKey},
    ground::ThreadName,
    http::{Server, text},
    schema::TABLE,
};
use crate::{day::Day, traces::rollup::Totals};

/// So many ids are asked for in one statement.
const AT_ONCE: usize = 2_000;
/// So many removals are made good in one statement.
const ERASED: usize = 500;

/// Reads what is known.
pub(super) struct Reader {
    pub(super) server: Server,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) prices: Arc<dyn Prices>,
    /// Entries that were new.
    pub(super) stored: AtomicU64,
    /// Facts that were left out since they contradict others.
    pub(super) contradictions: AtomicU64,
}

#[derive(serde::Deserialize)]
struct IdRow {
    id: String,
}

#[derive(serde::Deserialize)]
struct ThreadRow {
    id: String,
    workspace: String,
    project: String,
    name: String,
}

#[derive(serde::Deserialize)]
struct GoneRow {
    workspace: String,
    kind: u8,
    id: String,
    seq: u64,
}

#[derive(serde::Deserialize)]
struct CountRow {
    count: u64,
}

fn id(text: &str) -> Uuid {
    text.parse().map(Uuid::from_u128).unwrap_or_default()
}

impl Reader {
    /// The facts for which a condition holds.
    pub(super) async fn facts(&self, condition: &str, detail: Detail) -> Result<Vec<Fact>> {
        let columns = match detail {
            Detail::Whole => format!("{NARROW}, {LARGE}"),
            Detail::Outline => NARROW.to_owned(),
        };
        // In two steps, since the names that numbers get as texts are those of the columns.
        let sql = format!("SELECT {columns} FROM (SELECT * FROM {TABLE} WHERE {condition})");
        rows(&self.server.select(&sql).await?)
    }

    /// The entries that the facts come to for which a condition holds; it holds for all facts of an entry or for none.
    pub(super) async fn known(&self, condition: &str, detail: Detail) -> Result<Vec<Known>> {
        let facts = self.facts(condition, detail).await?;
        let (known, contradictions) = fold::entries(facts, self.prices.as_ref())?;
        for found in contradictions {
            let (kind, id, what) = (found.kind.as_str(), found.id, found.what);
            self.contradictions.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%id, "a {kind} was told to be of two {what}s by servers that write at once; what came later is left out");
        }
        Ok(known)
    }

    /// The ids that a statement answers with.
    pub(super) async fn ids(&self, sql: &str) -> Result<Vec<Uuid>> {
        let found: Vec<IdRow> = rows(&self.server.select(sql).await?)?;
        Ok(found.iter().map(|row| id(&row.id)).collect())
    }

    /// The number that a statement answers with.
    pub(super) async fn count(&self, sql: &str) -> Result<u64> {
        let found: Vec<CountRow> = rows(&self.server.select(sql).await?)?;
        Ok(found.first().map_or(0, |row| row.count))
    }

    /// What is known of some entries, by id.
    pub(super) async fn by_id(
        &self,
        (kind, workspace): (Kind, &str),
        ids: &[Uuid],
        detail: Detail,
    ) -> Result<HashMap<Uuid, Known>> {
        let mut found = HashMap::new();
        for ids in ids.chunks(AT_ONCE) {
            let condition = format!(
                "workspace = {} AND kind = {} AND id IN {}",
                text(workspace),
                number_of(kind),
                list(ids)
            );
            let known = self.known(&condition, detail).await?;
            found.extend(known.into_iter().map(|known| (known.stored.id, known)));
        }
        Ok(found)
    }

    /// Entries with all that is known of them, in the order of the ids; those that are not there are left out.
    pub(super) async fn entries_of(
        &self,
        (kind, workspace): (Kind, &str),
        ids: &[Uuid],
        detail: Detail,
    ) -> Result<Vec<Entry>> {
        let mut known = self.by_id((kind, workspace), ids, detail).await?;
        let ordered = ids.iter().filter_map(|id| known.remove(id)).collect();
        self.finished((kind, workspace), ordered).await
    }

    /// Entries with what their spans come to.
    pub(super) async fn finished(
        &self,
        (kind, workspace): (Kind, &str),
        known: Vec<Known>,
    ) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = known.into_iter().map(Known::entry).collect();
        if kind == Kind::Span {
            return Ok(entries);
        }
        let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
        let mut totals = self.totals(workspace, &ids).await?;
        for entry in &mut entries {
            let (spans, cost) = totals.remove(&entry.id).unwrap_or_default().answer();
            (entry.spans, entry.cost) = (Some(spans), cost);
        }
        Ok(entries)
    }

    /// What the spans of traces come to.
    pub(super) async fn totals(&self, workspace: &str, traces: &[Uuid]) -> Result<HashMap<Uuid, Totals>> {
        let mut totals: HashMap<Uuid, Totals> = HashMap::new();
        for traces in traces.chunks(AT_ONCE) {
            let of = format!("workspace = {} AND kind = 1", text(workspace));
            let condition = format!(
                "{of} AND id IN (SELECT id FROM {TABLE} WHERE {of} AND trace IN {})",
                list(traces)
            );
            for span in self.known(&condition, Detail::Outline).await? {
                if let Some(trace) = span.stored.fields.trace_id {
                    let more = Totals::of(&span.stored, &span.scores);
                    totals.entry(trace).or_default().add(&more, 1);
                }
            }
        }
        Ok(totals)
    }

    /// Entries of any project of Stead, without what is large.
    pub(super) async fn claims(&self, kind: Kind, ids: &BTreeSet<Uuid>) -> Result<Vec<Known>> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let condition = format!(
                "kind = {} AND id IN {} AND what IN ('put', 'delete')",
                number_of(kind),
                list(ids)
            );
            found.extend(self.known(&condition, Detail::Outline).await?);
        }
        Ok(found)
    }

    /// The spans that were told to be of these traces.
    pub(super) async fn spans_of(&self, traces: &BTreeSet<Uuid>) -> Result<Vec<Uuid>> {
        let traces: Vec<Uuid> = traces.iter().copied().collect();
        let mut found = Vec::new();
        for traces in traces.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT DISTINCT toString(id) AS id FROM {TABLE} WHERE kind = 1 AND trace IN {}",
                list(traces)
            );
            found.extend(self.ids(&sql).await?);
        }
        Ok(found)
    }

    /// The traces that were told to be in these threads.
    pub(super) async fn traces_of_threads(&self, threads: &HashSet<ThreadName>) -> Result<Vec<Uuid>> {
        let Some(condition) = any_thread(threads) else {
            return Ok(Vec::new());
        };
        self.ids(&format!(
            "SELECT DISTINCT toString(id) AS id FROM {TABLE} WHERE kind = 0 AND {condition}"
        ))
        .await
    }

    /// The ids of threads that are known.
    pub(super) async fn thread_ids(&self, threads: &HashSet<ThreadName>) -> Result<Vec<(ThreadName, Uuid)>> {
        let Some(condition) = any_thread(threads) else {
            return Ok(Vec::new());
        };
        let found = self.thread_rows(&condition).await?;
        Ok(found.into_iter().map(|(id, name)| (name, id)).collect())
    }

    /// The threads that have one of these ids.
    pub(super) async fn threads_by_id(&self, ids: &BTreeSet<Uuid>) -> Result<Vec<(Uuid, ThreadName)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        self.thread_rows(&format!("id IN {}", list(&ids))).await
    }

    async fn thread_rows(&self, condition: &str) -> Result<Vec<(Uuid, ThreadName)>> {
        let sql = format!(
            "SELECT toString(min(id)) AS id, workspace, toString(project) AS project, name FROM \
             (SELECT workspace, id, project, name FROM {TABLE} WHERE kind = {THREAD} AND {condition} \
             GROUP BY workspace, id, project, name \
             HAVING argMax(what, (seq, writer)) != 'delete') GROUP BY workspace, project, name"
        );
        let found: Vec<ThreadRow> = rows(&self.server.select(&sql).await?)?;
        let found = found.into_iter();
        Ok(found
            .map(|row| (id(&row.id), (row.workspace, id(&row.project), row.name)))
            .collect())
    }

    /// The comments with these ids, each with its project of Stead.
    pub(super) async fn comments_by_id(&self, ids: &BTreeSet<Uuid>) -> Result<Vec<(String, Comment)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<Uuid> = ids.iter().copied().collect();
        let condition = format!(
            "(workspace, kind, id) IN (SELECT workspace, kind, id FROM {TABLE} WHERE item IN {}) \
             AND what IN ('comment', 'edit', 'uncomment', 'delete')",
            list(&items)
        );
        let mut found = fold::comments(self.facts(&condition, Detail::Outline).await?)?;
        found.retain(|(_, comment)| ids.contains(&comment.id));
        Ok(found)
    }

    /// The threads of a workspace, by project and name, that a further condition holds for.
    pub(super) async fn known_threads(
        &self,
        workspace: &str,
        further: &str,
    ) -> Result<std::collections::BTreeMap<ThreadKey, KnownThread>> {
        let condition = format!("workspace = {} AND kind = {THREAD}{further}", text(workspace));
        fold::threads(self.facts(&condition, Detail::Outline).await?)
    }

    /// Removes all that is in a project of an application.
    pub(super) async fn delete_project(&self, workspace: &str, project: Uuid) -> Result<()> {
        let of = format!("workspace = {}", text(workspace));
        let is_in = format!("project = {}", literal(project));
        self.server
            .command(&format!(
                "DELETE FROM {TABLE} WHERE {of} AND ({is_in} OR kind < {THREAD} AND \
                 (kind, id) IN (SELECT kind, id FROM {TABLE} WHERE {of} AND {is_in}))"
            ))
            .await
    }

    /// Removes for good what was removed, and what goes with days that are no longer kept.
    pub(super) async fn sweep(&self, retention_days: i64) -> Result<()> {
        let today = Day::of(self.clock.now().as_microsecond()).number();
        let first = today - retention_days;
        while self.erase().await? {}
        self.sweep_where(&format!("kind < {THREAD} AND day < {first}"))
            .await?;
        // A trace lies at most one day after the day on which it was told.
        let untold = Day::from_number(first - 1).start();
        self.sweep_where(&format!(
            "kind = {THREAD} AND (workspace, project, name) IN (SELECT workspace, project, name FROM {TABLE} \
             WHERE kind = {THREAD} GROUP BY workspace, project, name HAVING max(at) < {untold})"
        ))
        .await
    }

    /// Removes facts that came before a removal, and the removal; answers whether there may be more.
    async fn erase(&self) -> Result<bool> {
        let sql = format!(
            "SELECT workspace, kind, toString(id) AS id, max(seq) AS seq FROM {TABLE} WHERE what = 'delete' \
             GROUP BY workspace, kind, id LIMIT {ERASED}"
        );
        let found: Vec<GoneRow> = rows(&self.server.select(&sql).await?)?;
        if found.is_empty() {
            return Ok(false);
        }
        let each = found.iter().map(|row| {
            let (workspace, kind, id, seq) = (text(&row.workspace), row.kind, literal(id(&row.id)), row.seq);
            format!("(workspace = {workspace} AND kind = {kind} AND id = {id} AND seq <= {seq})")
        });
        let condition = each.collect::<Vec<_>>().join(" OR ");
        self.server
            .command(&format!("DELETE FROM {TABLE} WHERE {condition}"))
            .await?;
        Ok(found.len() == ERASED)
    }

    /// A removal rewrites marks of rows, so that none is begun where there is nothing to remove.
    async fn sweep_where(&self, condition: &str) -> Result<()> {
        let some = format!("SELECT count() AS count FROM (SELECT 1 FROM {TABLE} WHERE {condition} LIMIT 1)");
        if self.count(&some).await? == 0 {
            return Ok(());
        }
        self.server
            .command(&format!("DELETE FROM {TABLE} WHERE {condition}"))
            .await
    }
}

/// The condition that a row is of one of some threads; none without threads.
fn any_thread(threads: &HashSet<ThreadName>) -> Option<String> {
    let each: Vec<String> = threads
        .iter()
        .map(|(workspace, project, name)| {
            let project = literal(*project);
            format!("({}, {project}, {})", text(workspace), text(name))
        })
        .collect();
    (!each.is_empty()).then(|| format!("(workspace, project, name) IN ({})", each.join(", ")))
}
