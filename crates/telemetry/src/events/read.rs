//! Answers from the days' files: lists, newest first, over as many days as it takes, and single requests.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};
use stead_kernel::{
    Error as KernelError, Result as KernelResult, Timestamp,
    ports::{
        NanoUsd, Page, TokenUsage,
        events::{AuditQuery, AuditRow, Outcome, RequestQuery, RequestRow},
    },
};

use super::{
    files::{File, Files},
    names::{self, Texts},
    pack::{Body, Id, Kind, Trace, outcome_number, outcome_of, unpack_attempts, unpack_spans, unpack_usage},
    writer::indexed_day,
};
use crate::{
    day::{Day, time},
    sqlite::{Error, Result},
};

/// How many items a page has when the query does not say, and at most.
const LIMIT: usize = 50;
const MOST: usize = 1_000;

const REQUEST: &str = "seq, at, id, trace, project, user, key, model, provider, route, provider_model, dialect, \
    operation, stream, status, outcome, duration_us, first_token_us, input, output, cached_input, reasoning, cost, \
    error, attempts, labels, team, replica, usage, spans";
const BY_ID: &str = "id = ?1";
const BY_TRACE: &str = "(trace = ?1 AND trace <> 0) OR (id = ?1 AND trace = 0)";
const AUDIT: &str = "seq, at, id, user, verb, api_group, resource, subresource, project, name, resource_version, \
    detail";

/// The place of an item in the order of a list: its time, and its number in its day's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: i64,
    seq: i64,
}

impl Place {
    fn text(self) -> String {
        format!("{:x}-{:x}", self.at, self.seq)
    }

    fn parse(text: &str) -> KernelResult<Self> {
        let numbers = text.split_once('-').and_then(|(at, seq)| {
            Some((
                i64::from_str_radix(at, 16).ok()?,
                i64::from_str_radix(seq, 16).ok()?,
            ))
        });
        let (at, seq) = numbers.ok_or_else(|| {
            KernelError::invalid("after: this is not where a page of this list ended")
                .hint("give the `next` of the page before")
        })?;
        Ok(Self { at, seq })
    }
}

/// What a list is limited to.
struct Scope<'a> {
    projects: Option<&'a [String]>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<Place>,
    limit: usize,
    /// Interned columns and the texts that they must have.
    texts: Vec<(&'static str, &'a str)>,
    outcome: Option<Outcome>,
    trace: Option<&'a str>,
    traced: bool,
}

impl Scope<'_> {
    /// The last microsecond that can be on the page.
    fn newest(&self) -> i64 {
        let until = self.until.map_or(i64::MAX, last_before);
        self.after.map_or(until, |after| until.min(after.at))
    }

    fn oldest(&self) -> i64 {
        self.since.map_or(i64::MIN, first_from)
    }

    /// The `WHERE` for a file; nothing when the file cannot hold a match.
    fn condition(&self, connection: &Connection) -> Result<Option<(String, Vec<Value>)>> {
        let mut sql = "at <= ? AND at >= ?".to_owned();
        let mut values: Vec<Value> = vec![self.newest().into(), self.oldest().into()];
        if let Some(after) = self.after {
            sql.push_str(" AND (at < ? OR seq < ?)");
            values.extend([after.at.into(), after.seq.into()]);
        }
        if let Some(projects) = self.projects {
            let mut numbers = Vec::new();
            for project in projects {
                numbers.extend(names::find(connection, project)?.map(|number| number.to_string()));
            }
            if numbers.is_empty() {
                return Ok(None);
            }
            sql = format!("{sql} AND project IN ({})", numbers.join(", "));
        }
        for (column, text) in &self.texts {
            let Some(number) = names::find(connection, text)? else {
                return Ok(None);
            };
            sql = format!("{sql} AND {column} = {number}");
        }
        if let Some(outcome) = self.outcome {
            let failed = if outcome == Outcome::Ok {
                ""
            } else {
                " AND outcome <> 0"
            };
            sql = format!("{sql}{failed} AND outcome = {}", outcome_number(outcome));
        }
        if self.traced {
            sql.push_str(" AND trace <> 0");
        }
        if let Some(trace) = self.trace {
            let id = match Id::trace(trace) {
                Id::Bytes(bytes) => Value::Blob(bytes.to_vec()),
                Id::Text(text) => Value::Text(text),
            };
            sql = format!("{sql} AND ((trace = ? AND trace <> 0) OR (id = ? AND trace = 0))");
            values.extend([id.clone(), id]);
        }
        Ok(Some((sql, values)))
    }
}

/// The first stored time that is not before this one (stored times are whole microseconds).
fn first_from(time: Timestamp) -> i64 {
    let micros = time.as_microsecond();
    let rest = time.as_nanosecond().rem_euclid(1_000);
    // A negative time is rounded towards zero, which is up already.
    if rest > 0 && micros >= 0 {
        micros.saturating_add(1)
    } else {
        micros
    }
}

/// The last stored time before this one.
fn last_before(time: Timestamp) -> i64 {
    first_from(time).saturating_sub(1)
}

/// Requests, newest first, without bodies.
pub(super) fn requests(
    files: &Files,
    query: &RequestQuery,
    damaged: &mut Vec<Day>,
) -> KernelResult<Page<RequestRow>> {
    let texts = [
        ("model", &query.model),
        ("provider", &query.provider),
        ("key", &query.key),
        ("user", &query.user),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(column, text)| Some((column, text.as_deref()?)));
    let scope = Scope {
        projects: query.projects.as_deref(),
        since: query.since,
        until: query.until,
        after: query.after.as_deref().map(Place::parse).transpose()?,
        limit: limit(query.limit),
        texts: texts.collect(),
        outcome: query.outcome,
        trace: query.trace.as_deref(),
        traced: query.traced,
    };
    pages(files, &scope, "requests", REQUEST, damaged, read_request)
}

/// Audit records, newest first.
pub(super) fn audit(
    files: &Files,
    query: &AuditQuery,
    damaged: &mut Vec<Day>,
) -> KernelResult<Page<AuditRow>> {
    let texts = [("user", &query.user), ("resource", &query.resource)];
    let texts = texts
        .into_iter()
        .filter_map(|(column, text)| Some((column, text.as_deref()?)));
    let scope = Scope {
        projects: query.projects.as_deref(),
        since: query.since,
        until: query.until,
        after: query.after.as_deref().map(Place::parse).transpose()?,
        limit: limit(query.limit),
        texts: texts.collect(),
        outcome: None,
        trace: None,
        traced: false,
    };
    pages(files, &scope, "audit", AUDIT, damaged, read_audit)
}

const fn limit(asked: usize) -> usize {
    match asked {
        0 => LIMIT,
        MOST.. => MOST,
        asked => asked,
    }
}

type Decode<T> = fn(&Row<'_>, &mut Texts<'_>) -> Result<T>;

/// Goes through the days from the newest until the page is full. A damaged day is left out and reported.
fn pages<T>(
    files: &Files,
    scope: &Scope<'_>,
    table: &str,
    columns: &str,
    damaged: &mut Vec<Day>,
    decode: Decode<T>,
) -> KernelResult<Page<T>> {
    let mut found: Vec<(Place, T)> = Vec::new();
    let days = files.days();
    let (first, last) = (Day::of(scope.oldest()), Day::of(scope.newest()));
    for day in days
        .iter()
        .rev()
        .copied()
        .filter(|day| (first..=last).contains(day))
    {
        let wanted = scope.limit + 1 - found.len();
        let read = files.read(File::Day(day), |connection| {
            page_of_day(connection, scope, table, columns, wanted, decode)
        });
        match read {
            Ok(rows) => found.extend(rows),
            Err(error) if error.is_damage() => damaged.push(day),
            Err(error) => return Err(error.into()),
        }
        if found.len() > scope.limit {
            break;
        }
    }
    let more = found.len() > scope.limit;
    found.truncate(scope.limit);
    let next = found.last().filter(|_| more).map(|(place, _)| place.text());
    Ok(Page {
        items: found.into_iter().map(|(_, row)| row).collect(),
        next,
    })
}

fn page_of_day<T>(
    connection: &Connection,
    scope: &Scope<'_>,
    table: &str,
    columns: &str,
    wanted: usize,
    decode: Decode<T>,
) -> Result<Vec<(Place, T)>> {
    let Some((condition, values)) = scope.condition(connection)? else {
        return Ok(Vec::new());
    };
    let sql =
        format!("SELECT {columns} FROM {table} WHERE {condition} ORDER BY at DESC, seq DESC LIMIT {wanted}");
    let mut texts = Texts::new(connection);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let place = Place {
            seq: row.get(0)?,
            at: row.get(1)?,
        };
        found.push((place, decode(row, &mut texts)?));
    }
    Ok(found)
}

/// One request with its bodies, by its id, else the newest of a trace.
pub(super) fn request(files: &Files, id: &str, damaged: &mut Vec<Day>) -> KernelResult<Option<RequestRow>> {
    let event = Id::event(id);
    let indexed = files.read(File::Ids, |ids| indexed_day(ids, Kind::Request, &event))?;
    let days = files.days();
    for day in [event.day(), indexed]
        .into_iter()
        .flatten()
        .filter(|day| days.contains(day))
    {
        if let Some(row) = request_of_day(files, day, BY_ID, &event, damaged)? {
            return Ok(Some(row));
        }
    }
    let trace = Id::trace(id);
    for day in days.iter().rev() {
        if let Some(row) = request_of_day(files, *day, BY_TRACE, &trace, damaged)? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn request_of_day(
    files: &Files,
    day: Day,
    condition: &str,
    id: &Id,
    damaged: &mut Vec<Day>,
) -> KernelResult<Option<RequestRow>> {
    let sql = format!("SELECT {REQUEST} FROM requests WHERE {condition} ORDER BY at DESC, seq DESC LIMIT 1");
    let read = files.read(File::Day(day), |connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let mut request = read_request(row, &mut Texts::new(connection))?;
        add_bodies(connection, row.get(0)?, &mut request)?;
        Ok(Some(request))
    });
    match read {
        Err(error) if error.is_damage() => {
            damaged.push(day);
            Ok(None)
        }
        other => Ok(other?),
    }
}

fn add_bodies(connection: &Connection, seq: i64, request: &mut RequestRow) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT input, output FROM bodies WHERE seq = ?1")?;
    let bodies: Option<(Option<Body>, Option<Body>)> = statement
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((input, output)) = bodies else {
        return Ok(());
    };
    let unpack = |body: Option<Body>| body.map(Body::unpack).transpose().map_err(unreadable);
    request.input = unpack(input)?;
    request.output = unpack(output)?;
    Ok(())
}

/// A stored value that says nothing: the file is damaged, though `SQLite` does not see it.
fn unreadable(detail: impl Into<Box<dyn std::error::Error>>) -> Error {
    Error::Damaged {
        path: "a day of events".into(),
        detail: detail.into().to_string(),
    }
}

fn read_request(row: &Row<'_>, texts: &mut Texts<'_>) -> Result<RequestRow> {
    let mut text = |index: &str| -> Result<String> { texts.text(row.get(index)?) };
    let attempts: Option<String> = row.get("attempts")?;
    let labels: Option<String> = row.get("labels")?;
    let rest: Option<String> = row.get("usage")?;
    let id: Id = row.get("id")?;
    let trace_id = row.get::<_, Trace>("trace")?.into_text(&id);
    let (span_id, parent_span_id) = unpack_spans(row.get("spans")?, &trace_id);
    Ok(RequestRow {
        trace_id,
        span_id,
        parent_span_id,
        id: id.into_event(),
        started: time(row.get("at")?),
        duration_us: count(row, "duration_us")?,
        first_token_us: row
            .get::<_, Option<i64>>("first_token_us")?
            .map(i64::unsigned_abs),
        project: text("project")?,
        user: text("user")?,
        key: text("key")?,
        team: text("team")?,
        replica: text("replica")?,
        dialect: text("dialect")?,
        operation: text("operation")?,
        stream: row.get("stream")?,
        model: text("model")?,
        route: text("route")?,
        provider: text("provider")?,
        provider_model: text("provider_model")?,
        status: row.get("status")?,
        outcome: outcome_of(row.get("outcome")?).ok_or_else(|| unreadable("an unknown outcome"))?,
        error: row.get::<_, Option<String>>("error")?.unwrap_or_default(),
        usage: TokenUsage {
            input: count(row, "input")?,
            output: count(row, "output")?,
            cached_input: count(row, "cached_input")?,
            reasoning: count(row, "reasoning")?,
            ..rest
                .map_or(Ok(TokenUsage::default()), |text| unpack_usage(&text))
                .map_err(unreadable)?
        },
        cost: row.get::<_, Option<i64>>("cost")?.map(NanoUsd),
        attempts: attempts
            .map_or(Ok(Vec::new()), |text| unpack_attempts(&text))
            .map_err(unreadable)?,
        labels: labels
            .map_or(Ok(BTreeMap::default()), |text| serde_json::from_str(&text))
            .map_err(unreadable)?,
        input: None,
        output: None,
    })
}

fn count(row: &Row<'_>, column: &str) -> Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn read_audit(row: &Row<'_>, texts: &mut Texts<'_>) -> Result<AuditRow> {
    let mut text = |index: &str| -> Result<String> { texts.text(row.get(index)?) };
    let detail: Option<String> = row.get("detail")?;
    Ok(AuditRow {
        id: row.get::<_, Id>("id")?.into_event(),
        time: time(row.get("at")?),
        user: text("user")?,
        verb: text("verb")?,
        group: text("api_group")?,
        resource: text("resource")?,
        subresource: text("subresource")?,
        project: text("project")?,
        name: row.get("name")?,
        resource_version: row.get("resource_version")?,
        detail: detail
            .map_or(Ok(serde_json::Value::Null), |text| serde_json::from_str(&text))
            .map_err(unreadable)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text_and_garbage_is_refused() {
        let place = Place {
            at: 1_795_000_000_000_000,
            seq: 7,
        };
        assert_eq!(Place::parse(&place.text()).unwrap(), place);
        for garbage in ["", "1", "x-y", "1-", "-1-2", "1-2-3"] {
            assert!(Place::parse(garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn bounds_between_microseconds_are_rounded_to_what_is_stored() {
        let whole: Timestamp = "2026-11-21T12:00:00.000001Z".parse().unwrap();
        let between: Timestamp = "2026-11-21T12:00:00.0000015Z".parse().unwrap();
        assert_eq!(first_from(whole), whole.as_microsecond());
        assert_eq!(last_before(whole), whole.as_microsecond() - 1);
        assert_eq!(first_from(between), whole.as_microsecond() + 1);
        assert_eq!(last_before(between), whole.as_microsecond());
    }
}
