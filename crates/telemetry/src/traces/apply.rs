//! What is told of an entry on its way into its row: held in memory while a batch is under way, written at its end.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use rusqlite::params;
use stead_kernel::{
    Error as KernelError, Result as KernelResult,
    ports::traces::{Fields, Kind, Origin, Put, TagChange, Write},
};
use uuid::Uuid;

use super::{
    blocks::{Block, Builder},
    change,
    codec::{pack_body, unpack_body},
    files::File,
    merge::{FIELDS, absorb, rank},
    rollup::Changes,
    rows::{self, Place, Stored, id_time, number},
    writer::{Change, Writer},
};
use crate::{
    day::Day,
    sqlite::{Error, Result},
};

/// What is told of an entry, its body in a block.
pub(super) struct Packed {
    pub(super) put: Put,
    rank: i64,
    mask: u8,
    /// The block among those of the batch, and the slot in it.
    at: (usize, usize),
}

/// The changes of a request, with the blocks of what they tell at length.
#[derive(Default)]
pub(super) struct Request {
    pub(super) changes: Vec<Change>,
    pub(super) blocks: Vec<Vec<u8>>,
}

impl Request {
    /// Says where the blocks are once others come before them.
    pub(super) fn shift(&mut self, by: usize) {
        for change in &mut self.changes {
            if let Change::Put(packed) = change {
                packed.at.0 += by;
            }
        }
    }
}

/// Compresses what lies apart; done before the queue. What the ids tell to be of different days is in different blocks.
pub(super) fn pack(writes: Vec<Write>) -> KernelResult<Request> {
    let failed = |error| KernelError::internal("a body could not be compressed").because(error);
    let mut request = Request::default();
    let (mut builder, mut of) = (Builder::default(), None);
    for write in writes {
        let Write::Put(mut put) = write else {
            request.changes.push(Change::Other(Box::new(write)));
            continue;
        };
        let day = id_time(put.id).map(|time| Day::of(time.as_microsecond()));
        if builder.is_full() || (day != of && !builder.is_empty()) {
            request.blocks.push(builder.finish().map_err(failed)?);
        }
        of = day;
        let (mask, body) = pack_body(&mut put.fields);
        let at = (request.blocks.len(), builder.push(put.kind, put.id, &body));
        let packed = Packed {
            rank: rank(put.origin, put.told),
            put: *put,
            mask,
            at,
        };
        request.changes.push(Change::Put(Box::new(packed)));
    }
    if !builder.is_empty() {
        request.blocks.push(builder.finish().map_err(failed)?);
    }
    Ok(request)
}

/// Where an entry's body is while a batch is under way.
enum Body {
    /// Where its row says.
    Stored,
    /// In a block of the batch.
    Told(usize, usize),
    /// Put together anew.
    Merged(Vec<u8>),
}

/// What is known of an entry while a batch is under way.
pub(super) struct Held {
    pub(super) day: Day,
    pub(super) workspace: String,
    pub(super) project: Uuid,
    pub(super) row: Stored,
    /// The row as it is in the file; none when it is in no file yet.
    before: Option<Stored>,
    /// Whether anything was told in this batch.
    changed: bool,
    /// Whether its body must get a new slot, since what it can be found by has changed.
    moved: bool,
    body: Body,
}

impl Held {
    /// Whether what is told says anew all that lies apart, or nothing of it, so that it need not be read.
    fn is_covered(&self, mask: u8, rank: i64) -> bool {
        let own = self.row.mask;
        let mut ranks = self.row.ranks.iter().take(APART).enumerate();
        mask == 0 || (own & !mask == 0 && ranks.all(|(bit, known)| own & (1 << bit) == 0 || rank > *known))
    }

    /// Takes in what is told; `bodies` are the present one and the one told, unless it is covered.
    fn merge(&mut self, packed: Packed, bodies: Option<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let Packed { put, rank, mask, at } = packed;
        let mut fields = put.fields;
        let row = &mut self.row;
        let covered = bodies.is_none();
        if let Some((own, told)) = bodies {
            unpack_body(row.mask, &own, &mut row.fields).ok_or_else(rows::damaged_body)?;
            unpack_body(mask, &told, &mut fields).ok_or_else(rows::damaged_body)?;
        } else if mask != 0 {
            let told = row.ranks.iter_mut().take(APART).enumerate();
            for (_, own) in told.filter(|(bit, _)| mask & (1 << bit) != 0) {
                *own = rank;
            }
            row.mask = mask;
        }
        if covered && (mask != 0 || self.before.is_none() && matches!(self.body, Body::Stored)) {
            self.body = Body::Told(at.0, at.1);
        }
        let known = self.before.is_some().then(|| texts(&row.fields));
        absorb(&mut row.fields, &mut row.ranks, fields, &[rank; FIELDS]);
        if !covered {
            let (mask, plain) = pack_body(&mut row.fields);
            row.mask = mask;
            self.body = Body::Merged(plain);
        }
        change_tags(row, &put.tags);
        self.moved |= known.is_some_and(|known| known != texts(&row.fields));
        self.changed = true;
        Ok(())
    }
}

/// What an entry can be found by that lies in its row.
fn texts(fields: &Fields) -> [Option<String>; 4] {
    [
        fields.name.clone(),
        fields.thread.clone(),
        fields.model.clone(),
        fields.tags.as_ref().map(|tags| tags.join("\n")),
    ]
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
                before: Some(row.clone()),
                row,
                changed: false,
                moved: false,
                body: Body::Stored,
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
                before: None,
                changed: false,
                moved: false,
                body: Body::Stored,
            };
            self.missing.remove(&(kind, id));
            self.held.insert((kind, id), held);
        }
        let Some(mut held) = self.held.remove(&(kind, id)) else {
            return Ok(());
        };
        let bodies = if held.is_covered(packed.mask, packed.rank) {
            None
        } else {
            Some((self.present_body(&held)?, self.told_body(packed.at)?))
        };
        let by = packed.put.by.clone();
        held.merge(packed, bodies)?;
        held.row.updated = held.row.updated.max(now);
        held.row.updated_by.clone_from(&by);
        if kind == Kind::Trace
            && let Some(thread) = &held.row.fields.thread
        {
            let name = (held.workspace.clone(), held.project, thread.clone());
            self.threads.insert(name, by);
        }
        self.held.insert((kind, id), held);
        Ok(())
    }

    /// A body that was told in this batch.
    fn told_body(&mut self, (number, slot): (usize, usize)) -> Result<Vec<u8>> {
        let opened = self.opened.take().filter(|(own, _)| *own == number);
        let block = if let Some((_, block)) = opened {
            block
        } else {
            let block = self.told.get(number).and_then(|bytes| Block::open(bytes));
            block.ok_or_else(rows::damaged_body)?
        };
        let body = block.body(slot).map(<[u8]>::to_vec);
        self.opened = Some((number, block));
        body.ok_or_else(rows::damaged_body)
    }

    /// An entry's body as it is by now; empty when there is none.
    fn present_body(&mut self, held: &Held) -> Result<Vec<u8>> {
        match &held.body {
            Body::Merged(plain) => Ok(plain.clone()),
            Body::Told(block, slot) => self.told_body((*block, *slot)),
            Body::Stored => match held.row.body {
                Some(place) => self.day_file(held.day)?.body(place),
                None => Ok(Vec::new()),
            },
        }
    }

    /// Gives an entry's body its place in the file.
    fn settle_body(&mut self, held: &mut Held) -> Result<()> {
        let (kind, id) = (held.row.kind, held.row.id);
        if held.moved && matches!(held.body, Body::Stored) {
            held.body = Body::Merged(self.present_body(held)?);
        }
        let (seq, slot) = match &held.body {
            Body::Stored => return Ok(()),
            Body::Merged(plain) => self.day_file(held.day)?.add_body(kind, id, plain)?,
            Body::Told(block, slot) => {
                let seq = if let Some(seq) = self.placed.get(&(held.day, *block)) {
                    *seq
                } else {
                    let bytes = self.told.get_mut(*block).map(std::mem::take).unwrap_or_default();
                    let seq = self.day_file(held.day)?.add_block(&bytes);
                    if let Some(place) = self.told.get_mut(*block) {
                        *place = bytes;
                    }
                    let seq = seq?;
                    self.placed.insert((held.day, *block), seq);
                    seq
                };
                (seq, *slot)
            }
        };
        let to = Some(Place::Slot(seq, slot));
        let from = std::mem::replace(&mut held.row.body, to);
        self.day_file(held.day)?.moved(from, to)
    }

    /// Forgets where blocks lay that are in their file no more.
    pub(super) fn forget_blocks(&mut self) {
        for (day, file) in &mut self.open {
            let gone = std::mem::take(&mut file.gone);
            if !gone.is_empty() {
                self.placed
                    .retain(|(of, _), seq| of != day || !gone.contains(seq));
            }
        }
    }

    /// Writes what is held into the files.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut counts: BTreeMap<(Day, i64, Kind), i64> = BTreeMap::new();
        let mut held: Vec<Held> = std::mem::take(&mut self.held).into_values().collect();
        held.retain(|held| held.changed);
        held.sort_by_key(|held| (held.day, held.project, held.row.kind, held.row.id));
        let mut changes: BTreeMap<Day, Changes> = BTreeMap::new();
        for mut one in held {
            one.row.project = self.project(one.day, &one.workspace, one.project)?;
            if one.row.kind == Kind::Span {
                one.row.reckon(self.files.prices.as_ref());
                self.note_spread(&one)?;
            } else if one.before.is_none() {
                self.note_home(one.row.id, one.day)?;
            }
            if one.before.is_none() {
                *counts
                    .entry((one.day, one.row.project, one.row.kind))
                    .or_default() += 1;
            }
            self.settle_body(&mut one)?;
            one.row.write(self.connection(one.day)?)?;
            let changes = changes.entry(one.day).or_default();
            let file = self.day_file(one.day)?;
            file.changed(changes, one.before.as_ref(), Some(&one.row))?;
        }
        for (day, changes) in changes {
            self.day_file(day)?.settle_traces(changes)?;
        }
        for file in self.open.values_mut() {
            file.settle()?;
        }
        self.forget_blocks();
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
        let is_known = held
            .before
            .as_ref()
            .is_some_and(|row| row.fields.trace_id.is_some());
        if is_known || id_time(trace).map(|time| Day::of(time.as_microsecond())) == Some(held.day) {
            return Ok(());
        }
        let home = self.home(Kind::Trace, trace)?;
        self.begin(File::Index)?;
        self.index
            .prepare_cached("INSERT OR IGNORE INTO spread VALUES (?1, ?2, ?3)")?
            .execute(params![
                trace.as_bytes(),
                held.day.number(),
                home.is_some_and(|home| home != held.day)
            ])?;
        Ok(())
    }

    /// Notes where a new trace lies, for its spans that came before it.
    fn note_home(&mut self, trace: Uuid, day: Day) -> Result<()> {
        if id_time(trace).map(|time| Day::of(time.as_microsecond())) == Some(day) {
            return Ok(());
        }
        self.begin(File::Index)?;
        self.index
            .prepare_cached("UPDATE spread SET away = (day <> ?2) WHERE trace = ?1")?
            .execute(params![trace.as_bytes(), day.number()])?;
        Ok(())
    }
}

/// Adds and removes labels.
pub(super) fn change_tags(row: &mut Stored, change: &TagChange) {
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
