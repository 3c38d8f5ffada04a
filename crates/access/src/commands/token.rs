//! `stead token rotate`.

use ::http::Method;
use clap::ArgMatches;
use futures::future::BoxFuture;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

use super::{field, one};

/// The command.
pub(super) fn command() -> Command {
    Command {
        spec: clap::Command::new("token")
            .about("Replaces the admin token")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                clap::Command::new("rotate")
                    .about("Makes a new admin token and prints it; the old one is worth nothing from then on")
                    .after_help("The CLI on the server's machine reads the new one by itself."),
            ),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let Some(("rotate", _)) = matches.subcommand() else {
            return Err(Error::invalid("name what to do: rotate"));
        };
        let answer = session
            .server
            .json(Method::POST, "/api/admin-token/rotate", None)
            .await?;
        field(&answer, "token")?;
        session
            .terminal
            .note("the old admin token is worth nothing now; this is the new one");
        session
            .terminal
            .print(&one(answer, "admintoken", &[("TOKEN", "token")]))
    })
}
