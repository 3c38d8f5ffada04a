//! `stead trace list`

use clap::{Arg, ArgMatches, builder::PossibleValuesParser, value_parser};
use http::Method;
use serde_json::Value;
use stead_kernel::{
    Result,
    command::{Column, Session, View},
    ports::{
        Page,
        events::{Outcome, RequestRow},
    },
};

use super::{all_projects, option, path, read, show, since, text};

/// How many rows the server gives at once, at most.
const PAGE: usize = 1_000;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("list")
        .visible_alias("ls")
        .about("Lists requests, newest first")
        .arg(since())
        .arg(option("until", "TIME", "Before then"))
        .arg(option("model", "NAME", "For this model, as the client named it"))
        .arg(option("provider", "NAME", "Answered by this provider"))
        .arg(option("key", "NAME", "With this API key"))
        .arg(option("user", "NAME", "By this user"))
        .arg(
            option("status", "STATUS", "Which ended like this").value_parser(PossibleValuesParser::new([
                "ok",
                "error",
                "cancelled",
                "interrupted",
            ])),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .default_value("20")
                .value_parser(value_parser!(u32).range(1..))
                .help("At most so many"),
        )
        .after_help("One request with its input and output: stead trace get ID")
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let limit: usize = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok())
        .unwrap_or(20);
    let everywhere = all_projects(matches);
    let mut items: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let wanted = (limit - items.len()).min(PAGE).to_string();
        let parameters = [
            ("projects", (!everywhere).then_some(session.project.as_str())),
            ("since", text(matches, "since")),
            ("until", text(matches, "until")),
            ("model", text(matches, "model")),
            ("provider", text(matches, "provider")),
            ("key", text(matches, "key")),
            ("user", text(matches, "user")),
            ("outcome", text(matches, "status")),
            ("after", after.as_deref()),
            ("limit", Some(wanted.as_str())),
        ];
        let answer = session
            .server
            .json(Method::GET, &path("/api/requests", &parameters), None)
            .await?;
        let page: Page<Value> = read(&answer)?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() || items.len() >= limit {
            break;
        }
    }
    session.terminal.print(&view(items, everywhere)?)?;
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
        Column::new("MODEL"),
        Column::new("PROVIDER"),
        Column::new("IN"),
        Column::new("OUT"),
        Column::new("FIRST"),
        Column::new("DURATION"),
        Column::new("COST"),
        Column::new("STATUS"),
        Column::new("ERROR"),
        Column::wide("USER"),
        Column::wide("KEY"),
        Column::wide("ATTEMPTS"),
        Column::wide("TRACE"),
    ];
    columns.push(Column {
        name: "PROJECT".into(),
        wide: !everywhere,
    });
    let requests = items.iter().map(read).collect::<Result<Vec<RequestRow>>>()?;
    Ok(View {
        columns,
        rows: requests.iter().map(cells).collect(),
        names: requests.into_iter().map(|row| row.id).collect(),
        items,
        list: true,
    })
}

fn cells(row: &RequestRow) -> Vec<String> {
    vec![
        show::time(row.started),
        row.id.clone(),
        row.model.clone(),
        row.provider.clone(),
        row.usage.input.to_string(),
        row.usage.output.to_string(),
        row.first_token_us.map_or_else(|| "-".to_owned(), show::duration),
        show::duration(row.duration_us),
        show::cost(row.cost),
        status(row),
        show::harmless(&row.error).replace('\n', " "),
        row.user.clone(),
        row.key.clone(),
        row.attempts.len().to_string(),
        row.trace_id.clone(),
        row.project.clone(),
    ]
}

/// `ok`, `error 503`, `cancelled`
fn status(row: &RequestRow) -> String {
    match (row.outcome, row.status) {
        (Outcome::Error, 1..) => format!("error {}", row.status),
        (outcome, _) => outcome.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_list_names_the_http_status_of_errors_only() {
        let row = |outcome, code| RequestRow {
            outcome,
            status: code,
            ..RequestRow::default()
        };
        assert_eq!(status(&row(Outcome::Ok, 200)), "ok");
        assert_eq!(status(&row(Outcome::Error, 503)), "error 503");
        assert_eq!(status(&row(Outcome::Error, 0)), "error");
        assert_eq!(status(&row(Outcome::Cancelled, 0)), "cancelled");
    }
}
