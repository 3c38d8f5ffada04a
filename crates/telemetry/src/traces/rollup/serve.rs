//! Sums read from rollups: whole hours by the hour, whole minutes by the minute, and what is left over at the ends of the
//! time asked for from its entries.

use std::ops::Range;

use rusqlite::{Connection, params};
use stead_kernel::ports::traces::{Bucket, Cell, Filter, Kind, Order, Query};
use uuid::Uuid;

use super::{
    agg::Agg,
    facts::{self, Key, MINUTE},
    ledger::{damaged, totals_of},
};
use crate::{
    sqlite::Result,
    traces::{
        files::{File, Files},
        read,
        rows::{self, COLUMNS, Stored, number},
        walk::is_within,
    },
};

/// The fields that are summed apart.
const OF_SPANS: [&str; 4] = ["type", "model", "provider", "created_by"];
const OF_TRACES: [&str; 1] = ["created_by"];
/// Minutes of an hour.
const HOUR: i64 = 60;
/// Earlier and later than any minute.
const EVER: Range<i64> = -(1 << 50)..(1 << 50);

/// Whether rollups know what is asked.
pub(in crate::traces) fn can_serve(kind: Kind, query: &Query, bucket: Bucket, by: Option<&Order>) -> bool {
    let known = |field: &str| match kind {
        Kind::Span => OF_SPANS.contains(&field),
        Kind::Trace => OF_TRACES.contains(&field),
    };
    query.search.is_none()
        && query.trace.is_none()
        && query.after.is_none()
        && query.filters.iter().all(|filter| known(&filter.field))
        && by.is_none_or(|by| known(&by.field))
        && match bucket {
            Bucket::Whole => true,
            Bucket::Seconds(length) => length > 0 && length % 60 == 0,
        }
}

fn value<'a>(key: &'a Key, field: &str) -> &'a str {
    match field {
        "type" => &key.sort,
        "model" => &key.model,
        "provider" => &key.provider,
        _ => &key.user,
    }
}

fn holds(key: &Key, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let value = value(key, &filter.field);
        filter.holds(&Cell::text((!value.is_empty()).then_some(value)))
    })
}

/// The minutes that lie whole in a time, and what of it lies before and after them, in microseconds.
struct Cover {
    minutes: Range<i64>,
    ends: [Range<i64>; 2],
}

fn cover(query: &Query) -> Cover {
    let since = query.since.map(stead_kernel::Timestamp::as_microsecond);
    let until = query.until.map(stead_kernel::Timestamp::as_microsecond);
    let first = since.map_or(EVER.start, |since| -(-since).div_euclid(MINUTE));
    let last = until.map_or(EVER.end, |until| until.div_euclid(MINUTE));
    if let (Some(since), Some(until)) = (since, until)
        && first >= last
    {
        return Cover {
            minutes: 0..0,
            ends: [since..until, 0..0],
        };
    }
    Cover {
        minutes: first..last.max(first),
        ends: [
            since.map_or(0..0, |since| since..first * MINUTE),
            until.map_or(0..0, |until| last * MINUTE..until),
        ],
    }
}

/// The minutes by level: whole hours by the hour, where stretches are made of hours.
fn stretches(minutes: &Range<i64>, by_hours: bool) -> Vec<(i64, Range<i64>)> {
    let first = -(-minutes.start).div_euclid(HOUR) * HOUR;
    let last = minutes.end.div_euclid(HOUR) * HOUR;
    if !by_hours || first >= last {
        return vec![(1, minutes.clone())];
    }
    vec![
        (1, minutes.start..first),
        (HOUR, first..last),
        (1, last..minutes.end),
    ]
}

/// Shows the sums of what matches, each with its minute and the value of the field by which they are divided.
pub(in crate::traces) fn serve(
    files: &Files,
    kind: Kind,
    query: &Query,
    (bucket, by): (Bucket, Option<&Order>),
    visit: &mut dyn FnMut(&str, i64, &Agg),
) -> Result<()> {
    let by_hours = match bucket {
        Bucket::Whole => true,
        Bucket::Seconds(length) => length % 3_600 == 0,
    };
    let cover = cover(query);
    let mut show = |key: &Key, agg: &Agg| {
        if holds(key, &query.filters) {
            visit(by.map_or("", |by| value(key, &by.field)), key.minute, agg);
        }
    };
    let (days, _stay) = files.days();
    for day in days {
        files.read(File::Day(day), |connection| {
            for project in read::numbers(connection, query)? {
                for (level, minutes) in stretches(&cover.minutes, by_hours) {
                    kept(connection, (level, project, kind), &minutes, &mut show)?;
                }
                for end in cover.ends.iter().filter(|end| !end.is_empty()) {
                    left_over(connection, (project, kind), end, &mut show)?;
                }
            }
            Ok(())
        })?;
    }
    if kind == Kind::Trace {
        gather_spread(files, query, &mut show)?;
    }
    Ok(())
}

fn kept(
    connection: &Connection,
    (level, project, kind): (i64, i64, Kind),
    minutes: &Range<i64>,
    show: &mut dyn FnMut(&Key, &Agg),
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT minute, sort, model, provider, user, data FROM rollups \
         WHERE level = ?1 AND project = ?2 AND kind = ?3 AND minute >= ?4 AND minute < ?5",
    )?;
    let mut rows = statement.query(params![level, project, number(kind), minutes.start, minutes.end])?;
    while let Some(row) = rows.next()? {
        let key = Key {
            project,
            kind,
            minute: row.get(0)?,
            sort: row.get(1)?,
            model: row.get(2)?,
            provider: row.get(3)?,
            user: row.get(4)?,
        };
        let mut bytes = row.get_ref(5)?.as_blob().map_err(|_| damaged())?;
        show(&key, &Agg::decode(&mut bytes).ok_or_else(damaged)?);
    }
    Ok(())
}

/// Shows the entries of a part of a minute.
fn left_over(
    connection: &Connection,
    (project, kind): (i64, Kind),
    time: &Range<i64>,
    show: &mut dyn FnMut(&Key, &Agg),
) -> Result<()> {
    // Those of which no beginning was told yet have none in the index; there are few.
    let sql = format!(
        "SELECT {COLUMNS} FROM entries WHERE project = ?1 AND kind = ?2 AND start >= ?3 AND start < ?4 \
         UNION ALL SELECT {COLUMNS} FROM entries WHERE project = ?1 AND kind = ?2 AND start IS NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params![project, number(kind), time.start, time.end])?;
    while let Some(row) = found.next()? {
        let row = Stored::read(row)?;
        if !time.contains(&facts::begun(&row)) {
            continue;
        }
        let scores = rows::scores(connection, kind, row.id)?;
        let totals = match kind {
            Kind::Trace => Some(totals_of(connection, row.id)?),
            Kind::Span => None,
        };
        let (key, agg) = facts::of(&row, &scores, totals.as_ref());
        show(&key, &agg);
    }
    Ok(())
}

/// Adds what traces have in spans that lie in other days than they do.
fn gather_spread(files: &Files, query: &Query, show: &mut dyn FnMut(&Key, &Agg)) -> Result<()> {
    let traces: Vec<[u8; 16]> = files.read(File::Index, |index| {
        let mut statement = index.prepare_cached("SELECT DISTINCT trace FROM spread WHERE away = 1")?;
        let traces = statement.query_map([], |row| row.get(0))?;
        Ok(traces.collect::<rusqlite::Result<_>>()?)
    })?;
    for trace in traces.into_iter().map(Uuid::from_bytes) {
        let home = files.read(File::Index, |index| {
            read::day_of(files, index, Kind::Trace, trace)
        })?;
        let Some(day) = home else { continue };
        let own = files.read(File::Day(day), |connection| {
            let Some(row) = rows::by_id(connection, Kind::Trace, trace)? else {
                return Ok(None);
            };
            let is_asked = read::numbers(connection, query)?.contains(&row.project);
            let asked = is_within(&row, query) && is_asked;
            Ok(Some((row, totals_of(connection, trace)?)).filter(|_| asked))
        })?;
        let Some((row, here)) = own else { continue };
        let all = files.read(File::Index, |index| read::all_totals(files, index, trace))?;
        let (key, counted) = facts::of(&row, &[], Some(&here));
        let (_, mut more) = facts::of(&row, &[], Some(&all));
        more.add(&counted, -1);
        show(&key, &more);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use stead_kernel::Timestamp;

    use super::*;

    #[test]
    fn a_time_is_covered_by_hours_and_minutes_with_what_is_left_over_at_its_ends() {
        let at = |seconds: i64| Timestamp::from_second(seconds).ok();
        let query = |since, until| Query {
            since: at(since),
            until: at(until),
            ..Query::default()
        };
        let whole = cover(&query(0, 7_200));
        assert_eq!(
            (whole.minutes.clone(), whole.ends),
            (0..120, [0..0, 7_200_000_000..7_200_000_000])
        );
        assert_eq!(
            stretches(&whole.minutes, true),
            [(1, 0..0), (60, 0..120), (1, 120..120)]
        );
        assert_eq!(stretches(&whole.minutes, false), [(1, 0..120)]);
        let ragged = cover(&query(30, 7_290));
        assert_eq!(ragged.minutes, 1..121);
        assert_eq!(
            ragged.ends,
            [30_000_000..60_000_000, 7_260_000_000..7_290_000_000]
        );
        assert_eq!(
            stretches(&ragged.minutes, true),
            [(1, 1..60), (60, 60..120), (1, 120..121)]
        );
        let short = cover(&query(70, 80));
        assert_eq!(
            (short.minutes, short.ends),
            (0..0, [70_000_000..80_000_000, 0..0])
        );
        let across = cover(&query(50, 70));
        assert_eq!(
            (across.minutes, across.ends),
            (0..0, [50_000_000..70_000_000, 0..0])
        );
    }
}
