//! How far an evaluation is, and what it came to.

use std::{fmt::Write as _, time::Duration};

use clap::ArgMatches;
use http::Method;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Format, Session, View},
};

use crate::command::{
    opik::{call, segment},
    path, show,
};

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// The least that a mean may be, by score.
pub(super) struct Limits(Vec<(String, f64)>);

/// The limits that were given.
///
/// # Errors
/// `Invalid` for what is no `SCORE=VALUE`.
pub(super) fn limits(matches: &ArgMatches) -> Result<Limits> {
    let given = matches.get_many::<String>("fail-under").into_iter().flatten();
    let parsed = given.map(|text| {
        let parts = text
            .rsplit_once('=')
            .and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        parts.ok_or_else(|| Error::invalid(format!("--fail-under {text:?} is no SCORE=VALUE")))
    });
    Ok(Limits(parsed.collect::<Result<_>>()?))
}

/// Follows an evaluation to its end, or until Ctrl-C, which does not end it.
///
/// # Errors
/// When it failed, or a score is below its limit.
pub(super) async fn follow(session: &Session, begun: Value, limits: Option<&Limits>) -> Result<()> {
    let id = text(&begun, "id");
    let address = path(
        &format!("/api/evaluations/{}", segment(&id)),
        &[("project", Some(&session.project))],
    );
    let bar = session.terminal.progress("evaluating", None);
    let mut told = begun;
    while text(&told, "status") == "running" {
        let count = |name: &str| told.pointer(&format!("/progress/{name}")).and_then(Value::as_u64);
        bar.message(&format!("{} failed", count("failed").unwrap_or_default()));
        bar.set(
            count("done").unwrap_or_default(),
            count("total").filter(|total| *total > 0),
        );
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = session.terminal.interrupted() => {
                drop(bar);
                session.terminal.note(&format!("it goes on; follow it with: stead eval watch {id}; end it with: stead eval cancel {id}"));
                return Ok(());
            }
        }
        told = session.server.json(Method::GET, &address, None).await?;
    }
    drop(bar);
    let experiment = show_with_experiment(session, &told).await?;
    if text(&told, "status") == "failed" {
        return Err(
            Error::invalid(format!("the evaluation failed: {}", text(&told, "message")))
                .hint(format!("once that is put right: stead eval resume {id}")),
        );
    }
    match limits {
        Some(limits) => check(limits, &experiment),
        None => Ok(()),
    }
}

fn check(limits: &Limits, experiment: &Value) -> Result<()> {
    for (name, least) in &limits.0 {
        let mean = scores(experiment)
            .find(|(own, _)| own == name)
            .map(|(_, mean)| mean);
        let Some(mean) = mean else {
            return Err(Error::invalid(format!("there is no score {name:?}")));
        };
        if mean < *least {
            return Err(Error::invalid(format!("{name} is {mean:.4}, below {least}")));
        }
    }
    Ok(())
}

/// Shows an evaluation.
pub(super) async fn show(session: &Session, told: &Value) -> Result<()> {
    show_with_experiment(session, told).await.map(drop)
}

async fn show_with_experiment(session: &Session, told: &Value) -> Result<Value> {
    let address = format!("/experiments/{}", segment(&text(told, "experimentId")));
    let experiment = call(session, Method::GET, &address, None).await?;
    match session.format {
        Format::Table | Format::Wide => session.terminal.write(&page(told, &experiment))?,
        Format::Json | Format::Yaml | Format::Name => session.terminal.print(&View {
            items: vec![told.clone()],
            names: vec![text(told, "id")],
            ..View::default()
        })?,
    }
    Ok(experiment)
}

fn page(told: &Value, experiment: &Value) -> String {
    let mut page = String::new();
    let progress = |name: &str| {
        told.pointer(&format!("/progress/{name}"))
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let done = format!(
        "{} of {}, {} failed",
        progress("done"),
        progress("total"),
        progress("failed")
    );
    for (name, value) in [
        ("Evaluation", text(told, "id")),
        (
            "Experiment",
            format!("{} ({})", text(told, "name"), text(told, "experimentId")),
        ),
        (
            "Dataset",
            format!("{} v{}", text(told, "datasetName"), text(told, "datasetVersion")),
        ),
        ("Model", text(told, "model")),
        ("Status", text(told, "status")),
        ("Items", done),
        ("Message", text(told, "message")),
    ] {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<13} {}", show::harmless(&value));
        }
    }
    let means: Vec<(String, f64)> = scores(experiment).collect();
    if !means.is_empty() {
        let _ = writeln!(page, "\nScores (mean)");
        for (name, mean) in means {
            let _ = writeln!(page, "  {:<30} {mean:.4}", show::harmless(&name));
        }
    }
    let errors: Vec<String> = told
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(stead_scoring::text_of)
        .collect();
    if !errors.is_empty() {
        let _ = writeln!(
            page,
            "\nErrors\n{}",
            show::indented(&show::harmless(&errors.join("\n")))
        );
    }
    page
}

fn scores(experiment: &Value) -> impl Iterator<Item = (String, f64)> {
    let scores = experiment
        .get("feedback_scores")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    scores.filter_map(|score| Some((text(score, "name"), score.get("value")?.as_f64()?)))
}

fn text(value: &Value, field: &str) -> String {
    crate::command::opik::text(value, field)
}
