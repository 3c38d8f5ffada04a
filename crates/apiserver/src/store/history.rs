//! How much of the past is kept in the file: so many changes, and so many bytes.
//!
//! *Invariant:* the newest change is always kept, because its version is the state's.

use std::collections::VecDeque;

use rusqlite::{Connection, Transaction};

use super::{Change, window::CHANGES};

/// How many bytes of what objects were are kept: more than the window of watches holds, so that pages of lists stay
/// good for as long, and little enough that one large object which changes often does not fill the disk.
const BYTES: u64 = 64 << 20;

/// The changes in the file.
pub(super) struct History {
    /// Their versions and about how many bytes they take.
    kept: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl History {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection
            .prepare("SELECT version, coalesce(length(previous), 0) FROM changes ORDER BY version")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let kept: VecDeque<(u64, u64)> = rows.collect::<rusqlite::Result<_>>()?;
        let bytes = kept.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { kept, bytes })
    }

    /// Drops the changes that are too old when `added` come, a tenth at a time. Returns the last that goes, if any;
    /// nothing is noted before [`note`](Self::note) says that the transaction was committed.
    pub(super) fn trim(
        &self,
        transaction: &Transaction<'_>,
        added: &[(u64, u64)],
    ) -> rusqlite::Result<Option<u64>> {
        let mut count = (self.kept.len() + added.len()) as u64;
        let mut bytes = self.bytes + added.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if count <= CHANGES + CHANGES / 10 && bytes <= BYTES + BYTES / 10 {
            return Ok(None);
        }
        let mut through = None;
        for (version, size) in self.kept.iter().chain(added) {
            if count <= 1 || count <= CHANGES && bytes <= BYTES {
                break;
            }
            (through, count, bytes) = (Some(*version), count - 1, bytes - size);
        }
        if let Some(through) = through {
            transaction
                .prepare_cached("DELETE FROM changes WHERE version <= ?1")?
                .execute([through])?;
        }
        Ok(through)
    }

    /// Notes what a transaction added and trimmed.
    pub(super) fn note(&mut self, added: Vec<(u64, u64)>, through: Option<u64>) {
        self.bytes += added.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.kept.extend(added);
        while let Some((version, bytes)) = self.kept.front()
            && through.is_some_and(|through| *version <= through)
        {
            self.bytes -= bytes;
            self.kept.pop_front();
        }
    }
}

/// A change as it counts here: what an object was takes about as much as what it became.
pub(super) fn weigh(change: &Change) -> (u64, u64) {
    (change.version, change.body.len() as u64)
}
