//! What can be said about batches without asking anybody: what a client wants, what a line says, what its result is.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use stead_kernel::{Error, Result};

use super::LineError;
use crate::files::lifetime_of;

/// Where requests of batches may go.
pub(super) const ENDPOINTS: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/messages",
    "/v1/rerank",
];
/// The longest window.
const LONGEST_WINDOW: u64 = 7 * 24;
/// The most pairs of metadata, and the most characters of names and values
/// (<https://platform.openai.com/docs/api-reference/batch/create#batch-create-metadata>).
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// What a client wants.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) input_file_id: String,
    pub(super) endpoint: String,
    pub(super) completion_window: String,
    #[serde(default)]
    pub(super) metadata: Option<Map<String, Value>>,
    #[serde(default)]
    output_expires_after: Option<Value>,
    /// After how many seconds the files of the results expire.
    #[serde(skip)]
    pub(super) output_lifetime: Option<u64>,
}

/// Reads what a client wants.
///
/// # Errors
/// What is wrong, and the field.
pub(super) fn wanted(body: &[u8]) -> std::result::Result<Wanted, (Error, &'static str)> {
    let mut wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        (
            Error::invalid(format!("the body cannot be used: {error}")),
            "body",
        )
    })?;
    if !ENDPOINTS.contains(&wanted.endpoint.as_str()) {
        let message = format!("endpoint must be one of: {}", ENDPOINTS.join(", "));
        return Err((Error::invalid(message), "endpoint"));
    }
    window(&wanted.completion_window).map_err(|error| (error, "completion_window"))?;
    if let Some(given) = &wanted.output_expires_after {
        let lifetime = lifetime_of(given).map_err(|error| (error, "output_expires_after"))?;
        wanted.output_lifetime = Some(lifetime);
    }
    metadata(wanted.metadata.as_ref()).map_err(|error| (error, "metadata"))?;
    Ok(wanted)
}

/// How long a batch may take: `24h`, `7d`; whole hours or days, at most a week.
pub(super) fn window(text: &str) -> Result<Duration> {
    let hours = if let Some(days) = text.strip_suffix('d') {
        days.parse::<u64>().ok().and_then(|days| days.checked_mul(24))
    } else {
        text.strip_suffix('h').and_then(|hours| hours.parse().ok())
    };
    match hours {
        Some(hours) if (1..=LONGEST_WINDOW).contains(&hours) => Ok(Duration::from_hours(hours)),
        _ => Err(Error::invalid(
            "completion_window must be hours or days up to a week, as in 24h",
        )),
    }
}

fn metadata(metadata: Option<&Map<String, Value>>) -> Result<()> {
    let (pairs, name_limit, value_limit) = METADATA;
    let Some(metadata) = metadata else { return Ok(()) };
    let fits = |(name, value): (&String, &Value)| {
        name.chars().count() <= name_limit
            && value
                .as_str()
                .is_some_and(|text| text.chars().count() <= value_limit)
    };
    if metadata.len() <= pairs && metadata.iter().all(fits) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "metadata must be at most {pairs} texts of {value_limit} characters under names of {name_limit}"
    )))
}

/// A request of a batch: a line of its file.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) custom_id: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    /// As the client wrote it.
    #[serde(borrow)]
    pub(super) body: &'a RawValue,
}

/// Reads a line.
pub(super) fn line<'a>(
    text: &'a [u8],
    endpoint: &str,
    number: u64,
) -> std::result::Result<Line<'a>, LineError> {
    #[derive(Deserialize)]
    struct Streamed {
        #[serde(default)]
        stream: Option<bool>,
    }
    let wrong = |code: &str, message: String, param: Option<&str>| LineError {
        code: code.to_owned(),
        message,
        line: Some(number),
        param: param.map(str::to_owned),
    };
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
        wrong(
            "invalid_json_line",
            format!("this line is no request: {error}"),
            None,
        )
    })?;
    if line.custom_id.is_empty() {
        return Err(wrong(
            "invalid_request",
            "custom_id is empty".into(),
            Some("custom_id"),
        ));
    }
    if line.method != "POST" {
        return Err(wrong(
            "invalid_method",
            "method must be POST".into(),
            Some("method"),
        ));
    }
    if line.url != endpoint {
        let message = format!("url must be the batch's endpoint, {endpoint}");
        return Err(wrong("mismatched_endpoint", message, Some("url")));
    }
    match serde_json::from_str::<Streamed>(line.body.get()) {
        Ok(body) if body.stream != Some(true) => Ok(line),
        Ok(_) => Err(wrong(
            "invalid_request",
            "a batch's answers do not stream".into(),
            Some("body.stream"),
        )),
        Err(_) => Err(wrong(
            "invalid_request",
            "body must be a JSON object".into(),
            Some("body"),
        )),
    }
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) request_id: Option<String>,
    pub(super) body: Value,
}

/// The result of a line, as it stands in the output file or, unless it went well, in the error file.
pub(super) fn result(id: &str, custom_id: &str, answer: &Answer) -> Value {
    json!({
        "id": id,
        "custom_id": custom_id,
        "response": {"status_code": answer.status.as_u16(), "request_id": answer.request_id, "body": answer.body},
        "error": null,
    })
}

/// The result of a line for which there was no time.
pub(super) fn expired(id: &str, custom_id: &str) -> Value {
    json!({
        "id": id,
        "custom_id": custom_id,
        "response": null,
        "error": {
            "code": "batch_expired",
            "message": "this request was not made before the completion window was over",
        },
    })
}

/// The id of a line's result.
pub(super) fn result_id(batch: &str, number: u64) -> String {
    let (_, suffix) = batch.split_once('_').unwrap_or(("", batch));
    format!("batch_req_{suffix}_{number}")
}

/// For how long to wait before an answer of this status is asked for again; `None` when that does not help.
/// `tries` were made so far.
pub(super) fn pause(status: StatusCode, retry_after: Option<u64>, tries: u32) -> Option<Duration> {
    /// The most tries.
    const TRIES: u32 = 6;
    /// The longest pause in seconds; who asks for more gets an answer that says so.
    const LONGEST: u64 = 300;
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let seconds = retry_after.unwrap_or_else(|| 2_u64.saturating_pow(tries));
    (passes && tries < TRIES && seconds <= LONGEST).then(|| Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_hours_or_days_up_to_a_week() {
        for (text, hours) in [("24h", 24), ("1h", 1), ("7d", 168), ("168h", 168)] {
            assert_eq!(window(text).unwrap(), Duration::from_hours(hours));
        }
        for text in ["", "0h", "8d", "24", "24m", "-1h", "99999999999999999999d", "d"] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_client_may_not_want_is_refused_by_name() {
        let base =
            json!({"input_file_id": "file-a", "endpoint": "/v1/embeddings", "completion_window": "24h"});
        assert!(wanted(base.to_string().as_bytes()).is_ok());
        let table = [
            ("endpoint", json!("/v1/batches")),
            ("completion_window", json!("1y")),
            ("metadata", json!({"a": 1})),
            (
                "output_expires_after",
                json!({"anchor": "created_at", "seconds": 3599}),
            ),
        ];
        for (name, value) in table {
            let mut body = base.clone();
            body[name] = value;
            assert_eq!(wanted(body.to_string().as_bytes()).unwrap_err().1, name);
        }
        assert_eq!(wanted(b"{}").unwrap_err().1, "body");
    }

    #[test]
    fn a_line_is_a_request_to_the_batchs_endpoint() {
        let read = |text: &str| {
            line(text.as_bytes(), "/v1/embeddings", 3)
                .map(|line| (line.custom_id.into_owned(), line.body.get().to_owned()))
                .map_err(|error| error.code)
        };
        let good = r#"{"custom_id":"a\n","method":"POST","url":"/v1/embeddings","body":{"n":1.0}}"#;
        assert_eq!(read(good), Ok(("a\n".into(), r#"{"n":1.0}"#.into())));
        let table = [
            ("", "invalid_json_line"),
            ("[]", "invalid_json_line"),
            (r#"{"custom_id":"a"}"#, "invalid_json_line"),
            (&good.replace("POST", "GET"), "invalid_method"),
            (&good.replace("/v1/e", "/v1/E"), "mismatched_endpoint"),
            (&good.replace("a\\n", ""), "invalid_request"),
            (&good.replace(r#"{"n":1.0}"#, "[1]"), "invalid_request"),
            (&good.replace(r#""n":1.0"#, r#""stream":true"#), "invalid_request"),
        ];
        for (text, code) in table {
            assert_eq!(read(text), Err(code.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_passes_is_waited_for_and_what_lasts_is_not() {
        let seconds = |status: u16, after, tries| {
            pause(StatusCode::from_u16(status).unwrap(), after, tries).map(|pause| pause.as_secs())
        };
        assert_eq!(seconds(429, Some(7), 1), Some(7));
        assert_eq!(
            seconds(429, Some(86_400), 1),
            None,
            "a budget of the day is not waited for"
        );
        assert_eq!(seconds(503, None, 1), Some(2));
        assert_eq!(seconds(503, None, 5), Some(32));
        assert_eq!(seconds(503, None, 6), None);
        for status in [200, 400, 401, 403, 404, 500] {
            assert_eq!(seconds(status, Some(1), 1), None, "{status}");
        }
    }
}
