//! Single traces and spans, read back, and what else is read by an id or a name.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, params};
use stead_kernel::ports::traces::{Comment, Detail, Entry, Filter, Kind, Query, SpanTotals, Subject};
use uuid::Uuid;

use super::{
    change::{THREAD, spread},
    files::{File, Files},
    page::Session,
    rollup::{Totals, totals_of},
    rows::{self, id_time, number},
    writer::noted_day,
};
use crate::{
    day::{Day, time},
    sqlite::Result,
};

/// The file in which an entry lies, if it is there.
pub(super) fn day_of(files: &Files, index: &Connection, kind: Kind, id: Uuid) -> Result<Option<Day>> {
    let noted = noted_day(index, kind, id)?;
    Ok(noted.or(natural_day(id)).filter(|day| files.has(*day)))
}

/// The day that an id tells.
fn natural_day(id: Uuid) -> Option<Day> {
    id_time(id).map(|time| Day::of(time.as_microsecond()))
}

/// The days in which spans of a trace may lie, newest first.
pub(super) fn days_of_trace(files: &Files, index: &Connection, trace: Uuid) -> Result<Vec<Day>> {
    let mut days: BTreeSet<Day> = spread(index, trace)?.into_iter().collect();
    days.extend(natural_day(trace));
    Ok(days.into_iter().rev().filter(|day| files.has(*day)).collect())
}

/// Those of some entries that are there, with all that is known of them, in the order of the ids.
pub(super) fn entries_of(files: &Files, kind: Kind, workspace: &str, ids: &[Uuid]) -> Result<Vec<Entry>> {
    let (_days, _stay) = files.days();
    files.read(File::Index, |index| {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(entry(files, index, (kind, workspace), *id)?);
        }
        Ok(found)
    })
}

fn entry(
    files: &Files,
    index: &Connection,
    (kind, workspace): (Kind, &str),
    id: Uuid,
) -> Result<Option<Entry>> {
    let Some(day) = day_of(files, index, kind, id)? else {
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
        let session = Session::new(files, index, connection, day);
        let found = session.finish(kind, vec![(stored, *project)], Detail::Whole)?;
        Ok(found.into_iter().next())
    })
}

/// What the spans of a trace come to in all files.
pub(super) fn all_totals(files: &Files, index: &Connection, trace: Uuid) -> Result<Totals> {
    let mut totals = Totals::default();
    for day in days_of_trace(files, index, trace)? {
        let more = files.read(File::Day(day), |connection| totals_of(connection, trace))?;
        totals.add(&more, 1);
    }
    Ok(totals)
}

/// What the spans of a trace come to, and what they cost.
pub(super) fn totals(files: &Files, index: &Connection, trace: Uuid) -> Result<(SpanTotals, Option<f64>)> {
    Ok(all_totals(files, index, trace)?.answer())
}

/// The numbers of the projects of a file that a query is about.
pub(super) fn numbers(connection: &Connection, query: &Query) -> Result<Vec<i64>> {
    let mut projects = rows::projects(connection)?;
    projects.retain(|_, (workspace, id)| {
        *workspace == query.workspace && query.project.is_none_or(|project| project == *id)
    });
    Ok(projects.into_keys().collect())
}

/// The comments on something, oldest first.
pub(super) fn comments(index: &Connection, kind: i64, subject: Uuid) -> Result<Vec<Comment>> {
    let sql = format!("SELECT {COMMENT} FROM comments WHERE subject = ?1 AND kind = ?2 ORDER BY created, id");
    let mut statement = index.prepare_cached(&sql)?;
    let found = statement.query_map(params![subject.as_bytes(), kind], read_comment)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The columns of a comment, in the order of [`read_comment`].
pub(super) const COMMENT: &str =
    "id, kind, subject, project, name, text, queue, created, updated, created_by, updated_by";

/// A comment from its columns.
pub(super) fn read_comment(row: &rusqlite::Row<'_>) -> rusqlite::Result<Comment> {
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
