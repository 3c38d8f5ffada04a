//! The one writer: finds each entry's file, merges what is told into what is known, and commits a batch at once.
//!
//! An entry lies in the file of the day that its id tells (UUID of version 7), if that is a day that has a file now;
//! every other one in the file of the day on which it was first heard of, which the index notes. The index is committed
//! first: a crash between the two leaves a note without an entry, which the repeated write follows.
//!
//! *Invariant:* a request's writes are checked before the first of them is made, so that one that is refused changes
//! nothing; the entries of a day that is no longer kept are made anew in today's file, never lost.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::{
    Error as KernelError, Result as KernelResult,
    ports::traces::{Fields, Kind, Put, Write},
};
use uuid::Uuid;

use super::{
    apply::{Held, Packed, Request},
    blocks::Block,
    change,
    dayfile::DayFile,
    files::{File, Files},
    merge::conflict,
    retire::{self, Retirement},
    rows::{id_time, number},
};
use crate::{
    day::Day,
    queue::Engine,
    sqlite::{self, Error, Result},
};

/// How many days' files are kept open for writing.
const OPEN: usize = 4;

/// One change on its way to the writer.
pub(super) enum Change {
    Put(Box<Packed>),
    Other(Box<Write>),
}

/// What the writer is asked to do.
pub(super) enum Work {
    /// All of these changes, or none.
    Write(Request),
    /// Let go of days that are no longer kept.
    Retain,
    /// Let go of a day, if all that is in it is to go.
    Retire(Day, Box<Retirement>),
}

/// A thread by workspace, project and name.
pub(super) type ThreadName = (String, Uuid, String);

pub(super) struct Writer {
    pub(super) files: Arc<Files>,
    pub(super) index: Connection,
    pub(super) open: BTreeMap<Day, DayFile>,
    /// Whether the index notes the day of any id.
    has_ids: bool,
    pub(super) held: HashMap<(Kind, Uuid), Held>,
    /// Entries that are in no file, as far as was looked in this batch.
    pub(super) missing: HashSet<(Kind, Uuid)>,
    /// Threads that traces of this batch are in, and who told so.
    pub(super) threads: HashMap<ThreadName, String>,
    /// The blocks of the requests of this batch, and where those lie that are in a file.
    pub(super) told: Vec<Vec<u8>>,
    pub(super) placed: HashMap<(Day, usize), i64>,
    /// The one of them that was opened last.
    pub(super) opened: Option<(usize, Block)>,
    /// Files with an open transaction.
    begun: Vec<File>,
}

impl Writer {
    /// Opens the index.
    pub(super) fn open(files: Arc<Files>) -> Result<Self> {
        let index = files.open_to_write(File::Index)?;
        let has_ids = index.prepare("SELECT 1 FROM ids LIMIT 1")?.exists([])?;
        let mut writer = Self {
            files,
            index,
            open: BTreeMap::new(),
            has_ids,
            held: HashMap::new(),
            missing: HashSet::new(),
            threads: HashMap::new(),
            told: Vec::new(),
            placed: HashMap::new(),
            opened: None,
            begun: Vec::new(),
        };
        writer.retain();
        Ok(writer)
    }

    fn retain(&mut self) {
        let gone = self.files.retain();
        self.forget(&gone);
    }

    /// Removes the file of a day all of whose entries are to go, unless something came to it meanwhile.
    fn retire(&mut self, day: Day, retirement: &Retirement) -> Result<()> {
        if !self.files.has(day) {
            return Ok(());
        }
        // Opening it begins a transaction, in which nothing is written.
        let whole = retirement.of_whole_file(self.day(day)?);
        self.roll_back();
        if whole?.is_some() {
            let gone = self.files.unlink(vec![day]);
            self.forget(&gone);
        }
        Ok(())
    }

    fn forget(&mut self, gone: &[Day]) {
        for day in gone {
            self.open.remove(day);
        }
        if gone.is_empty() {
            return;
        }
        let first = self.files.first_kept();
        if let Err(error) = retire::clean_index(&self.index, &self.files, gone, first) {
            tracing::warn!(%error, "notes about days of traces that are gone were not removed");
        }
    }

    /// The file of an entry: where it lies, or where it will.
    pub(super) fn place(&mut self, kind: Kind, id: Uuid) -> Result<Day> {
        if let Some(day) = self.home(kind, id)? {
            return Ok(day);
        }
        let today = Day::of(self.files.clock.now().as_microsecond());
        self.begin(File::Index)?;
        self.index
            .prepare_cached("REPLACE INTO ids VALUES (?1, ?2, ?3)")?
            .execute(params![number(kind), id.as_bytes(), today.number()])?;
        self.has_ids = true;
        Ok(today)
    }

    /// Where an entry lies, or will as far as its id tells; `None` when only its coming will say.
    pub(super) fn home(&self, kind: Kind, id: Uuid) -> Result<Option<Day>> {
        if self.has_ids
            && let Some(day) = noted_day(&self.index, kind, id)?
            && self.files.has(day)
        {
            return Ok(Some(day));
        }
        let natural = id_time(id).map(|time| Day::of(time.as_microsecond()));
        Ok(natural.filter(|day| self.files.is_natural(*day)))
    }

    /// The open file of a day, in a transaction.
    pub(super) fn day(&mut self, day: Day) -> Result<&Connection> {
        if !self.open.contains_key(&day) {
            self.make_room();
            let connection = self.files.open_to_write(File::Day(day))?;
            let indexed = self.files.indexed(day);
            self.open.insert(day, DayFile::new(connection, indexed)?);
        }
        self.begin(File::Day(day))?;
        self.connection(day)
    }

    pub(super) fn connection(&self, day: Day) -> Result<&Connection> {
        let file = self.open.get(&day).map(|file| &file.connection);
        file.ok_or_else(|| Error::damaged(self.files.folder(), "a day was lost"))
    }

    /// Closes the oldest file that is in no transaction, when many are open.
    fn make_room(&mut self) {
        if self.open.len() < OPEN {
            return;
        }
        let mut idle = self.open.keys().copied();
        if let Some(day) = idle.find(|day| !self.begun.contains(&File::Day(*day))) {
            self.open.remove(&day);
        }
    }

    /// The open file of a day that was asked for before.
    pub(super) fn day_file(&mut self, day: Day) -> Result<&mut DayFile> {
        let file = self.open.get_mut(&day);
        file.ok_or_else(|| Error::damaged(self.files.folder(), "a day was lost"))
    }

    pub(super) fn begin(&mut self, file: File) -> Result<()> {
        if self.begun.contains(&file) {
            return Ok(());
        }
        let connection = match file {
            File::Index => &self.index,
            File::Day(day) | File::Words(day) => self.connection(day)?,
        };
        connection.execute_batch("BEGIN IMMEDIATE")?;
        self.begun.push(file);
        Ok(())
    }

    /// Ends every transaction; the index comes first.
    fn commit(&mut self) -> Result<()> {
        self.flush()?;
        let mut begun = std::mem::take(&mut self.begun);
        begun.sort_by_key(|file| matches!(file, File::Day(_)));
        for file in begun {
            let connection = match file {
                File::Index => &self.index,
                File::Day(day) | File::Words(day) => {
                    let DayFile {
                        ledger, connection, ..
                    } = self.day_file(day)?;
                    ledger.write(connection)?;
                    &*connection
                }
            };
            connection.execute_batch("COMMIT")?;
            if let File::Day(day) = file {
                self.files.to_index(day);
            }
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.held.clear();
        self.missing.clear();
        self.threads.clear();
        // What is closed holds no transaction, nor numbers of projects that were given in vain.
        self.open.clear();
        self.begun.clear();
        if !self.index.is_autocommit()
            && let Err(error) = self.index.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the index of traces cannot be rolled back");
        }
    }

    /// The number of a project in a day's file.
    pub(super) fn project(&mut self, day: Day, workspace: &str, project: Uuid) -> Result<i64> {
        self.day(day)?;
        let file = self.day_file(day)?;
        let name = (workspace.to_owned(), project);
        if let Some(number) = file.numbers.get(&name) {
            return Ok(*number);
        }
        file.connection.execute(
            "INSERT INTO projects (workspace, id) VALUES (?1, ?2)",
            params![workspace, project.as_bytes()],
        )?;
        let number = file.connection.last_insert_rowid();
        file.numbers.insert(name, number);
        Ok(number)
    }

    /// Whether all of a request's changes can be made; the error to answer where one cannot.
    fn check(&mut self, changes: &[Change]) -> Result<Option<KernelError>> {
        let mut claims: HashMap<(Kind, Uuid), (String, Uuid, Fields)> = HashMap::new();
        for change in changes {
            let refusal = match change {
                Change::Put(packed) => self.check_put(&packed.put, &mut claims)?,
                Change::Other(write) => change::check(self, write)?,
            };
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        Ok(None)
    }

    fn check_put(
        &mut self,
        put: &Put,
        claims: &mut HashMap<(Kind, Uuid), (String, Uuid, Fields)>,
    ) -> Result<Option<KernelError>> {
        let ids = |fields: &Fields| Fields {
            trace_id: fields.trace_id,
            parent_span_id: fields.parent_span_id,
            ..Fields::default()
        };
        let (workspace, project, fields) = match claims.entry((put.kind, put.id)) {
            Entry::Occupied(claim) => claim.into_mut(),
            Entry::Vacant(place) => place.insert(match self.hold(put.kind, put.id)? {
                Some(held) => (held.workspace.clone(), held.project, ids(&held.row.fields)),
                None => (put.workspace.clone(), put.project, ids(&put.fields)),
            }),
        };
        let wrong = if *workspace != put.workspace || *project != put.project {
            Some("project")
        } else {
            conflict(fields, &put.fields)
        };
        fields.trace_id = fields.trace_id.or(put.fields.trace_id);
        fields.parent_span_id = fields.parent_span_id.or(put.fields.parent_span_id);
        Ok(wrong.map(|what| {
            KernelError::conflict(format!(
                "{} {} is of another {what} already",
                put.kind.as_str(),
                put.id
            ))
        }))
    }

    fn apply(&mut self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            match change {
                Change::Put(packed) => self.put(*packed)?,
                Change::Other(write) => {
                    self.flush()?;
                    change::make(self, *write)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the changes of several requests at once; each gets its own answer.
    fn write(&mut self, works: Vec<Request>) -> Vec<KernelResult<()>> {
        let count = works.len();
        let written = self.try_write(works).and_then(|answers| {
            self.commit()?;
            Ok(answers)
        });
        self.missing.clear();
        self.told.clear();
        self.placed.clear();
        self.opened = None;
        let error = match written {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        self.roll_back();
        let message = error.to_string();
        tracing::error!(error = %message, "traces could not be stored");
        let mut first = Some(KernelError::from(error));
        let each = || {
            let other = || KernelError::unavailable(format!("traces could not be stored: {message}"));
            Err(first.take().unwrap_or_else(other))
        };
        std::iter::repeat_with(each).take(count).collect()
    }

    /// Makes the changes of those requests whose changes can be made.
    fn try_write(&mut self, works: Vec<Request>) -> Result<Vec<KernelResult<()>>> {
        let mut answers = Vec::with_capacity(works.len());
        for mut work in works {
            let refusal = self.check(&work.changes)?;
            if refusal.is_none() {
                work.shift(self.told.len());
                self.told.append(&mut work.blocks);
                self.apply(work.changes)?;
            }
            answers.push(refusal.map_or(Ok(()), Err));
        }
        Ok(answers)
    }
}

/// The day that the index notes for an id.
pub(super) fn noted_day(index: &Connection, kind: Kind, id: Uuid) -> Result<Option<Day>> {
    let mut statement = index.prepare_cached("SELECT day FROM ids WHERE kind = ?1 AND id = ?2")?;
    let day: Option<i64> = statement
        .query_row(params![number(kind), id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(day.map(Day::from_number))
}

impl Engine for Writer {
    type Work = Work;
    type Answer = ();

    fn run(&mut self, batch: Vec<Work>) -> Vec<KernelResult<()>> {
        let mut works = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for work in batch {
            match work {
                Work::Write(changes) => {
                    works.push(changes);
                    answers.push(None);
                }
                Work::Retain => {
                    self.retain();
                    answers.push(Some(Ok(())));
                }
                Work::Retire(day, retirement) => {
                    answers.push(Some(self.retire(day, &retirement).map_err(Into::into)));
                }
            }
        }
        let mut written = self.write(works).into_iter();
        answers
            .into_iter()
            .map(|answer| answer.or_else(|| written.next()).unwrap_or(Ok(())))
            .collect()
    }

    fn close(self) {
        self.files.readers.clear();
        for (day, file) in self.open {
            sqlite::close(file.connection, &self.files.path(File::Day(day)));
        }
        sqlite::close(self.index, &self.files.path(File::Index));
    }
}
