//! Walks over the entries that a query is about, the newest first, and reads no more of each than decides.
//!
//! *Invariant:* a column that is not asked for is not read, so that a walk over many entries reads few bytes of each.

use std::{collections::BTreeSet, ops::ControlFlow};

use rusqlite::{Connection, params, params_from_iter};
use stead_kernel::ports::traces::{Entry, Filter, Kind, Operator, Order, Query};
use uuid::Uuid;

use super::{
    cells,
    files::{File, Files},
    page::Session,
    read::{day_of, days_of_trace},
    rollup::facts::{MINUTE, begun},
    rows::{self, Projects, Stored, number},
    words,
};
use crate::{
    day::{Day, time},
    sqlite::Result,
};

/// The columns of an entry in the order of [`Stored::read`], each with what stands for it when it is not read; none for
/// those that are always read.
const COLUMNS: [(&str, Option<&str>); 28] = [
    ("project", None),
    ("kind", None),
    ("id", None),
    ("trace", Some("NULL")),
    ("parent", Some("NULL")),
    ("name", Some("NULL")),
    ("sort", Some("NULL")),
    ("start", None),
    ("end", Some("NULL")),
    ("tags", Some("NULL")),
    ("model", Some("NULL")),
    ("provider", Some("NULL")),
    ("usage", Some("NULL")),
    ("told_cost", Some("NULL")),
    ("cost_version", Some("NULL")),
    ("first_token", Some("NULL")),
    ("thread", Some("NULL")),
    ("source", Some("NULL")),
    ("environment", Some("NULL")),
    ("cost", Some("NULL")),
    ("mask", None),
    ("ranks", Some("x'0000000000000000'")),
    ("created", Some("0")),
    ("updated", Some("0")),
    ("created_by", Some("''")),
    ("updated_by", Some("''")),
    ("body", None),
    ("slot", None),
];

/// What of an entry must be read to decide on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    columns: BTreeSet<&'static str>,
    pub(super) body: bool,
    pub(super) scores: bool,
    pub(super) totals: bool,
}

impl Needs {
    /// Every column, and nothing that lies apart.
    pub(super) fn all() -> Self {
        Self {
            columns: COLUMNS.iter().map(|(name, _)| *name).collect(),
            ..Self::default()
        }
    }

    /// What decides whether an entry matches, and where it comes.
    pub(super) fn of(query: &Query) -> Self {
        let mut needs = Self::default();
        for filter in &query.filters {
            needs.filter(filter);
        }
        for order in &query.order {
            needs.field(&order.field);
        }
        if query.search.is_some() {
            needs.body = true;
            needs.columns.extend(["name", "thread", "model", "tags"]);
        }
        needs
    }

    /// What sums are over.
    pub(super) fn sums(query: &Query, by: Option<&Order>) -> Self {
        let mut needs = Self::of(&Query {
            order: Vec::new(),
            ..query.clone()
        });
        if let Some(by) = by {
            needs.field(&by.field);
        }
        needs.scores = true;
        needs.totals = true;
        let summed = ["end", "tags", "first_token", "usage", "cost", "thread"];
        needs.columns.extend(summed);
        needs
    }

    /// That there is an error is told by the narrow columns; what it is, is not.
    fn filter(&mut self, filter: &Filter) {
        let asks_for_one = matches!(filter.operator, Operator::IsEmpty | Operator::IsNotEmpty);
        if !(filter.field == "error_info" && filter.key.is_empty() && asks_for_one) {
            self.field(&filter.field);
        }
    }

    fn field(&mut self, field: &str) {
        let column = match field {
            "id" | "project_id" | "start_time" | "has_error" | "visibility_mode" => return,
            "input" | "input_json" | "output" | "output_json" | "metadata" | "error_info" | "error_type"
            | "custom" => {
                self.body = true;
                return;
            }
            "feedback_scores" => {
                self.scores = true;
                return;
            }
            "span_count"
            | "llm_span_count"
            | "has_tool_spans"
            | "providers"
            | "models"
            | "span_feedback_scores" => {
                self.totals = true;
                return;
            }
            "trace_id" => "trace",
            "parent_span_id" => "parent",
            "name" => "name",
            "type" => "sort",
            "end_time" | "duration" => "end",
            "created_at" => "created",
            // What was told of once only has no time and teller of a change of its own.
            "last_updated_at" => {
                self.columns.insert("created");
                "updated"
            }
            "created_by" => "created_by",
            "last_updated_by" => {
                self.columns.insert("created_by");
                "updated_by"
            }
            "tags" => "tags",
            "model" => "model",
            "provider" => "provider",
            "thread_id" => "thread",
            "source" => "source",
            "environment" => "environment",
            "ttft" => "first_token",
            // Of a trace, its spans' cost and usage.
            "total_estimated_cost" => {
                self.totals = true;
                "cost"
            }
            _ => {
                self.totals = true;
                "usage"
            }
        };
        self.columns.insert(column);
    }

    /// What is selected.
    fn selected(&self) -> String {
        let columns = COLUMNS.iter().map(|(name, instead)| match instead {
            Some(instead) if !self.columns.contains(name) => *instead,
            _ => name,
        });
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// The files that a query is about, newest first, each with the entry after which it goes on.
pub(super) fn days(
    files: &Files,
    index: &Connection,
    (kind, query): (Kind, &Query),
    all: Vec<Day>,
) -> Result<Vec<(Day, Option<Uuid>)>> {
    let last = match query.after {
        Some(after) => day_of(files, index, kind, after)?,
        None => None,
    };
    let days = match query.trace {
        Some(trace) => days_of_trace(files, index, trace)?,
        None => all,
    };
    let days = days
        .into_iter()
        .filter(|day| last.is_none_or(|last| *day <= last));
    Ok(days
        .map(|day| (day, query.after.filter(|_| last.is_none_or(|last| last == day))))
        .collect())
}

/// Shows every entry that matches, newest first, with what `needs` says, until it is told to stop.
pub(super) fn walk(
    files: &Files,
    kind: Kind,
    query: &Query,
    needs: &Needs,
    visit: &mut dyn FnMut(Day, Entry) -> ControlFlow<()>,
) -> Result<()> {
    let (all, _stay) = files.days();
    // The spans of a trace are few.
    let texts = query.trace.map_or_else(|| words::texts(query), |_| Vec::new());
    let matching = Matching::new(query);
    files.read(File::Index, |index| {
        for (day, after) in days(files, index, (kind, query), all)? {
            let flow = files.read(File::Day(day), |connection| {
                let session = Session::new(files, index, connection, day);
                let mut show = |stored: Stored, project: Uuid| {
                    let entry = session.part(stored, project, needs)?;
                    Ok(if matching.holds(&entry) {
                        visit(day, entry)
                    } else {
                        ControlFlow::Continue(())
                    })
                };
                match words::candidates(files, connection, (day, kind), &texts)? {
                    Some(ids) => rows_by_id(connection, (kind, query, after), &ids, &mut show),
                    None => rows(connection, (kind, query, after), needs, &mut show),
                }
            });
            if goes_on(day, flow)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// Whether a walk goes on after a day's file; one that cannot be read is left out.
pub(super) fn goes_on(day: Day, flow: Result<ControlFlow<()>>) -> Result<ControlFlow<()>> {
    match flow {
        Err(error) if error.is_damage() => {
            tracing::error!(%day, %error, "the file of this day of traces cannot be read; it is left out of answers");
            Ok(ControlFlow::Continue(()))
        }
        other => other,
    }
}

/// What is asked of a day: of which kind, what, and after which entry it goes on.
pub(super) type Asked<'a> = (Kind, &'a Query, Option<Uuid>);
type Show<'a> = &'a mut dyn FnMut(Stored, Uuid) -> Result<ControlFlow<()>>;

/// What decides whether an entry matches.
pub(super) struct Matching<'a> {
    filters: &'a [Filter],
    text: Option<String>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        Self {
            filters: &query.filters,
            text: query.search.as_deref().map(str::to_lowercase),
        }
    }

    pub(super) fn holds(&self, entry: &Entry) -> bool {
        cells::all_hold(self.filters, |field, key| cells::of_entry(entry, field, key))
            && self
                .text
                .as_deref()
                .is_none_or(|text| cells::contains(entry, text))
    }
}

/// The projects of a file that a query is about.
fn projects(connection: &Connection, query: &Query) -> Result<Projects> {
    let mut projects = rows::projects(connection)?;
    projects.retain(|_, (workspace, id)| {
        *workspace == query.workspace && query.project.is_none_or(|project| project == *id)
    });
    Ok(projects)
}

/// Shows some entries, newest first.
fn rows_by_id(
    connection: &Connection,
    (kind, query, after): Asked<'_>,
    ids: &BTreeSet<Uuid>,
    show: Show<'_>,
) -> Result<ControlFlow<()>> {
    let projects = projects(connection, query)?;
    let ids = ids.iter().rev();
    for id in ids.filter(|id| after.is_none_or(|after| **id < after)) {
        let Some(stored) = rows::by_id(connection, kind, *id)? else {
            continue;
        };
        let Some((_, project)) = projects.get(&stored.project) else {
            continue;
        };
        if is_within(&stored, query) && show(stored, *project)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Shows the entries of a day that lie in the query's projects, trace and time, newest first, with the columns that are
/// needed.
pub(super) fn rows(
    connection: &Connection,
    (kind, query, after): Asked<'_>,
    needs: &Needs,
    show: Show<'_>,
) -> Result<ControlFlow<()>> {
    let projects = projects(connection, query)?;
    if projects.is_empty() || !has_any(connection, kind, query, projects.keys())? {
        return Ok(ControlFlow::Continue(()));
    }
    let (sql, values) = selection(&projects, (kind, query, after), &needs.selected());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    while let Some(row) = found.next()? {
        let stored = Stored::read(row)?;
        let Some((_, project)) = projects.get(&stored.project) else {
            continue;
        };
        if is_within(&stored, query) && show(stored, *project)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Whether anything began in the time that is asked for, by the sums that are kept by the hour.
fn has_any<'a>(
    connection: &Connection,
    kind: Kind,
    query: &Query,
    mut projects: impl Iterator<Item = &'a i64>,
) -> Result<bool> {
    if query.since.is_none() && query.until.is_none() {
        return Ok(true);
    }
    let minute = |at: stead_kernel::Timestamp| at.as_microsecond().div_euclid(MINUTE);
    let since = query
        .since
        .map_or(i64::MIN, |since| minute(since).div_euclid(60) * 60);
    let until = query.until.map_or(i64::MAX, minute);
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM rollups WHERE level = 60 AND project = ?1 AND kind = ?2 AND minute >= ?3 AND minute <= ?4",
    )?;
    projects.try_fold(false, |any, project| {
        Ok(any || statement.exists(params![project, number(kind), since, until])?)
    })
}

fn selection(projects: &Projects, (kind, query, after): Asked<'_>, selected: &str) -> (String, Vec<Vec<u8>>) {
    let numbers: Vec<String> = projects.keys().map(i64::to_string).collect();
    // With one project this is the order of the table, and nothing is sorted.
    let of_projects = match numbers.as_slice() {
        [only] => format!("project = {only}"),
        many => format!("project IN ({})", many.join(", ")),
    };
    let (condition, mut values): (String, Vec<Vec<u8>>) = match query.trace {
        Some(trace) => (
            format!("{of_projects} AND trace = ?1"),
            vec![trace.as_bytes().to_vec()],
        ),
        None => (of_projects, Vec::new()),
    };
    let mut sql = format!(
        "SELECT {selected} FROM entries {} WHERE {condition} AND kind = {}",
        // The order of the table would else be taken for a way to avoid sorting a few rows.
        query.trace.map_or("", |_| "INDEXED BY entries_by_trace"),
        number(kind)
    );
    if let Some(after) = after {
        values.push(after.as_bytes().to_vec());
        sql = format!("{sql} AND id < ?{}", values.len());
    }
    sql += " ORDER BY id DESC";
    (sql, values)
}

/// Whether an entry began in the time that is asked for.
pub(super) fn is_within(stored: &Stored, query: &Query) -> bool {
    if query.since.is_none() && query.until.is_none() {
        return true;
    }
    let start = time(begun(stored));
    query.since.is_none_or(|since| start >= since) && query.until.is_none_or(|until| start < until)
}
