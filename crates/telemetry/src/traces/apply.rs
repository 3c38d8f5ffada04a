//! What is told of an entry on its way into its row: held in memory while a batch is under way, written at its end.

use std::{collections::BTreeMap, path::Path, sync::atomic::Ordering};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::{
    Error as KernelError, Result as KernelResult,
    ports::traces::{Kind, Origin, Put, TagChange, Write},
};
use uuid::Uuid;

use super::{
    change,
    codec::{pack_body, unpack_body},
    files::File,
    merge::{FIELDS, absorb, rank},
    rows::{self, Stored, id_time, number},
    writer::{Change, Writer},
};
use crate::{
    day::Day,
    sqlite::{Error, Result},
};

/// What is told of an entry, its body compressed.
pub(super) struct Packed {
    pub(super) put: Put,
    rank: i64,
    mask: u8,
    body: Vec<u8>,
}

/// Compresses what lies apart; done before the queue.
pub(super) fn pack(write: Write) -> KernelResult<Change> {
    let Write::Put(mut put) = write else {
        return Ok(Change::Other(Box::new(write)));
    };
    let (mask, body) = pack_body(&mut put.fields)
        .map_err(|error| KernelError::internal("a body could not be compressed").because(error))?;
    Ok(Change::Put(Box::new(Packed {
        rank: rank(put.origin, put.told),
        put: *put,
        mask,
        body,
    })))
}

/// What is known of an entry while a batch is under way.
pub(super) struct Held {
    pub(super) day: Day,
    pub(super) workspace: String,
    pub(super) project: Uuid,
    pub(super) row: Stored,
    /// Whether it is in no file yet.
    fresh: bool,
    /// Whether anything was told in this batch.
    changed: bool,
    /// The body, where it was read or differs from the stored one.
    body: Option<Vec<u8>>,
}

impl Held {
    /// Whether what is told says anew all that lies apart, or nothing of it, so that it need not be read.
    fn is_covered(&self, mask: u8, rank: i64) -> bool {
        let own = self.row.mask;
        let mut ranks = self.row.ranks.iter().take(APART).enumerate();
        mask == 0 || (own & !mask == 0 && ranks.all(|(bit, known)| own & (1 << bit) == 0 || rank > *known))
    }

    /// Takes in what is told; the present body is in `body` unless it is covered.
    fn merge(&mut self, packed: Packed, covered: bool) -> Result<()> {
        let damaged = || Error::damaged(Path::new("a file of traces"), "a body is damaged");
        let Packed {
            put,
            rank,
            mask,
            body,
        } = packed;
        let mut fields = put.fields;
        let row = &mut self.row;
        if !covered {
            let own = self.body.take().unwrap_or_default();
            unpack_body(row.mask, &own, &mut row.fields).ok_or_else(damaged)?;
            unpack_body(mask, &body, &mut fields).ok_or_else(damaged)?;
        } else if mask != 0 {
            let told = row.ranks.iter_mut().take(APART).enumerate();
            for (_, own) in told.filter(|(bit, _)| mask & (1 << bit) != 0) {
                *own = rank;
            }
            (row.mask, self.body) = (mask, Some(body));
        }
        absorb(&mut row.fields, &mut row.ranks, fields, &[rank; FIELDS]);
        if !covered {
            let packed = pack_body(&mut row.fields).map_err(|error| Error::io(Path::new("memory"), error))?;
            (row.mask, self.body) = (packed.0, Some(packed.1));
        }
        change_tags(row, &put.tags);
        self.changed = true;
        Ok(())
    }
}

/// So many fields lie apart, the first ones.
const APART: usize = 4;

impl Writer {
    /// What is known of an entry.
    pub(super) fn hold(&mut self, kind: Kind, id: Uuid) -> Result<Option<&mut Held>> {
        if self.missing.contains(&(kind, id)) {
            return Ok(None);
        }
        if !self.held.contains_key(&(kind, id)) {
            let day = self.place(kind, id)?;
            let row = if self.files.has(day) {
                rows::by_id(self.day(day)?, kind, id)?
            } else {
                None
            };
            let Some(row) = row else {
                self.missing.insert((kind, id));
                return Ok(None);
            };
            let number = row.project;
            let Some(file) = self.open.get(&day) else {
                return Ok(None);
            };
            let mut names = file.numbers.iter();
            let Some(((workspace, project), _)) = names.find(|(_, own)| **own == number) else {
                return Err(Error::damaged(
                    &self.files.path(File::Day(day)),
                    "an entry is of no project",
                ));
            };
            let held = Held {
                day,
                workspace: workspace.clone(),
                project: *project,
                row,
                fresh: false,
                changed: false,
                body: None,
            };
            self.held.insert((kind, id), held);
        }
        Ok(self.held.get_mut(&(kind, id)))
    }

    /// Merges what is told into what is known.
    pub(super) fn put(&mut self, packed: Packed) -> Result<()> {
        let now = self.files.clock.now().as_microsecond();
        let (kind, id) = (packed.put.kind, packed.put.id);
        if self.hold(kind, id)?.is_none() {
            let held = Held {
                day: self.place(kind, id)?,
                workspace: packed.put.workspace.clone(),
                project: packed.put.project,
                row: Stored::fresh(kind, id, now, &packed.put.by),
                fresh: true,
                changed: false,
                body: None,
            };
            self.missing.remove(&(kind, id));
            self.held.insert((kind, id), held);
        }
        let Some(held) = self.held.get(&(kind, id)) else {
            return Ok(());
        };
        let covered = held.is_covered(packed.mask, packed.rank);
        let (day, seq, known) = (held.day, held.row.body, held.body.is_some());
        let stored = if covered || known {
            None
        } else {
            stored_body(self.day(day)?, seq)?
        };
        let Some(held) = self.held.get_mut(&(kind, id)) else {
            return Ok(());
        };
        let by = packed.put.by.clone();
        held.body = held.body.take().or(stored);
        held.merge(packed, covered)?;
        held.row.updated = held.row.updated.max(now);
        held.row.updated_by.clone_from(&by);
        if kind == Kind::Trace
            && let Some(thread) = &held.row.fields.thread
        {
            let name = (held.workspace.clone(), held.project, thread.clone());
            self.threads.insert(name, by);
        }
        Ok(())
    }

    /// Writes what is held into the files.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut counts: BTreeMap<(Day, i64, Kind), i64> = BTreeMap::new();
        let mut held: Vec<Held> = std::mem::take(&mut self.held).into_values().collect();
        held.retain(|held| held.changed);
        held.sort_by_key(|held| (held.day, held.project, held.row.kind, held.row.id));
        for mut one in held {
            one.row.project = self.project(one.day, &one.workspace, one.project)?;
            if one.row.kind == Kind::Span {
                one.row.reckon(self.files.prices.as_ref());
                self.note_spread(&one)?;
            }
            if one.fresh {
                *counts
                    .entry((one.day, one.row.project, one.row.kind))
                    .or_default() += 1;
            }
            let connection = self.connection(one.day)?;
            one.row.write(connection, one.body.as_deref())?;
        }
        for ((day, project, kind), more) in counts {
            self.files
                .stored
                .fetch_add(more.unsigned_abs(), Ordering::Relaxed);
            self.count(day, project, kind, more)?;
        }
        let threads = std::mem::take(&mut self.threads);
        for ((workspace, project, name), by) in threads {
            change::touch_thread(self, (&workspace, project, &name), &by)?;
        }
        Ok(())
    }

    /// Forgets what was only looked at; what was told is in the files by now.
    pub(super) fn let_go(&mut self) {
        self.held.clear();
        self.missing.clear();
    }

    /// Adds to how many entries there are.
    pub(super) fn count(&mut self, day: Day, project: i64, kind: Kind, more: i64) -> Result<()> {
        self.day(day)?
            .prepare_cached(
                "INSERT INTO counts VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET entries = entries + ?3",
            )?
            .execute(params![project, number(kind), more])?;
        Ok(())
    }

    /// Notes that spans of a trace lie in another day than the trace's id tells.
    fn note_spread(&mut self, held: &Held) -> Result<()> {
        let Some(trace) = held.row.fields.trace_id else {
            return Ok(());
        };
        if !held.fresh || id_time(trace).map(|time| Day::of(time.as_microsecond())) == Some(held.day) {
            return Ok(());
        }
        self.begin(File::Index)?;
        self.index
            .prepare_cached("INSERT OR IGNORE INTO spread VALUES (?1, ?2)")?
            .execute(params![trace.as_bytes(), held.day.number()])?;
        Ok(())
    }
}

/// Adds and removes labels.
fn change_tags(row: &mut Stored, change: &TagChange) {
    if *change == TagChange::default() {
        return;
    }
    let tags = row.fields.tags.get_or_insert_default();
    tags.retain(|tag| !change.remove.contains(tag));
    for tag in &change.add {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    if let Some(own) = row.ranks.get_mut(TAGS) {
        *own = (*own).max(rank(Origin::Change, stead_kernel::Timestamp::UNIX_EPOCH));
    }
}

/// The place of labels among the ranks.
const TAGS: usize = 10;

fn stored_body(connection: &Connection, seq: Option<i64>) -> Result<Option<Vec<u8>>> {
    let Some(seq) = seq else { return Ok(None) };
    let mut statement = connection.prepare_cached("SELECT text FROM bodies WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}
