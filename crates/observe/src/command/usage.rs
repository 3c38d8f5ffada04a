//! `stead usage`

use clap::{Arg, ArgAction, ArgMatches, builder::PossibleValuesParser};
use http::{Method, Request};
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Body, Error, Result,
    command::{Column, Format, Session, View},
};

use super::{all_projects, option, path, project_named, read, show, since, stream::Lines, text};
use crate::routes::Sum;

const GROUPS: [&str; 10] = [
    "project", "user", "key", "team", "model", "route", "provider", "replica", "day", "hour",
];

pub(super) fn spec() -> clap::Command {
    clap::Command::new("usage")
        .about("Sums up requests, applications' spans, tokens and cost, exactly")
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
        .arg(
            option("of", "WHAT", "Only requests to the gateway, or only spans that applications told")
                .value_parser(PossibleValuesParser::new(["all", "gateway", "applications"])),
        )
        .arg(
            Arg::new("csv")
                .long("csv")
                .action(ArgAction::SetTrue)
                .help("As comma-separated values, costs in dollars to the billionth"),
        )
        .after_help(
            "In the project of -n, or in all with -A; `--by project` without -n is about all. The usage of days whose \
             requests are no longer kept is there by the hour. COST is of both: of requests, and of spans that carry a cost and \
             made no request that is counted already; -o wide tells them apart.",
        )
}

/// What the server answers.
#[derive(Deserialize)]
struct Answer {
    items: Vec<Value>,
    total: Sum,
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
        ("of", text(matches, "of")),
        ("format", matches.get_flag("csv").then_some("csv")),
    ];
    if matches.get_flag("csv") {
        return csv(session, &path("/api/usage", &parameters)).await;
    }
    let answer = session
        .server
        .json(Method::GET, &path("/api/usage", &parameters), None)
        .await?;
    let answer: Answer = read(&answer)?;
    let unpriced = answer.total.row.unpriced;
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

/// What the server writes, as it is.
async fn csv(session: &Session, path: &str) -> Result<()> {
    let request = Request::get(path)
        .body(Body::empty())
        .map_err(|error| Error::invalid("the request is malformed").because(error))?;
    let mut lines = Lines::of(session.server.send(request).await?).await?;
    while let Some(line) = lines.next().await? {
        session
            .terminal
            .write(&format!("{}\n", String::from_utf8_lossy(&line)))?;
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
        Column::wide("REQUESTS COST"),
        Column::wide("SPANS"),
        Column::wide("SPANS COST"),
        Column::new("FIRST"),
        Column::new("DURATION"),
    ];
    let usage = answer.items.iter().map(read).collect::<Result<Vec<Sum>>>()?;
    let mut rows: Vec<Vec<String>> = usage.iter().map(|sum| cells(&sum.row.group, sum)).collect();
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
        names: usage.into_iter().map(|sum| sum.row.group.join("/")).collect(),
        items: answer.items,
        list: true,
    })
}

fn cells(group: &[String], sum: &Sum) -> Vec<String> {
    let row = &sum.row;
    let group = group
        .iter()
        .map(|name| if name.is_empty() { "-" } else { name }.to_owned());
    let sums = [
        row.requests.to_string(),
        row.errors.to_string(),
        row.usage.input.saturating_add(sum.spans.input).to_string(),
        row.usage.output.saturating_add(sum.spans.output).to_string(),
        row.usage.cached_input.to_string(),
        row.usage.reasoning.to_string(),
        show::cost(Some(sum.total_cost)),
        row.unpriced.to_string(),
        show::cost(Some(row.cost)),
        sum.spans.count.to_string(),
        show::cost(Some(sum.spans.cost)),
        show::mean(row.first_token_us, row.first_tokens),
        show::mean(row.duration_us, row.requests),
    ];
    group.chain(sums).collect()
}
