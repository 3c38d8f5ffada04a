//! `stead experiment`

use clap::{Arg, ArgMatches};
use futures::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Session, View},
};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::{
    opik::{self, PART, all, call, lines, segment},
    option, show, text,
};

/// `stead experiment`
pub(crate) fn command() -> Command {
    let name = || {
        Arg::new("name")
            .value_name("EXPERIMENT")
            .required(true)
            .help("Its id, or its name for the newest of it")
    };
    Command {
        spec: clap::Command::new("experiment")
            .about("Experiments: what datasets came to with a model and a prompt")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                clap::Command::new("list")
                    .visible_alias("ls")
                    .about("Lists experiments, newest first")
                    .arg(option("dataset", "NAME", "Only those on this dataset")),
            )
            .subcommand(
                clap::Command::new("get")
                    .about("Shows what each item came to")
                    .arg(name()),
            )
            .subcommand(
                clap::Command::new("export")
                    .about("Writes the items to standard output, as JSON lines")
                    .arg(name()),
            )
            .subcommand(
                clap::Command::new("delete")
                    .visible_alias("rm")
                    .about("Deletes an experiment, not its traces")
                    .arg(name()),
            ),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("list", matches)) => list(matches, &session).await,
            Some(("get", matches)) => get(matches, &session).await,
            Some(("export", matches)) => {
                let (_, items) = items(matches, &session).await?;
                let lines: Vec<String> = items.iter().map(|item| format!("{item}\n")).collect();
                session.terminal.write(&lines.concat())
            }
            Some(("delete", matches)) => delete(matches, &session).await,
            _ => Err(Error::invalid("experiment needs a subcommand").hint("see: stead experiment --help")),
        }
    })
}

fn scores(item: &Value) -> String {
    let scores = item
        .get("feedback_scores")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let scores = scores.map(|score| {
        let value = score.get("value").and_then(Value::as_f64).unwrap_or_default();
        format!("{}={value:.3}", opik::text(score, "name"))
    });
    scores.collect::<Vec<_>>().join(" ")
}

async fn list(matches: &ArgMatches, session: &Session) -> Result<()> {
    let mut address = "/experiments".to_owned();
    if let Some(name) = text(matches, "dataset") {
        let dataset = opik::dataset(session, name).await?;
        address = format!("/experiments?datasetId={}", opik::text(&dataset, "id"));
    }
    let items = all(session, &address).await?;
    let row = |item: &Value| {
        vec![
            opik::text(item, "name"),
            opik::text(item, "dataset_name"),
            opik::text(item, "status"),
            opik::text(item, "trace_count"),
            scores(item),
            opik::text(item, "created_at"),
            opik::text(item, "id"),
        ]
    };
    session.terminal.print(&View {
        columns: vec![
            Column::new("NAME"),
            Column::new("DATASET"),
            Column::new("STATUS"),
            Column::new("TRACES"),
            Column::new("SCORES"),
            Column::new("CREATED"),
            Column::wide("ID"),
        ],
        rows: items.iter().map(row).collect(),
        names: items.iter().map(|item| opik::text(item, "id")).collect(),
        items,
        list: true,
    })
}

/// The experiment that is named by its id, or the newest of its name.
async fn find(matches: &ArgMatches, session: &Session) -> Result<Value> {
    let named = text(matches, "name").unwrap_or_default();
    if named.parse::<Uuid>().is_ok() {
        return call(
            session,
            Method::GET,
            &format!("/experiments/{}", segment(named)),
            None,
        )
        .await;
    }
    let query = Serializer::new(String::new()).append_pair("name", named).finish();
    let found = all(session, &format!("/experiments?{query}")).await?;
    found
        .into_iter()
        .find(|one| opik::text(one, "name") == named)
        .ok_or_else(|| {
            Error::not_found(format!("there is no experiment {named:?}"))
                .hint("see what there is with: stead experiment list")
        })
}

/// The experiment and its items, with what their traces came to.
async fn items(matches: &ArgMatches, session: &Session) -> Result<(Value, Vec<Value>)> {
    let experiment = find(matches, session).await?;
    let (id, name) = (opik::text(&experiment, "id"), opik::text(&experiment, "name"));
    let (mut found, mut last): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let asked = json!({"experiment_name": name, "limit": PART, "last_retrieved_id": last});
        let part = lines(session, "/experiments/items/stream", asked).await?;
        let is_last = part.len() < PART;
        last = part.last().map(|item| opik::text(item, "id"));
        // Other experiments may have the same name.
        found.extend(
            part.into_iter()
                .filter(|item| opik::text(item, "experiment_id") == id),
        );
        if is_last {
            return Ok((experiment, found));
        }
    }
}

async fn get(matches: &ArgMatches, session: &Session) -> Result<()> {
    let (experiment, items) = items(matches, session).await?;
    let row = |item: &Value| {
        let output = item.get("output").map(stead_scoring::text_of).unwrap_or_default();
        let short: String = show::harmless(&output)
            .replace('\n', " ")
            .chars()
            .take(60)
            .collect();
        vec![
            opik::text(item, "dataset_item_id"),
            scores(item),
            short,
            opik::text(item, "trace_id"),
        ]
    };
    session.terminal.print(&View {
        columns: vec![
            Column::new("ITEM"),
            Column::new("SCORES"),
            Column::new("OUTPUT"),
            Column::wide("TRACE"),
        ],
        rows: items.iter().map(row).collect(),
        names: items.iter().map(|item| opik::text(item, "id")).collect(),
        items,
        list: true,
    })?;
    session.terminal.note(&format!(
        "{}: {}",
        opik::text(&experiment, "name"),
        scores(&experiment)
    ));
    Ok(())
}

async fn delete(matches: &ArgMatches, session: &Session) -> Result<()> {
    let experiment = find(matches, session).await?;
    let (id, name) = (opik::text(&experiment, "id"), opik::text(&experiment, "name"));
    call(
        session,
        Method::POST,
        "/experiments/delete",
        Some(json!({"ids": [id]})),
    )
    .await?;
    session
        .terminal
        .note(&format!("experiment {name} ({id}) is deleted"));
    Ok(())
}
