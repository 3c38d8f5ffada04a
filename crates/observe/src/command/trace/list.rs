//! `stead trace list` and `stead trace search`

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use http::Method;
use serde_json::Value;
use stead_kernel::{
    Result,
    command::{Column, Session, View},
    ports::Page,
};

use super::{LANGUAGE, project, question, when, which};
use crate::{
    command::{all_projects, path, read, show, text},
    traces::{Row, Source},
};

/// How many rows the server gives at once, at most.
const PAGE: usize = 1_000;

pub(super) fn spec() -> clap::Command {
    limit(when(which(clap::Command::new("list").visible_alias("ls").about(
        "Lists traces of applications and requests to models, newest first",
    ))))
    .after_help("One with its tree, input and output: stead trace get ID")
}

pub(super) fn search_spec() -> clap::Command {
    limit(when(which(
        clap::Command::new("search")
            .about("Looks for traces and requests, newest first")
            .arg(
                Arg::new("words")
                    .value_name("QUERY")
                    .required(true)
                    .num_args(1..)
                    .action(ArgAction::Append)
                    .help("What to look for, in the filter language: refund model:qwen3 latency>500ms"),
            ),
    )))
    .after_help(LANGUAGE)
}

fn limit(command: clap::Command) -> clap::Command {
    command.arg(
        Arg::new("limit")
            .long("limit")
            .value_name("N")
            .default_value("20")
            .value_parser(value_parser!(u32).range(1..))
            .help("At most so many"),
    )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let limit: usize = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok())
        .unwrap_or(20);
    let question = question(matches);
    let mut items: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let wanted = (limit - items.len()).min(PAGE).to_string();
        let parameters = [
            ("projects", project(matches, session)),
            ("q", question.as_deref()),
            ("since", text(matches, "since")),
            ("until", text(matches, "until")),
            ("after", after.as_deref()),
            ("limit", Some(wanted.as_str())),
        ];
        let answer = session
            .server
            .json(Method::GET, &path("/api/traces", &parameters), None)
            .await?;
        let page: Page<Value> = read(&answer)?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() || items.len() >= limit {
            break;
        }
    }
    session.terminal.print(&view(items, all_projects(matches))?)?;
    if after.is_some() {
        session
            .terminal
            .note("there are more: raise --limit, or narrow it with --since and --until");
    }
    Ok(())
}

fn view(items: Vec<Value>, everywhere: bool) -> Result<View> {
    let mut columns = vec![
        Column::new("TIME"),
        Column::new("ID"),
        Column::new("NAME"),
        Column::new("MODEL"),
        Column::new("PROVIDER"),
        Column::new("IN"),
        Column::new("OUT"),
        Column::new("FIRST"),
        Column::new("DURATION"),
        Column::new("COST"),
        Column::new("STATUS"),
        Column::new("ERROR"),
        Column::wide("SOURCE"),
        Column::wide("SPANS"),
        Column::wide("APPLICATION"),
        Column::wide("THREAD"),
        Column::wide("USER"),
        Column::wide("KEY"),
        Column::wide("TRACE"),
    ];
    columns.push(Column {
        name: "PROJECT".into(),
        wide: !everywhere,
    });
    let found = items.iter().map(read).collect::<Result<Vec<Row>>>()?;
    Ok(View {
        columns,
        rows: found.iter().map(cells).collect(),
        names: found.into_iter().map(|row| row.id).collect(),
        items,
        list: true,
    })
}

fn cells(row: &Row) -> Vec<String> {
    let line = |text: &str| show::harmless(text).replace('\n', " ");
    let or_none = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), line);
    let tokens = row.tokens;
    vec![
        show::time(row.start),
        row.id.clone(),
        line(&row.name),
        line(&row.models.join(",")),
        line(&row.providers.join(",")),
        tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.input.to_string()),
        tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.output.to_string()),
        row.first_token_us.map_or_else(|| "-".to_owned(), show::duration),
        row.duration_us.map_or_else(|| "-".to_owned(), show::duration),
        show::cost(row.cost),
        status(row),
        row.error.as_deref().map(line).unwrap_or_default(),
        match row.source {
            Source::Application => "application",
            Source::Gateway => "gateway",
        }
        .to_owned(),
        row.spans.to_string(),
        or_none(row.application.as_deref()),
        or_none(row.thread.as_deref()),
        line(&row.user),
        or_none(row.key.as_deref()),
        row.trace_id.clone().unwrap_or_else(|| "-".to_owned()),
        row.project.clone(),
    ]
}

/// `ok`, `error 503`, `cancelled`
pub(super) fn status(row: &Row) -> String {
    match (row.status.as_str(), row.http_status) {
        ("error", Some(code)) => format!("error {code}"),
        (status, _) => status.to_owned(),
    }
}
