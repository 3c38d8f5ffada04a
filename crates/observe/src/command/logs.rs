//! `stead logs`

use std::collections::HashSet;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Format, Session},
    ports::signals::LogRow,
};

use super::{all_projects, option, path, read, show, since, stream::Events, text};
use crate::logs::LEVELS;

/// How many lines the server gives at once, at most.
const PAGE: usize = 1_000;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("logs")
        .about("Shows what programs logged to this server by OpenTelemetry, the latest at the end")
        .arg(
            Arg::new("text")
                .value_name("TEXT")
                .help("With this text in what they say, or in their attributes"),
        )
        .arg(
            Arg::new("follow")
                .short('f')
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Go on with what comes, until Ctrl-C"),
        )
        .arg(since())
        .arg(option("until", "TIME", "Before then"))
        .arg(option("service", "NAME", "Of this service"))
        .arg(option(
            "level",
            "LEVEL",
            "At least so grave: trace, debug, info, warn, error, fatal",
        ))
        .arg(option("trace", "ID", "Written in this trace"))
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .default_value("100")
                .value_parser(value_parser!(u32).range(1..))
                .help("At most so many of what is there already"),
        )
        .after_help(
            "Exporters send logs to /otlp/v1/logs: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:7832/otlp. A line's \
             attributes, resource and scope: -o json.",
        )
}

/// A page, as the server answers.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next: Option<String>,
    place: String,
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let (lines, place) = latest(matches, session).await?;
    let mut seen = HashSet::new();
    for line in lines.iter().rev() {
        let row: LogRow = read(line)?;
        show_line(session, line, &row)?;
        seen.insert(row.id);
    }
    if !matches.get_flag("follow") {
        return Ok(());
    }
    let mut parameters = which(matches, session);
    parameters.push(("lastEventId", Some(place.as_str())));
    let mut events = Events::new(session, path("/api/logs/tail", &parameters));
    loop {
        let data = tokio::select! {
            data = events.next() => data?,
            () = session.terminal.interrupted() => return Ok(()),
        };
        let line: Value = serde_json::from_slice(&data)
            .map_err(|error| Error::internal("the server's event is not understood").because(error))?;
        let row: LogRow = read(&line)?;
        // What came while the others were read is told twice.
        if seen.is_empty() || !seen.remove(&row.id) {
            show_line(session, &line, &row)?;
        }
    }
}

/// What both a list and a stream are limited to.
fn which<'a>(matches: &'a ArgMatches, session: &'a Session) -> Vec<(&'static str, Option<&'a str>)> {
    vec![
        (
            "projects",
            (!all_projects(matches)).then_some(session.project.as_str()),
        ),
        ("level", text(matches, "level")),
        ("service", text(matches, "service")),
        ("trace", text(matches, "trace")),
        ("q", text(matches, "text")),
    ]
}

/// The latest lines, newest first, and the place after them.
async fn latest(matches: &ArgMatches, session: &Session) -> Result<(Vec<Value>, String)> {
    let limit: usize = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok())
        .unwrap_or(100);
    let (mut lines, mut after, mut place) = (Vec::new(), None::<String>, None);
    loop {
        let wanted = (limit - lines.len()).min(PAGE).to_string();
        let mut parameters = which(matches, session);
        parameters.extend([
            ("since", text(matches, "since")),
            ("until", text(matches, "until")),
            ("after", after.as_deref()),
            ("limit", Some(wanted.as_str())),
        ]);
        let answer = session
            .server
            .json(Method::GET, &path("/api/logs", &parameters), None)
            .await?;
        let page: Page = read(&answer)?;
        lines.extend(page.items);
        let first = place.get_or_insert(page.place).clone();
        after = page.next;
        if after.is_none() || lines.len() >= limit {
            return Ok((lines, first));
        }
    }
}

fn show_line(session: &Session, line: &Value, row: &LogRow) -> Result<()> {
    let text = match session.format {
        Format::Json | Format::Yaml => line.to_string(),
        Format::Name => row.id.clone(),
        Format::Table | Format::Wide => readable(row, session.format == Format::Wide),
    };
    session.terminal.write(&format!("{text}\n"))
}

/// A line as a person reads it.
fn readable(row: &LogRow, is_wide: bool) -> String {
    let record = &row.record;
    let word = LEVELS.iter().rev().find(|(_, least)| record.severity >= *least);
    let level = word.map_or_else(|| record.level.to_lowercase(), |(word, _)| (*word).to_owned());
    let mut parts = vec![record.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()];
    parts.push(format!("{:<5}", level.to_uppercase()));
    if !record.service.is_empty() {
        parts.push(format!("{}:", record.service));
    }
    match &record.body {
        Value::String(text) => parts.push(text.clone()),
        Value::Null => parts.push(record.event.clone()),
        other => parts.push(other.to_string()),
    }
    parts.extend(record.attributes.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    }));
    if !record.trace_id.is_empty() {
        parts.push(format!("trace={}", record.trace_id));
    }
    if is_wide {
        parts.push(format!("scope={} project={}", record.scope, row.project));
    }
    show::harmless(&parts.join(" ")).replace('\n', "\n    ")
}
