//! What a list shows of a trace of an application and of a request to the gateway: one shape for both. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Timestamp,
    ports::{
        NanoUsd, TokenUsage,
        events::{Outcome, RequestRow},
        traces::{Cell, Entry, Json, duration_ms},
    },
};

/// So many characters of an input, an output or an error are shown.
const SHOWN: usize = 200;

/// From whom it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Source {
    /// An application told it.
    #[default]
    Application,
    /// The gateway did.
    Gateway,
}

/// Tokens, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Tokens {
    /// That went in.
    pub(crate) input: u64,
    /// That came out.
    pub(crate) output: u64,
    /// Both.
    pub(crate) total: u64,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Row {
    /// The id of the trace, or of the request.
    pub(crate) id: String,
    /// The id by which OpenTelemetry knows it, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// From whom it comes.
    pub(crate) source: Source,
    /// The project of Stead.
    pub(crate) project: String,
    /// The application's project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application: Option<String>,
    /// What it is called.
    pub(crate) name: String,
    /// When it began.
    pub(crate) start: Timestamp,
    /// How long it took, in microseconds, if it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_us: Option<u64>,
    /// Until the first token, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_token_us: Option<u64>,
    /// `ok`, `error`, `running`, `cancelled` or `interrupted`.
    pub(crate) status: String,
    /// The HTTP status that a client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_status: Option<u16>,
    /// What went wrong, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The models asked.
    pub(crate) models: Vec<String>,
    /// The providers asked.
    pub(crate) providers: Vec<String>,
    /// How many spans it has, or attempts.
    pub(crate) spans: u64,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<Tokens>,
    /// What it cost, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<NanoUsd>,
    /// Who asked or told.
    pub(crate) user: String,
    /// The API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thread: Option<String>,
    /// The environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    /// Labels without a value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    /// Labels with one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// The beginning of what went in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<String>,
    /// The beginning of what came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<String>,
}

impl Row {
    /// A request to the gateway.
    pub(super) fn of_request(request: &RequestRow) -> Self {
        Self {
            id: request.id.clone(),
            trace_id: some(&request.trace_id),
            source: Source::Gateway,
            project: request.project.clone(),
            name: format!("{} {}", request.operation, request.model)
                .trim()
                .to_owned(),
            start: request.started,
            duration_us: Some(request.duration_us),
            first_token_us: request.first_token_us,
            status: request.outcome.as_str().to_owned(),
            http_status: Some(request.status).filter(|status| *status > 0),
            error: some(&request.error).map(|error| short(&error)),
            models: distinct([&request.model, &request.provider_model]),
            providers: distinct([&request.provider]),
            spans: u64::try_from(request.attempts.len()).unwrap_or(u64::MAX),
            tokens: Some(Tokens::of_request(&request.usage)),
            cost: request.cost,
            user: request.user.clone(),
            key: some(&request.key),
            labels: request.labels.clone(),
            ..Self::default()
        }
    }

    /// A trace of an application.
    pub(super) fn of_trace(entry: &Entry, project: &str, application: Option<String>) -> Self {
        let fields = &entry.fields;
        let totals = entry.spans.clone().unwrap_or_default();
        Self {
            id: entry.id.to_string(),
            trace_id: fields.metadata.as_ref().and_then(otel_trace),
            source: Source::Application,
            project: project.to_owned(),
            application,
            name: fields.name.clone().unwrap_or_default(),
            start: began(entry),
            duration_us: took(fields.start, fields.end),
            first_token_us: fields.first_token_ms.map(micros),
            status: status(entry).to_owned(),
            error: fields.error.as_ref().map(error_text),
            models: totals.models,
            providers: totals.providers,
            spans: totals.spans,
            tokens: Tokens::of_counts(&totals.usage),
            cost: entry.cost.map(nano),
            user: entry.created_by.clone(),
            thread: fields.thread.clone(),
            environment: fields.environment.clone(),
            tags: fields.tags.clone().unwrap_or_default(),
            input: fields.input.as_ref().map(preview),
            output: fields.output.as_ref().map(preview),
            ..Self::default()
        }
    }

    /// The value of a field as filters name it: durations in milliseconds, costs in dollars.
    pub(super) fn cell(&self, field: &str, key: &str) -> Cell<'_> {
        match field {
            "model" => Cell::List(self.models.as_slice().into()),
            "provider" => Cell::List(self.providers.as_slice().into()),
            "tag" => Cell::List(self.tags.as_slice().into()),
            "name" => Cell::text(Some(&self.name)),
            "status" => Cell::text(Some(&self.status)),
            "source" => Cell::text(Some(match self.source {
                Source::Application => "application",
                Source::Gateway => "gateway",
            })),
            "user" => Cell::text(Some(&self.user)),
            "key" => Cell::text(self.key.as_deref()),
            "thread" => Cell::text(self.thread.as_deref()),
            "environment" => Cell::text(self.environment.as_deref()),
            "application" => Cell::text(self.application.as_deref()),
            "id" => Cell::text(Some(&self.id)),
            "trace" => Cell::text(self.trace_id.as_deref()),
            "error" => Cell::text(self.error.as_deref()),
            "code" => Cell::number(self.http_status.map(f64::from)),
            "latency" => Cell::number(self.duration_us.map(millis)),
            "ttft" => Cell::number(self.first_token_us.map(millis)),
            "cost" => Cell::number(self.cost.map(NanoUsd::dollars)),
            "spans" => Cell::Number(count(self.spans)),
            "tokens" => Cell::number(self.tokens.map(|tokens| count(tokens.total))),
            "tokens.input" => Cell::number(self.tokens.map(|tokens| count(tokens.input))),
            "tokens.output" => Cell::number(self.tokens.map(|tokens| count(tokens.output))),
            "label" => Cell::text(self.labels.get(key).map(String::as_str)),
            _ => Cell::Absent,
        }
    }

    /// Whether a request has this text in what its row says; any case. Bodies of requests are not looked through.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let own = [&self.id, &self.name, &self.user].into_iter();
        let more = self.models.iter().chain(&self.error).chain(&self.trace_id);
        own.chain(more)
            .chain(self.labels.values())
            .any(|own| own.to_lowercase().contains(&text))
    }

    /// Whether it failed.
    pub(super) fn is_error(&self) -> bool {
        self.status == "error"
    }
}

impl Tokens {
    /// Of a request.
    pub(super) fn of_request(usage: &TokenUsage) -> Self {
        Self {
            input: usage.input,
            output: usage.output,
            total: usage.input.saturating_add(usage.output),
        }
    }

    /// Of what an application counts, in the words of Opik's SDKs.
    pub(super) fn of_counts(counts: &BTreeMap<String, i64>) -> Option<Self> {
        let count = |name: &str| counts.get(name).and_then(|count| u64::try_from(*count).ok());
        let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
        let total = count("total_tokens");
        if input.is_none() && output.is_none() && total.is_none() {
            return None;
        }
        let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
        Some(Self {
            input,
            output,
            total: total.unwrap_or(input.saturating_add(output)),
        })
    }
}

/// When an entry began; when it was first heard of, if nobody said.
pub(super) fn began(entry: &Entry) -> Timestamp {
    entry.fields.start.unwrap_or(entry.created)
}

/// How an entry goes.
pub(super) fn status(entry: &Entry) -> &'static str {
    if entry.has.error {
        Outcome::Error.as_str()
    } else if entry.fields.end.is_none() {
        "running"
    } else {
        Outcome::Ok.as_str()
    }
}

/// A duration in microseconds.
pub(super) fn took(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<u64> {
    duration_ms(start?, end?).map(micros)
}

/// Dollars in billionths of one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is larger is cut at the largest"
)]
pub(super) fn nano(dollars: f64) -> NanoUsd {
    NanoUsd((dollars * 1e9).round() as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "durations that are negative are cut at zero"
)]
fn micros(millis: f64) -> u64 {
    (millis * 1_000.0).round() as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "durations and counts are far below 2^53"
)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(count: u64) -> f64 {
    count as f64
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn distinct<const N: usize>(texts: [&String; N]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(N);
    for text in texts {
        if !text.is_empty() && !all.contains(text) {
            all.push(text.clone());
        }
    }
    all
}

/// The id that OTLP's door noted.
fn otel_trace(metadata: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Noted {
        #[serde(rename = "otel.trace_id")]
        trace: Option<String>,
    }
    let is_noted = metadata.get().contains("\"otel.trace_id\"");
    is_noted.then(|| serde_json::from_str::<Noted>(metadata.get()).ok()?.trace)?
}

/// What an error object says, in short.
pub(super) fn error_text(error: &Json) -> String {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        exception_type: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }
    let told: Option<Told> = serde_json::from_str(error.get()).ok();
    let text = told.and_then(|told| match (told.exception_type, told.message) {
        (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (kind, message) => message.or(kind),
    });
    text.map_or_else(|| short(error.get()), |text| short(&text))
}

/// The beginning of a document: of a text its words, else its JSON.
fn preview(json: &Json) -> String {
    match serde_json::from_str::<String>(json.get()) {
        Ok(text) => short(&text),
        Err(_) => short(json.get()),
    }
}

/// The beginning of a text.
fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn json(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn texts_are_short_and_counts_are_read_in_opiks_words() {
        assert_eq!(preview(&json("\"a\\nb\"")), "a\nb");
        assert_eq!(preview(&json("{\"a\": 1}")), "{\"a\": 1}");
        assert_eq!(
            preview(&json(&format!("\"{}\"", "é".repeat(999))))
                .chars()
                .count(),
            SHOWN
        );
        assert_eq!(
            error_text(&json(r#"{"exception_type":"E","message":"m","traceback":"t"}"#)),
            "E: m"
        );
        assert_eq!(error_text(&json(r#"{"message":"m"}"#)), "m");
        assert_eq!(error_text(&json("3")), "3");
        assert_eq!(
            otel_trace(&json(r#"{"x":1,"otel.trace_id":"ab"}"#)).as_deref(),
            Some("ab")
        );
        assert_eq!(otel_trace(&json(r#"{"x":1}"#)), None);
        let counts = |pairs: &[(&str, i64)]| {
            let counts = pairs.iter().map(|(name, count)| ((*name).to_owned(), *count));
            Tokens::of_counts(&counts.collect()).map(|tokens| (tokens.input, tokens.output, tokens.total))
        };
        assert_eq!(
            counts(&[("prompt_tokens", 3), ("completion_tokens", 2)]),
            Some((3, 2, 5))
        );
        assert_eq!(counts(&[("total_tokens", 9), ("x", 1)]), Some((0, 0, 9)));
        assert_eq!(counts(&[("x", 1)]), None);
        assert_eq!(nano(0.000_123), NanoUsd(123_000));
    }
}
