//! `stead alert test`

use clap::{Arg, ArgMatches};
use futures::future::BoxFuture;
use http::Method;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

use super::{
    opik::{self, segment},
    path, text,
};

/// `stead alert`
pub(crate) fn command() -> Command {
    Command {
        spec: clap::Command::new("alert")
            .about("Alerts: who is told when something is not as it should be")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                clap::Command::new("test")
                    .about("Sends a test to an alert's webhook")
                    .arg(Arg::new("name").value_name("NAME").required(true).help("The alert's name")),
            )
            .after_help("Alerts are objects: stead get alertrules, stead apply -f alert.yaml, stead explain alertrules.spec"),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let Some(("test", matches)) = matches.subcommand() else {
            return Err(Error::invalid("alert needs a subcommand").hint("see: stead alert --help"));
        };
        let name = text(matches, "name").unwrap_or_default();
        let address = path(
            &format!("/api/alerts/{}/test", segment(name)),
            &[("project", Some(&session.project))],
        );
        let sent = session.server.json(Method::POST, &address, None).await?;
        let took = opik::text(&sent, "milliseconds");
        if opik::text(&sent, "status") == "success" {
            let status = opik::text(&sent, "statusCode");
            session.terminal.note(&format!(
                "the webhook of {name} answered HTTP {status} after {took} ms"
            ));
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "the webhook of {name} did not take it: {}",
            opik::text(&sent, "error")
        )))
    })
}
