//! Appends to the journal.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_kernel::{
    Error, Result,
    ports::events::{Outcome, RequestRow},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    codec,
    frame::{self, Id, Kind},
    position::{self, Position},
    recovery::{self, Unsettled},
    segment,
    tail::Tail,
};

/// A segment is closed when it has grown to this, in bytes.
const SEGMENT_SIZE: u64 = 64 << 20;
/// How many settlements may wait in memory while the disk takes none.
const DEFERRED_LIMIT: usize = 10_000;
/// How many bytes they may take; those of refused requests, which cost nothing, half of both.
const DEFERRED_BYTES: usize = 32 << 20;

/// Opens a new segment; tests put a full disk here.
pub(super) type Opener = fn(&Path) -> io::Result<File>;

/// The journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    open: Opener,
    segment_size: u64,
    state: Mutex<State>,
    /// Told after each settlement.
    settled: Notify,
    /// Told after each write.
    dirty: Notify,
    rows_settled: AtomicU64,
    rows_shipped: AtomicU64,
}

struct State {
    /// The segment that is written; `None` until the first write and after a failure.
    active: Option<Active>,
    /// The number that the next segment gets.
    next: u64,
    segments: BTreeMap<u64, Segment>,
    /// Files with bytes that the disk may not have yet.
    unsynced: Vec<Arc<File>>,
    /// Settlements that could not be written.
    deferred: VecDeque<(Ticket, Vec<u8>)>,
    /// The bytes of these.
    deferred_bytes: usize,
}

struct Active {
    number: u64,
    tail: Tail,
}

/// What is known about a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    /// How many bytes of it are whole.
    length: u64,
    /// Reservations in it that are not settled yet.
    open: u64,
}

/// Says where a reservation lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    id: Id,
    segment: u64,
}

impl Ticket {
    /// For a request that was refused before it was reserved, and is recorded all the same.
    pub(crate) fn without(id: Uuid) -> Self {
        Self {
            id: *id.as_bytes(),
            segment: 0,
        }
    }
}

#[cfg(test)]
impl Ticket {
    /// For a reservation in a segment.
    pub(super) fn at(id: Uuid, segment: u64) -> Self {
        let id = *id.as_bytes();
        Self { id, segment }
    }
}

/// How much is not shipped yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    /// Settled rows of this process and of interrupted ones that it found.
    pub(crate) rows: u64,
    /// Bytes of all segments.
    pub(crate) bytes: u64,
    /// Settlements that wait in memory because the disk takes none.
    pub(crate) deferred: u64,
}

thread_local! {
    /// Frames are put together here, so that a request allocates none.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Journal {
    /// Opens the journal in a folder and settles what earlier processes left as interrupted. Blocks; the caller
    /// sees to it that no other process has the folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, segment::create, SEGMENT_SIZE)
    }

    pub(super) fn open_with(folder: &Path, open: Opener, segment_size: u64) -> Result<Self> {
        let shipped = position::load(folder);
        let found = segment::make_folder(folder)
            .and_then(|()| recovery::scan(folder, shipped))
            .map_err(|error| Error::internal("the gateway's journal cannot be read").because(error))?;
        let segments: BTreeMap<u64, Segment> = found
            .segments
            .iter()
            .map(|(number, length)| {
                (
                    *number,
                    Segment {
                        length: *length,
                        open: 0,
                    },
                )
            })
            .collect();
        let last = segments.keys().next_back().copied().unwrap_or_default();
        let journal = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            open,
            segment_size,
            state: Mutex::new(State {
                active: None,
                next: last.max(shipped.segment) + 1,
                segments,
                unsynced: Vec::new(),
                deferred: VecDeque::new(),
                deferred_bytes: 0,
            }),
            settled: Notify::new(),
            dirty: Notify::new(),
            rows_settled: AtomicU64::new(found.unshipped),
            rows_shipped: AtomicU64::new(0),
        }));
        journal.interrupt(&found.unsettled);
        Ok(journal)
    }

    /// Settles the reservations of earlier processes: nobody knows more, so they are billed as reserved.
    fn interrupt(&self, unsettled: &[Unsettled]) {
        let mut count = 0;
        for Unsettled { id, segment, payload } in unsettled {
            let Ok(row) = interrupted(payload, id) else {
                continue;
            };
            count += 1;
            // Its segment stays until this is written, in case the process is killed first.
            if let Some(segment) = self.state().segments.get_mut(segment) {
                segment.open += 1;
            }
            let (id, segment) = (*id, *segment);
            self.settle(Ticket { id, segment }, &row);
        }
        let unreadable = unsettled.len() - count;
        if !unsettled.is_empty() {
            tracing::warn!(count, unreadable, "requests were interrupted by the last stop");
        }
    }

    /// Appends a reservation: the row to bill if nothing more is heard of this request.
    ///
    /// # Errors
    /// When the bytes could not be written, a full disk for example; then nothing is reserved.
    pub(crate) fn reserve(&self, id: Uuid, row: &RequestRow) -> io::Result<Ticket> {
        let id = *id.as_bytes();
        let segment = with_frame(Kind::Reservation, id, row, |bytes| {
            let mut state = self.state();
            let segment = self.0.append(&mut state, bytes)?;
            if let Some(segment) = state.segments.get_mut(&segment) {
                segment.open += 1;
            }
            Ok(segment)
        })?;
        self.0.dirty.notify_one();
        Ok(Ticket { id, segment })
    }

    /// Appends a reservation in the place of an earlier one of the same request.
    ///
    /// # Errors
    /// When the bytes could not be written; then the earlier one still holds.
    pub(crate) fn renew(&self, earlier: Ticket, id: Uuid, row: &RequestRow) -> io::Result<Ticket> {
        let ticket = self.reserve(id, row)?;
        self.state().close(earlier);
        Ok(ticket)
    }

    /// Appends the settlement of a reservation. When the disk takes nothing, it waits in memory, without the bodies,
    /// and is tried again.
    pub(crate) fn settle(&self, ticket: Ticket, row: &RequestRow) {
        let written = with_frame(Kind::Settlement, ticket.id, row, |bytes| {
            let mut state = self.state();
            let written = self.0.append(&mut state, bytes);
            if written.is_ok() {
                state.close(ticket);
            }
            written
        });
        match written {
            Ok(_) => self.count_settled(),
            Err(error) => {
                let waits = self.defer(ticket, row);
                tracing::error!(%error, waits, "a usage row cannot be written to the journal; if it waits, it is tried again");
            }
        }
        self.0.dirty.notify_one();
    }

    /// Keeps a settlement in memory; says whether there was room.
    fn defer(&self, ticket: Ticket, row: &RequestRow) -> bool {
        let lean = RequestRow {
            input: None,
            output: None,
            ..row.clone()
        };
        let kept = with_frame(Kind::Settlement, ticket.id, &lean, |bytes| {
            Ok(self.state().defer(ticket, bytes))
        });
        kept.unwrap_or(false)
    }

    fn count_settled(&self) {
        self.0.rows_settled.fetch_add(1, Ordering::Relaxed);
        self.0.settled.notify_one();
    }

    /// Writes what waited in memory; returns whether nothing waits any more.
    fn write_deferred(&self) -> bool {
        loop {
            let mut state = self.state();
            let Some((ticket, bytes)) = state.deferred.pop_front() else {
                return true;
            };
            if self.0.append(&mut state, &bytes).is_err() {
                state.deferred.push_front((ticket, bytes));
                return false;
            }
            state.deferred_bytes = state.deferred_bytes.saturating_sub(bytes.len());
            state.close(ticket);
            drop(state);
            self.count_settled();
        }
    }

    /// Makes the disk keep what was written. Blocks.
    pub(super) fn sync(&self) {
        self.write_deferred();
        let files = {
            let mut state = self.state();
            let active = state.active.as_ref().map(|active| Arc::clone(active.tail.file()));
            let mut files = std::mem::take(&mut state.unsynced);
            files.extend(active);
            files
        };
        for file in files {
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "the disk did not confirm the journal");
            }
        }
    }

    /// Resolves after something was written.
    pub(super) async fn written(&self) {
        self.0.dirty.notified().await;
    }

    /// Resolves after something was settled.
    pub(super) async fn settled(&self) {
        self.0.settled.notified().await;
    }

    /// Whether settlements wait in memory.
    pub(super) fn has_deferred(&self) -> bool {
        !self.state().deferred.is_empty()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The segments from this number on, each with how many of its bytes are whole.
    pub(super) fn whole(&self, from: u64) -> Vec<(u64, u64)> {
        let state = self.state();
        let later = state.segments.range(from..);
        later.map(|(number, segment)| (*number, segment.length)).collect()
    }

    /// Counts rows as shipped.
    pub(super) fn shipped(&self, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.0.rows_shipped.fetch_add(rows, Ordering::Relaxed);
    }

    /// Deletes the oldest segments that are shipped and have no open reservation; a younger one stays as long as
    /// an older one does, so that a settlement never goes before its reservation.
    pub(super) fn trim(&self, shipped: Position) {
        loop {
            let mut state = self.state();
            let active = state.active.as_ref().map(|active| active.number);
            let Some((number, oldest)) = state.segments.first_key_value().map(|(n, s)| (*n, *s)) else {
                return;
            };
            let done = Position {
                segment: number,
                offset: oldest.length,
            } <= shipped;
            if !done || oldest.open > 0 || active == Some(number) {
                return;
            }
            state.segments.remove(&number);
            drop(state);
            if let Err(error) = std::fs::remove_file(segment::path(&self.0.folder, number)) {
                tracing::warn!(%error, "a shipped journal segment cannot be deleted");
            }
        }
    }

    /// How many rows were settled, those of earlier processes that were found included, and how many of them shipped.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let shipped = self.0.rows_shipped.load(Ordering::Relaxed);
        (self.0.rows_settled.load(Ordering::Relaxed), shipped)
    }

    /// How much is not shipped yet.
    pub(crate) fn lag(&self) -> Lag {
        let settled = self.0.rows_settled.load(Ordering::Relaxed);
        let state = self.state();
        Lag {
            rows: settled.saturating_sub(self.0.rows_shipped.load(Ordering::Relaxed)),
            bytes: state.segments.values().map(|segment| segment.length).sum(),
            deferred: u64::try_from(state.deferred.len()).unwrap_or(u64::MAX),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps a settlement that could not be written, if there is room for its sort.
    fn defer(&mut self, ticket: Ticket, bytes: &[u8]) -> bool {
        let share = if ticket.segment == 0 { 2 } else { 1 };
        let size = self.deferred_bytes + bytes.len();
        if self.deferred.len() >= DEFERRED_LIMIT / share || size > DEFERRED_BYTES / share {
            return false;
        }
        self.deferred.push_back((ticket, bytes.to_vec()));
        self.deferred_bytes = size;
        true
    }

    fn close(&mut self, ticket: Ticket) {
        if let Some(segment) = self.segments.get_mut(&ticket.segment) {
            segment.open = segment.open.saturating_sub(1);
        }
    }
}

impl Inner {
    /// Appends bytes and returns the segment that has them. A segment is whole up to its length.
    fn append(&self, state: &mut State, bytes: &[u8]) -> io::Result<u64> {
        if state.active.is_none() {
            state.active = Some(self.next(state)?);
        }
        let Some(active) = &mut state.active else {
            return Err(io::Error::other("there is no segment"));
        };
        let number = active.number;
        let appended = active.tail.append(bytes);
        let length = active.tail.length();
        state.segments.entry(number).or_default().length = length;
        // After a failure nobody knows what came of the bytes, so that the next ones go elsewhere.
        if appended.is_err() || length >= self.segment_size {
            let ended = state.active.take().map(|active| active.tail.close());
            state.unsynced.extend(ended);
        }
        appended.map(|()| number)
    }

    /// Begins the next segment.
    fn next(&self, state: &mut State) -> io::Result<Active> {
        let number = state.next;
        let path = segment::path(&self.folder, number);
        let file = match (self.open)(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Something was left there; the next try goes past it.
                state.next += 1;
                return Err(error);
            }
            opened => opened?,
        };
        let begun = Tail::of(file).and_then(|mut tail| tail.append(segment::MAGIC).map(|()| tail));
        let tail = begun.inspect_err(|_| {
            // The empty file says nothing and would be in the way of the next try.
            let _ = std::fs::remove_file(&path);
        })?;
        state.next += 1;
        let length = tail.length();
        state.segments.insert(number, Segment { length, open: 0 });
        Ok(Active { number, tail })
    }
}

/// The row that bills a reservation.
fn interrupted(payload: &[u8], id: &Id) -> std::result::Result<RequestRow, codec::NoRow> {
    let row = codec::decode(payload, id)?;
    Ok(RequestRow {
        outcome: Outcome::Interrupted,
        error: "the server stopped before the request ended".into(),
        ..row
    })
}

/// Puts a frame together in this thread's buffer and passes it on.
fn with_frame<T>(
    kind: Kind,
    id: Id,
    row: &RequestRow,
    write: impl FnOnce(&[u8]) -> io::Result<T>,
) -> io::Result<T> {
    BUFFER.with_borrow_mut(|buffer| {
        frame::encode(buffer, kind, id, |payload| codec::encode(payload, &id, row));
        let written = write(buffer);
        // One huge body must not stay in memory for ever.
        if buffer.capacity() > 1 << 20 {
            *buffer = Vec::new();
        }
        written
    })
}
