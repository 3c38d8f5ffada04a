//! The one writer: finds each event's day, stores a batch in a transaction per day, and lets old days go.
//!
//! An id lies in one day's file. A UUID of version 7 tells it; for every other id, and for one that tells another
//! day than its event's time, the index of ids is written first, so that a crash between the two leaves an entry
//! that the repeated event follows.
//!
//! A day that is no longer kept is first summed up in the file of past days, together with the note that it was, in
//! one transaction; then its file is removed. Whoever finds such a note trusts the sums and not the file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use stead_kernel::Result as KernelResult;

use super::{
    files::{Counters, File, Files},
    insert::DayFile,
    names::Names,
    pack::{Id, Kind, Packed},
    rollup, schema,
};
use crate::{
    day::Day,
    queue::Engine,
    sqlite::{self, Error, Result},
};

/// How many days' files are kept open for writing.
const OPEN: usize = 3;
/// The index of ids and the file of past days are checked whole when they are opened, up to this size.
const CHECKED: u64 = 64 << 20;

/// What the writer is asked to do.
pub(super) enum Work {
    /// Store events.
    Append(Vec<Packed>),
    /// Let go of days that are no longer kept.
    Retain,
    /// Remove some of a project's requests of a day, which began before a time in microseconds since 1970.
    Retire(Day, String, i64),
    /// Set a day's file aside, which a reader found damaged.
    SetAside(Day, String),
    /// Let the files of days grow to so many pages only.
    #[cfg(test)]
    LimitPages(u32),
}

pub(super) struct Writer {
    files: Arc<Files>,
    open: BTreeMap<Day, DayFile>,
    ids: Connection,
    /// The kinds of which the index of ids has any that are UUIDs. Usually there are none, for those of version 7 tell
    /// their day, so that most events need no look into it.
    indexed: HashSet<Kind>,
    usage: Connection,
    /// Days whose sums are in the file of past days.
    folded: BTreeSet<Day>,
    retention_days: i64,
    /// The day of the last look for old days.
    retained: Option<Day>,
    #[cfg(test)]
    page_limit: Option<u32>,
}

impl Writer {
    /// Opens every file once: damaged ones are set aside, newer ones are refused.
    pub(super) fn open(files: Arc<Files>, retention_days: u16) -> Result<Self> {
        let usage = open_or_renew(&files, File::Usage, &schema::USAGE)?;
        let folded = folded_days(&usage)?;
        open_days(&files, &folded)?;
        let ids = open_or_renew(&files, File::Ids, &schema::IDS)?;
        let mut writer = Self {
            files,
            open: BTreeMap::new(),
            ids,
            indexed: HashSet::new(),
            usage,
            folded,
            retention_days: i64::from(retention_days.max(1)),
            retained: None,
            #[cfg(test)]
            page_limit: None,
        };
        writer.rebuild_ids()?;
        writer.retain();
        Ok(writer)
    }

    /// Stores events; the days are independent of each other, so that some may be stored when it fails.
    fn store(&mut self, events: &[&Packed]) -> Result<()> {
        let placed = match self.place(events) {
            Err(error) if error.is_damage() => {
                self.renew_ids(&error)?;
                self.place(events)?
            }
            other => other?,
        };
        for (day, events) in placed {
            let (count, stored) = (events.len(), self.store_day(day, &events)?);
            Counters::count(&self.files.counters.stored, stored);
            Counters::count(&self.files.counters.repeated, count - stored);
        }
        Ok(())
    }

    fn store_day(&mut self, day: Day, events: &[&Packed]) -> Result<usize> {
        let result = self.try_store_day(day, events);
        if result.is_err() {
            self.open.remove(&day);
        }
        match result {
            Err(error) if error.is_damage() => {
                self.files.set_aside(File::Day(day), &error)?;
                self.try_store_day(day, events)
            }
            other => other,
        }
    }

    fn try_store_day(&mut self, day: Day, events: &[&Packed]) -> Result<usize> {
        self.day_file(day)?.insert(events)
    }

    /// The open file of a day.
    fn day_file(&mut self, day: Day) -> Result<&mut DayFile> {
        if !self.open.contains_key(&day) {
            if self.open.len() >= OPEN {
                self.open.pop_first();
            }
            let file = DayFile::open(&self.files.path(File::Day(day)), day)?;
            #[cfg(test)]
            if let Some(pages) = self.page_limit {
                file.connection().pragma_update(None, "max_page_count", pages)?;
            }
            self.files.add(day);
            self.open.insert(day, file);
        }
        self.open
            .get_mut(&day)
            .ok_or_else(|| Error::damaged(self.files.folder(), "a day was lost"))
    }

    /// Finds the day of each event, and leaves out those of days that are no longer kept.
    fn place<'a>(&mut self, events: &[&'a Packed]) -> Result<BTreeMap<Day, Vec<&'a Packed>>> {
        let mut days: BTreeMap<Day, Vec<&Packed>> = BTreeMap::new();
        let mut noted: HashMap<(Kind, &Id), Day> = HashMap::new();
        for event in events {
            let day = match noted.get(&(event.kind(), &event.id)) {
                Some(day) => *day,
                None => self.day_of(event, &mut noted)?,
            };
            if self.folded.contains(&day) {
                Counters::count(&self.files.counters.late, 1);
            } else {
                days.entry(day).or_default().push(event);
            }
        }
        if !noted.is_empty() {
            self.note(noted)?;
        }
        Ok(days)
    }

    /// The day of an event; one that its id does not tell is noted.
    fn day_of<'a>(&mut self, event: &'a Packed, noted: &mut HashMap<(Kind, &'a Id), Day>) -> Result<Day> {
        let kind = event.kind();
        let may_be_indexed = matches!(event.id, Id::Text(_)) || self.indexed.contains(&kind);
        if may_be_indexed && let Some(day) = indexed_day(&self.ids, kind, &event.id)? {
            return Ok(day);
        }
        let natural = Day::of(event.at);
        match event.id.day() {
            Some(told) if told == natural => return Ok(natural),
            // It came before, with the time that its id tells.
            Some(told) if self.holds(told, kind, &event.id)? => return Ok(told),
            _ => {}
        }
        noted.insert((kind, &event.id), natural);
        Ok(natural)
    }

    fn holds(&mut self, day: Day, kind: Kind, id: &Id) -> Result<bool> {
        if !self.files.has(day) {
            return Ok(false);
        }
        match self.day_file(day).and_then(|file| file.holds(kind, id)) {
            Err(error) if error.is_damage() => {
                self.open.remove(&day);
                self.files.set_aside(File::Day(day), &error)?;
                Ok(false)
            }
            other => other,
        }
    }

    fn note(&mut self, noted: HashMap<(Kind, &Id), Day>) -> Result<()> {
        let uuids = noted.keys().filter(|(_, id)| matches!(id, Id::Bytes(_)));
        self.indexed.extend(uuids.map(|(kind, _)| *kind));
        let transaction = self
            .ids
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut statement =
                transaction.prepare_cached("INSERT OR IGNORE INTO ids VALUES (?1, ?2, ?3)")?;
            for ((kind, id), day) in noted {
                statement.execute(params![kind.number(), id, day.number()])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Begins the index of ids anew, after it turned out to be damaged.
    fn renew_ids(&mut self, why: &Error) -> Result<()> {
        self.files.set_aside(File::Ids, why)?;
        self.ids = sqlite::open(&self.files.path(File::Ids), &schema::IDS)?;
        self.rebuild_ids()
    }

    /// Fills a new index of ids from the days' files.
    fn rebuild_ids(&mut self) -> Result<()> {
        let built: i64 = self
            .ids
            .query_row("SELECT count(*) FROM built", [], |row| row.get(0))?;
        if built > 0 {
            self.indexed = indexed_kinds(&self.ids)?;
            return Ok(());
        }
        let days: Vec<Day> = self.files.days().iter().copied().collect();
        let transaction = self
            .ids
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for day in days {
            let read = self
                .files
                .read(File::Day(day), |from| note_day(from, &transaction, day));
            match read {
                Err(error) if error.is_damage() => self.files.set_aside(File::Day(day), &error)?,
                other => other?,
            }
        }
        transaction.execute("INSERT INTO built VALUES (1)", [])?;
        transaction.commit()?;
        self.indexed = indexed_kinds(&self.ids)?;
        Ok(())
    }

    /// Lets go of days that are no longer kept; what cannot be done now is done at the next look.
    fn retain(&mut self) {
        let today = Day::of(self.files.clock.now().as_microsecond());
        let first = Day::from_number(today.number() - self.retention_days);
        let old: Vec<Day> = self.files.days().range(..first).copied().collect();
        self.retained = Some(today);
        for day in old {
            if let Err(error) = self.expire(day) {
                tracing::warn!(%day, %error, "an old day of events could not be removed; it will be tried again");
                self.retained = None;
            }
        }
    }

    /// Sums a day up and removes its file.
    fn expire(&mut self, day: Day) -> Result<()> {
        if !self.folded.contains(&day) {
            if let Err(error) = self.fold(day) {
                self.open.remove(&day);
                let path = self.files.path(File::Day(day));
                let checked =
                    DayFile::open(&path, day).and_then(|file| sqlite::check(file.connection(), &path));
                match checked {
                    Err(damage) if damage.is_damage() => self.files.set_aside(File::Day(day), &damage)?,
                    _ => return Err(error),
                }
            }
            self.note_folded(day)?;
        }
        if let Some(file) = self.open.remove(&day) {
            drop(file.into_connection());
        }
        if self.files.unlink(day)? {
            Counters::count(&self.files.counters.expired, 1);
            tracing::info!(%day, "events of this day are no longer kept; its usage is");
        } else {
            self.retained = None;
        }
        Ok(())
    }

    /// Adds a day's usage to the file of past days, with the note that it was, in one transaction.
    fn fold(&mut self, day: Day) -> Result<()> {
        self.day_file(day)?;
        let Some(file) = self.open.get(&day) else {
            return Ok(());
        };
        let transaction = self
            .usage
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        rollup::fold(file.connection(), &transaction, &mut Names::default())?;
        transaction.execute("INSERT OR IGNORE INTO folded VALUES (?1)", [day.number()])?;
        transaction.commit()?;
        Ok(())
    }

    fn note_folded(&mut self, day: Day) -> Result<()> {
        self.usage
            .execute("INSERT OR IGNORE INTO folded VALUES (?1)", [day.number()])?;
        self.folded.insert(day);
        self.ids
            .execute("DELETE FROM ids WHERE day = ?1", [day.number()])?;
        Ok(())
    }

    /// Sets a day's file aside, which a reader has checked.
    fn give_up(&mut self, day: Day, detail: &str) -> Result<()> {
        self.open.remove(&day);
        if !self.files.has(day) {
            return Ok(());
        }
        let why = Error::damaged(&self.files.path(File::Day(day)), detail);
        self.files.set_aside(File::Day(day), &why)
    }

    /// Stores a batch at once; if that fails, each part by itself, so that one does not take the others with it.
    fn append(&mut self, parts: &[Vec<Packed>]) -> Vec<KernelResult<u64>> {
        Counters::count(&self.files.counters.batches, 1);
        let all: Vec<&Packed> = parts.iter().flatten().collect();
        let Err(error) = self.store(&all) else {
            return parts.iter().map(|_| Ok(0)).collect();
        };
        Counters::count(&self.files.counters.failed, 1);
        if parts.len() == 1 {
            return vec![Err(error.into())];
        }
        parts
            .iter()
            .map(|part| {
                self.store(&part.iter().collect::<Vec<_>>())?;
                Ok(0)
            })
            .collect()
    }

    fn retire(&mut self, day: Day, project: &str, before: i64) -> Result<u64> {
        if !self.files.has(day) || self.folded.contains(&day) {
            return Ok(0);
        }
        let gone = self.day_file(day)?.retire(project, before);
        if gone.is_err() {
            self.open.remove(&day);
        }
        gone
    }

    fn other(&mut self, work: &Work) -> KernelResult<u64> {
        match work {
            Work::Append(_) => {}
            Work::Retain => self.retain(),
            Work::Retire(day, project, before) => return Ok(self.retire(*day, project, *before)?),
            Work::SetAside(day, detail) => self.give_up(*day, detail)?,
            #[cfg(test)]
            Work::LimitPages(pages) => {
                self.page_limit = Some(*pages);
                self.open.clear();
            }
        }
        Ok(0)
    }
}

impl Engine for Writer {
    type Work = Work;
    /// How many requests were removed.
    type Answer = u64;

    fn run(&mut self, batch: Vec<Work>) -> Vec<KernelResult<u64>> {
        let today = Day::of(self.files.clock.now().as_microsecond());
        if self.retained != Some(today) {
            self.retain();
        }
        let mut appends = Vec::new();
        let mut answers: Vec<Option<KernelResult<u64>>> = Vec::with_capacity(batch.len());
        for work in batch {
            match work {
                Work::Append(events) => {
                    appends.push(events);
                    answers.push(None);
                }
                other => answers.push(Some(self.other(&other))),
            }
        }
        let mut appended = if appends.is_empty() {
            Vec::new()
        } else {
            self.append(&appends)
        }
        .into_iter();
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.or_else(|| appended.next()).unwrap_or(Ok(0)))
            .collect()
    }

    fn close(self) {
        self.files.readers.clear();
        for (day, file) in self.open {
            sqlite::close(file.into_connection(), &self.files.path(File::Day(day)));
        }
        sqlite::close(self.ids, &self.files.path(File::Ids));
        sqlite::close(self.usage, &self.files.path(File::Usage));
    }
}

/// The day that the index of ids has for an event.
pub(super) fn indexed_day(ids: &Connection, kind: Kind, id: &Id) -> Result<Option<Day>> {
    let mut statement = ids.prepare_cached("SELECT day FROM ids WHERE kind = ?1 AND id = ?2")?;
    let day: Option<i64> = statement
        .query_row(params![kind.number(), id], |row| row.get(0))
        .optional()?;
    Ok(day.map(Day::from_number))
}

/// The kinds of which the index of ids has any that are UUIDs, which come after all texts.
fn indexed_kinds(ids: &Connection) -> Result<HashSet<Kind>> {
    let mut statement = ids.prepare("SELECT 1 FROM ids WHERE kind = ?1 AND id >= x'' LIMIT 1")?;
    let mut found = HashSet::new();
    for kind in Kind::ALL {
        if statement.exists([kind.number()])? {
            found.insert(kind);
        }
    }
    Ok(found)
}

/// The days whose sums are in the file of past days.
pub(super) fn folded_days(usage: &Connection) -> Result<BTreeSet<Day>> {
    let mut statement = usage.prepare_cached("SELECT day FROM folded")?;
    let days = statement.query_map([], |row| row.get(0).map(Day::from_number))?;
    Ok(days.collect::<rusqlite::Result<_>>()?)
}

/// Opens a file that is not a day's; a damaged one is set aside and begun anew.
fn open_or_renew(files: &Files, file: File, layout: &sqlite::Layout) -> Result<Connection> {
    let path = files.path(file);
    let opened = sqlite::open(&path, layout).and_then(|connection| {
        if sqlite::size(&path) <= CHECKED {
            sqlite::check(&connection, &path)?;
        }
        Ok(connection)
    });
    match opened {
        Err(error) if error.is_damage() => {
            files.set_aside(file, &error)?;
            sqlite::open(&path, layout)
        }
        other => other,
    }
}

/// Opens each day's file once, which migrates it; those of days that are summed up are removed.
fn open_days(files: &Files, folded: &BTreeSet<Day>) -> Result<()> {
    let days: Vec<Day> = files.days().iter().copied().collect();
    for day in days {
        if folded.contains(&day) {
            files.unlink(day)?;
            continue;
        }
        match DayFile::open(&files.path(File::Day(day)), day) {
            Err(error) if error.is_damage() => files.set_aside(File::Day(day), &error)?,
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Notes the ids of a day's file that do not tell the day by themselves.
fn note_day(from: &Connection, to: &Connection, day: Day) -> Result<()> {
    let mut insert = to.prepare_cached("INSERT OR IGNORE INTO ids VALUES (?1, ?2, ?3)")?;
    for kind in Kind::ALL {
        let mut statement = from.prepare(&format!("SELECT id FROM {}", kind.table()))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: Id = row.get(0)?;
            if id.day() != Some(day) {
                insert.execute(params![kind.number(), id, day.number()])?;
            }
        }
    }
    Ok(())
}
