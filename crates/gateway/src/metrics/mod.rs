//! What the gateway adds to `/metrics`.

mod genai;
mod histogram;

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use stead_kernel::ports::{
    TokenUsage,
    events::{Outcome, RequestRow},
};

pub(crate) use genai::GenAi;

use crate::{
    journal::Lag,
    snapshot::{Counters, Provider},
};

/// Outcomes that are counted per provider, in the order of [`Counters::outcomes`].
pub(crate) const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::Error, Outcome::Cancelled];

/// What is counted over all providers.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    in_flight: AtomicU64,
    refused: AtomicU64,
}

impl Metrics {
    /// A request began.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request was refused because it could not be recorded.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub(crate) fn render<'a>(
        &self,
        providers: impl Iterator<Item = &'a Provider>,
        keys: usize,
        lag: Lag,
    ) -> String {
        let mut text = render_providers(providers);
        let table = [
            (
                "in_flight",
                "gauge",
                "Requests under way.",
                self.in_flight.load(Ordering::Relaxed),
            ),
            (
                "refused_unrecordable_total",
                "counter",
                "Requests refused because the journal took no reservation.",
                self.refused.load(Ordering::Relaxed),
            ),
            (
                "keys",
                "gauge",
                "API keys in memory.",
                u64::try_from(keys).unwrap_or(u64::MAX),
            ),
            (
                "journal_lag_rows",
                "gauge",
                "Settled requests that are not in the event store yet.",
                lag.rows,
            ),
            (
                "journal_bytes",
                "gauge",
                "Bytes of the journal's segments.",
                lag.bytes,
            ),
            (
                "journal_deferred_rows",
                "gauge",
                "Settled requests that wait in memory because the disk takes none.",
                lag.deferred,
            ),
        ];
        for (name, sort, help, value) in table {
            family(
                &mut text,
                name,
                sort,
                help,
                &format!("stead_gateway_{name} {value}\n"),
            );
        }
        text
    }
}

fn render_providers<'a>(providers: impl Iterator<Item = &'a Provider>) -> String {
    let providers: Vec<&Provider> = providers.collect();
    let (mut requests, mut attempts, mut tokens) = (String::new(), String::new(), String::new());
    for provider in &providers {
        let labels = format!("project=\"{}\",provider=\"{}\"", provider.project, provider.name);
        let counters = &provider.counters;
        for (outcome, counter) in OUTCOMES.iter().zip(&counters.outcomes) {
            let labels = format!("{labels},outcome=\"{}\"", outcome.as_str());
            line(&mut requests, "requests_total", &labels, counter);
        }
        line(&mut attempts, "attempts_in_flight", &labels, &counters.in_flight);
        let table = [
            ("input", &counters.input_tokens),
            ("output", &counters.output_tokens),
        ];
        for (direction, counter) in table {
            let labels = format!("{labels},direction=\"{direction}\"");
            line(&mut tokens, "tokens_total", &labels, counter);
        }
    }
    let mut text = String::new();
    let table = [
        (
            "requests_total",
            "counter",
            "Requests by the provider that answered last.",
            requests,
        ),
        ("attempts_in_flight", "gauge", "Attempts under way.", attempts),
        ("tokens_total", "counter", "Tokens of settled requests.", tokens),
    ];
    for (name, sort, help, lines) in table {
        family(&mut text, name, sort, help, &lines);
    }
    let owners: Vec<genai::Owner<'_>> = providers
        .iter()
        .map(|provider| genai::Owner {
            project: &provider.project,
            provider: &provider.name,
            vendor: &provider.vendor,
            measured: &provider.counters.measured,
        })
        .collect();
    genai::render(&owners, &mut text);
    text
}

/// Counts a settled request of a provider, which said that the model `answered` has answered.
pub(crate) fn count(counters: &Counters, row: &RequestRow, answered: Option<&str>) {
    let place = OUTCOMES.iter().position(|counted| *counted == row.outcome);
    if let Some(counter) = place.and_then(|place| counters.outcomes.get(place)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    count_tokens(counters, &row.usage);
    counters.measured.observe(row, answered);
}

/// Counts what a provider used for an attempt.
pub(crate) fn count_tokens(counters: &Counters, usage: &TokenUsage) {
    counters.input_tokens.fetch_add(usage.input, Ordering::Relaxed);
    counters.output_tokens.fetch_add(usage.output, Ordering::Relaxed);
}

fn family(text: &mut String, name: &str, sort: &str, help: &str, lines: &str) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# HELP stead_gateway_{name} {help}\n# TYPE stead_gateway_{name} {sort}\n{lines}"
    );
}

fn line(text: &mut String, name: &str, labels: &str, counter: &AtomicU64) {
    let value = counter.load(Ordering::Relaxed);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "stead_gateway_{name}{{{labels}}} {value}");
}
