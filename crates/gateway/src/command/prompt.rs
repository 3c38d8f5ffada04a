//! `stead prompt list|get|put|label`.

use clap::{Arg, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use http::Method;
use serde_json::{Map, Value, json};
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Session, View},
};

use super::required;

/// The command.
pub(crate) fn command() -> Command {
    let name = || Arg::new("NAME").required(true).help("Name of the prompt");
    let get = clap::Command::new("get")
        .about("Show a version of a prompt")
        .arg(name())
        .arg(
            Arg::new("version")
                .long("version")
                .default_value("latest")
                .help("A number, a label or an id"),
        );
    let put = clap::Command::new("put")
        .about("Add a version; the first one makes the prompt")
        .arg(name())
        .arg(Arg::new("text").long("text").help("The template, as one text"))
        .arg(
            Arg::new("messages")
                .long("messages")
                .conflicts_with("text")
                .help("The template, as a JSON list of {\"role\", \"content\"}"),
        )
        .arg(
            Arg::new("description")
                .long("description")
                .help("What is different in this version"),
        );
    let label = clap::Command::new("label")
        .about("Let a label point to a version; without --version the label goes")
        .arg(name())
        .arg(
            Arg::new("LABEL")
                .required(true)
                .help("The label, such as production"),
        )
        .arg(
            Arg::new("version")
                .long("version")
                .value_parser(clap::value_parser!(u64))
                .help("The version's number"),
        );
    let spec = clap::Command::new("prompt")
        .about("Prompt templates by name and version")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("list")
                .visible_alias("ls")
                .about("List prompts"),
        )
        .subcommand(get)
        .subcommand(put)
        .subcommand(label);
    Command { spec, run }
}

fn run(arguments: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    async move {
        match arguments.subcommand() {
            Some(("list", _)) => list(&session).await,
            Some(("get", arguments)) => get(arguments, &session).await,
            Some(("put", arguments)) => put(arguments, &session).await,
            Some(("label", arguments)) => label(arguments, &session).await,
            Some(_) | None => Err(Error::invalid("which of list, get, put, label?")),
        }
    }
    .boxed()
}

fn path(session: &Session, rest: &str) -> String {
    format!("/api/prompts{rest}?project={}", session.project)
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn labels(prompt: &Value) -> String {
    let labels = prompt.get("labels").and_then(Value::as_object);
    let pairs = labels
        .into_iter()
        .flatten()
        .map(|(label, version)| format!("{label}={version}"));
    pairs.collect::<Vec<_>>().join(",")
}

async fn list(session: &Session) -> Result<()> {
    let found = session.server.json(Method::GET, &path(session, ""), None).await?;
    let items = found
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    session.terminal.print(&View {
        columns: ["NAME", "LATEST", "LABELS", "DESCRIPTION"]
            .map(Column::new)
            .into(),
        rows: items
            .iter()
            .map(|prompt| {
                vec![
                    text(prompt, "name"),
                    text(prompt, "latest"),
                    labels(prompt),
                    text(prompt, "description"),
                ]
            })
            .collect(),
        names: items.iter().map(|prompt| text(prompt, "name")).collect(),
        items,
        list: true,
    })
}

async fn get(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let (name, version) = (required(arguments, "NAME")?, required(arguments, "version")?);
    let found = session
        .server
        .json(
            Method::GET,
            &path(session, &format!("/{name}/versions/{version}")),
            None,
        )
        .await?;
    print_version(session, found)
}

fn print_version(session: &Session, version: Value) -> Result<()> {
    let variables = version.get("variables").and_then(Value::as_array);
    let variables: Vec<&str> = variables
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    session.terminal.print(&View {
        columns: ["NAME", "VERSION", "AUTHOR", "CREATED", "VARIABLES"]
            .map(Column::new)
            .into(),
        rows: vec![vec![
            text(&version, "name"),
            text(&version, "version"),
            text(&version, "author"),
            text(&version, "created"),
            variables.join(","),
        ]],
        names: vec![text(&version, "name")],
        items: vec![version],
        list: false,
    })
}

async fn put(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let mut body = Map::new();
    body.insert("name".into(), required(arguments, "NAME")?.into());
    let given = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    match (given("text"), given("messages")) {
        (Some(text), _) => body.insert("text".into(), text.into()),
        (None, Some(messages)) => {
            let messages = serde_json::from_str(messages)
                .map_err(|error| Error::invalid("--messages is no JSON").because(error))?;
            body.insert("messages".into(), messages)
        }
        (None, None) => {
            return Err(Error::invalid("what does it say?").hint("give --text or --messages"));
        }
    };
    if let Some(description) = given("description") {
        body.insert("description".into(), description.into());
    }
    let made = session
        .server
        .json(Method::POST, &path(session, ""), Some(Value::Object(body)))
        .await?;
    print_version(session, made)
}

async fn label(arguments: &ArgMatches, session: &Session) -> Result<()> {
    let (name, label) = (required(arguments, "NAME")?, required(arguments, "LABEL")?);
    let path = path(session, &format!("/{name}/labels/{label}"));
    let done = if let Some(version) = arguments.get_one::<u64>("version") {
        let body = json!({"version": version});
        session.server.json(Method::PUT, &path, Some(body)).await?;
        format!("{label} of prompt {name} is version {version}")
    } else {
        session.server.json(Method::DELETE, &path, None).await?;
        format!("prompt {name} has no label {label} any more")
    };
    session.terminal.note(&done);
    Ok(())
}
