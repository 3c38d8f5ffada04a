//! `stead eval run`

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches};
use http::Method;
use serde_json::{Value, json};
use stead_kernel::{Error, Result, command::Session};

use super::watch;
use crate::command::{option, path, rows::rows, text};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("run")
        .about("Runs a suite: every item of a dataset through a route, scored by metrics, kept as an experiment")
        .arg(
            Arg::new("suite")
                .value_name("SUITE.YAML")
                .required(true)
                .help("The suite: YAML or JSON"),
        )
        .arg(option("name", "NAME", "The name of the experiment, in place of the suite's"))
        .arg(option("model", "ROUTE", "The route, in place of the suite's"))
        .arg(
            option("fail-under", "SCORE=VALUE", "Fail when the mean of a score is below a value; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(
            Arg::new("detach")
                .long("detach")
                .action(ArgAction::SetTrue)
                .conflicts_with("fail-under")
                .help("Do not wait for the end"),
        )
        .after_help(
            "The server does the work and goes on when this command or the server is ended. A suite may name a file with \
             items (dataset.file: CSV, JSON or JSON lines) beside it. An example: examples/evaluation/suite.yaml",
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let file = Path::new(text(matches, "suite").unwrap_or_default());
    let limits = watch::limits(matches)?;
    let mut suite = read(file).await?;
    with_file(&mut suite, file).await?;
    for name in ["name", "model"] {
        if let (Some(value), Some(suite)) = (text(matches, name), suite.as_object_mut()) {
            suite.insert(name.into(), value.into());
        }
    }
    let address = path("/api/evaluations", &[("project", Some(&session.project))]);
    let begun = session.server.json(Method::POST, &address, Some(suite)).await?;
    if matches.get_flag("detach") {
        return watch::show(session, &begun).await;
    }
    watch::follow(session, begun, Some(&limits)).await
}

async fn read(file: &Path) -> Result<Value> {
    let text = contents(file).await?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Error::invalid(format!("{} is no YAML", file.display())).because(Error::invalid(error.to_string()))
    })
}

/// Puts the items of the file that a suite names where its items are.
async fn with_file(suite: &mut Value, beside: &Path) -> Result<()> {
    let Some(dataset) = suite.get_mut("dataset").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    let Some(named) = dataset.remove("file") else {
        return Ok(());
    };
    let named = named
        .as_str()
        .ok_or_else(|| Error::invalid("dataset.file is a path"))?;
    if dataset.contains_key("items") {
        return Err(Error::invalid("dataset has either items or a file"));
    }
    let path = beside.parent().unwrap_or_else(|| Path::new("")).join(named);
    let items = rows(named, &contents(&path).await?)?;
    dataset.insert("items".into(), json!(items));
    Ok(())
}

async fn contents(file: &Path) -> Result<String> {
    tokio::fs::read_to_string(file)
        .await
        .map_err(|error| Error::invalid(format!("{} cannot be read", file.display())).because(error))
}
