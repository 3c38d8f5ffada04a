//! `stead trace tail`

use clap::{Arg, ArgAction, ArgMatches};
use stead_kernel::{
    Error, Result,
    command::{Format, Session},
};

use super::{LANGUAGE, list::status, project, question, which};
use crate::{
    command::{path, show, stream::Events},
    traces::Row,
};

pub(super) fn spec() -> clap::Command {
    which(
        clap::Command::new("tail")
            .about("Shows traces and requests as they come, until Ctrl-C")
            .arg(
                Arg::new("words")
                    .value_name("QUERY")
                    .num_args(0..)
                    .action(ArgAction::Append)
                    .help("Which, in the filter language"),
            ),
    )
    .after_help(LANGUAGE)
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let question = question(matches);
    let parameters = [
        ("projects", project(matches, session)),
        ("q", question.as_deref()),
    ];
    let mut events = Events::new(session, path("/api/traces/tail", &parameters));
    loop {
        let data = tokio::select! {
            data = events.next() => data?,
            () = session.terminal.interrupted() => return Ok(()),
        };
        let line = match session.format {
            Format::Json | Format::Yaml => String::from_utf8_lossy(&data).into_owned(),
            Format::Table | Format::Wide | Format::Name => {
                let row: Row = serde_json::from_slice(&data).map_err(|error| {
                    Error::internal("the server's event is not understood").because(error)
                })?;
                if session.format == Format::Name {
                    row.id
                } else {
                    line(&row)
                }
            }
        };
        session.terminal.write(&format!("{line}\n"))?;
    }
}

/// A row on a line.
fn line(row: &Row) -> String {
    let mut parts = vec![
        show::time(row.start),
        row.id.clone(),
        row.name.clone(),
        row.models.join(","),
        status(row),
    ];
    parts.extend(row.duration_us.map(show::duration));
    let tokens = row.tokens;
    parts.extend(tokens.map(|tokens| format!("{}+{} tokens", tokens.input, tokens.output)));
    parts.extend(row.cost.map(|cost| show::cost(Some(cost))));
    parts.extend(row.error.clone());
    parts.retain(|part| !part.is_empty());
    show::harmless(&parts.join("  ")).replace('\n', " ")
}
