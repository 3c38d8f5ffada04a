//! Requests and answers of OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>), in protobuf and in
//! JSON. Pure.
//!
//! *Invariant:* an answer, an error's too, is in the encoding of its request.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, Result, http};

use super::batch::Rejected;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// As one word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// The name in JSON of how many were not taken.
    const fn rejected(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
            Self::Metrics => "rejectedDataPoints",
        }
    }
}

/// What was not taken, in protobuf; the answers for traces, logs and metrics have the same fields.
pub(super) fn answer(rejected: Rejected) -> Vec<u8> {
    let partial = (rejected.count > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected.count).unwrap_or(i64::MAX),
        error_message: rejected.reason,
    });
    let answer = ExportTraceServiceResponse {
        partial_success: partial,
    };
    answer.encode_to_vec()
}

/// `google.rpc.Status` (<https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>).
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    /// A code of gRPC's.
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

impl Encoding {
    /// The encoding that a request says its body has.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media = value.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| media.eq_ignore_ascii_case(name);
        if is("application/x-protobuf") || is("application/protobuf") {
            Some(Self::Protobuf)
        } else if is("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// What a body says; `what` is what it should tell of.
    ///
    /// # Errors
    /// `Invalid` when it is not what it says.
    pub(super) fn decode<T: Message + Default + DeserializeOwned>(
        self,
        body: &[u8],
        what: &str,
    ) -> Result<T> {
        match self {
            Self::Protobuf => T::decode(body)
                .map_err(|error| Error::invalid(format!("the body is no protobuf of {what}: {error}"))),
            Self::Json => serde_json::from_slice(body)
                .map_err(|error| Error::invalid(format!("the body is no OTLP JSON of {what}: {error}"))),
        }
    }

    /// `200`, with what was not taken.
    pub(super) fn answer(self, signal: Signal, rejected: Rejected) -> Response {
        let body = match self {
            Self::Protobuf => answer(rejected),
            Self::Json if rejected.count == 0 => b"{}".to_vec(),
            Self::Json => json!({"partialSuccess": {
                // 64-bit numbers are texts in protobuf's JSON.
                signal.rejected(): rejected.count.to_string(),
                "errorMessage": rejected.reason,
            }})
            .to_string()
            .into_bytes(),
        };
        self.response(StatusCode::OK, body)
    }

    /// An error: what may be sent again says so by its status (429, 502, 503, 504).
    pub(super) fn refuse(self, error: &Error) -> Response {
        self.refuse_as(http::status(error.reason()), error)
    }

    /// The same with a status of HTTP's own.
    pub(super) fn refuse_as(self, status: StatusCode, error: &Error) -> Response {
        let message = match error.get_hint() {
            Some(hint) => format!("{} ({hint})", error.full_message()),
            None => error.full_message(),
        };
        let told = Status {
            code: code(error.reason()),
            message,
        };
        let body = match self {
            Self::Protobuf => told.encode_to_vec(),
            Self::Json => body(&told, error.reason()).to_string().into_bytes(),
        };
        let mut response = self.response(status, body);
        if let Some(delay) = error.get_retry_after() {
            let seconds = delay.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::try_from(format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }

    fn response(self, status: StatusCode, body: Vec<u8>) -> Response {
        let media = match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        response
    }
}

/// A `Status` as JSON, with the reason in our own word beside it.
fn body(told: &Status, reason: Reason) -> Value {
    json!({"code": told.code, "message": told.message, "reason": reason.as_str()})
}

/// The code of gRPC's that says the same (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
pub(super) const fn code(reason: Reason) -> i32 {
    match reason {
        Reason::Invalid => 3,
        Reason::Timeout => 4,
        Reason::NotFound | Reason::Gone => 5,
        Reason::Conflict => 6,
        Reason::Forbidden => 7,
        Reason::TooLarge | Reason::Exhausted => 8,
        Reason::Unsupported => 12,
        Reason::Internal => 13,
        Reason::Unavailable => 14,
        Reason::Unauthenticated => 16,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::*;

    #[test]
    fn a_body_has_the_encoding_that_its_type_says() {
        for (media, expected) in [
            ("application/x-protobuf", Some(Encoding::Protobuf)),
            ("application/json; charset=utf-8", Some(Encoding::Json)),
            ("Application/JSON", Some(Encoding::Json)),
            ("text/plain", None),
            ("application/jsonx", None),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media))]);
            assert_eq!(Encoding::of(&headers), expected, "{media}");
        }
        assert_eq!(Encoding::of(&HeaderMap::new()), None);
    }

    #[test]
    fn json_is_read_as_the_protocol_maps_it() {
        let text = r#"{"resourceSpans": [{"resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "s"}}]}, "scopeSpans": [{"scope": {"name": "x"},
            "spans": [{"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
                "name": "n", "kind": 2, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
                "unknown": {"a": []}, "attributes": [
                    {"key": "i", "value": {"intValue": "9007199254740993"}}, {"key": "n", "value": {"intValue": 5}},
                    {"key": "d", "value": {"doubleValue": 0.5}}, {"key": "e", "value": {}},
                    {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}]}}}],
                "status": {"code": 2, "message": "m"}}]}]}]}"#;
        let request: ExportTraceServiceRequest = Encoding::Json.decode(text.as_bytes(), "traces").unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((span.trace_id.len(), span.trace_id[0]), (16, 0x5b));
        assert_eq!(span.start_time_unix_nano + 1_000_000_000, span.end_time_unix_nano);
        assert_eq!(span.attributes.len(), 5);
        // The same in protobuf.
        let again: ExportTraceServiceRequest = Encoding::Protobuf
            .decode(&request.encode_to_vec(), "traces")
            .unwrap();
        assert_eq!(again, request);
        for garbage in [
            "",
            "{\"resourceSpans\": 1}",
            "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"traceId\": \"xyz\"}]}]}]}",
        ] {
            let read = Encoding::Json.decode::<ExportTraceServiceRequest>(garbage.as_bytes(), "traces");
            assert!(read.is_err(), "{garbage}");
        }
        let read = Encoding::Protobuf.decode::<ExportTraceServiceRequest>(b"\x0a\xff", "traces");
        assert!(read.is_err());
    }

    #[test]
    fn every_reason_has_a_code_and_what_may_be_sent_again_says_so() {
        for reason in Reason::ALL {
            let response = Encoding::Json.refuse(&Error::new(reason, "m"));
            let may_retry = matches!(reason, Reason::Exhausted | Reason::Unavailable | Reason::Timeout);
            assert_eq!(
                [429, 502, 503, 504].contains(&response.status().as_u16()),
                may_retry,
                "{reason:?}"
            );
            assert!(code(reason) > 0);
        }
    }
}
