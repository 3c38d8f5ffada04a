//! `stead usage`

use clap::{Arg, ArgAction, ArgMatches, builder::PossibleValuesParser};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Result,
    command::{Column, Format, Session, View},
    ports::events::UsageRow,
};

use super::{all_projects, option, path, project_named, read, show, since, text};

const GROUPS: [&str; 10] = [
    "project", "user", "key", "team", "model", "route", "provider", "replica", "day", "hour",
];

pub(super) fn spec() -> clap::Command {
    clap::Command::new("usage")
        .about("Sums up requests, tokens and cost, exactly")
        .arg(since().default_value("30d"))
        .arg(option("until", "TIME", "Before then"))
        .arg(
            Arg::new("by")
                .long("by")
                .value_name("WHAT")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .value_parser(PossibleValuesParser::new(GROUPS))
                .help("By what, one or several"),
        )
        .after_help(
            "In the project of -n, or in all with -A; `--by project` without -n is about all. The usage of days whose \
             requests are no longer kept is there by the hour.",
        )
}

/// What the server answers.
#[derive(Deserialize)]
struct Answer {
    items: Vec<Value>,
    total: UsageRow,
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let by: Vec<&str> = matches
        .get_many::<String>("by")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let everywhere = all_projects(matches) || (by.contains(&"project") && !project_named(matches));
    let joined = by.join(",");
    let parameters = [
        ("projects", (!everywhere).then_some(session.project.as_str())),
        ("since", text(matches, "since")),
        ("until", text(matches, "until")),
        ("by", (!by.is_empty()).then_some(joined.as_str())),
    ];
    let answer = session
        .server
        .json(Method::GET, &path("/api/usage", &parameters), None)
        .await?;
    let answer: Answer = read(&answer)?;
    let unpriced = answer.total.unpriced;
    session.terminal.print(&view(&by, answer)?)?;
    if unpriced > 0 && matches!(session.format, Format::Table | Format::Wide) {
        let plural = if unpriced == 1 {
            "request has"
        } else {
            "requests have"
        };
        session.terminal.note(&format!(
            "{unpriced} {plural} no known price and count as $0 in the cost"
        ));
    }
    Ok(())
}

fn view(by: &[&str], answer: Answer) -> Result<View> {
    let groups = by.iter().map(|name| Column::new(&name.to_uppercase()));
    let sums = [
        Column::new("REQUESTS"),
        Column::new("ERRORS"),
        Column::new("IN"),
        Column::new("OUT"),
        Column::wide("CACHED"),
        Column::wide("REASONING"),
        Column::new("COST"),
        Column::wide("UNPRICED"),
        Column::new("FIRST"),
        Column::new("DURATION"),
    ];
    let usage = answer.items.iter().map(read).collect::<Result<Vec<UsageRow>>>()?;
    let mut rows: Vec<Vec<String>> = usage.iter().map(|row| cells(&row.group, row)).collect();
    if rows.len() > 1 {
        let mut group = vec![String::new(); by.len()];
        if let Some(first) = group.first_mut() {
            "TOTAL".clone_into(first);
        }
        rows.push(cells(&group, &answer.total));
    }
    Ok(View {
        columns: groups.chain(sums).collect(),
        rows,
        names: usage.into_iter().map(|row| row.group.join("/")).collect(),
        items: answer.items,
        list: true,
    })
}

fn cells(group: &[String], row: &UsageRow) -> Vec<String> {
    let group = group
        .iter()
        .map(|name| if name.is_empty() { "-" } else { name }.to_owned());
    let sums = [
        row.requests.to_string(),
        row.errors.to_string(),
        row.usage.input.to_string(),
        row.usage.output.to_string(),
        row.usage.cached_input.to_string(),
        row.usage.reasoning.to_string(),
        show::cost(Some(row.cost)),
        row.unpriced.to_string(),
        show::mean(row.first_token_us, row.first_tokens),
        show::mean(row.duration_us, row.requests),
    ];
    group.chain(sums).collect()
}
