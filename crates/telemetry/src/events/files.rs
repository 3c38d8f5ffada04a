//! The files of the event store, shared by its writer and its readers.

use std::{
    collections::BTreeSet,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use stead_kernel::Clock;

use crate::day::Day;
use crate::{
    pool::Readers,
    sqlite::{self, Error, Result},
};

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Day(Day),
    Usage,
    Ids,
}

/// The days that have a file; none of these files goes while this is held.
pub(super) struct Days<'a> {
    days: BTreeSet<Day>,
    _stay: RwLockReadGuard<'a, ()>,
}

impl Deref for Days<'_> {
    type Target = BTreeSet<Day>;

    fn deref(&self) -> &BTreeSet<Day> {
        &self.days
    }
}

/// What writer and readers share.
pub(super) struct Files {
    folder: PathBuf,
    days: Mutex<BTreeSet<Day>>,
    /// Taken for writing by who takes files away.
    stay: RwLock<()>,
    /// Days that readers found damaged since the store was opened.
    suspected: Mutex<BTreeSet<Day>>,
    pub(super) readers: Readers<File>,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
}

impl Files {
    /// The folder's files; the folder is made when there is none. Nothing is opened.
    pub(super) fn find(folder: PathBuf, clock: Arc<dyn Clock>) -> Result<Self> {
        sqlite::create_folder(&folder)?;
        let mut days = BTreeSet::new();
        for entry in fs::read_dir(&folder).map_err(|error| Error::io(&folder, error))? {
            let entry = entry.map_err(|error| Error::io(&folder, error))?;
            days.extend(Day::from_file(&entry.path()));
        }
        Ok(Self {
            folder,
            days: Mutex::new(days),
            stay: RwLock::default(),
            suspected: Mutex::default(),
            readers: Readers::new(),
            counters: Counters::default(),
            clock,
        })
    }

    /// Where a file lies.
    pub(super) fn path(&self, file: File) -> PathBuf {
        self.folder.join(match file {
            File::Day(day) => day.file_name(),
            File::Usage => "usage.db".to_owned(),
            File::Ids => "ids.db".to_owned(),
        })
    }

    /// The days that have a file, none of which goes while the answer is held.
    pub(super) fn days(&self) -> Days<'_> {
        let stay = self.stay.read().unwrap_or_else(PoisonError::into_inner);
        Days {
            days: self.known().clone(),
            _stay: stay,
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a day has a file.
    pub(super) fn has(&self, day: Day) -> bool {
        self.known().contains(&day)
    }

    /// Makes a day's new file known to readers.
    pub(super) fn add(&self, day: Day) {
        self.known().insert(day);
    }

    /// Notes that a day's file seems damaged; `true` the first time.
    pub(super) fn suspect(&self, day: Day) -> bool {
        self.suspected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(day)
    }

    /// Reads a file.
    pub(super) fn read<T>(&self, file: File, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(file, &self.path(file), read)
    }

    /// Deletes the file of a day; not now (`false`) while somebody reads.
    pub(super) fn unlink(&self, day: Day) -> Result<bool> {
        let Ok(_nobody_reads) = self.stay.try_write() else {
            return Ok(false);
        };
        self.readers.forget(&File::Day(day));
        for path in sqlite::family(&self.path(File::Day(day))) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, error));
                }
                _ => {}
            }
        }
        self.known().remove(&day);
        Ok(true)
    }

    /// Moves a damaged file out of the way and says so.
    pub(super) fn set_aside(&self, file: File, why: &Error) -> Result<()> {
        let _nobody_reads = self.stay.write().unwrap_or_else(PoisonError::into_inner);
        self.readers.forget(&file);
        let path = self.path(file);
        let aside = sqlite::set_aside(&path, self.clock.now())?;
        if let File::Day(day) = file {
            self.known().remove(&day);
        }
        Counters::count(&self.counters.damaged, 1);
        tracing::error!(
            file = %path.display(),
            kept_as = %aside.display(),
            error = %why,
            "a file of events is damaged: it is set aside, everything else goes on"
        );
        Ok(())
    }

    /// The bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let days = self.known().clone();
        let days = days.into_iter().map(File::Day);
        days.chain([File::Usage, File::Ids])
            .map(|file| sqlite::size(&self.path(file)))
            .sum()
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What the store counts since it was opened.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) stored: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) expired: AtomicU64,
}

impl Counters {
    /// Adds to a counter.
    pub(super) fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Every counter with its metric's name and help.
    pub(super) fn all(&self) -> [(&'static str, &'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            (
                "stead_events_stored_total",
                "Events that were new.",
                read(&self.stored),
            ),
            (
                "stead_events_repeated_total",
                "Events that were there already.",
                read(&self.repeated),
            ),
            (
                "stead_events_late_total",
                "Events of days that are no longer kept.",
                read(&self.late),
            ),
            (
                "stead_events_batches_total",
                "Group commits of events.",
                read(&self.batches),
            ),
            (
                "stead_events_failed_batches_total",
                "Group commits that failed.",
                read(&self.failed),
            ),
            (
                "stead_events_damaged_files_total",
                "Files that were set aside.",
                read(&self.damaged),
            ),
            (
                "stead_events_expired_days_total",
                "Days whose file was removed.",
                read(&self.expired),
            ),
        ]
    }
}
