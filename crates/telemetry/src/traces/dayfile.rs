//! A day's file, open for writing: the numbers of its projects, and where bodies lie in it.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};
use stead_kernel::ports::traces::Kind;
use uuid::Uuid;

use super::{
    blocks::{Block, Builder},
    rollup::Ledger,
    rows::{self, Bodies, Place},
};
use crate::sqlite::{Error, Result};

pub(super) struct DayFile {
    pub(super) connection: Connection,
    /// The numbers of projects.
    pub(super) numbers: HashMap<(String, Uuid), i64>,
    /// The number of the next block.
    next: i64,
    /// The block that takes the bodies which are put together here, and its number.
    merged: (Builder, i64),
    /// How many more entries lie in each block than before.
    uses: HashMap<i64, i64>,
    /// Blocks that were removed since this was looked at last.
    pub(super) gone: HashSet<i64>,
    /// Whether anything in it has a score.
    pub(super) has_scores: bool,
    /// Changes of its sums.
    pub(super) ledger: Ledger,
    /// The block read last: what is changed together often lies together.
    read: Option<(i64, Block)>,
}

fn unwritten(error: std::io::Error) -> Error {
    Error::io(std::path::Path::new("memory"), error)
}

impl DayFile {
    /// Over an open file; the blocks up to `indexed` have had their numbers once, whether or not they are still there.
    pub(super) fn new(connection: Connection, indexed: i64) -> Result<Self> {
        let known = rows::projects(&connection)?;
        let last: Option<i64> = connection.query_row("SELECT max(seq) FROM blocks", [], |row| row.get(0))?;
        let has_scores = connection.prepare("SELECT 1 FROM scores LIMIT 1")?.exists([])?;
        Ok(Self {
            numbers: known.into_iter().map(|(number, name)| (name, number)).collect(),
            next: last.unwrap_or(0).max(indexed) + 1,
            merged: (Builder::default(), 0),
            uses: HashMap::new(),
            gone: HashSet::new(),
            read: None,
            has_scores,
            ledger: Ledger::default(),
            connection,
        })
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    fn insert(&self, seq: i64, bytes: &[u8]) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO blocks VALUES (?1, ?2)")?
            .execute(params![seq, bytes])?;
        Ok(())
    }

    /// Stores a block as it is; returns its number.
    pub(super) fn add_block(&mut self, bytes: &[u8]) -> Result<i64> {
        let seq = self.number();
        self.insert(seq, bytes)?;
        Ok(seq)
    }

    /// Adds a body to the block in the making; it can be read after [`Self::settle`].
    pub(super) fn add_body(&mut self, kind: Kind, id: Uuid, body: &[u8]) -> Result<(i64, usize)> {
        if self.merged.0.is_full() {
            self.close_merged()?;
        }
        if self.merged.0.is_empty() {
            self.merged.1 = self.number();
        }
        Ok((self.merged.1, self.merged.0.push(kind, id, body)))
    }

    fn close_merged(&mut self) -> Result<()> {
        let bytes = self.merged.0.finish().map_err(unwritten)?;
        self.insert(self.merged.1, &bytes)
    }

    /// The bytes of a body.
    pub(super) fn body(&mut self, place: Place) -> Result<Vec<u8>> {
        let (seq, slot) = match place {
            Place::Row(_) => return Bodies::new(&self.connection).plain(place),
            Place::Slot(seq, slot) => (seq, slot),
        };
        let block = match self.read.take().filter(|(own, _)| *own == seq) {
            Some((_, block)) => block,
            None => rows::block(&self.connection, seq)?.ok_or_else(rows::damaged_body)?,
        };
        let body = block.body(slot).map(<[u8]>::to_vec);
        self.read = Some((seq, block));
        body.ok_or_else(rows::damaged_body)
    }

    /// Notes that an entry lies elsewhere from now on.
    pub(super) fn moved(&mut self, from: Option<Place>, to: Option<Place>) -> Result<()> {
        if let Some(Place::Slot(seq, _)) = to {
            *self.uses.entry(seq).or_default() += 1;
        }
        match from {
            Some(Place::Slot(seq, _)) => *self.uses.entry(seq).or_default() -= 1,
            Some(Place::Row(seq)) => {
                self.connection
                    .prepare_cached("DELETE FROM bodies WHERE seq = ?1")?
                    .execute([seq])?;
            }
            None => {}
        }
        Ok(())
    }

    /// Takes out what some entries hold; they have been removed.
    pub(super) fn erase(&mut self, places: &[Place]) -> Result<()> {
        let mut slots: HashMap<i64, Vec<usize>> = HashMap::new();
        for place in places {
            self.moved(Some(*place), None)?;
            if let Place::Slot(seq, slot) = place {
                slots.entry(*seq).or_default().push(*slot);
            }
        }
        self.settle()?;
        self.read = None;
        for (seq, gone) in slots {
            // Where nobody else was in it, it is gone by now.
            let Some(block) = rows::block(&self.connection, seq)? else {
                continue;
            };
            let rest = block.without(&gone).map_err(unwritten)?;
            self.connection
                .prepare_cached("UPDATE blocks SET data = ?2 WHERE seq = ?1")?
                .execute(params![seq, rest])?;
        }
        Ok(())
    }

    /// Writes the block in the making, and lets go of those in which nobody lies any more.
    pub(super) fn settle(&mut self) -> Result<()> {
        if !self.merged.0.is_empty() {
            self.close_merged()?;
        }
        for (seq, more) in std::mem::take(&mut self.uses) {
            let left: i64 = self
                .connection
                .prepare_cached(
                    "INSERT INTO uses VALUES (?1, ?2) ON CONFLICT DO UPDATE SET entries = entries + ?2 \
                     RETURNING entries",
                )?
                .query_row([seq, more], |row| row.get(0))?;
            if left <= 0 {
                for sql in [
                    "DELETE FROM uses WHERE seq = ?1",
                    "DELETE FROM blocks WHERE seq = ?1",
                ] {
                    self.connection.prepare_cached(sql)?.execute([seq])?;
                }
                self.gone.insert(seq);
            }
        }
        Ok(())
    }
}
