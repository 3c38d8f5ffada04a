//! Lines of logs as OpenTelemetry tells them (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>). Pure.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord as Told, ScopeLogs},
};
use serde_json::{Map, Value};
use stead_kernel::{Timestamp, ports::signals::LogRecord};

use super::{
    attributes::{object, value},
    ids::hex,
};

/// The attribute in which a line has an id of its own
/// (<https://opentelemetry.io/docs/specs/semconv/general/logs/#general-log-identification-attributes>).
const UID: &str = "log.record.uid";

/// The lines of a request; one that tells no time has the present.
pub(super) fn records(request: ExportLogsServiceRequest, now: Timestamp) -> Vec<LogRecord> {
    let mut all = Vec::new();
    for group in request.resource_logs {
        let resource: Map<String, Value> = object(group.resource.unwrap_or_default().attributes).collect();
        let service = resource.get("service.name").and_then(Value::as_str);
        let service: Arc<str> = service.unwrap_or_default().into();
        for ScopeLogs {
            scope, log_records, ..
        } in group.scope_logs
        {
            let scope = scope.unwrap_or_default().name;
            all.extend(log_records.into_iter().map(|told| LogRecord {
                resource: resource.clone(),
                service: service.to_string(),
                scope: scope.clone(),
                ..record(told, now)
            }));
        }
    }
    all
}

fn record(told: Told, now: Timestamp) -> LogRecord {
    let time = |nanos: u64| {
        let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
        (nanos > 0).then_some(time)
    };
    let attributes: Map<String, Value> = object(told.attributes).collect();
    let uid = attributes
        .get(UID)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let id = |bytes: &[u8], length: usize| {
        let is_one = bytes.len() == length && bytes.iter().any(|byte| *byte != 0);
        if is_one { hex(bytes) } else { String::new() }
    };
    LogRecord {
        time: time(told.time_unix_nano)
            .or_else(|| time(told.observed_time_unix_nano))
            .unwrap_or(now),
        severity: u8::try_from(told.severity_number.clamp(0, 24)).unwrap_or(0),
        level: told.severity_text,
        body: told.body.map_or(Value::Null, value),
        attributes,
        event: told.event_name,
        trace_id: id(&told.trace_id, 16),
        span_id: id(&told.span_id, 8),
        uid,
        ..LogRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::otlp::wire::Encoding;

    #[test]
    fn a_line_is_read_as_the_protocol_maps_it() {
        let text = json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [{"scope": {"name": "app.log"}, "logRecords": [
                {"timeUnixNano": "1795244040000000001", "observedTimeUnixNano": "1795244041000000000",
                    "severityNumber": 17, "severityText": "ERROR", "body": {"stringValue": "it broke"},
                    "attributes": [{"key": "log.record.uid", "value": {"stringValue": "u1"}}],
                    "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "eventName": "e"},
                {"observedTimeUnixNano": "1795244041000000000", "body": {"kvlistValue": {"values": [
                    {"key": "a", "value": {"intValue": "1"}}]}}, "traceId": "", "spanId": ""},
                {}]}]}]});
        let request = Encoding::Json
            .decode(text.to_string().as_bytes(), "logs")
            .unwrap();
        let now: Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();
        let [first, second, third] = <[LogRecord; 3]>::try_from(records(request, now)).unwrap();
        assert_eq!(
            (
                first.time.to_string(),
                first.severity,
                first.level.as_str(),
                first.service.as_str(),
                first.scope.as_str()
            ),
            (
                "2026-11-21T06:54:00.000000001Z".into(),
                17,
                "ERROR",
                "shop",
                "app.log"
            )
        );
        assert_eq!(
            (
                first.trace_id.as_str(),
                first.span_id.as_str(),
                first.uid.as_str(),
                first.event.as_str()
            ),
            ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "u1", "e")
        );
        assert_eq!((second.body, second.trace_id), (json!({"a": 1}), String::new()));
        assert_eq!(second.time.to_string(), "2026-11-21T06:54:01Z");
        assert_eq!((third.time, third.body), (now, Value::Null));
    }
}
