//! Keeps the sums of a day's file as its entries change: each change takes out what an entry counted for, and adds what
//! it counts for now.
//!
//! *Invariant:* after a commit, the rollups and the traces' totals are what a scan of the file's entries would give.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::ports::traces::{Kind, Score};
use uuid::Uuid;

use super::{
    agg::Agg,
    facts::{self, Key, Totals},
};
use crate::{
    sqlite::Result,
    traces::{
        dayfile::DayFile,
        rows::{self, COLUMNS, Stored, number},
    },
};

/// Minutes of a stretch of each level: what is asked by the hour is read by the hour.
pub(in crate::traces) const LEVELS: [i64; 2] = [1, 60];

/// Changes of sums that are not in the file yet.
#[derive(Default)]
pub(in crate::traces) struct Ledger {
    pending: HashMap<Key, Agg>,
}

/// How the entries of a batch change.
#[derive(Default)]
pub(in crate::traces) struct Changes {
    totals: BTreeMap<Uuid, Totals>,
    traces: BTreeMap<Uuid, (Option<Stored>, Option<Stored>)>,
}

impl Ledger {
    fn note(&mut self, key: Key, agg: &Agg, sign: i64) {
        self.pending.entry(key).or_default().add(agg, sign);
    }

    /// Writes what has changed.
    pub(in crate::traces) fn write(&mut self, connection: &Connection) -> Result<()> {
        let mut changes: BTreeMap<(i64, Key), Agg> = BTreeMap::new();
        for (key, agg) in std::mem::take(&mut self.pending) {
            if agg == Agg::default() {
                continue;
            }
            for level in LEVELS {
                let stretch = Key {
                    minute: key.minute.div_euclid(level) * level,
                    ..key.clone()
                };
                changes.entry((level, stretch)).or_default().add(&agg, 1);
            }
        }
        for ((level, key), more) in changes {
            add(connection, level, &key, &more)?;
        }
        Ok(())
    }
}

fn add(connection: &Connection, level: i64, key: &Key, more: &Agg) -> Result<()> {
    let Key {
        project,
        kind,
        minute,
        sort,
        model,
        provider,
        user,
    } = key;
    let place = params![level, project, number(*kind), minute, sort, model, provider, user];
    let known: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT data FROM rollups WHERE level = ?1 AND project = ?2 AND kind = ?3 AND minute = ?4 AND sort = ?5 \
             AND model = ?6 AND provider = ?7 AND user = ?8",
        )?
        .query_row(place, |row| row.get(0))
        .optional()?;
    let mut agg = match known {
        Some(bytes) => Agg::decode(&mut bytes.as_slice()).ok_or_else(damaged)?,
        None => Agg::default(),
    };
    agg.add(more, 1);
    if agg == Agg::default() {
        let mut remove = connection.prepare_cached(
            "DELETE FROM rollups WHERE level = ?1 AND project = ?2 AND kind = ?3 AND minute = ?4 AND sort = ?5 \
             AND model = ?6 AND provider = ?7 AND user = ?8",
        )?;
        remove.execute(place)?;
        return Ok(());
    }
    let mut bytes = Vec::new();
    agg.encode(&mut bytes);
    connection
        .prepare_cached("REPLACE INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            level,
            project,
            number(*kind),
            minute,
            sort,
            model,
            provider,
            user,
            bytes
        ])?;
    Ok(())
}

/// The error of a file whose sums are not as they should be.
pub(in crate::traces) fn damaged() -> crate::sqlite::Error {
    crate::sqlite::Error::damaged(std::path::Path::new("a file of traces"), "a sum is damaged")
}

/// What the spans of a trace come to in a file.
pub(in crate::traces) fn totals_of(connection: &Connection, trace: Uuid) -> Result<Totals> {
    let mut statement = connection.prepare_cached("SELECT data FROM totals WHERE trace = ?1")?;
    let bytes: Option<Vec<u8>> = statement
        .query_row([trace.as_bytes()], |row| row.get(0))
        .optional()?;
    match bytes {
        Some(bytes) => Totals::decode(&bytes).ok_or_else(damaged),
        None => Ok(Totals::default()),
    }
}

impl DayFile {
    /// The scores on an entry.
    pub(in crate::traces) fn scores(&self, kind: Kind, id: Uuid) -> Result<Vec<Score>> {
        if self.has_scores {
            rows::scores(&self.connection, kind, id)
        } else {
            Ok(Vec::new())
        }
    }

    /// Notes that an entry was one and is another now; its scores are the same.
    pub(in crate::traces) fn changed(
        &mut self,
        changes: &mut Changes,
        before: Option<&Stored>,
        after: Option<&Stored>,
    ) -> Result<()> {
        let Some(one) = after.or(before) else {
            return Ok(());
        };
        let scores = self.scores(one.kind, one.id)?;
        self.rescored(changes, (before, &scores), (after, &scores));
        Ok(())
    }

    /// Notes that an entry and its scores were one thing and are another now.
    pub(in crate::traces) fn rescored(
        &mut self,
        changes: &mut Changes,
        before: (Option<&Stored>, &[Score]),
        after: (Option<&Stored>, &[Score]),
    ) {
        for ((row, scores), sign) in [(before, -1), (after, 1)] {
            let Some(row) = row else { continue };
            if row.kind == Kind::Trace {
                // Its scores do not depend on its spans; the rest of it does, and comes with them.
                let mut alone = Agg::default();
                for score in scores {
                    alone.score(&score.name, score.value);
                }
                let (key, _) = facts::of(row, &[], None);
                self.ledger.note(key, &alone, sign);
                continue;
            }
            let (key, agg) = facts::of(row, scores, None);
            self.ledger.note(key, &agg, sign);
            if let Some(trace) = row.fields.trace_id {
                changes
                    .totals
                    .entry(trace)
                    .or_default()
                    .add(&Totals::of(row, scores), sign);
            }
        }
        let of = |row: Option<&Stored>| row.filter(|row| row.kind == Kind::Trace).cloned();
        let (before, after) = (of(before.0), of(after.0));
        if let Some(id) = after.as_ref().or(before.as_ref()).map(|row| row.id) {
            let known = changes.traces.entry(id).or_insert((before, None));
            known.1 = after;
        }
    }

    /// Brings traces up to their spans, whose totals have changed.
    pub(in crate::traces) fn settle_traces(&mut self, changes: Changes) -> Result<()> {
        let Changes {
            mut totals,
            mut traces,
        } = changes;
        for id in traces.keys() {
            totals.entry(*id).or_default();
        }
        for (id, more) in totals {
            let known = totals_of(&self.connection, id)?;
            let mut now = known.clone();
            now.add(&more, 1);
            let (before, after) = match traces.remove(&id) {
                Some(rows) => rows,
                None if now == known => continue,
                None => {
                    let row = rows::by_id(&self.connection, Kind::Trace, id)?;
                    (row.clone(), row)
                }
            };
            for (row, totals, sign) in [(before, &known, -1), (after, &now, 1)] {
                let Some(row) = row else { continue };
                let (key, agg) = facts::of(&row, &[], Some(totals));
                self.ledger.note(key, &agg, sign);
            }
            if now == known {
                continue;
            }
            if now == Totals::default() {
                let mut remove = self
                    .connection
                    .prepare_cached("DELETE FROM totals WHERE trace = ?1")?;
                remove.execute([id.as_bytes()])?;
            } else {
                let mut write = self
                    .connection
                    .prepare_cached("REPLACE INTO totals VALUES (?1, ?2)")?;
                write.execute(params![id.as_bytes(), now.encode()])?;
            }
        }
        Ok(())
    }

    /// Makes the sums of a file that an earlier version wrote, which kept none.
    pub(in crate::traces) fn sum_up(&mut self) -> Result<()> {
        let wanted: Option<i64> = self
            .connection
            .query_row("SELECT value FROM marks WHERE name = 'summed up'", [], |row| {
                row.get(0)
            })
            .optional()?;
        if wanted != Some(0) {
            return Ok(());
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        // Traces come before spans, which are then added to them.
        let mut last: Option<(Kind, Uuid)> = None;
        loop {
            let rows = self.some_after(last)?;
            let Some(end) = rows.last() else { break };
            last = Some((end.kind, end.id));
            let mut changes = Changes::default();
            for row in &rows {
                self.changed(&mut changes, None, Some(row))?;
            }
            self.settle_traces(changes)?;
        }
        let Self {
            ledger, connection, ..
        } = self;
        ledger.write(connection)?;
        connection.execute_batch("UPDATE marks SET value = 1 WHERE name = 'summed up'; COMMIT")?;
        Ok(())
    }

    fn some_after(&self, last: Option<(Kind, Uuid)>) -> Result<Vec<Stored>> {
        let sql =
            format!("SELECT {COLUMNS} FROM entries WHERE (kind, id) > (?1, ?2) ORDER BY kind, id LIMIT 2000");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (kind, id) = last.map_or((0, Vec::new()), |(kind, id)| {
            (number(kind), id.as_bytes().to_vec())
        });
        let rows = statement.query_map(params![kind, id], Stored::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
