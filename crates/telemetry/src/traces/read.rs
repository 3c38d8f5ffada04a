//! Traces and spans, read back.

use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
};

use rusqlite::{Connection, params, params_from_iter};
use stead_kernel::ports::traces::{Comment, Count, Entry, Filter, Found, Kind, Query, SpanTotals, Subject};
use uuid::Uuid;

use super::{
    cells::{self, Key},
    change::{THREAD, spread},
    files::{File, Files},
    rows::{self, COLUMNS, Stored, id_time, number},
    writer::noted_day,
};
use crate::{
    day::{Day, time},
    sqlite::Result,
};

/// What of an entry must be read besides its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one table, and any of them may be needed"
)]
pub(super) struct Needs {
    body: bool,
    scores: bool,
    totals: bool,
    comments: bool,
}

impl Needs {
    /// All of it.
    pub(super) const ALL: Self = Self {
        body: true,
        scores: true,
        totals: true,
        comments: true,
    };

    /// What decides whether an entry matches, and where it comes.
    fn of(query: &Query) -> Self {
        let names = query.filters.iter().map(|filter| &filter.field);
        let fields: Vec<&str> = names
            .chain(query.order.iter().map(|order| &order.field))
            .map(String::as_str)
            .collect();
        let any = |test: fn(&str) -> bool| fields.iter().any(|field| test(field));
        Self {
            body: query.search.is_some()
                || any(|field| {
                    ["input", "output", "metadata", "error", "custom"]
                        .iter()
                        .any(|part| field.starts_with(part))
                }),
            scores: any(|field| field == "feedback_scores"),
            totals: any(|field| {
                field.starts_with("usage")
                    || field.ends_with("span_count")
                    || [
                        "total_estimated_cost",
                        "span_feedback_scores",
                        "providers",
                        "has_tool_spans",
                    ]
                    .contains(&field)
            }),
            comments: false,
        }
    }

    /// What sums are over.
    pub(super) fn sums(query: &Query) -> Self {
        Self {
            scores: true,
            totals: true,
            ..Self::of(query)
        }
    }
}

/// The file in which an entry lies, if it is there.
pub(super) fn day_of(files: &Files, kind: Kind, id: Uuid) -> Result<Option<Day>> {
    let noted = files.read(File::Index, |index| noted_day(index, kind, id))?;
    let natural = id_time(id).map(|time| Day::of(time.as_microsecond()));
    Ok(noted.or(natural).filter(|day| files.has(*day)))
}

/// The days in which spans of a trace may lie, newest first.
fn days_of_trace(files: &Files, trace: Uuid) -> Result<Vec<Day>> {
    let mut days: BTreeSet<Day> = files
        .read(File::Index, |index| spread(index, trace))?
        .into_iter()
        .collect();
    days.extend(id_time(trace).map(|time| Day::of(time.as_microsecond())));
    Ok(days.into_iter().rev().filter(|day| files.has(*day)).collect())
}

/// One entry with all that is known of it.
pub(super) fn entry(files: &Files, kind: Kind, workspace: &str, id: Uuid) -> Result<Option<Entry>> {
    let (_days, _stay) = files.days();
    let Some(day) = day_of(files, kind, id)? else {
        return Ok(None);
    };
    files.read(File::Day(day), |connection| {
        let Some(stored) = rows::by_id(connection, kind, id)? else {
            return Ok(None);
        };
        let projects = rows::projects(connection)?;
        let Some((_, project)) = projects.get(&stored.project).filter(|(own, _)| own == workspace) else {
            return Ok(None);
        };
        complete(files, connection, stored, *project, Needs::ALL).map(Some)
    })
}

/// An entry with what is needed of it.
fn complete(
    files: &Files,
    connection: &Connection,
    mut stored: Stored,
    project: Uuid,
    needs: Needs,
) -> Result<Entry> {
    if needs.body {
        stored.load_body(connection)?;
    }
    let mut entry = stored.entry(project);
    if needs.scores {
        entry.scores = rows::scores(connection, entry.kind, entry.id)?;
    }
    if needs.totals && entry.kind == Kind::Trace {
        let (totals, cost) = totals(files, entry.id)?;
        (entry.spans, entry.cost) = (Some(totals), cost);
    }
    if needs.comments {
        entry.comments = files.read(File::Index, |index| comments(index, number(entry.kind), entry.id))?;
    }
    Ok(entry)
}

/// What the spans of a trace come to, and what they cost.
pub(super) fn totals(files: &Files, trace: Uuid) -> Result<(SpanTotals, Option<f64>)> {
    let (mut totals, mut cost) = (SpanTotals::default(), None::<f64>);
    let mut providers = BTreeSet::new();
    let mut scores: std::collections::BTreeMap<String, (f64, f64)> = std::collections::BTreeMap::new();
    for day in days_of_trace(files, trace)? {
        files.read(File::Day(day), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sort, usage, provider, cost FROM entries WHERE trace = ?1 AND kind = 1",
            )?;
            let mut rows = statement.query([trace.as_bytes()])?;
            while let Some(row) = rows.next()? {
                totals.spans += 1;
                let sort: Option<String> = row.get(0)?;
                totals.llm_spans += u64::from(sort.as_deref() == Some("llm"));
                totals.tool_spans += u64::from(sort.as_deref() == Some("tool"));
                let usage: Option<String> = row.get(1)?;
                add_usage(&mut totals, usage.as_deref());
                providers.extend(row.get::<_, Option<String>>(2)?);
                if let Some(more) = row.get::<_, Option<f64>>(3)? {
                    cost = Some(cost.unwrap_or_default() + more);
                }
            }
            let mut statement = connection.prepare_cached(
                "SELECT name, value FROM scores WHERE kind = 1 AND id IN (SELECT id FROM entries WHERE trace = ?1)",
            )?;
            let mut rows = statement.query([trace.as_bytes()])?;
            while let Some(row) = rows.next()? {
                let sum = scores.entry(row.get(0)?).or_default();
                *sum = (sum.0 + row.get::<_, f64>(1)?, sum.1 + 1.0);
            }
            Ok(())
        })?;
    }
    totals.providers = providers.into_iter().collect();
    totals.scores = scores
        .into_iter()
        .map(|(name, (sum, count))| (name, sum / count))
        .collect();
    Ok((totals, cost))
}

fn add_usage(totals: &mut SpanTotals, usage: Option<&str>) {
    let usage: Option<std::collections::BTreeMap<String, i64>> =
        usage.and_then(|text| serde_json::from_str(text).ok());
    for (name, count) in usage.into_iter().flatten() {
        let sum = totals.usage.entry(name).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// The comments on something, oldest first.
pub(super) fn comments(index: &Connection, kind: i64, subject: Uuid) -> Result<Vec<Comment>> {
    let sql = format!("SELECT {COMMENT} FROM comments WHERE subject = ?1 AND kind = ?2 ORDER BY created, id");
    let mut statement = index.prepare_cached(&sql)?;
    let found = statement.query_map(params![subject.as_bytes(), kind], read_comment)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

const COMMENT: &str =
    "id, kind, subject, project, name, text, queue, created, updated, created_by, updated_by";

fn read_comment(row: &rusqlite::Row<'_>) -> rusqlite::Result<Comment> {
    let id = |index: usize| -> rusqlite::Result<Option<Uuid>> {
        let bytes: Option<[u8; 16]> = row.get(index)?;
        Ok(bytes.map(Uuid::from_bytes))
    };
    let subject = id(2)?.unwrap_or_default();
    let subject = match row.get::<_, i64>(1)? {
        0 => Subject::Entry(Kind::Trace, subject),
        THREAD => Subject::Thread(id(3)?.unwrap_or_default(), row.get(4)?),
        _ => Subject::Entry(Kind::Span, subject),
    };
    Ok(Comment {
        id: id(0)?.unwrap_or_default(),
        subject,
        text: row.get(5)?,
        queue: id(6)?,
        created: time(row.get(7)?),
        updated: time(row.get(8)?),
        created_by: row.get(9)?,
        updated_by: row.get(10)?,
    })
}

/// One comment.
pub(super) fn comment(files: &Files, workspace: &str, id: Uuid) -> Result<Option<Comment>> {
    files.read(File::Index, |index| {
        let sql = format!("SELECT {COMMENT} FROM comments WHERE id = ?1 AND workspace = ?2");
        let mut statement = index.prepare_cached(&sql)?;
        let mut found = statement.query_map(params![id.as_bytes(), workspace], read_comment)?;
        Ok(found.next().transpose()?)
    })
}

/// Shows every entry that matches, newest first, with what `needs` says, until it is told to stop.
pub(super) fn walk(
    files: &Files,
    kind: Kind,
    query: &Query,
    needs: Needs,
    visit: &mut dyn FnMut(Day, Entry) -> ControlFlow<()>,
) -> Result<()> {
    let (all, _stay) = files.days();
    let last = match query.after {
        Some(after) => day_of(files, kind, after)?,
        None => None,
    };
    let days = match query.trace {
        Some(trace) => days_of_trace(files, trace)?,
        None => all,
    };
    for day in days
        .into_iter()
        .filter(|day| last.is_none_or(|last| *day <= last))
    {
        let after = query.after.filter(|_| last.is_none_or(|last| last == day));
        let flow = files.read(File::Day(day), |connection| {
            walk_day(files, connection, (kind, query, needs, after), &mut |entry| {
                visit(day, entry)
            })
        });
        match flow {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) if error.is_damage() => {
                tracing::error!(%day, %error, "the file of this day of traces cannot be read; it is left out of answers");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn walk_day(
    files: &Files,
    connection: &Connection,
    (kind, query, needs, after): (Kind, &Query, Needs, Option<Uuid>),
    visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut projects = rows::projects(connection)?;
    projects.retain(|_, (workspace, id)| {
        *workspace == query.workspace && query.project.is_none_or(|project| project == *id)
    });
    if projects.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    let numbers: Vec<String> = projects.keys().map(i64::to_string).collect();
    // With one project this is the order of the table, and nothing is sorted.
    let of_projects = match numbers.as_slice() {
        [only] => format!("project = {only}"),
        many => format!("project IN ({})", many.join(", ")),
    };
    let (condition, mut values): (String, Vec<Vec<u8>>) = match query.trace {
        Some(trace) => (
            format!("+{of_projects} AND trace = ?1"),
            vec![trace.as_bytes().to_vec()],
        ),
        None => (of_projects, Vec::new()),
    };
    let mut sql = format!(
        "SELECT {COLUMNS} FROM entries WHERE {condition} AND kind = {}",
        number(kind)
    );
    if let Some(after) = after {
        values.push(after.as_bytes().to_vec());
        sql = format!("{sql} AND id < ?{}", values.len());
    }
    sql += " ORDER BY id DESC";
    let search = query.search.as_deref().map(str::to_lowercase);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let stored = Stored::read(row)?;
        let Some((_, project)) = projects.get(&stored.project) else {
            continue;
        };
        if !is_within(&stored, query) {
            continue;
        }
        let entry = complete(files, connection, stored, *project, needs)?;
        let matches = cells::all_hold(&query.filters, |field, key| cells::of_entry(&entry, field, key))
            && search.as_deref().is_none_or(|text| cells::contains(&entry, text));
        if matches && visit(entry).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn is_within(stored: &Stored, query: &Query) -> bool {
    if query.since.is_none() && query.until.is_none() {
        return true;
    }
    let start = stored.fields.start.or_else(|| id_time(stored.id));
    query
        .since
        .is_none_or(|since| start.is_some_and(|start| start >= since))
        && query
            .until
            .is_none_or(|until| start.is_some_and(|start| start < until))
}

/// The entries that match, in order.
pub(super) fn entries(files: &Files, kind: Kind, query: &Query) -> Result<Found<Entry>> {
    let needs = Needs::of(query);
    let (chosen, total) = if query.order.is_empty() {
        newest(files, kind, query, needs)?
    } else {
        ordered(files, kind, query, needs)?
    };
    let mut items = Vec::with_capacity(chosen.len());
    for (day, id) in chosen {
        let entry = files.read(File::Day(day), |connection| {
            let Some(stored) = rows::by_id(connection, kind, id)? else {
                return Ok(None);
            };
            let projects = rows::projects(connection)?;
            let project = projects
                .get(&stored.project)
                .map(|(_, id)| *id)
                .unwrap_or_default();
            complete(files, connection, stored, project, Needs::ALL).map(Some)
        })?;
        items.extend(entry);
    }
    Ok(Found { items, total })
}

type Chosen = Vec<(Day, Uuid)>;

fn newest(files: &Files, kind: Kind, query: &Query, needs: Needs) -> Result<(Chosen, u64)> {
    let whole = query.filters.is_empty()
        && query.search.is_none()
        && query.trace.is_none()
        && query.since.is_none()
        && query.until.is_none()
        && query.after.is_none();
    let counted = whole && query.count == Count::All;
    let known = if counted {
        Some(count(files, kind, query)?)
    } else {
        None
    };
    let go_on = query.count == Count::All && known.is_none();
    let (mut chosen, mut seen) = (Vec::new(), 0_u64);
    let mut skip = query.offset;
    walk(files, kind, query, needs, &mut |day, entry| {
        seen += 1;
        if skip > 0 {
            skip -= 1;
        } else if chosen.len() < query.limit {
            chosen.push((day, entry.id));
        }
        if chosen.len() >= query.limit && !go_on {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let total = match query.count {
        Count::All => known.unwrap_or(seen),
        Count::None => 0,
    };
    Ok((chosen, total))
}

/// How many entries there are in all, from what is counted at each commit.
fn count(files: &Files, kind: Kind, query: &Query) -> Result<u64> {
    let mut total = 0;
    let (days, _stay) = files.days();
    for day in days {
        let more: i64 = files.read(File::Day(day), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(sum(entries), 0) FROM counts JOIN projects ON project = n \
                 WHERE kind = ?1 AND workspace = ?2 AND (?3 IS NULL OR id = ?3)",
            )?;
            let project = query.project.as_ref().map(Uuid::as_bytes);
            Ok(statement.query_row(params![number(kind), query.workspace, project], |row| row.get(0))?)
        })?;
        total += u64::try_from(more).unwrap_or(0);
    }
    Ok(total)
}

fn ordered(files: &Files, kind: Kind, query: &Query, needs: Needs) -> Result<(Chosen, u64)> {
    let mut all: Vec<(Vec<Key>, Day, Uuid)> = Vec::new();
    walk(files, kind, query, needs, &mut |day, entry| {
        let keys = query
            .order
            .iter()
            .map(|order| Key::of(&cells::of_entry(&entry, &order.field, &order.key)));
        all.push((keys.collect(), day, entry.id));
        ControlFlow::Continue(())
    })?;
    // Equal ones stay as they were: newest first.
    all.sort_by(|own, other| cells::compare(&own.0, &other.0, &query.order));
    let total = all.len() as u64;
    let page = all.into_iter().skip(query.offset).take(query.limit);
    Ok((page.map(|(_, day, id)| (day, id)).collect(), total))
}

/// The names of the scores on entries.
pub(super) fn score_names(
    files: &Files,
    kind: Kind,
    workspace: &str,
    projects: &[Uuid],
) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    let (days, _stay) = files.days();
    for day in days {
        files.read(File::Day(day), |connection| {
            let mut known = rows::projects(connection)?;
            known.retain(|_, (own, id)| own == workspace && (projects.is_empty() || projects.contains(id)));
            let numbers: Vec<String> = known.keys().map(i64::to_string).collect();
            let sql = format!(
                "SELECT DISTINCT scores.name FROM scores JOIN entries USING (kind, id) \
                 WHERE scores.kind = ?1 AND entries.project IN ({})",
                numbers.join(", ")
            );
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([number(kind)])?;
            while let Some(row) = rows.next()? {
                names.insert(row.get(0)?);
            }
            Ok(())
        })?;
    }
    Ok(names)
}

/// The one thread that filters ask for by its name, if they do.
pub(super) fn only_thread(filters: &[Filter]) -> Option<&str> {
    let mut named = filters.iter().filter(|filter| {
        filter.field == "id" && filter.operator == stead_kernel::ports::traces::Operator::Equal
    });
    named.next().map(|filter| filter.value.as_str())
}
