//! What is no longer kept: whole days by unlinking their files, the rest entry by entry.

use rusqlite::{Connection, params};
use stead_kernel::{
    Timestamp,
    ports::traces::{Kind, Query},
};
use uuid::Uuid;

use super::{
    change::THREAD,
    files::{File, Files},
    read,
    rollup::facts::MINUTE,
    rows::{self, id_time, number},
    writer::noted_day,
};
use crate::{day::Day, sqlite::Result};

/// Whose entries of before which time go.
#[derive(Debug, Clone)]
pub(super) struct Retirement {
    pub(super) workspace: String,
    /// `None` for all of the workspace.
    pub(super) project: Option<Uuid>,
    pub(super) before: Timestamp,
}

impl Retirement {
    fn query(&self) -> Query {
        Query {
            workspace: self.workspace.clone(),
            project: self.project,
            ..Query::default()
        }
    }

    /// How many entries a file has, if all of them go, so that the file can.
    pub(super) fn of_whole_file(&self, connection: &Connection) -> Result<Option<u64>> {
        if read::numbers(connection, &self.query())?.len() < rows::projects(connection)?.len() {
            return Ok(None);
        }
        let minute = self.before.as_microsecond().div_euclid(MINUTE);
        let stays: bool = connection
            .prepare_cached("SELECT 1 FROM rollups WHERE level = 1 AND minute >= ?1")?
            .exists([minute])?;
        if stays {
            return Ok(None);
        }
        let entries: i64 =
            connection.query_row("SELECT coalesce(sum(entries), 0) FROM counts", [], |row| {
                row.get(0)
            })?;
        Ok(Some(u64::try_from(entries).unwrap_or(0)))
    }

    /// Days all of whose entries go.
    pub(super) fn days(&self, files: &Files) -> Result<Vec<(Day, u64)>> {
        let mut whole = Vec::new();
        let (days, _stay) = files.days();
        for day in days {
            let entries = files.read(File::Day(day), |connection| self.of_whole_file(connection))?;
            whole.extend(
                entries
                    .filter(|entries| *entries > 0)
                    .map(|entries| (day, entries)),
            );
        }
        Ok(whole)
    }

    /// Some entries that go.
    pub(super) fn some(&self, files: &Files, kind: Kind, limit: usize) -> Result<Vec<Uuid>> {
        let (days, _stay) = files.days();
        let mut found = Vec::new();
        for day in days.into_iter().rev() {
            files.read(File::Day(day), |connection| {
                for project in read::numbers(connection, &self.query())? {
                    self.some_of(connection, (project, kind), limit, &mut found)?;
                }
                Ok(())
            })?;
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    fn some_of(
        &self,
        connection: &Connection,
        (project, kind): (i64, Kind),
        limit: usize,
        found: &mut Vec<Uuid>,
    ) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT id, start FROM entries WHERE project = ?1 AND kind = ?2 AND start < ?3 \
             UNION ALL SELECT id, start FROM entries WHERE project = ?1 AND kind = ?2 AND start IS NULL",
        )?;
        let mut rows = statement.query(params![project, number(kind), self.before.as_microsecond()])?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let id: [u8; 16] = row.get(0)?;
            let id = Uuid::from_bytes(id);
            let is_untold = row.get::<_, Option<i64>>(1)?.is_none();
            if !is_untold || id_time(id).is_none_or(|time| time < self.before) {
                found.push(id);
            }
        }
        Ok(())
    }
}

/// Removes from the index what is about days that are gone: comments on their entries, and threads that were last told
/// of before the first day that is kept, with scores and comments.
pub(super) fn clean_index(index: &Connection, files: &Files, gone: &[Day], first: Day) -> Result<()> {
    let mut statement = index.prepare("SELECT id, kind, subject FROM comments WHERE kind <> ?1")?;
    let mut rows = statement.query([THREAD])?;
    let mut comments: Vec<[u8; 16]> = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, subject): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(2)?);
        let (kind, subject) = (kind_of(row.get(1)?), Uuid::from_bytes(subject));
        let natural = id_time(subject).map(|time| Day::of(time.as_microsecond()));
        let day = noted_day(index, kind, subject)?.or(natural);
        if day.is_some_and(|day| gone.contains(&day) && !files.has(day)) {
            comments.push(id);
        }
    }
    for id in comments {
        index.execute("DELETE FROM comments WHERE id = ?1", [id])?;
    }
    for day in gone {
        index.execute("DELETE FROM ids WHERE day = ?1", [day.number()])?;
        index.execute("DELETE FROM spread WHERE day = ?1", [day.number()])?;
    }
    // A trace lies at most one day after the day on which it was told.
    let untold = first.start().saturating_sub(86_400_000_000);
    for sql in [
        "DELETE FROM thread_scores WHERE thread IN (SELECT id FROM threads WHERE updated < ?1)",
        "DELETE FROM comments WHERE subject IN (SELECT id FROM threads WHERE updated < ?1)",
        "DELETE FROM threads WHERE updated < ?1",
    ] {
        index.execute(sql, [untold])?;
    }
    Ok(())
}

fn kind_of(number: i64) -> Kind {
    if number == 0 { Kind::Trace } else { Kind::Span }
}
