//! `stead dataset create`

use clap::{Arg, ArgAction, ArgMatches};
use http::Method;
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, Result, command::Session};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::command::{
    opik::{self, call},
    option,
    rows::rows,
    text,
};

/// How many items a request carries.
const BATCH: usize = 500;
/// How many traces are listed at once.
const TRACES: usize = 500;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("create")
        .about("Makes a dataset, or adds to one, from a file or from traces")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("The dataset's name"),
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("Items: CSV with names in the first row, a list in JSON, or JSON lines"),
        )
        .arg(option("description", "TEXT", "What it is for, when it is made"))
        .arg(
            Arg::new("traces")
                .long("traces")
                .action(ArgAction::SetTrue)
                .conflicts_with("file")
                .help("From traces: input, output, and what else was told of them"),
        )
        .arg(
            option(
                "project-name",
                "NAME",
                "The Opik project of the traces; `Default Project` without it",
            )
            .requires("traces"),
        )
        .arg(
            option(
                "filter",
                "CONDITION",
                "Which traces: 'FIELD OPERATOR VALUE', such as 'feedback_scores.correct < 0.5'",
            )
            .action(ArgAction::Append)
            .requires("traces"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .default_value("1000")
                .value_parser(clap::value_parser!(u32).range(1..=100_000))
                .help("At most so many traces, the newest first"),
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let name = text(matches, "name").unwrap_or_default();
    let dataset = dataset(session, name, text(matches, "description")).await?;
    let group = Uuid::now_v7().to_string();
    let count = if matches.get_flag("traces") {
        from_traces(matches, session, &dataset).await?
    } else {
        let Some(file) = text(matches, "file") else {
            session
                .terminal
                .note(&format!("dataset {name} is there, without further items"));
            return Ok(());
        };
        let contents = tokio::fs::read_to_string(file).await;
        let contents =
            contents.map_err(|error| Error::invalid(format!("{file} cannot be read")).because(error))?;
        store(session, name, &group, rows(file, &contents)?).await?
    };
    session
        .terminal
        .note(&format!("{count} items are in dataset {name}"));
    Ok(())
}

/// The dataset's id; it is made when it is not there.
async fn dataset(session: &Session, name: &str, description: Option<&str>) -> Result<String> {
    match opik::dataset(session, name).await {
        Err(error) if error.reason() == Reason::NotFound => {}
        found => return Ok(opik::text(&found?, "id")),
    }
    let made = json!({"name": name, "description": description});
    call(session, Method::POST, "/datasets", Some(made)).await?;
    Ok(opik::text(&opik::dataset(session, name).await?, "id"))
}

async fn store(session: &Session, name: &str, group: &str, rows: Vec<Value>) -> Result<usize> {
    let bar = session.terminal.progress("storing", Some(rows.len() as u64));
    let mut stored = 0;
    for part in rows.chunks(BATCH) {
        let items: Vec<Value> = part
            .iter()
            .map(|row| json!({"source": "manual", "data": row}))
            .collect();
        let batch = json!({"dataset_name": name, "items": items, "batch_group_id": group});
        call(session, Method::PUT, "/datasets/items", Some(batch)).await?;
        stored += part.len();
        bar.set(stored as u64, Some(rows.len() as u64));
    }
    Ok(stored)
}

async fn from_traces(matches: &ArgMatches, session: &Session, dataset: &str) -> Result<usize> {
    let limit = matches
        .get_one::<u32>("limit")
        .and_then(|limit| usize::try_from(*limit).ok())
        .unwrap_or(1_000);
    let filters: Vec<Value> = matches
        .get_many::<String>("filter")
        .into_iter()
        .flatten()
        .map(|condition| filter(condition))
        .collect::<Result<_>>()?;
    let mut ids: Vec<String> = Vec::new();
    for page in 1_u32.. {
        let address = traces(
            page,
            text(matches, "project-name").unwrap_or("Default Project"),
            &filters,
        );
        let found = call(session, Method::GET, &address, None).await?;
        let content = found
            .get("content")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        ids.extend(content.iter().map(|trace| opik::text(trace, "id")));
        if content.len() < TRACES || ids.len() >= limit {
            break;
        }
    }
    ids.truncate(limit);
    for part in ids.chunks(BATCH) {
        let enrichment = json!({"include_spans": false, "include_tags": true, "include_feedback_scores": true,
            "include_comments": false, "include_usage": true, "include_metadata": true});
        let asked = json!({"trace_ids": part, "enrichment_options": enrichment});
        call(
            session,
            Method::POST,
            &format!("/datasets/{dataset}/items/from-traces"),
            Some(asked),
        )
        .await?;
    }
    Ok(ids.len())
}

/// Where a page of the traces is.
fn traces(page: u32, project: &str, filters: &[Value]) -> String {
    let mut query = Serializer::new(String::new());
    query
        .append_pair("page", &page.to_string())
        .append_pair("size", &TRACES.to_string())
        .append_pair("exclude", "[\"input\",\"output\",\"metadata\"]")
        .append_pair("project_name", project);
    if !filters.is_empty() {
        query.append_pair("filters", &Value::from(filters.to_vec()).to_string());
    }
    format!("/traces?{}", query.finish())
}

/// A condition as Opik's API has it.
fn filter(text: &str) -> Result<Value> {
    let mut parts = text.trim().splitn(3, char::is_whitespace);
    let (Some(field), Some(operator)) = (parts.next(), parts.next()) else {
        return Err(Error::invalid(format!(
            "--filter {text:?} is no FIELD OPERATOR VALUE"
        )));
    };
    let (field, key) = match field.split_once('.') {
        Some((field @ ("feedback_scores" | "metadata" | "input" | "output"), key)) => (field, key),
        _ => (field, ""),
    };
    let value = parts.next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    Ok(json!({"field": field, "key": key, "operator": operator, "value": value}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_a_field_an_operator_and_a_value() {
        for (text, expected) in [
            (
                "name = chat",
                json!({"field": "name", "key": "", "operator": "=", "value": "chat"}),
            ),
            (
                "feedback_scores.correct < 0.5",
                json!({"field": "feedback_scores", "key": "correct", "operator": "<", "value": "0.5"}),
            ),
            (
                "output contains 'not sure'",
                json!({"field": "output", "key": "", "operator": "contains", "value": "not sure"}),
            ),
            (
                "error_info is_not_empty",
                json!({"field": "error_info", "key": "", "operator": "is_not_empty", "value": ""}),
            ),
        ] {
            assert_eq!(filter(text).unwrap(), expected);
        }
        assert!(filter("name").is_err());
    }
}
