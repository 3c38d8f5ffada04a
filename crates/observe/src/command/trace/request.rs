//! A request to the gateway as a page to read.

use std::fmt::Write as _;

use stead_kernel::ports::events::{Attempt, RequestRow};

use crate::command::show;

/// A request as text.
pub(in crate::command) fn page(row: &RequestRow) -> String {
    let mut text = String::new();
    for (name, value) in summary(row) {
        if !value.is_empty() {
            let _ = writeln!(
                text,
                "{name:<13} {}",
                show::harmless(&value).replace('\n', "\n              ")
            );
        }
    }
    if !row.attempts.is_empty() {
        let _ = writeln!(text, "\nAttempts");
        for (index, attempt) in row.attempts.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {}. {}",
                index + 1,
                show::harmless(&attempt_line(attempt))
            );
        }
    }
    for (name, body) in [("Input", &row.input), ("Output", &row.output)] {
        let body = body
            .as_deref()
            .map_or_else(|| "(not kept)".to_owned(), show::conversation);
        let _ = writeln!(text, "\n{name}\n{}", show::indented(&body));
    }
    text
}

fn summary(row: &RequestRow) -> Vec<(&'static str, String)> {
    let usage = &row.usage;
    let more = |count: u64, what: &str| {
        if count > 0 {
            format!(" ({count} {what})")
        } else {
            String::new()
        }
    };
    let how = if row.stream { ", streamed" } else { "" };
    let labels = row.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let http = if row.status > 0 {
        format!(" (HTTP {})", row.status)
    } else {
        String::new()
    };
    vec![
        ("Request", row.id.clone()),
        ("Trace", row.trace_id.clone()),
        ("Span", row.span_id.clone()),
        ("Caller's span", row.parent_span_id.clone()),
        ("Time", show::time(row.started)),
        ("Status", format!("{}{http}", row.outcome.as_str())),
        ("Error", row.error.clone()),
        ("Project", row.project.clone()),
        ("User", row.user.clone()),
        ("Key", row.key.clone()),
        (
            "API",
            format!("{} {}{how}", row.dialect, row.operation)
                .trim()
                .to_owned(),
        ),
        ("Model", row.model.clone()),
        ("Route", row.route.clone()),
        ("Answered by", answered_by(row)),
        (
            "Input",
            format!(
                "{} tokens{}",
                usage.input,
                more(usage.cached_input, "from a cache")
            ),
        ),
        (
            "Output",
            format!("{} tokens{}", usage.output, more(usage.reasoning, "of reasoning")),
        ),
        (
            "First token",
            row.first_token_us.map(show::duration).unwrap_or_default(),
        ),
        ("Duration", show::duration(row.duration_us)),
        (
            "Cost",
            row.cost
                .map_or_else(|| "unknown".to_owned(), |cost| show::cost(Some(cost))),
        ),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
    ]
}

fn answered_by(row: &RequestRow) -> String {
    match (row.provider.as_str(), row.provider_model.as_str()) {
        (provider, "") => provider.to_owned(),
        (provider, model) => format!("{provider}/{model}"),
    }
}

fn attempt_line(attempt: &Attempt) -> String {
    let Attempt {
        provider,
        model,
        offset_us,
        duration_us,
        status,
        error,
    } = attempt;
    let at = format!(
        "at {}, took {}",
        show::duration(*offset_us),
        show::duration(*duration_us)
    );
    let http = if *status > 0 {
        format!(", HTTP {status}")
    } else {
        String::new()
    };
    let error = if error.is_empty() {
        String::new()
    } else {
        format!(": {error}")
    };
    format!("{provider}/{model} {at}{http}{error}")
}
