//! `stead eval compare`

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches};
use http::Method;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Format, Session, View},
};

use crate::command::{opik, option, path, show, text};

/// How many items that differ are shown, when nothing is told.
const SHOWN: usize = 20;

pub(super) fn spec() -> clap::Command {
    let experiment = |name: &'static str| {
        Arg::new(name)
            .value_name("EXPERIMENT")
            .required(true)
            .help("An experiment: its id, or its name for the newest of it")
    };
    clap::Command::new("compare")
        .about("Compares two experiments item by item, with an interval for the difference of each score")
        .arg(experiment("first"))
        .arg(experiment("second"))
        .arg(option("score", "NAME", "Only this score"))
        .arg(option("seed", "N", "The seed of the interval; the same one gives the same interval [42]"))
        .arg(option("resamples", "N", "How often runs are drawn again [10000]"))
        .arg(option("confidence", "SHARE", "How sure the interval is [0.95]"))
        .arg(
            option(
                "fail-under",
                "DIFFERENCE",
                "Fail when the lower end of a score's interval is below this: -0.02 lets no score fall by more",
            )
            .allow_negative_numbers(true)
            .value_parser(clap::value_parser!(f64)),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("Show every item, not only some of those that differ"),
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let parameters = [
        ("project", Some(session.project.as_str())),
        ("first", text(matches, "first")),
        ("second", text(matches, "second")),
        ("seed", text(matches, "seed")),
        ("resamples", text(matches, "resamples")),
        ("confidence", text(matches, "confidence")),
    ];
    let told = session
        .server
        .json(Method::GET, &path("/api/comparisons", &parameters), None)
        .await?;
    let wanted = text(matches, "score");
    match session.format {
        Format::Table | Format::Wide => {
            let shown = if matches.get_flag("all") {
                usize::MAX
            } else {
                SHOWN
            };
            session.terminal.write(&page(&told, wanted, shown))?;
        }
        Format::Json | Format::Yaml | Format::Name => session.terminal.print(&View {
            items: vec![told.clone()],
            names: vec![opik::text(&told, "second")],
            ..View::default()
        })?,
    }
    match matches.get_one::<f64>("fail-under") {
        Some(least) => check(&told, wanted, *least),
        None => Ok(()),
    }
}

fn check(told: &Value, wanted: Option<&str>, least: f64) -> Result<()> {
    let scores = scores(told, wanted);
    if scores.is_empty() {
        return Err(Error::invalid("the experiments have no score on the same items"));
    }
    for score in scores {
        let low = number(score, "low");
        if low < least {
            return Err(Error::invalid(format!(
                "{} may have fallen by {:.4}: the difference is {:+.4}, and its interval begins at {low:+.4}, below {least:+}",
                opik::text(score, "name"),
                -low,
                number(score, "difference"),
            )));
        }
    }
    Ok(())
}

fn scores<'a>(told: &'a Value, wanted: Option<&str>) -> Vec<&'a Value> {
    let scores = told.get("scores").and_then(Value::as_array).into_iter().flatten();
    scores
        .filter(|score| wanted.is_none_or(|wanted| opik::text(score, "name") == wanted))
        .collect()
}

fn number(value: &Value, field: &str) -> f64 {
    value.get(field).and_then(Value::as_f64).unwrap_or_default()
}

fn page(told: &Value, wanted: Option<&str>, shown: usize) -> String {
    let mut page = String::new();
    for (name, pointer) in [("First", "first"), ("Second", "second")] {
        let experiment = told.get(pointer).cloned().unwrap_or_default();
        let (title, id) = (opik::text(&experiment, "name"), opik::text(&experiment, "id"));
        let _ = writeln!(page, "{name:<7} {} ({id})", show::harmless(&title));
    }
    let _ = writeln!(
        page,
        "\n{:<24} {:>5} {:>8} {:>8} {:>9}  {:<20} {:>6} {:>6}",
        "SCORE",
        "ITEMS",
        "FIRST",
        "SECOND",
        "CHANGE",
        format!("{:.0}% INTERVAL", number(told, "confidence") * 100.0),
        "HIGHER",
        "LOWER"
    );
    for score in scores(told, wanted) {
        let interval = format!("[{:+.4}, {:+.4}]", number(score, "low"), number(score, "high"));
        let _ = writeln!(
            page,
            "{:<24} {:>5} {:>8.4} {:>8.4} {:>+9.4}  {interval:<20} {:>6} {:>6}",
            show::harmless(&opik::text(score, "name")),
            opik::text(score, "items"),
            number(score, "first"),
            number(score, "second"),
            number(score, "difference"),
            opik::text(score, "higher"),
            opik::text(score, "lower"),
        );
    }
    let mut lines = differing(told, wanted);
    let left = lines.len().saturating_sub(shown);
    lines.truncate(shown);
    if !lines.is_empty() {
        let _ = writeln!(page, "\nITEMS THAT DIFFER\n{}", lines.join("\n"));
    }
    if left > 0 {
        let _ = writeln!(page, "and {left} more: --all");
    }
    page
}

/// A line for each score of an item that differs, those that fell most first.
fn differing(told: &Value, wanted: Option<&str>) -> Vec<String> {
    let mut found: Vec<(f64, String)> = Vec::new();
    for item in told.get("items").and_then(Value::as_array).into_iter().flatten() {
        let id = opik::text(item, "datasetItemId");
        for (name, score) in item
            .get("scores")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let Some(difference) = score.get("difference").and_then(Value::as_f64) else {
                continue;
            };
            if difference != 0.0 && wanted.is_none_or(|wanted| wanted == name) {
                let (first, second) = (number(score, "first"), number(score, "second"));
                let line = format!(
                    "  {id}  {:<24} {first:>8.4} {second:>8.4} {difference:>+9.4}",
                    show::harmless(name)
                );
                found.push((difference, line));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, line)| line).collect()
}
