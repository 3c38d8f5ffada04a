//! The one writer: a batch is one transaction per day's file.
//!
//! *Invariant:* what was answered is on disk. When a batch cannot be stored, who asked is told so; what of it lies in
//! another day's file may be there all the same, so that it is stored once only if it has a uid or is a point.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::{Error as KernelError, Result as KernelResult};

use super::{
    files::Files,
    pack::{PackedLog, PackedPoint},
};
use crate::{
    day::Day,
    queue::Engine,
    sqlite::{self, Result},
};

/// How many days' files are kept open for writing.
const OPEN: usize = 3;
/// How many numbers of origins and series are remembered for a file.
const REMEMBERED: usize = 50_000;

/// What the writer is asked to do.
pub(super) enum Work {
    Log(String, Vec<PackedLog>),
    Measure(String, Vec<PackedPoint>),
    /// Let go of days that are no longer kept.
    Retain,
    /// Remove some of what is too old.
    Retire(Retired),
}

/// What is too old, in one day's file.
pub(super) struct Retired {
    pub(super) day: Day,
    pub(super) workspace: String,
    /// Lines of before then, in microseconds since 1970.
    pub(super) lines: Option<i64>,
    /// Points of before then.
    pub(super) points: Option<i64>,
}

/// So many lines and points are removed in one commit, so that nobody waits long for it.
const PART: u32 = 2_000;

type Origin = (String, String, String);
type SeriesKey = (i64, String, String, String);

/// A day's file, open for writing.
struct DayFile {
    connection: Connection,
    projects: HashMap<String, i64>,
    origins: HashMap<Origin, i64>,
    series: HashMap<SeriesKey, i64>,
}

/// What goes into one file.
#[derive(Default)]
struct OfDay {
    logs: Vec<(String, PackedLog)>,
    points: Vec<(String, PackedPoint)>,
}

pub(super) struct Writer {
    files: Arc<Files>,
    open: BTreeMap<Day, DayFile>,
}

impl Writer {
    pub(super) fn new(files: Arc<Files>) -> Self {
        let mut writer = Self {
            files,
            open: BTreeMap::new(),
        };
        writer.retain();
        writer
    }

    fn retain(&mut self) {
        for day in self.files.retain() {
            self.open.remove(&day);
        }
    }

    fn store(&mut self, days: BTreeMap<Day, OfDay>) -> Result<()> {
        for (day, of_day) in days {
            let (logs, points) = (of_day.logs.len(), of_day.points.len());
            let stored = self.store_day(day, of_day);
            if stored.is_err() {
                // A file that is closed holds no transaction, nor numbers that were given in vain.
                self.open.remove(&day);
            }
            stored?;
            let count = |counter: &std::sync::atomic::AtomicU64, more: usize| {
                counter.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
            };
            count(&self.files.logs, logs);
            count(&self.files.points, points);
        }
        Ok(())
    }

    fn store_day(&mut self, day: Day, of_day: OfDay) -> Result<()> {
        self.day_file(day)?.map_or(Ok(()), |file| file.store(of_day))
    }

    fn retire(&mut self, retired: &Retired) -> Result<(u64, u64)> {
        if !self.files.days().0.contains(&retired.day) {
            return Ok((0, 0));
        }
        let file = self.day_file(retired.day)?;
        let gone = file.map_or(Ok((0, 0)), |file| file.retire(retired));
        if gone.is_err() {
            self.open.remove(&retired.day);
        }
        gone
    }

    fn day_file(&mut self, day: Day) -> Result<Option<&mut DayFile>> {
        if !self.open.contains_key(&day) {
            while self.open.len() >= OPEN {
                self.open.pop_first();
            }
            let file = DayFile {
                connection: self.files.open_to_write(day)?,
                projects: HashMap::new(),
                origins: HashMap::new(),
                series: HashMap::new(),
            };
            self.open.insert(day, file);
        }
        Ok(self.open.get_mut(&day))
    }
}

impl DayFile {
    fn store(&mut self, of_day: OfDay) -> Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for (project, log) in of_day.logs {
            self.log(&project, log)?;
        }
        for (project, point) in of_day.points {
            self.point(&project, point)?;
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Removes some of what is too old; answers how many lines and points.
    fn retire(&mut self, retired: &Retired) -> Result<(u64, u64)> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let remove = |sql: &str, before: Option<i64>| -> Result<u64> {
            let Some(before) = before else { return Ok(0) };
            let mut statement = self.connection.prepare_cached(sql)?;
            let gone = statement.execute(params![retired.workspace, before, PART])?;
            Ok(u64::try_from(gone).unwrap_or(0))
        };
        let lines = remove(
            "DELETE FROM logs WHERE seq IN (SELECT seq FROM logs \
             WHERE project = (SELECT n FROM projects WHERE name = ?1) AND at < ?2 LIMIT ?3)",
            retired.lines,
        )?;
        let points = remove(
            "DELETE FROM points WHERE (series, at) IN (SELECT series, at FROM series JOIN points ON series = n \
             WHERE project = (SELECT n FROM projects WHERE name = ?1) AND at < ?2 LIMIT ?3)",
            retired.points,
        )?;
        if points > 0 {
            self.connection.execute(
                "DELETE FROM series WHERE project = (SELECT n FROM projects WHERE name = ?1) \
                 AND NOT EXISTS (SELECT 1 FROM points WHERE series = n)",
                [&retired.workspace],
            )?;
            self.series.clear();
        }
        self.connection.execute_batch("COMMIT")?;
        Ok((lines, points))
    }

    fn log(&mut self, project: &str, log: PackedLog) -> Result<()> {
        let project = self.project(project)?;
        let origin = self.origin((log.service, log.scope, log.resource))?;
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO logs (project, at, severity, origin, trace, span, uid, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                project,
                log.at,
                log.severity,
                origin,
                log.trace,
                log.span,
                log.uid,
                log.body
            ])?;
        Ok(())
    }

    fn point(&mut self, project: &str, point: PackedPoint) -> Result<()> {
        let project = self.project(project)?;
        let series = self.series((project, point.name, point.metric, point.labels))?;
        self.connection
            .prepare_cached("REPLACE INTO points (series, at, start, value) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![series, point.at, point.start, point.value])?;
        Ok(())
    }

    fn project(&mut self, name: &str) -> Result<i64> {
        if let Some(number) = self.projects.get(name) {
            return Ok(*number);
        }
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO projects (name) VALUES (?1)")?
            .execute([name])?;
        let number = self
            .connection
            .prepare_cached("SELECT n FROM projects WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.projects.insert(name.to_owned(), number);
        Ok(number)
    }

    fn origin(&mut self, origin: Origin) -> Result<i64> {
        if let Some(number) = self.origins.get(&origin) {
            return Ok(*number);
        }
        let (service, scope, resource) = &origin;
        let found = self
            .connection
            .prepare_cached("SELECT n FROM origins WHERE service = ?1 AND scope = ?2 AND resource = ?3")?
            .query_row([service, scope, resource], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => self
                .connection
                .prepare_cached("INSERT INTO origins (service, scope, resource) VALUES (?1, ?2, ?3)")?
                .insert([service, scope, resource])?,
        };
        if self.origins.len() >= REMEMBERED {
            self.origins.clear();
        }
        self.origins.insert(origin, number);
        Ok(number)
    }

    fn series(&mut self, series: SeriesKey) -> Result<i64> {
        if let Some(number) = self.series.get(&series) {
            return Ok(*number);
        }
        let (project, name, metric, labels) = &series;
        let found = self
            .connection
            .prepare_cached(
                "SELECT n FROM series WHERE project = ?1 AND name = ?2 AND metric = ?3 AND labels = ?4",
            )?
            .query_row(params![project, name, metric, labels], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => self
                .connection
                .prepare_cached("INSERT INTO series (project, name, metric, labels) VALUES (?1, ?2, ?3, ?4)")?
                .insert(params![project, name, metric, labels])?,
        };
        if self.series.len() >= REMEMBERED {
            self.series.clear();
        }
        self.series.insert(series, number);
        Ok(number)
    }
}

impl Engine for Writer {
    type Work = Work;
    /// How many lines and points were removed.
    type Answer = (u64, u64);

    fn run(&mut self, batch: Vec<Work>) -> Vec<KernelResult<Self::Answer>> {
        let mut retired: Vec<Option<Retired>> = Vec::with_capacity(batch.len());
        let mut days: BTreeMap<Day, OfDay> = BTreeMap::new();
        let mut is_retained = false;
        for work in batch {
            let mut old = None;
            match work {
                Work::Retire(part) => old = Some(part),
                Work::Log(project, logs) => {
                    for log in logs {
                        let of_day = days.entry(self.files.day_for(log.at)).or_default();
                        of_day.logs.push((project.clone(), log));
                    }
                }
                Work::Measure(project, points) => {
                    for point in points {
                        let of_day = days.entry(self.files.day_for(point.at)).or_default();
                        of_day.points.push((project.clone(), point));
                    }
                }
                Work::Retain => is_retained = true,
            }
            retired.push(old);
        }
        let stored = self.store(days).map_err(KernelError::from);
        if is_retained {
            self.retain();
        }
        if let Err(error) = &stored {
            tracing::error!(%error, "logs and metrics were not stored");
        }
        let answers = retired.into_iter().map(|part| match (part, &stored) {
            (Some(part), _) => self.retire(&part).map_err(KernelError::from),
            (None, Ok(())) => Ok((0, 0)),
            (None, Err(error)) => Err(KernelError::new(error.reason(), error.full_message())),
        });
        answers.collect()
    }

    fn close(self) {
        for (day, file) in self.open {
            sqlite::close(file.connection, &self.files.path(day));
        }
    }
}
