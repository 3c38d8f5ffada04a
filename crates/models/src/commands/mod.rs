//! `stead model …`

mod follow;
mod list;
mod pull;
mod rm;

use clap::ArgMatches;
use futures::future::BoxFuture;
use kube::Api;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

pub use self::follow::follow;
use crate::Model;

/// The command `stead model` with its subcommands.
pub(crate) fn command() -> Command {
    Command {
        spec: clap::Command::new("model")
            .about("Fetch, list and remove model files")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands([pull::spec(), list::spec(), rm::spec()]),
        run: |matches, session| Box::pin(run(matches, session)) as BoxFuture<'static, Result<()>>,
    }
}

async fn run(matches: ArgMatches, session: Session) -> Result<()> {
    match matches.subcommand() {
        Some(("pull", matches)) => pull::run(matches, &session).await,
        Some(("list", matches)) => list::run(matches, &session).await,
        Some(("rm", matches)) => rm::run(matches, &session).await,
        _ => Err(Error::invalid("say what to do: pull, list or rm")),
    }
}

fn api(session: &Session) -> Api<Model> {
    Api::namespaced(session.server.client(), &session.project)
}

fn not_found(name: &str, project: &str) -> Error {
    Error::not_found(format!("there is no Model {name} in project {project}"))
        .hint("see them with: stead model list")
}

#[cfg(test)]
mod tests;
