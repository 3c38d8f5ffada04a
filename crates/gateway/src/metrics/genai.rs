//! Metrics under the names of OpenTelemetry's semantic conventions for generative AI, as Prometheus spells them
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>): `client` is the gateway towards a provider,
//! `server` the gateway towards its own clients.
//!
//! *Invariant:* the number of series is bounded, whatever clients name as a model.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use stead_kernel::ports::events::{Outcome, RequestRow};

use super::histogram::{Histogram, Scale};

/// How many models of one provider have series of their own; more count as [`OTHER`].
const SERIES: usize = 200;
/// How many sorts of errors of one model have series of their own.
const ERRORS: usize = 32;
/// The conventions' word for what has no name of its own.
const OTHER: &str = "_OTHER";

/// Durations of whole operations, in microseconds.
static DURATION: Scale = Scale {
    bounds: &[
        10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 5_120_000,
        10_240_000, 20_480_000, 40_960_000, 81_920_000,
    ],
    divisor: 1_000_000,
};
/// Times to first token, in microseconds.
static FIRST_TOKEN: Scale = Scale {
    bounds: &[
        1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
        2_500_000, 5_000_000, 7_500_000, 10_000_000,
    ],
    divisor: 1_000_000,
};
/// Times per output token after the first, in microseconds.
static PER_TOKEN: Scale = Scale {
    bounds: &[
        10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 750_000,
        1_000_000, 2_500_000,
    ],
    divisor: 1_000_000,
};
/// Tokens.
static TOKENS: Scale = Scale {
    bounds: &[
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    divisor: 1,
};

/// What is measured of one provider.
#[derive(Debug, Default)]
pub(crate) struct GenAi {
    hasher: RandomState,
    /// By the hash of operation and model; copied when a new one comes.
    series: ArcSwap<HashMap<u64, Arc<Series>>>,
}

/// What is measured of one operation with one model.
#[derive(Debug)]
struct Series {
    operation: Box<str>,
    model: Box<str>,
    /// The model that answered, as the provider names it; empty when it does not say.
    answered: Box<str>,
    client: Histogram,
    server: Histogram,
    first_token: Histogram,
    per_token: Histogram,
    input: Histogram,
    output: Histogram,
    /// Durations towards the provider and towards the client of what failed, by the sort of error.
    failed: Mutex<BTreeMap<String, Arc<(Histogram, Histogram)>>>,
}

impl Series {
    fn new(operation: &str, model: &str, answered: &str) -> Self {
        Self {
            operation: operation.into(),
            model: model.into(),
            answered: answered.into(),
            client: Histogram::new(&DURATION),
            server: Histogram::new(&DURATION),
            first_token: Histogram::new(&FIRST_TOKEN),
            per_token: Histogram::new(&PER_TOKEN),
            input: Histogram::new(&TOKENS),
            output: Histogram::new(&TOKENS),
            failed: Mutex::default(),
        }
    }

    fn is(&self, operation: &str, model: &str, answered: &str) -> bool {
        *self.operation == *operation && *self.model == *model && *self.answered == *answered
    }

    fn names(&self) -> (&str, &str, &str) {
        (&self.operation, &self.model, &self.answered)
    }

    fn observe(&self, row: &RequestRow) {
        let client = row
            .attempts
            .last()
            .map_or(row.duration_us, |attempt| attempt.duration_us);
        match error_type(row) {
            None => {
                self.client.observe(client);
                self.server.observe(row.duration_us);
            }
            Some(sort) => {
                let failed = self.failed(sort);
                failed.0.observe(client);
                failed.1.observe(row.duration_us);
            }
        }
        if let Some(first) = row.first_token_us {
            self.first_token.observe(first);
            let rest = row.duration_us.saturating_sub(first);
            let per_token = rest.checked_div(row.usage.output.saturating_sub(1));
            if let (true, Some(micros)) = (row.stream, per_token) {
                self.per_token.observe(micros);
            }
        }
        for (histogram, tokens) in [(&self.input, row.usage.input), (&self.output, row.usage.output)] {
            if tokens > 0 {
                histogram.observe(tokens);
            }
        }
    }

    fn failed(&self, sort: String) -> Arc<(Histogram, Histogram)> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failed.len() < ERRORS || failed.contains_key(&sort);
        let sort = if known { sort } else { OTHER.to_owned() };
        let new = || Arc::new((Histogram::new(&DURATION), Histogram::new(&DURATION)));
        Arc::clone(failed.entry(sort).or_insert_with(new))
    }
}

impl GenAi {
    /// Takes in a settled request of this provider, and which model it said has answered.
    pub(crate) fn observe(&self, row: &RequestRow, answered: Option<&str>) {
        let answered = answered.unwrap_or_default();
        self.series(operation(&row.operation), &row.provider_model, answered)
            .observe(row);
    }

    fn series(&self, operation: &str, model: &str, answered: &str) -> Arc<Series> {
        let key = self.hasher.hash_one((operation, model, answered));
        let known = self.series.load();
        let found = known.get(&key);
        if let Some(series) = found.filter(|series| series.is(operation, model, answered)) {
            return Arc::clone(series);
        }
        if known.len() >= SERIES && model != OTHER {
            return self.series(operation, OTHER, "");
        }
        let new = Arc::new(Series::new(operation, model, answered));
        self.series.rcu(|old| {
            let mut next = HashMap::clone(old);
            next.entry(key).or_insert_with(|| Arc::clone(&new));
            next
        });
        // Somebody may have been faster.
        self.series.load().get(&key).map_or(new, Arc::clone)
    }
}

/// The operation in the conventions' words.
fn operation(ours: &str) -> &str {
    match ours {
        "completions" => "text_completion",
        other => other,
    }
}

/// The vendor in the conventions' words, where they have one.
fn provider_name(vendor: &str) -> &str {
    const NAMES: [(&str, &str); 13] = [
        ("gemini", "gcp.gemini"),
        ("vertex", "gcp.vertex_ai"),
        ("azure-openai", "azure.ai.openai"),
        ("bedrock", "aws.bedrock"),
        ("mistral", "mistral_ai"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.groq.com", "groq"),
        ("api.deepseek.com", "deepseek"),
        ("api.perplexity.ai", "perplexity"),
        ("api.x.ai", "x_ai"),
        ("xai", "x_ai"),
        ("api.cohere.com", "cohere"),
        ("api.openai.com", "openai"),
    ];
    let known = NAMES.iter().find(|(ours, _)| *ours == vendor);
    known.map_or(vendor, |(_, theirs)| theirs)
}

/// The sort of error, of low cardinality; `None` for what went well.
fn error_type(row: &RequestRow) -> Option<String> {
    match row.outcome {
        Outcome::Ok => None,
        Outcome::Cancelled => Some("cancelled".into()),
        Outcome::Interrupted => Some("interrupted".into()),
        Outcome::Error => {
            let provider = row.attempts.last().map_or(0, |attempt| attempt.status);
            let status = if provider >= 400 { provider } else { row.status };
            Some(if status >= 400 {
                status.to_string()
            } else {
                OTHER.into()
            })
        }
    }
}

/// Whose metrics these are.
pub(super) struct Owner<'a> {
    pub(super) project: &'a str,
    pub(super) provider: &'a str,
    pub(super) vendor: &'a str,
    pub(super) measured: &'a GenAi,
}

/// Name, help and the histogram of each family.
type Family = (&'static str, &'static str, fn(&Series, &str, &str, &mut String));

const FAMILIES: [Family; 5] = [
    (
        "gen_ai_client_operation_duration_seconds",
        "Duration of operations at the provider, its last attempt.",
        |series, name, labels, text| {
            series.client.render(text, name, labels);
            series.render_failed(text, name, labels, |both| &both.0);
        },
    ),
    (
        "gen_ai_client_token_usage",
        "Input and output tokens used.",
        |series, name, labels, text| {
            for (sort, histogram) in [("input", &series.input), ("output", &series.output)] {
                histogram.render(text, name, &format!("{labels},gen_ai_token_type=\"{sort}\""));
            }
        },
    ),
    (
        "gen_ai_server_request_duration_seconds",
        "Duration of requests here, until the last byte of the answer.",
        |series, name, labels, text| {
            series.server.render(text, name, labels);
            series.render_failed(text, name, labels, |both| &both.1);
        },
    ),
    (
        "gen_ai_server_time_to_first_token_seconds",
        "Time until the first content of the answer.",
        |series, name, labels, text| series.first_token.render(text, name, labels),
    ),
    (
        "gen_ai_server_time_per_output_token_seconds",
        "Time per output token after the first, of streams.",
        |series, name, labels, text| series.per_token.render(text, name, labels),
    ),
];

impl Series {
    fn render_failed(
        &self,
        text: &mut String,
        name: &str,
        labels: &str,
        choose: fn(&(Histogram, Histogram)) -> &Histogram,
    ) {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        for (sort, both) in failed.iter() {
            let labels = format!("{labels},error_type=\"{sort}\"");
            choose(both).render(text, name, &labels);
        }
    }
}

/// Every family in Prometheus' text format 0.0.4.
pub(super) fn render(owners: &[Owner<'_>], text: &mut String) {
    for (name, help, lines) in FAMILIES {
        let mut body = String::new();
        for owner in owners {
            let all = owner.measured.series.load();
            let mut all: Vec<&Arc<Series>> = all.values().collect();
            all.sort_by(|a, b| a.names().cmp(&b.names()));
            for series in all {
                lines(series, name, &labels(owner, series), &mut body);
            }
        }
        if !body.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n{body}");
        }
    }
}

fn labels(owner: &Owner<'_>, series: &Series) -> String {
    let table = [
        ("gen_ai_operation_name", &*series.operation),
        ("gen_ai_provider_name", provider_name(owner.vendor)),
        ("gen_ai_request_model", &*series.model),
        ("project", owner.project),
        ("provider", owner.provider),
    ];
    let mut labels = table
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .join(",");
    if !series.answered.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(labels, ",gen_ai_response_model=\"{}\"", escaped(&series.answered));
    }
    labels
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use stead_kernel::ports::{TokenUsage, events::Attempt};

    use super::*;

    fn row(model: &str, outcome: Outcome) -> RequestRow {
        RequestRow {
            operation: "chat".into(),
            provider_model: model.into(),
            outcome,
            duration_us: 1_100_000,
            first_token_us: Some(100_000),
            stream: true,
            status: 200,
            usage: TokenUsage {
                input: 5,
                output: 11,
                ..TokenUsage::default()
            },
            attempts: vec![Attempt {
                duration_us: 1_000_000,
                status: 200,
                ..Attempt::default()
            }],
            ..RequestRow::default()
        }
    }

    fn rendered(measured: &GenAi) -> String {
        let owner = Owner {
            project: "default",
            provider: "p",
            vendor: "api.mistral.ai",
            measured,
        };
        let mut text = String::new();
        render(&[owner], &mut text);
        text
    }

    #[test]
    fn a_request_counts_under_the_names_of_the_conventions() {
        let measured = GenAi::default();
        measured.observe(&row("m", Outcome::Ok), None);
        let text = rendered(&measured);
        let labels = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"mistral_ai\",\
                      gen_ai_request_model=\"m\",project=\"default\",provider=\"p\"";
        for line in [
            format!("gen_ai_client_operation_duration_seconds_bucket{{{labels},le=\"0.64\"}} 0"),
            format!("gen_ai_client_operation_duration_seconds_bucket{{{labels},le=\"1.28\"}} 1"),
            format!("gen_ai_client_operation_duration_seconds_sum{{{labels}}} 1"),
            format!("gen_ai_server_request_duration_seconds_sum{{{labels}}} 1.1"),
            format!("gen_ai_server_time_to_first_token_seconds_bucket{{{labels},le=\"0.1\"}} 1"),
            format!("gen_ai_server_time_per_output_token_seconds_sum{{{labels}}} 0.1"),
            format!("gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type=\"input\"}} 5"),
            format!("gen_ai_client_token_usage_bucket{{{labels},gen_ai_token_type=\"output\",le=\"16\"}} 1"),
            "# TYPE gen_ai_client_token_usage histogram".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_model_that_answered_is_told_where_the_provider_says_which() {
        let measured = GenAi::default();
        measured.observe(&row("m", Outcome::Ok), Some("m-2026-01-01"));
        measured.observe(&row("m", Outcome::Ok), None);
        let text = rendered(&measured);
        let count = |labels: &str| {
            let name = "gen_ai_client_operation_duration_seconds_count";
            let mut lines = text.lines().filter(|line| line.starts_with(name));
            lines.any(|line| line.contains(labels) && line.ends_with(" 1"))
        };
        assert!(
            count("provider=\"p\",gen_ai_response_model=\"m-2026-01-01\"}"),
            "{text}"
        );
        assert!(count("provider=\"p\"}"), "{text}");
    }

    #[test]
    fn failures_are_told_apart_by_their_sort() {
        let measured = GenAi::default();
        let mut limited = row("m", Outcome::Error);
        limited.attempts[0].status = 429;
        measured.observe(&limited, None);
        measured.observe(&row("m", Outcome::Cancelled), None);
        let text = rendered(&measured);
        for sort in ["429", "cancelled"] {
            let count = format!("error_type=\"{sort}\"}} 1");
            assert!(text.contains(&count), "{sort}\n{text}");
        }
    }

    #[test]
    fn names_that_clients_make_up_do_not_grow_the_metrics_without_bound() {
        let measured = GenAi::default();
        for number in 0..10_000 {
            measured.observe(&row(&format!("m\"{number}\\"), Outcome::Ok), None);
        }
        assert!(measured.series.load().len() <= SERIES + 1);
        let text = rendered(&measured);
        let other = format!("gen_ai_request_model=\"{OTHER}\"");
        assert!(
            text.lines()
                .any(|line| line.contains(&other) && line.ends_with(" 9800"))
        );
        assert!(text.contains(r#"gen_ai_request_model="m\"0\\""#));
    }
}
