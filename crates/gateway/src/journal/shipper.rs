//! Carries settled rows from the journal to the event store, and flushes the journal about once a second.

use std::{io, sync::Arc, time::Duration};

use stead_kernel::{
    Error, Reason, Tasks,
    ports::{Events, events::Event},
};
use tokio::time::Instant;

use super::{
    codec,
    frame::Kind,
    position::{self, Position},
    segment::{self, Reader},
    writer::Journal,
};

/// The most rows of a batch.
const BATCH_ROWS: usize = 1_000;
/// The most bytes of a batch, about.
const BATCH_BYTES: usize = 4 << 20;
/// How long to gather rows before they are shipped: a lone row is soon there to be seen, and under load a batch is
/// worth its transaction.
const GATHER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// A batch of so many rows is a sign of load.
const LOAD: usize = 4;
/// How often the disk is told to keep what was written, at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the place is written down, at most; shipping twice does no harm.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The first and the longest pause while the event store is down.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Starts the journal's background tasks.
pub(crate) fn ship(journal: &Journal, events: Arc<dyn Events>, tasks: &Tasks) {
    let shipper = Shipper {
        position: position::load(journal.folder()),
        open: None,
        saved: None,
        gather: GATHER.0,
        journal: journal.clone(),
        events,
        stop: tasks.token(),
    };
    tasks.spawn("journal shipper", shipper.run());
    tasks.spawn("journal flush", flush(journal.clone(), tasks.clone()));
}

/// Flushes about once a second while something is written, and once more at the end.
async fn flush(journal: Journal, tasks: Tasks) {
    let stop = tasks.token();
    loop {
        if !journal.has_deferred() {
            tokio::select! {
                () = journal.written() => {}
                () = stop.cancelled() => break,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(SYNC_EVERY) => {}
            () = stop.cancelled() => break,
        }
        sync(&journal).await;
    }
    sync(&journal).await;
}

async fn sync(journal: &Journal) {
    let journal = journal.clone();
    // It only fails when the runtime ends, and then there is no one to tell.
    let _ = tokio::task::spawn_blocking(move || journal.sync()).await;
}

struct Shipper {
    journal: Journal,
    events: Arc<dyn Events>,
    position: Position,
    /// The segment that was read last, open at the end of the last batch.
    open: Option<Open>,
    /// What the file says, and since when.
    saved: Option<(Position, Instant)>,
    /// How long the next rows are gathered.
    gather: Duration,
    stop: tokio_util::sync::CancellationToken,
}

/// A segment that is read.
struct Open {
    number: u64,
    reader: Reader,
}

/// Rows that were read, and the place after them.
struct Batch {
    rows: Vec<Event>,
    /// How many settlements they are, those that cannot be read included.
    count: usize,
    /// Bytes of these rows, as they lie in the journal.
    bytes: usize,
    after: Position,
    /// Whether there may be more right now.
    more: bool,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            let stopping = self.stop.is_cancelled();
            let Some(more) = self.step().await else { break };
            self.save_now_and_then().await;
            if more {
                continue;
            }
            if stopping {
                break;
            }
            self.wait().await;
        }
        self.save().await;
    }

    /// Ships what there is; says whether there may be more, or `None` when shutdown ended it.
    async fn step(&mut self) -> Option<bool> {
        match self.read().await {
            Ok(batch) if batch.after == self.position => Some(false),
            Ok(batch) => {
                let more = batch.more;
                let loaded = batch.rows.len() >= LOAD;
                self.gather = if loaded { GATHER.1 } else { GATHER.0 };
                self.deliver(batch).await.then_some(more)
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read; it is tried again");
                tokio::time::sleep(SAVE_EVERY).await;
                Some(false)
            }
        }
    }

    /// Waits for something to ship, or until the place should be written down.
    async fn wait(&self) {
        let unsaved = self.saved.is_none_or(|(saved, _)| saved != self.position);
        let journal = &self.journal;
        tokio::select! {
            () = journal.settled() => tokio::select! {
                () = tokio::time::sleep(self.gather) => {}
                () = self.stop.cancelled() => {}
            },
            () = tokio::time::sleep(SAVE_EVERY), if unsaved => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn read(&mut self) -> io::Result<Batch> {
        let journal = self.journal.clone();
        let (from, mut open) = (self.position, self.open.take());
        let read = tokio::task::spawn_blocking(move || {
            let batch = read(&journal, from, &mut open);
            batch.map(|batch| (batch, open))
        });
        let (batch, open) = read.await.map_err(io::Error::other)??;
        self.open = open;
        Ok(batch)
    }

    /// Ships a batch, however long the event store is down; `false` when shutdown ended the wait. A batch that is
    /// refused as invalid is halved until the row that cannot be stored stands alone; that row is left out.
    async fn deliver(&mut self, mut batch: Batch) -> bool {
        let count = batch.count;
        let rows = std::mem::take(&mut batch.rows);
        if rows.is_empty() || self.events.append(rows).await.is_ok() {
            self.journal.shipped(count);
            self.position = batch.after;
            return true;
        }
        // The rows lie in the journal still, so that none is copied in case it has to be sent again.
        match self.read().await {
            Ok(again) => batch = again,
            // The next step says so.
            Err(_) => return true,
        }
        let count = batch.count;
        let mut waiting = vec![batch.rows];
        let mut pause = BACKOFF.0;
        while let Some(rows) = waiting.pop() {
            if rows.is_empty() {
                continue;
            }
            let Err(error) = self.events.append(rows.clone()).await else {
                pause = BACKOFF.0;
                continue;
            };
            if error.reason() == Reason::Invalid {
                waiting.extend(halve(rows, &error));
                continue;
            }
            waiting.push(rows);
            if !self.pause(&mut pause, &error).await {
                return false;
            }
        }
        self.journal.shipped(count);
        self.position = batch.after;
        true
    }

    /// Waits for the event store; `false` when shutdown began.
    async fn pause(&self, pause: &mut Duration, error: &Error) -> bool {
        tracing::warn!(
            error = error.full_message(),
            "the event store takes no rows; the journal keeps them"
        );
        let wait = *pause;
        *pause = (wait * 2).min(BACKOFF.1);
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = self.stop.cancelled() => false,
        }
    }

    async fn save_now_and_then(&mut self) {
        let due = self
            .saved
            .is_none_or(|(saved, at)| saved != self.position && at.elapsed() >= SAVE_EVERY);
        if due {
            self.save().await;
        }
    }

    /// Writes the place down, then deletes what nobody needs any more.
    async fn save(&mut self) {
        let (journal, position) = (self.journal.clone(), self.position);
        let saved = tokio::task::spawn_blocking(move || {
            position::save(journal.folder(), position)?;
            journal.trim(position);
            io::Result::Ok(())
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the journal's place cannot be written down"),
            Err(_) => return,
        }
        self.saved = Some((position, Instant::now()));
    }
}

/// Reads the next rows from a place on; `open` is what an earlier call left open. Blocks.
fn read(journal: &Journal, from: Position, open: &mut Option<Open>) -> io::Result<Batch> {
    let mut batch = Batch {
        rows: Vec::new(),
        count: 0,
        bytes: 0,
        after: from,
        more: false,
    };
    for (number, length) in journal.whole(from.segment) {
        let offset = if number == from.segment { from.offset } else { 0 };
        match open_at(journal, number, offset, length, open.take()) {
            Ok(reader) => batch.fill(&mut open.insert(Open { number, reader }).reader, number)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody deleted it. The later ones are still worth shipping.
                tracing::error!(
                    number,
                    "a journal segment is gone, and with it what was not shipped"
                );
                batch.after = Position {
                    segment: number,
                    offset: length,
                };
            }
            Err(error) => return Err(error),
        }
        if batch.more {
            break;
        }
    }
    if let (Some(open), false) = (open, batch.more) {
        open.reader.rest();
    }
    Ok(batch)
}

/// A segment's reader at a place: the one that is open, if it is there.
fn open_at(
    journal: &Journal,
    number: u64,
    offset: u64,
    length: u64,
    open: Option<Open>,
) -> io::Result<Reader> {
    match open {
        Some(mut open) if open.number == number && open.reader.offset() == offset => {
            open.reader.extend(length)?;
            Ok(open.reader)
        }
        Some(_) | None => Reader::open(&segment::path(journal.folder(), number), offset, length),
    }
}

impl Batch {
    /// Takes in a segment's rows until the segment ends or the batch is full.
    fn fill(&mut self, reader: &mut Reader, segment: u64) -> io::Result<()> {
        loop {
            if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
                self.more = true;
                return Ok(());
            }
            let bytes = &mut self.bytes;
            let settled = reader.next(|frame| {
                let settled = frame.kind == Kind::Settlement;
                *bytes += if settled { frame.payload.len() } else { 0 };
                settled.then(|| codec::decode(frame.payload, &frame.id))
            })?;
            self.after = Position {
                segment,
                offset: reader.offset(),
            };
            self.count += usize::from(matches!(settled, Some(Some(_))));
            match settled {
                None => return Ok(()),
                Some(None) => {}
                Some(Some(Ok(row))) => self.rows.push(Event::Request(Box::new(row))),
                Some(Some(Err(error))) => {
                    tracing::error!(%error, "a usage row in the journal cannot be read");
                }
            }
        }
    }
}

/// Two halves of what was refused; a row that stands alone is left out.
fn halve(mut rows: Vec<Event>, error: &Error) -> Vec<Vec<Event>> {
    if rows.len() == 1 {
        tracing::error!(
            error = error.full_message(),
            "the event store refused a usage row"
        );
        return Vec::new();
    }
    let later = rows.split_off(rows.len() / 2);
    vec![later, rows]
}
