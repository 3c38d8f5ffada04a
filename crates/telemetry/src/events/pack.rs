//! Events in the form in which they are stored: times in microseconds, ids as bytes, numbers within bounds, bodies
//! compressed. Done before the queue, so that the writer does nothing but write.

use std::cell::RefCell;

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, Value, ValueRef},
};
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{
        TokenUsage,
        events::{Attempt, AuditRow, Event, Outcome, RequestRow},
    },
};
use uuid::Uuid;
use zstd::bulk::Compressor;

use crate::day::Day;

/// Bodies shorter than this are stored as they are.
const COMPRESS_FROM: usize = 160;
/// Bodies are short: a higher level takes a third longer and saves a hundredth.
const LEVEL: i32 = 1;
/// A count beyond this (10^12) is taken for garbage and cut, so that no sum can overflow.
const MOST: u64 = 1 << 40;
/// The same for nano-dollars.
const MOST_COST: i64 = 1 << 50;
/// Texts that are interned are cut at this many bytes.
const NAME: usize = 512;
/// How far in the future a time may lie; beyond, the time of arrival takes its place.
const FUTURE: i64 = 86_400_000_000;

thread_local! {
    /// What compresses is larger than most bodies, so that a thread keeps one.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// An id: 16 bytes when it is a UUID in its usual form (or 32 hex digits, for traces), else the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Bytes([u8; 16]),
    Text(String),
}

impl Id {
    /// The id of an event.
    pub(super) fn event(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => Self::Bytes(uuid.into_bytes()),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The id of a trace.
    pub(super) fn trace(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.simple().to_string() == text => Self::Bytes(uuid.into_bytes()),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// What [`event`](Self::event) was made from.
    pub(super) fn into_event(self) -> String {
        match self {
            Self::Bytes(bytes) => Uuid::from_bytes(bytes).hyphenated().to_string(),
            Self::Text(text) => text,
        }
    }

    /// What [`trace`](Self::trace) was made from.
    pub(super) fn into_trace(self) -> String {
        match self {
            Self::Bytes(bytes) => Uuid::from_bytes(bytes).simple().to_string(),
            Self::Text(text) => text,
        }
    }

    /// The day that a UUID of version 7 tells.
    pub(super) fn day(&self) -> Option<Day> {
        let Self::Bytes(bytes) = self else { return None };
        let uuid = Uuid::from_bytes(*bytes);
        if uuid.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        Some(Day::of(micros.checked_add(i64::from(nanos / 1_000))?))
    }
}

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(_) => <[u8; 16]>::column_result(value).map(Self::Bytes),
            _ => String::column_result(value).map(Self::Text),
        }
    }
}

/// The trace of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trace {
    /// It has none.
    None,
    /// Its own id, as when nobody traced the caller.
    Own,
    /// One that was given.
    Other(Id),
}

impl Trace {
    fn of(text: &str, event: &Id) -> Self {
        if text.is_empty() {
            return Self::None;
        }
        match Id::trace(text) {
            Id::Bytes(bytes) if Id::Bytes(bytes) == *event => Self::Own,
            other => Self::Other(other),
        }
    }

    /// The text that it was made from.
    pub(super) fn into_text(self, event: &Id) -> String {
        match self {
            Self::None => String::new(),
            Self::Own => event.clone().into_trace(),
            Self::Other(id) => id.into_trace(),
        }
    }
}

impl ToSql for Trace {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::None => Ok(ToSqlOutput::Borrowed(ValueRef::Null)),
            Self::Own => Ok(ToSqlOutput::Borrowed(ValueRef::Integer(0))),
            Self::Other(id) => id.to_sql(),
        }
    }
}

impl FromSql for Trace {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Self::None),
            ValueRef::Integer(0) => Ok(Self::Own),
            _ => Id::column_result(value).map(Self::Other),
        }
    }
}

/// A body, compressed when that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Plain(String),
    Zstd(Vec<u8>),
}

impl Body {
    fn pack(text: String) -> Self {
        if text.len() < COMPRESS_FROM {
            return Self::Plain(text);
        }
        let packed = COMPRESSOR.with_borrow_mut(|kept| {
            let compressor = match kept {
                Some(compressor) => compressor,
                None => kept.insert(Compressor::new(LEVEL).ok()?),
            };
            compressor.compress(text.as_bytes()).ok()
        });
        match packed {
            Some(packed) if packed.len() < text.len() => Self::Zstd(packed),
            _ => Self::Plain(text),
        }
    }

    /// The text; an error says why it cannot be had.
    pub(super) fn unpack(self) -> std::result::Result<String, String> {
        match self {
            Self::Plain(text) => Ok(text),
            Self::Zstd(packed) => zstd::stream::decode_all(packed.as_slice())
                .map_err(|error| error.to_string())
                .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string())),
        }
    }
}

impl ToSql for Body {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Plain(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Zstd(packed) => ToSqlOutput::Borrowed(ValueRef::Blob(packed)),
        })
    }
}

impl FromSql for Body {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(packed) => Ok(Self::Zstd(packed.to_vec())),
            _ => String::column_result(value).map(Self::Plain),
        }
    }
}

/// The sort of an event; a number of the index of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Request,
    Audit,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Request, Self::Audit];

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Request => 0,
            Self::Audit => 1,
        }
    }

    /// Its table in a day's file.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::Audit => "audit",
        }
    }
}

/// An event, ready to be stored.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) id: Id,
    /// When, in microseconds since 1970.
    pub(super) at: i64,
    pub(super) content: Content,
}

/// What an event says.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Request(Box<PackedRequest>),
    Audit(Box<PackedAudit>),
}

/// A request; `row` is what it was but for bodies, and within bounds.
#[derive(Debug, Clone)]
pub(super) struct PackedRequest {
    pub(super) row: RequestRow,
    pub(super) trace: Trace,
    pub(super) spans: Option<Vec<u8>>,
    pub(super) attempts: Option<String>,
    pub(super) labels: Option<String>,
    /// The counts of usage that have no column.
    pub(super) usage: Option<String>,
    pub(super) input: Option<Body>,
    pub(super) output: Option<Body>,
}

/// An audit record.
#[derive(Debug, Clone)]
pub(super) struct PackedAudit {
    pub(super) row: AuditRow,
    pub(super) detail: Option<String>,
}

impl Packed {
    pub(super) fn kind(&self) -> Kind {
        match self.content {
            Content::Request(_) => Kind::Request,
            Content::Audit(_) => Kind::Audit,
        }
    }
}

/// Roughly how many bytes packing an event has to read.
pub(super) fn weight(event: &Event) -> usize {
    match event {
        Event::Request(row) => {
            row.input.as_ref().map_or(0, String::len) + row.output.as_ref().map_or(0, String::len)
        }
        Event::Audit(_) => 0,
    }
}

/// Packs an event that came at `now`.
pub(super) fn pack(event: Event, now: Timestamp) -> Result<Packed> {
    let (id, time) = match &event {
        Event::Request(row) => (&row.id, row.started),
        Event::Audit(row) => (&row.id, row.time),
    };
    if id.is_empty() {
        return Err(Error::invalid("an event has no id"));
    }
    let (id, at) = (Id::event(id), arrival(time, now));
    Ok(Packed {
        at,
        content: match event {
            Event::Request(row) => Content::Request(Box::new(pack_request(*row, &id)?)),
            Event::Audit(row) => Content::Audit(Box::new(pack_audit(*row)?)),
        },
        id,
    })
}

/// Keeps a wrong clock from opening files of other centuries.
fn arrival(time: Timestamp, now: Timestamp) -> i64 {
    let (micros, now) = (time.as_microsecond(), now.as_microsecond());
    if micros > now.saturating_add(FUTURE) {
        now.max(0)
    } else {
        micros.max(0)
    }
}

fn pack_request(mut row: RequestRow, id: &Id) -> Result<PackedRequest> {
    for name in [
        &mut row.project,
        &mut row.user,
        &mut row.key,
        &mut row.model,
        &mut row.provider,
        &mut row.route,
        &mut row.team,
        &mut row.replica,
        &mut row.provider_model,
        &mut row.dialect,
        &mut row.operation,
    ] {
        cut(name);
    }
    row.duration_us = row.duration_us.min(MOST);
    row.usage = row.usage.at_most(MOST);
    row.first_token_us = row.first_token_us.map(|micros| micros.min(MOST));
    if let Some(cost) = &mut row.cost {
        cost.0 = cost.0.clamp(-MOST_COST, MOST_COST);
    }
    Ok(PackedRequest {
        trace: Trace::of(&row.trace_id, id),
        spans: pack_spans(&row),
        attempts: pack_attempts(&row.attempts)?,
        labels: if row.labels.is_empty() {
            None
        } else {
            Some(json(&row.labels)?)
        },
        usage: pack_usage(&row.usage)?,
        input: row.input.take().map(Body::pack),
        output: row.output.take().map(Body::pack),
        row,
    })
}

fn pack_audit(mut row: AuditRow) -> Result<PackedAudit> {
    for name in [
        &mut row.user,
        &mut row.verb,
        &mut row.group,
        &mut row.resource,
        &mut row.subresource,
        &mut row.project,
    ] {
        cut(name);
    }
    let detail = if row.detail.is_null() {
        None
    } else {
        Some(json(&row.detail)?)
    };
    Ok(PackedAudit { row, detail })
}

fn cut(name: &mut String) {
    if name.len() > NAME {
        name.truncate(name.floor_char_boundary(NAME));
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("an event has no JSON form").because(error))
}

/// The counts that have no column; nothing when there are none.
fn pack_usage(usage: &TokenUsage) -> Result<Option<String>> {
    let rest = rest_of(usage);
    if rest == TokenUsage::default() {
        return Ok(None);
    }
    json(&rest).map(Some)
}

/// The usage without what has a column.
fn rest_of(usage: &TokenUsage) -> TokenUsage {
    TokenUsage {
        input: 0,
        output: 0,
        cached_input: 0,
        reasoning: 0,
        ..*usage
    }
}

/// What [`pack`] made of the counts that have no column.
pub(super) fn unpack_usage(text: &str) -> serde_json::Result<TokenUsage> {
    serde_json::from_str(text).map(|usage| rest_of(&usage))
}

/// A span and its parent as sixteen bytes; an id that is none counts as absent. A request that began its trace mostly
/// has the trace's second half for its span, which is no bytes at all; nothing stands for no span.
fn pack_spans(row: &RequestRow) -> Option<Vec<u8>> {
    if row.parent_span_id.is_empty() && !row.span_id.is_empty() && second_half(&row.trace_id) == row.span_id {
        return Some(Vec::new());
    }
    let number = |text: &str| {
        let whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| whole).unwrap_or(0)
    };
    let both = (u128::from(number(&row.span_id)) << 64) | u128::from(number(&row.parent_span_id));
    (both != 0).then(|| both.to_be_bytes().to_vec())
}

/// What [`pack`] made of a request's span and its parent.
pub(super) fn unpack_spans(packed: Option<Vec<u8>>, trace: &str) -> (String, String) {
    let bytes: [u8; 16] = match packed {
        None => return (String::new(), String::new()),
        Some(packed) if packed.is_empty() => return (second_half(trace).to_owned(), String::new()),
        Some(packed) => packed.try_into().unwrap_or_default(),
    };
    let both = u128::from_be_bytes(bytes);
    let text = |number: u128| match number & u128::from(u64::MAX) {
        0 => String::new(),
        id => format!("{id:016x}"),
    };
    (text(both >> 64), text(both))
}

fn second_half(trace: &str) -> &str {
    trace
        .get(16..)
        .filter(|half| half.len() == 16)
        .unwrap_or_default()
}

/// An attempt without the names of its fields.
#[derive(Serialize, Deserialize)]
struct PackedAttempt(String, String, u64, u64, u16, String);

fn pack_attempts(attempts: &[Attempt]) -> Result<Option<String>> {
    if attempts.is_empty() {
        return Ok(None);
    }
    let packed: Vec<PackedAttempt> = attempts
        .iter()
        .cloned()
        .map(|attempt| {
            PackedAttempt(
                attempt.provider,
                attempt.model,
                attempt.offset_us,
                attempt.duration_us,
                attempt.status,
                attempt.error,
            )
        })
        .collect();
    json(&packed).map(Some)
}

/// What [`pack`] made of a request's attempts.
pub(super) fn unpack_attempts(text: &str) -> serde_json::Result<Vec<Attempt>> {
    let packed: Vec<PackedAttempt> = serde_json::from_str(text)?;
    let unpacked = packed.into_iter().map(|attempt| Attempt {
        provider: attempt.0,
        model: attempt.1,
        offset_us: attempt.2,
        duration_us: attempt.3,
        status: attempt.4,
        error: attempt.5,
    });
    Ok(unpacked.collect())
}

/// The number under which an outcome is stored.
pub(super) const fn outcome_number(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Error => 1,
        Outcome::Cancelled => 2,
        Outcome::Interrupted => 3,
    }
}

/// The outcome that is stored under a number.
pub(super) const fn outcome_of(number: i64) -> Option<Outcome> {
    match number {
        0 => Some(Outcome::Ok),
        1 => Some(Outcome::Error),
        2 => Some(Outcome::Cancelled),
        3 => Some(Outcome::Interrupted),
        _ => None,
    }
}

/// A count as `SQLite` stores it.
pub(super) fn count(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_back_as_they_were_and_those_that_follow_from_the_trace_take_no_bytes() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (trace, span, parent, length) in [
            (trace, "a3ce929d0e0e4736", "", Some(0)),
            (trace, "00f067aa0ba902b7", "", Some(16)),
            (trace, "a3ce929d0e0e4736", "00f067aa0ba902b7", Some(16)),
            (trace, "", "", None),
            ("", "", "", None),
            ("not-hex", "00f067aa0ba902b7", "", Some(16)),
        ] {
            let row = RequestRow {
                trace_id: trace.into(),
                span_id: span.into(),
                parent_span_id: parent.into(),
                ..RequestRow::default()
            };
            let packed = pack_spans(&row);
            assert_eq!(packed.as_ref().map(Vec::len), length, "{span} {parent}");
            assert_eq!(unpack_spans(packed, trace), (span.to_owned(), parent.to_owned()));
        }
    }

    #[test]
    fn ids_are_bytes_only_when_they_come_back_the_same() {
        let uuid = "0193524f-6f6c-7abc-8def-0123456789ab";
        assert!(matches!(Id::event(uuid), Id::Bytes(_)));
        assert_eq!(Id::event(uuid).into_event(), uuid);
        assert!(Id::event(uuid).day().is_some());
        for odd in [
            "0193524F-6F6C-7ABC-8DEF-0123456789AB",
            "audit-17",
            "0193524f6f6c7abc8def0123456789ab",
        ] {
            assert_eq!(Id::event(odd), Id::Text(odd.to_owned()));
            assert_eq!(Id::event(odd).day(), None);
        }
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert!(matches!(Id::trace(trace), Id::Bytes(_)));
        assert_eq!(Id::trace(trace).into_trace(), trace);
        assert_eq!(Id::event("4bf92f35-77b3-4da6-a3ce-929d0e0e4736").day(), None);
    }

    #[test]
    fn bodies_come_back_as_they_were_and_long_ones_shrink() {
        for text in [
            "",
            "short",
            &"long and repetitive ".repeat(1000),
            &"ü".repeat(300),
        ] {
            let packed = Body::pack(text.to_owned());
            if text.len() > 1000 {
                assert!(matches!(&packed, Body::Zstd(bytes) if bytes.len() < text.len() / 10));
            }
            assert_eq!(packed.unpack().as_deref(), Ok(text));
        }
        assert!(Body::Zstd(vec![1, 2, 3]).unpack().is_err());
    }

    #[test]
    fn garbage_times_and_counts_are_cut() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(arrival(Timestamp::MAX, now), now.as_microsecond());
        assert_eq!(arrival(Timestamp::MIN, now), 0);
        let row = RequestRow {
            id: "x".into(),
            duration_us: u64::MAX,
            model: "ü".repeat(400),
            ..RequestRow::default()
        };
        let packed = pack_request(row, &Id::event("x")).unwrap();
        assert_eq!((packed.row.duration_us, packed.row.model.len()), (MOST, NAME));
        assert!(pack(Event::Audit(Box::default()), now).is_err());
    }
}
