//! Lines and points as they lie in a file. Pure.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::signals::{LogRecord, Measured, PointValue},
};

use crate::day::time;

/// From how many bytes on a text is compressed.
const COMPRESS_FROM: usize = 256;
/// How hard.
const LEVEL: i32 = 3;
/// The most bytes of a text that is read back; nothing larger was ever written.
const LARGEST: usize = 256 << 20;

/// JSON as TEXT, or as a BLOB of zstd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Plain(String),
    Packed(Vec<u8>),
}

impl Body {
    fn of(value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::internal("a line or point has no JSON form").because(error))?;
        if text.len() < COMPRESS_FROM {
            return Ok(Self::Plain(text));
        }
        zstd::bulk::compress(text.as_bytes(), LEVEL)
            .map(Self::Packed)
            .map_err(|error| Error::internal("a line or point cannot be compressed").because(error))
    }

    /// What it says; nothing when it is damaged.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Plain(text) => serde_json::from_str(text).ok(),
            Self::Packed(bytes) => {
                let text = zstd::bulk::decompress(bytes, capacity(bytes)?).ok()?;
                serde_json::from_slice(&text).ok()
            }
        }
    }
}

/// How long a text is once it is not compressed any more.
fn capacity(bytes: &[u8]) -> Option<usize> {
    let told = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten()?;
    usize::try_from(told).ok().filter(|size| *size <= LARGEST)
}

impl ToSql for Body {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Plain(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Packed(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl FromSql for Body {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => Ok(Self::Packed(bytes.to_vec())),
            ValueRef::Text(_) => String::column_result(value).map(Self::Plain),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Err(FromSqlError::InvalidType),
        }
    }
}

/// What a line says by itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    /// The body.
    #[serde(rename = "b", skip_serializing_if = "Value::is_null")]
    body: Value,
    #[serde(rename = "a", skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
    #[serde(rename = "l", skip_serializing_if = "String::is_empty")]
    level: String,
    #[serde(rename = "e", skip_serializing_if = "String::is_empty")]
    event: String,
    /// Billionths of a second below the microsecond.
    #[serde(rename = "n", skip_serializing_if = "is_zero")]
    nanos: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Said {
    /// Whether a text, in lower case, is in it.
    pub(super) fn mentions(&self, lower: &str) -> bool {
        has(&self.body, lower)
            || self.event.to_lowercase().contains(lower)
            || self
                .attributes
                .iter()
                .any(|(name, value)| name.to_lowercase().contains(lower) || has(value, lower))
    }

    /// The line, with what its row says beside it.
    pub(super) fn record(self, micros: i64, severity: u8) -> LogRecord {
        let nanos = i128::from(micros) * 1_000 + i128::from(self.nanos);
        LogRecord {
            time: Timestamp::from_nanosecond(nanos).unwrap_or_else(|_| time(micros)),
            severity,
            level: self.level,
            body: self.body,
            attributes: self.attributes,
            event: self.event,
            ..LogRecord::default()
        }
    }
}

fn has(value: &Value, lower: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().contains(lower),
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => value.to_string().contains(lower),
        Value::Array(items) => items.iter().any(|item| has(item, lower)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.to_lowercase().contains(lower) || has(value, lower)),
    }
}

/// A line on its way to the writer.
pub(super) struct PackedLog {
    pub(super) at: i64,
    pub(super) severity: u8,
    pub(super) service: String,
    pub(super) scope: String,
    pub(super) resource: String,
    pub(super) trace: Option<Vec<u8>>,
    pub(super) span: Option<Vec<u8>>,
    pub(super) uid: Option<String>,
    pub(super) body: Body,
}

/// Packs a line.
pub(super) fn pack_log(record: LogRecord) -> Result<PackedLog> {
    let at = record.time.as_microsecond();
    let below = record.time.as_nanosecond() - i128::from(at) * 1_000;
    let said = Said {
        body: record.body,
        attributes: record.attributes,
        level: record.level,
        event: record.event,
        nanos: i32::try_from(below).unwrap_or(0),
    };
    let resource = serde_json::to_string(&record.resource)
        .map_err(|error| Error::internal("a resource has no JSON form").because(error))?;
    Ok(PackedLog {
        at,
        severity: record.severity,
        service: record.service,
        scope: record.scope,
        resource,
        trace: bytes(&record.trace_id),
        span: bytes(&record.span_id),
        uid: (!record.uid.is_empty()).then_some(record.uid),
        body: Body::of(&said)?,
    })
}

/// A point on its way to the writer.
pub(super) struct PackedPoint {
    pub(super) name: String,
    pub(super) metric: String,
    pub(super) labels: String,
    pub(super) at: i64,
    pub(super) start: Option<i64>,
    pub(super) value: PackedValue,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PackedValue {
    Number(f64),
    Other(Body),
}

impl ToSql for PackedValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => Ok(ToSqlOutput::Borrowed(ValueRef::Real(*number))),
            Self::Other(body) => body.to_sql(),
        }
    }
}

impl FromSql for PackedValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Real(number) => Ok(Self::Number(number)),
            _ => Body::column_result(value).map(Self::Other),
        }
    }
}

/// Packs a point.
pub(super) fn pack_point(point: Measured) -> Result<PackedPoint> {
    let json = |error: serde_json::Error| Error::internal("a series has no JSON form").because(error);
    let (start, value) = match point.value {
        // SQLite keeps no number that is none.
        PointValue::Number(number, start) if !number.is_nan() => (start, PackedValue::Number(number)),
        PointValue::Number(..) => return Err(Error::invalid("a point's value is no number")),
        other => (None, PackedValue::Other(Body::of(&other)?)),
    };
    Ok(PackedPoint {
        name: point.metric.name.clone(),
        metric: serde_json::to_string(&point.metric).map_err(json)?,
        labels: serde_json::to_string(&point.labels).map_err(json)?,
        at: point.time.as_microsecond(),
        start: start.map(Timestamp::as_microsecond),
        value,
    })
}

/// What was measured, as it was; nothing when it is damaged.
pub(super) fn unpack_value(value: PackedValue, start: Option<i64>) -> Option<PointValue> {
    match value {
        PackedValue::Number(number) => Some(PointValue::Number(number, start.map(time))),
        PackedValue::Other(body) => body.read(),
    }
}

/// The bytes that hexadecimal digits say; nothing when they say none.
pub(super) fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: Option<Vec<u8>>) -> String {
    use std::fmt::Write as _;
    bytes.into_iter().flatten().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::ports::signals::{Buckets, Distribution};

    use super::*;

    #[test]
    fn a_line_and_a_point_come_back_as_they_were() {
        for length in [1, 10_000] {
            let record = LogRecord {
                time: "2026-11-21T12:00:00.123456789Z".parse().unwrap(),
                severity: 17,
                level: "ERROR".into(),
                body: json!({"text": "x".repeat(length)}),
                attributes: Map::from_iter([("k".to_owned(), json!([1, null]))]),
                event: "e".into(),
                ..LogRecord::default()
            };
            let packed = pack_log(record.clone()).unwrap();
            assert_eq!(matches!(packed.body, Body::Packed(_)), length > COMPRESS_FROM);
            let said: Said = packed.body.read().unwrap();
            assert!(said.mentions("xx") == (length > 1) && said.mentions("k") && !said.mentions("zz"));
            assert_eq!(said.record(packed.at, 17), record);
        }
        let value = PointValue::Distribution(Box::new(Distribution {
            count: u64::MAX,
            buckets: Buckets::Exponential {
                scale: -1,
                zero: 1,
                zero_threshold: 0.0,
                positive: (-3, vec![1, 2]),
                negative: (0, Vec::new()),
            },
            ..Distribution::default()
        }));
        let point = |value| Measured {
            metric: stead_kernel::ports::signals::Metric::default(),
            labels: std::collections::BTreeMap::new(),
            time: Timestamp::UNIX_EPOCH,
            value,
        };
        let packed = pack_point(point(value.clone())).unwrap();
        assert_eq!(unpack_value(packed.value, packed.start), Some(value));
        assert!(pack_point(point(PointValue::Number(f64::NAN, None))).is_err());
        assert_eq!(
            (bytes("0aFf"), bytes("0"), bytes(""), bytes("zz")),
            (Some(vec![10, 255]), None, None, None)
        );
        assert_eq!(
            (hex(Some(vec![10, 255])), hex(None)),
            ("0aff".into(), String::new())
        );
    }
}
