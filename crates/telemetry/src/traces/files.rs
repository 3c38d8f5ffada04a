//! The files of the store, shared by its writer and its readers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use stead_kernel::{Clock, Timestamp, ports::Prices};

use super::{dayfile::DayFile, schema, words};
use crate::{
    day::Day,
    pool::Readers,
    sqlite::{self, Error, Result},
};

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Day(Day),
    /// The index of a day's words, which is made from its file.
    Words(Day),
    Index,
}

/// What may still come to the words of a day that are in no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// More is written to the day now.
    Growing,
    /// Nothing was for a while.
    Resting,
}

/// What writer and readers share.
pub(super) struct Files {
    folder: PathBuf,
    days: Mutex<BTreeSet<Day>>,
    /// Days that were written to since their words were looked at.
    unindexed: Mutex<BTreeMap<Day, Tail>>,
    /// Days with words that are in no index, because more may come soon; since when.
    resting: Mutex<BTreeMap<Day, Timestamp>>,
    /// Taken for writing by who takes files away.
    stay: RwLock<()>,
    pub(super) readers: Readers<File>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) prices: Arc<dyn Prices>,
    pub(super) retention_days: i64,
    pub(super) stored: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) expired: AtomicU64,
}

impl Files {
    /// The folder's files; each is opened once, which brings it to the present format. A damaged one is set aside.
    pub(super) fn open(
        folder: PathBuf,
        clock: Arc<dyn Clock>,
        prices: Arc<dyn Prices>,
        retention_days: i64,
    ) -> Result<Self> {
        sqlite::create_folder(&folder)?;
        let files = Self {
            days: Mutex::default(),
            unindexed: Mutex::default(),
            resting: Mutex::default(),
            stay: RwLock::default(),
            readers: Readers::new(),
            clock,
            prices,
            retention_days,
            stored: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            folder,
        };
        let entries = fs::read_dir(&files.folder).map_err(|error| Error::io(&files.folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::io(&files.folder, error))?.path();
            let Some(day) = Day::from_file(&path) else {
                continue;
            };
            let mut file = DayFile::new(files.open_to_write(File::Day(day))?, files.indexed(day))?;
            file.sum_up()?;
            sqlite::close(file.connection, &path);
            files.to_index(day);
        }
        Ok(files)
    }

    /// Opens a file for writing; one that is damaged is set aside and begun anew.
    pub(super) fn open_to_write(&self, file: File) -> Result<Connection> {
        let path = self.path(file);
        let layout = match file {
            File::Day(_) => &schema::DAY,
            File::Words(_) => &words::LAYOUT,
            File::Index => &schema::INDEX,
        };
        let opened = match sqlite::open(&path, layout) {
            Err(error) if error.is_damage() => {
                let aside = sqlite::set_aside(&path, self.clock.now())?;
                self.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(file = %path.display(), kept_as = %aside.display(), %error,
                    "a file of traces is damaged: it is set aside, everything else goes on");
                sqlite::open(&path, layout)?
            }
            other => other?,
        };
        opened.set_prepared_statement_cache_capacity(64);
        if let File::Day(day) = file {
            self.known().insert(day);
        }
        Ok(opened)
    }

    /// Where a file lies.
    pub(super) fn path(&self, file: File) -> PathBuf {
        self.folder.join(match file {
            File::Day(day) => day.file_name(),
            File::Words(day) => format!("{day}.words"),
            File::Index => "index.db".to_owned(),
        })
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last block of a day whose words are in its index; 0 when there is none.
    pub(super) fn indexed(&self, day: Day) -> i64 {
        if !self.path(File::Words(day)).exists() {
            return 0;
        }
        let last = self.read(File::Words(day), |words| {
            let mut statement = words.prepare_cached("SELECT coalesce(max(last), 0) FROM segments")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        });
        // An index that cannot be read is made anew.
        last.unwrap_or(0)
    }

    /// Notes that a day has words that are in no index.
    pub(super) fn to_index(&self, day: Day) {
        self.unindexed().insert(day, Tail::Growing);
        self.resting().remove(&day);
    }

    /// Notes the same of a day that was looked at, unless it was written to since.
    pub(super) fn to_index_on(&self, day: Day, tail: Tail) {
        self.unindexed().entry(day).or_insert(tail);
    }

    /// The newest day that has words that may be in no index; it is noted no more.
    pub(super) fn next_to_index(&self) -> Option<(Day, Tail)> {
        self.unindexed().pop_last()
    }

    /// Notes that a day keeps words that are in no index for now.
    pub(super) fn rest(&self, day: Day) {
        self.resting().entry(day).or_insert_with(|| self.clock.now());
    }

    /// Has the days looked at again that were not written to for so long.
    pub(super) fn wake(&self, rested: Duration) {
        let now = self.clock.now();
        let mut resting = self.resting();
        let days: Vec<Day> = resting
            .iter()
            .filter(|(_, since)| since.checked_add(rested).is_ok_and(|until| until <= now))
            .map(|(day, _)| *day)
            .collect();
        for day in days {
            resting.remove(&day);
            self.to_index_on(day, Tail::Resting);
        }
    }

    fn unindexed(&self) -> MutexGuard<'_, BTreeMap<Day, Tail>> {
        self.unindexed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resting(&self) -> MutexGuard<'_, BTreeMap<Day, Timestamp>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The days that have a file, newest first, none of which goes while the second half of the answer is held.
    pub(super) fn days(&self) -> (Vec<Day>, RwLockReadGuard<'_, ()>) {
        let stay = self.stay.read().unwrap_or_else(PoisonError::into_inner);
        (self.known().iter().rev().copied().collect(), stay)
    }

    /// Whether a day has a file.
    pub(super) fn has(&self, day: Day) -> bool {
        self.known().contains(&day)
    }

    /// Reads a file.
    pub(super) fn read<T>(&self, file: File, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(file, &self.path(file), |connection| {
            // All that is read is of one point in time.
            let transaction = connection.unchecked_transaction()?;
            let found = read(&transaction)?;
            transaction.finish()?;
            Ok(found)
        })
    }

    /// The days that may have a file of their own now, by what their entries' ids tell.
    pub(super) fn is_natural(&self, day: Day) -> bool {
        let today = Day::of(self.clock.now().as_microsecond()).number();
        (today - self.retention_days + 1..=today + 1).contains(&day.number())
    }

    /// The first day that is kept.
    pub(super) fn first_kept(&self) -> Day {
        let today = Day::of(self.clock.now().as_microsecond()).number();
        Day::from_number(today - self.retention_days)
    }

    /// Deletes the files of days that are no longer kept; what somebody reads stays until the next time.
    pub(super) fn retain(&self) -> Vec<Day> {
        let old: Vec<Day> = self.known().range(..self.first_kept()).copied().collect();
        self.unlink(old)
    }

    /// Deletes the files of days; answers which, none when somebody reads.
    pub(super) fn unlink(&self, days: Vec<Day>) -> Vec<Day> {
        let Ok(_nobody_reads) = self.stay.try_write() else {
            return Vec::new();
        };
        for day in &days {
            for file in [File::Words(*day), File::Day(*day)] {
                self.readers.forget(&file);
                for path in sqlite::family(&self.path(file)) {
                    // What is not there need not be removed; what cannot be removed is tried again at the next start.
                    fs::remove_file(path).ok();
                }
            }
            self.known().remove(day);
            self.expired.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%day, "traces of this day are no longer kept");
        }
        days
    }

    /// Every file, the index last.
    pub(super) fn all(&self) -> Vec<File> {
        let days: Vec<Day> = self.known().iter().copied().collect();
        days.into_iter().map(File::Day).chain([File::Index]).collect()
    }

    /// The bytes of all files.
    pub(super) fn size(&self) -> u64 {
        self.all()
            .into_iter()
            .map(|file| sqlite::size(&self.path(file)))
            .sum()
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
