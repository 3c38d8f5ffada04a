//! Answers from the days' files.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params_from_iter, types::Value};
use stead_kernel::{
    Error as KernelError, Result as KernelResult, Timestamp,
    ports::{
        Page,
        signals::{LogQuery, LogRow, Metric, MetricQuery, MetricRow, Series},
    },
};

use super::{
    files::Files,
    pack::{Body, PackedValue, Said, bytes, hex, unpack_value},
};
use crate::{day::Day, sqlite::Result};

/// How many lines a page has when the query does not say, and at most.
const LINES: usize = 100;
const MOST_LINES: usize = 5_000;
/// So many lines are looked at for one page; the next one goes on.
const LOOKED_AT: usize = 200_000;
/// The most points of an answer, when the query does not say.
const POINTS: usize = 1_000_000;
/// How many values of a label are told.
const VALUES: usize = 1_000;
/// Lines are followed in the files of so many of the latest days.
const FOLLOWED: usize = 3;

/// The place of a line: its day, its time and its number in the day's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    day: Day,
    at: i64,
    seq: i64,
}

impl Place {
    fn text(self) -> String {
        format!("{:x}-{:x}-{:x}", self.day.number(), self.at, self.seq)
    }

    fn parse(text: &str) -> KernelResult<Self> {
        let number = |text: Option<&str>| i64::from_str_radix(text?, 16).ok();
        let mut parts = text.split('-');
        let place = (number(parts.next()), number(parts.next()), number(parts.next()));
        match place {
            (Some(day), Some(at), Some(seq)) => Ok(Self {
                day: Day::from_number(day),
                at,
                seq,
            }),
            _ => Err(
                KernelError::invalid("after: this is not where a page of this list ended")
                    .hint("give the `next` of the page before"),
            ),
        }
    }
}

const LOG: &str = "seq, at, severity, trace, span, uid, body, (SELECT name FROM projects WHERE n = project), \
    origins.service, origins.scope, origins.resource";

/// The `WHERE` of a query for a file; nothing when the file cannot hold a match.
fn condition(connection: &Connection, query: &LogQuery) -> Result<Option<(String, Vec<Value>)>> {
    let Some(projects) = projects(connection, &query.workspaces)? else {
        return Ok(None);
    };
    let (mut sql, mut values) = (format!("project IN ({projects})"), Vec::new());
    let mut and = |condition: &str, value: Value| {
        sql = format!("{sql} AND {condition}");
        values.push(value);
    };
    if let Some(since) = query.since {
        and("at >= ?", since.as_microsecond().into());
    }
    if let Some(until) = query.until {
        and("at < ?", until.as_microsecond().into());
    }
    if let Some(severity) = query.severity {
        and("severity >= ?", i64::from(severity).into());
    }
    if let Some(service) = &query.service {
        and("origins.service = ?", service.clone().into());
    }
    for (column, id) in [("trace", &query.trace), ("span", &query.span)] {
        if let Some(id) = id {
            let Some(bytes) = bytes(id) else { return Ok(None) };
            and(&format!("{column} = ?"), bytes.into());
        }
    }
    Ok(Some((sql, values)))
}

/// The numbers of projects in a file, with commas between; nothing when it has none of them.
fn projects(connection: &Connection, names: &[String]) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT n FROM projects WHERE name = ?1")?;
    let mut numbers: Vec<String> = Vec::new();
    for name in names {
        let mut rows = statement.query([name])?;
        if let Some(row) = rows.next()? {
            numbers.push(row.get::<_, i64>(0)?.to_string());
        }
    }
    Ok((!numbers.is_empty()).then(|| numbers.join(", ")))
}

/// Lines that match.
pub(super) fn logs(files: &Files, query: &LogQuery, damaged: &mut Vec<Day>) -> KernelResult<Page<LogRow>> {
    match &query.came_after {
        Some(place) => came_after(files, query, place),
        None => newest(files, query, damaged),
    }
}

const fn limit(asked: usize) -> usize {
    match asked {
        0 => LINES,
        MOST_LINES.. => MOST_LINES,
        asked => asked,
    }
}

fn newest(files: &Files, query: &LogQuery, damaged: &mut Vec<Day>) -> KernelResult<Page<LogRow>> {
    let after = query.after.as_deref().map(Place::parse).transpose()?;
    let limit = limit(query.limit);
    let (days, _stay) = files.days();
    let (mut found, mut last, mut looked_at) = (Vec::new(), None, 0);
    let days = days.into_iter().rev();
    for day in days.filter(|day| after.is_none_or(|after| *day <= after.day)) {
        let after = after.filter(|after| after.day == day);
        let read = files.read(day, |connection| {
            let Some((mut sql, mut values)) = condition(connection, query)? else {
                return Ok(());
            };
            if let Some(after) = after {
                sql += " AND (at, seq) < (?, ?)";
                values.extend([after.at.into(), after.seq.into()]);
            }
            let sql = format!(
                "SELECT {LOG} FROM logs JOIN origins ON origins.n = origin WHERE {sql} ORDER BY at DESC, seq DESC"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let (place, line) = line(row, day, query)?;
                looked_at += 1;
                found.extend(line);
                last = Some(place);
                if found.len() >= limit || looked_at >= LOOKED_AT {
                    break;
                }
            }
            Ok(())
        });
        match read {
            Ok(()) => {}
            Err(error) if error.is_damage() => damaged.push(day),
            Err(error) => return Err(error.into()),
        }
        if found.len() >= limit || looked_at >= LOOKED_AT {
            break;
        }
    }
    let is_cut = found.len() >= limit || looked_at >= LOOKED_AT;
    Ok(Page {
        items: found,
        next: last.filter(|_| is_cut).map(Place::text),
    })
}

/// A line and its place; no line where the text is not in it.
fn line(row: &Row<'_>, day: Day, query: &LogQuery) -> Result<(Place, Option<LogRow>)> {
    let place = Place {
        day,
        seq: row.get(0)?,
        at: row.get(1)?,
    };
    let body: Body = row.get(6)?;
    let said: Said = body.read().unwrap_or_default();
    if let Some(text) = &query.text
        && !said.mentions(&text.to_lowercase())
    {
        return Ok((place, None));
    }
    let resource: String = row.get(10)?;
    let record = stead_kernel::ports::signals::LogRecord {
        resource: serde_json::from_str(&resource).unwrap_or_default(),
        service: row.get(8)?,
        scope: row.get(9)?,
        trace_id: hex(row.get(3)?),
        span_id: hex(row.get(4)?),
        uid: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
        ..said.record(place.at, row.get(2)?)
    };
    let row = LogRow {
        id: place.text(),
        project: row.get(7)?,
        record,
    };
    Ok((place, Some(row)))
}

/// The last number of each of the latest days' files.
type Seen = BTreeMap<Day, i64>;

fn seen_text(seen: &Seen) -> String {
    let parts = seen
        .iter()
        .map(|(day, seq)| format!("{:x}-{seq:x}", day.number()));
    // Something, also where there are no files yet.
    std::iter::once("f".to_owned())
        .chain(parts)
        .collect::<Vec<_>>()
        .join(".")
}

fn parse_seen(text: &str) -> KernelResult<Seen> {
    let wrong = || KernelError::invalid("this is not a place in a stream of lines");
    let mut parts = text.split('.');
    if parts.next() != Some("f") {
        return Err(wrong());
    }
    let pair = |part: &str| {
        let (day, seq) = part.split_once('-')?;
        let number = |text| i64::from_str_radix(text, 16).ok();
        Some((Day::from_number(number(day)?), number(seq)?))
    };
    parts.map(|part| pair(part).ok_or_else(wrong)).collect()
}

/// Lines that came after a place, in the order in which they came; an empty place is now.
fn came_after(files: &Files, query: &LogQuery, place: &str) -> KernelResult<Page<LogRow>> {
    let is_now = place.is_empty();
    let mut seen = if is_now { Seen::new() } else { parse_seen(place)? };
    let limit = limit(query.limit);
    let (days, _stay) = files.days();
    let first = days.len().saturating_sub(FOLLOWED);
    let mut found = Vec::new();
    for day in days.into_iter().skip(first) {
        let after = seen.get(&day).copied().unwrap_or(0);
        let last = files.read(day, |connection| {
            if is_now {
                let last: Option<i64> =
                    connection.query_row("SELECT max(seq) FROM logs", [], |row| row.get(0))?;
                return Ok(last.unwrap_or(0));
            }
            read_after(connection, (query, day, after), limit, &mut found)
        })?;
        seen.insert(day, last);
    }
    while seen.len() > FOLLOWED {
        seen.pop_first();
    }
    Ok(Page {
        items: found,
        next: Some(seen_text(&seen)),
    })
}

/// Adds lines of a file after a number; returns the number of the last one that was looked at.
fn read_after(
    connection: &Connection,
    (query, day, after): (&LogQuery, Day, i64),
    limit: usize,
    found: &mut Vec<LogRow>,
) -> Result<i64> {
    let Some((sql, mut values)) = condition(connection, query)? else {
        return Ok(after);
    };
    let sql = format!(
        "SELECT {LOG} FROM logs JOIN origins ON origins.n = origin WHERE {sql} AND seq > ? ORDER BY seq LIMIT {}",
        limit.saturating_sub(found.len())
    );
    values.push(after.into());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut last = after;
    while let Some(row) = rows.next()? {
        let (place, line) = line(row, day, query)?;
        found.extend(line);
        last = place.seq;
    }
    Ok(last)
}

/// The metrics that there are, by name.
pub(super) fn metrics(
    files: &Files,
    query: &MetricQuery,
    damaged: &mut Vec<Day>,
) -> KernelResult<Vec<MetricRow>> {
    let mut found: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    each_day(files, query, damaged, &mut |connection| {
        let Some(projects) = projects(connection, &query.workspaces)? else {
            return Ok(());
        };
        let (condition, values) = match &query.name {
            Some(name) => ("AND name = ?1", vec![name.clone()]),
            None => ("", Vec::new()),
        };
        let sql =
            format!("SELECT name, metric, labels FROM series WHERE project IN ({projects}) {condition}");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?);
            found.entry(key).or_default().insert(row.get(2)?);
        }
        Ok(())
    })?;
    let rows = found.into_iter().filter_map(|((_, metric), series)| {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for text in &series {
            let own: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
            for (name, value) in own {
                let values = labels.entry(name).or_default();
                if values.len() < VALUES {
                    values.insert(value);
                }
            }
        }
        Some(MetricRow {
            metric: serde_json::from_str(&metric).ok()?,
            series: u64::try_from(series.len()).unwrap_or(u64::MAX),
            labels: labels
                .into_iter()
                .map(|(name, values)| (name, values.into_iter().collect()))
                .collect(),
        })
    });
    Ok(rows.collect())
}

/// Reads the files of days that may hold something of a time; a damaged one is left out and reported.
fn each_day(
    files: &Files,
    query: &MetricQuery,
    damaged: &mut Vec<Day>,
    read: &mut dyn FnMut(&Connection) -> Result<()>,
) -> KernelResult<()> {
    let (days, _stay) = files.days();
    let micros = |time: Timestamp| time.as_microsecond();
    // What is older than what is kept lies in the file of the day on which it came, so that later files count too.
    let first = query.since.map(|since| Day::of(micros(since)));
    for day in days
        .into_iter()
        .filter(|day| first.is_none_or(|first| *day >= first))
    {
        match files.read(day, &mut *read) {
            Ok(()) => {}
            Err(error) if error.is_damage() => damaged.push(day),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

type Key = (String, String, String);

/// The points of the series that match.
pub(super) fn points(
    files: &Files,
    query: &MetricQuery,
    damaged: &mut Vec<Day>,
) -> KernelResult<Vec<Series>> {
    let mut found: BTreeMap<Key, BTreeMap<i64, stead_kernel::ports::signals::PointValue>> = BTreeMap::new();
    let most = if query.limit == 0 { POINTS } else { query.limit };
    let mut count = 0_usize;
    each_day(files, query, damaged, &mut |connection| {
        for (number, key) in series(connection, query)? {
            let points = found.entry(key).or_default();
            let mut statement = connection.prepare_cached(
                "SELECT at, start, value FROM points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at",
            )?;
            let since = query.since.map_or(i64::MIN, Timestamp::as_microsecond);
            let until = query.until.map_or(i64::MAX, Timestamp::as_microsecond);
            let mut rows = statement.query([number, since, until])?;
            while let Some(row) = rows.next()? {
                let value: PackedValue = row.get(2)?;
                if let Some(value) = unpack_value(value, row.get(1)?) {
                    points.insert(row.get(0)?, value);
                    count += 1;
                }
                if count > most {
                    return Ok(());
                }
            }
        }
        Ok(())
    })?;
    if count > most {
        return Err(
            KernelError::too_large(format!("that would be more than {most} points"))
                .hint("ask for less time, or for fewer series by their labels"),
        );
    }
    let all = found.into_iter().filter(|(_, points)| !points.is_empty());
    let all = all.filter_map(|((project, metric, labels), points)| {
        Some(Series {
            project,
            metric: serde_json::from_str::<Metric>(&metric).ok()?,
            labels: serde_json::from_str(&labels).ok()?,
            points: points
                .into_iter()
                .map(|(at, value)| (crate::day::time(at), value))
                .collect(),
        })
    });
    Ok(all.collect())
}

/// The series of a file that match, by number.
fn series(connection: &Connection, query: &MetricQuery) -> Result<Vec<(i64, Key)>> {
    let (Some(projects), Some(name)) = (projects(connection, &query.workspaces)?, &query.name) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT n, (SELECT name FROM projects WHERE projects.n = project), metric, labels FROM series \
         WHERE project IN ({projects}) AND name = ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let labels: String = row.get(3)?;
        let own: BTreeMap<String, String> = serde_json::from_str(&labels).unwrap_or_default();
        let matches = query
            .labels
            .iter()
            .all(|(name, value)| own.get(name).is_some_and(|own| own == value));
        if matches {
            found.push((row.get(0)?, (row.get(1)?, row.get(2)?, labels)));
        }
    }
    Ok(found)
}
