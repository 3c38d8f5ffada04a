//! `stead eval`: suites are run, and experiments compared.

mod compare;
mod run;
mod watch;

use clap::{Arg, ArgMatches, value_parser};
use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Session, View},
};

use super::{opik::segment, path, text};

/// `stead eval`
pub(crate) fn command() -> Command {
    let id = || {
        Arg::new("id")
            .value_name("ID")
            .required(true)
            .help("The evaluation's id")
    };
    Command {
        spec: clap::Command::new("eval")
            .about("Evaluates models: a dataset through a route, scored by metrics")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(run::spec())
            .subcommand(
                clap::Command::new("list")
                    .visible_alias("ls")
                    .about("Lists evaluations, newest first")
                    .arg(
                        Arg::new("limit")
                            .long("limit")
                            .value_name("N")
                            .default_value("20")
                            .value_parser(value_parser!(u32).range(1..=1000))
                            .help("At most so many"),
                    ),
            )
            .subcommand(
                clap::Command::new("get")
                    .about("Shows an evaluation: how far it is, and what it came to")
                    .arg(id()),
            )
            .subcommand(
                clap::Command::new("watch")
                    .about("Follows an evaluation to its end")
                    .arg(id()),
            )
            .subcommand(
                clap::Command::new("cancel")
                    .about("Ends an evaluation; what was answered is kept")
                    .arg(id()),
            )
            .subcommand(
                clap::Command::new("resume")
                    .about("Asks again what failed or was not asked, and follows it")
                    .arg(id()),
            )
            .subcommand(compare::spec()),
        run: start,
    }
}

fn start(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("run", matches)) => run::run(matches, &session).await,
            Some(("list", matches)) => list(matches, &session).await,
            Some(("get", matches)) => {
                watch::show(&session, &one(&session, matches, Method::GET, "").await?).await
            }
            Some(("watch", matches)) => {
                let begun = one(&session, matches, Method::GET, "").await?;
                watch::follow(&session, begun, None).await
            }
            Some(("cancel", matches)) => {
                watch::show(&session, &one(&session, matches, Method::POST, "/cancel").await?).await
            }
            Some(("resume", matches)) => {
                let begun = one(&session, matches, Method::POST, "/resume").await?;
                watch::follow(&session, begun, None).await
            }
            Some(("compare", matches)) => compare::run(matches, &session).await,
            _ => Err(Error::invalid("eval needs a subcommand").hint("see: stead eval --help")),
        }
    })
}

async fn one(session: &Session, matches: &ArgMatches, method: Method, more: &str) -> Result<Value> {
    let id = segment(text(matches, "id").unwrap_or_default());
    let address = path(
        &format!("/api/evaluations/{id}{more}"),
        &[("project", Some(&session.project))],
    );
    session.server.json(method, &address, None).await
}

async fn list(matches: &ArgMatches, session: &Session) -> Result<()> {
    let limit = matches.get_one::<u32>("limit").copied().unwrap_or(20).to_string();
    let address = path(
        "/api/evaluations",
        &[("project", Some(&session.project)), ("limit", Some(&limit))],
    );
    let answer = session.server.json(Method::GET, &address, None).await?;
    let items: Vec<Value> = answer
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let cell = |item: &Value, pointer: &str| {
        item.pointer(pointer)
            .map(stead_scoring::text_of)
            .unwrap_or_default()
    };
    let row = |item: &Value| {
        vec![
            cell(item, "/id"),
            cell(item, "/name"),
            cell(item, "/datasetName"),
            cell(item, "/model"),
            cell(item, "/status"),
            format!(
                "{}/{}",
                cell(item, "/progress/done"),
                cell(item, "/progress/total")
            ),
            cell(item, "/progress/failed"),
            cell(item, "/createdAt"),
            cell(item, "/experimentId"),
        ]
    };
    session.terminal.print(&View {
        columns: vec![
            Column::new("ID"),
            Column::new("NAME"),
            Column::new("DATASET"),
            Column::new("MODEL"),
            Column::new("STATUS"),
            Column::new("DONE"),
            Column::new("FAILED"),
            Column::new("CREATED"),
            Column::wide("EXPERIMENT"),
        ],
        rows: items.iter().map(row).collect(),
        names: items.iter().map(|item| cell(item, "/id")).collect(),
        items,
        list: true,
    })
}
