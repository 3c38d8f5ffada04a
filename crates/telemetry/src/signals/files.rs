//! The files of the store, shared by its writer and its readers.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use stead_kernel::Clock;

use super::schema;
use crate::{
    day::Day,
    pool::Readers,
    sqlite::{self, Error, Result},
};

/// What writer and readers share.
pub(super) struct Files {
    folder: PathBuf,
    days: Mutex<BTreeSet<Day>>,
    /// Taken for writing by who takes files away.
    stay: RwLock<()>,
    pub(super) readers: Readers<Day>,
    pub(super) clock: Arc<dyn Clock>,
    retention_days: i64,
    pub(super) logs: AtomicU64,
    pub(super) points: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) expired: AtomicU64,
}

impl Files {
    /// The folder's files; each is opened once, which brings it to the present format. A damaged one is set aside.
    pub(super) fn open(folder: PathBuf, clock: Arc<dyn Clock>, retention_days: i64) -> Result<Self> {
        sqlite::create_folder(&folder)?;
        let files = Self {
            folder,
            days: Mutex::default(),
            stay: RwLock::default(),
            readers: Readers::new(),
            clock,
            retention_days,
            logs: AtomicU64::new(0),
            points: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            expired: AtomicU64::new(0),
        };
        let entries = fs::read_dir(&files.folder).map_err(|error| Error::io(&files.folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::io(&files.folder, error))?.path();
            if let Some(day) = Day::from_file(&path) {
                sqlite::close(files.open_to_write(day)?, &path);
            }
        }
        Ok(files)
    }

    /// Opens a file for writing; one that is damaged is set aside and begun anew.
    pub(super) fn open_to_write(&self, day: Day) -> Result<Connection> {
        let path = self.path(day);
        let opened = match sqlite::open(&path, &schema::DAY) {
            Err(error) if error.is_damage() => {
                let aside = sqlite::set_aside(&path, self.clock.now())?;
                self.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(file = %path.display(), kept_as = %aside.display(), %error,
                    "a file of logs and metrics is damaged: it is set aside, everything else goes on");
                sqlite::open(&path, &schema::DAY)?
            }
            other => other?,
        };
        self.known().insert(day);
        Ok(opened)
    }

    /// Where a day's file lies.
    pub(super) fn path(&self, day: Day) -> PathBuf {
        self.folder.join(day.file_name())
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The days that have a file, oldest first, none of which goes while the second half of the answer is held.
    pub(super) fn days(&self) -> (Vec<Day>, RwLockReadGuard<'_, ()>) {
        let stay = self.stay.read().unwrap_or_else(PoisonError::into_inner);
        (self.known().iter().copied().collect(), stay)
    }

    /// Reads a day's file.
    pub(super) fn read<T>(&self, day: Day, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(day, &self.path(day), read)
    }

    /// The day in whose file something of a time lies: its own, if that is one that has a file now, else today.
    pub(super) fn day_for(&self, micros: i64) -> Day {
        let today = Day::of(self.clock.now().as_microsecond());
        let (own, now) = (Day::of(micros).number(), today.number());
        if (now - self.retention_days + 1..=now + 1).contains(&own) {
            Day::from_number(own)
        } else {
            today
        }
    }

    /// Deletes the files of days that are no longer kept; what somebody reads stays until the next time.
    pub(super) fn retain(&self) -> Vec<Day> {
        let today = Day::of(self.clock.now().as_microsecond()).number();
        let first = Day::from_number(today - self.retention_days);
        let old: Vec<Day> = self.known().range(..first).copied().collect();
        let Ok(_nobody_reads) = self.stay.try_write() else {
            return Vec::new();
        };
        for day in &old {
            self.readers.forget(day);
            for path in sqlite::family(&self.path(*day)) {
                // What is not there need not be removed; what cannot be removed is tried again at the next start.
                fs::remove_file(path).ok();
            }
            self.known().remove(day);
            self.expired.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%day, "logs and metrics of this day are no longer kept");
        }
        old
    }

    /// The bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let days: Vec<Day> = self.known().iter().copied().collect();
        days.into_iter().map(|day| sqlite::size(&self.path(day))).sum()
    }
}
