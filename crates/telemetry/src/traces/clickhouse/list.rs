//! Lists: which entries match and in which order, found newest first in parts of the table.
//!
//! *Invariant:* what decides is decided by the same code as over `SQLite`; the server only leaves out what cannot match.

use std::ops::ControlFlow;

use stead_kernel::{
    Result, Timestamp,
    ports::traces::{Count, Detail, Entry, Found, Kind, Query},
};
use uuid::Uuid;

use super::{
    facts::{literal, number_of},
    fold::Known,
    http::text,
    read::Reader,
    schema::TABLE,
};
use crate::traces::{
    cells::{self, Key},
    page::{First, is_plain},
    rollup::Totals,
    walk::{Matching, Needs, is_within},
};

/// So many entries are put together at once.
const PART: usize = 2_000;
/// And so many whose large parts are looked at.
const LARGE_PART: usize = 200;

/// So many facts for each entry that is wanted are looked at first, and so many times as many where those are not enough.
const FACTS: usize = 4;
const FEWEST: usize = 1_000;
const DEEPER: usize = 16;

/// Between which ids something is looked for: before the first, and not before the second.
type Range = (Option<Uuid>, Option<Uuid>);

/// The statement for the ids of entries that may match.
fn ids(kind: Kind, query: &Query, (before, floor): Range) -> String {
    let mut condition = of_kind(kind, query);
    if let Some(before) = before {
        condition = format!("{condition} AND id < {}", literal(before));
    }
    if let Some(floor) = floor {
        condition = format!("{condition} AND id >= {}", literal(floor));
    }
    if let Some(trace) = query.trace {
        let trace = literal(trace);
        condition =
            format!("{condition} AND id IN (SELECT id FROM {TABLE} WHERE {condition} AND trace = {trace})");
    }
    let told = match query.project {
        Some(project) => format!("what = 'put' AND project = {}", literal(project)),
        None => "what = 'put'".to_owned(),
    };
    let mut having = format!("maxIf(seq, {told}) > maxIf(seq, what = 'delete')");
    let micros = |time: Option<Timestamp>, open| time.map_or(open, Timestamp::as_microsecond);
    if query.since.is_some() || query.until.is_some() {
        // Which of several beginnings counts is decided later.
        let (since, until) = (micros(query.since, i64::MIN), micros(query.until, i64::MAX));
        having = format!(
            "{having} AND (countIf(start >= {since} AND start < {until}) > 0 OR countIf(start IS NOT NULL) = 0)"
        );
    }
    format!(
        "SELECT id FROM {TABLE} WHERE {condition} AND what IN ('put', 'delete') GROUP BY id HAVING {having}"
    )
}

fn of_kind(kind: Kind, query: &Query) -> String {
    format!(
        "workspace = {} AND kind = {}",
        text(&query.workspace),
        number_of(kind)
    )
}

/// The newest ids that may match, after some are passed over. The table is in the order of the ids, so that only its end is
/// read: down to the id of the fact at a depth, and deeper where that was not enough.
async fn newest(
    reader: &Reader,
    (kind, query, scored): (Kind, &Query, bool),
    before: Option<Uuid>,
    (offset, limit): (usize, usize),
) -> Result<Vec<Uuid>> {
    let mut depth = offset.saturating_add(limit).saturating_mul(FACTS).max(FEWEST);
    loop {
        // The spans of a trace are few.
        let floor = match query.trace {
            None => fact_at(reader, (kind, query), before, depth).await?,
            Some(_) => None,
        };
        let mut sql = ids(kind, query, (before, floor));
        if scored {
            let of = of_kind(kind, query);
            sql = format!("{sql} AND id IN (SELECT id FROM {TABLE} WHERE {of} AND what = 'score')");
        }
        let page = format!("{sql} ORDER BY id DESC LIMIT {limit} OFFSET {offset}");
        let found = reader
            .ids(&format!("SELECT toString(id) AS id FROM ({page})"))
            .await?;
        if floor.is_none() || found.len() >= limit {
            return Ok(found);
        }
        depth = depth.saturating_mul(DEEPER);
    }
}

/// The id of the fact at a depth, from the newest on; none when there are fewer.
async fn fact_at(
    reader: &Reader,
    (kind, query): (Kind, &Query),
    before: Option<Uuid>,
    depth: usize,
) -> Result<Option<Uuid>> {
    let mut condition = of_kind(kind, query);
    if let Some(before) = before {
        condition = format!("{condition} AND id < {}", literal(before));
    }
    if let Some(project) = query.project {
        condition = format!("{condition} AND project = {}", literal(project));
    }
    let at = format!("SELECT id FROM {TABLE} WHERE {condition} ORDER BY id DESC LIMIT 1 OFFSET {depth}");
    let found = reader
        .ids(&format!("SELECT toString(id) AS id FROM ({at})"))
        .await?;
    Ok(found.first().copied())
}

/// What is asked for beside the query: what decides, and whether only what has scores is looked at.
pub(super) struct Walk<'a> {
    pub(super) kind: Kind,
    pub(super) query: &'a Query,
    pub(super) needs: Needs,
    pub(super) scored: bool,
}

impl Walk<'_> {
    /// Shows every entry that matches, newest first, until it is told to stop.
    pub(super) async fn all(
        &self,
        reader: &Reader,
        visit: &mut (dyn FnMut(Entry) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let (kind, query) = (self.kind, self.query);
        let of = (kind, query.workspace.as_str());
        let (detail, part) = if self.needs.body {
            (Detail::Whole, LARGE_PART)
        } else {
            (Detail::Outline, PART)
        };
        let matching = Matching::new(query);
        let mut before = query.after;
        loop {
            let asked = (kind, query, self.scored);
            let found = newest(reader, asked, before, (0, part)).await?;
            let Some(last) = found.last() else { return Ok(()) };
            before = Some(*last);
            let mut known = reader.by_id(of, &found, detail).await?;
            let here: Vec<Known> = found.iter().filter_map(|id| known.remove(id)).collect();
            for entry in self.entries(reader, here).await? {
                if matching.holds(&entry) && visit(entry).is_break() {
                    return Ok(());
                }
            }
            if found.len() < part {
                return Ok(());
            }
        }
    }

    /// Those of some entries that lie in the query's project, trace and time, with what decides.
    async fn entries(&self, reader: &Reader, mut known: Vec<Known>) -> Result<Vec<Entry>> {
        let query = self.query;
        known.retain(|known| {
            query.project.is_none_or(|project| project == known.project)
                && query
                    .trace
                    .is_none_or(|trace| known.stored.fields.trace_id == Some(trace))
                && is_within(&known.stored, query)
        });
        if self.needs.totals {
            return reader.finished((self.kind, &query.workspace), known).await;
        }
        Ok(known.into_iter().map(Known::entry).collect())
    }
}

/// The entries that match, in order.
pub(super) async fn entries(reader: &Reader, kind: Kind, query: &Query) -> Result<Found<Entry>> {
    let of = (kind, query.workspace.as_str());
    let (chosen, total) = if is_plain(query) && query.since.is_none() && query.until.is_none() {
        plain(reader, kind, query).await?
    } else {
        matching(reader, kind, query).await?
    };
    let mut items = reader.entries_of(of, &chosen, query.detail).await?;
    if query.detail == Detail::Outline {
        add_errors(reader, of, &mut items).await?;
    }
    Ok(Found { items, total })
}

/// The newest entries, found by the server alone.
async fn plain(reader: &Reader, kind: Kind, query: &Query) -> Result<(Vec<Uuid>, u64)> {
    let page = (query.offset, query.limit);
    let chosen = newest(reader, (kind, query, false), query.after, page).await?;
    let total = match query.count {
        Count::All => {
            let sql = ids(kind, query, (query.after, None));
            reader
                .count(&format!("SELECT count() AS count FROM ({sql})"))
                .await?
        }
        Count::None => 0,
    };
    Ok((chosen, total))
}

/// Those of all that match which come first.
async fn matching(reader: &Reader, kind: Kind, query: &Query) -> Result<(Vec<Uuid>, u64)> {
    let last = query.offset.saturating_add(query.limit);
    let mut first = First::new(&query.order, last);
    let mut total = 0;
    let stops = query.order.is_empty() && query.count == Count::None;
    let walk = Walk {
        kind,
        query,
        needs: Needs::of(query),
        scored: false,
    };
    walk.all(reader, &mut |entry| {
        let orders = query.order.iter();
        let keys = orders.map(|order| Key::of(&cells::of_entry(&entry, &order.field, &order.key)));
        first.push(keys.collect(), entry.id);
        total += 1;
        if stops && total >= last {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .await?;
    let page = first.finish().into_iter().skip(query.offset).take(query.limit);
    let total = if stops { 0 } else { total as u64 };
    Ok((page.collect(), total))
}

/// Puts the errors back, which are shown in outlines, too.
async fn add_errors(reader: &Reader, of: (Kind, &str), entries: &mut [Entry]) -> Result<()> {
    let ids: Vec<Uuid> = entries
        .iter()
        .filter(|entry| entry.has.error)
        .map(|entry| entry.id)
        .collect();
    let mut whole = reader.by_id(of, &ids, Detail::Whole).await?;
    for entry in entries {
        if let Some(known) = whole.remove(&entry.id) {
            entry.fields.error = known.stored.fields.error;
        }
    }
    Ok(())
}

/// Some entries that began before a time, and how many spans go with them where they are traces.
pub(super) async fn old(
    reader: &Reader,
    kind: Kind,
    query: &Query,
    limit: usize,
) -> Result<(Vec<Uuid>, u64)> {
    let mut found = Vec::new();
    let walk = Walk {
        kind,
        query,
        needs: Needs::default(),
        scored: false,
    };
    walk.all(reader, &mut |entry| {
        found.push(entry.id);
        if found.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
    .await?;
    if kind == Kind::Span || found.is_empty() {
        return Ok((found, 0));
    }
    let totals = reader.totals(&query.workspace, &found).await?;
    let spans = totals.into_values().map(|totals: Totals| totals.answer().0.spans);
    Ok((found, spans.sum()))
}
