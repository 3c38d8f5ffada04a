//! `stead dataset`

mod create;
mod read;

use clap::{Arg, ArgAction, ArgMatches};
use futures::future::BoxFuture;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

use super::option;

/// `stead dataset`
pub(crate) fn command() -> Command {
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("The dataset's name")
    };
    let version = || {
        option(
            "version",
            "VERSION",
            "A version (v3), a hash or a tag; the newest without it",
        )
    };
    Command {
        spec: clap::Command::new("dataset")
            .about("Datasets: items with which models are evaluated, by version")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                clap::Command::new("list")
                    .visible_alias("ls")
                    .about("Lists datasets, newest first"),
            )
            .subcommand(
                clap::Command::new("get")
                    .about("Shows the items of a dataset")
                    .arg(name())
                    .arg(version())
                    .arg(
                        Arg::new("limit")
                            .long("limit")
                            .value_name("N")
                            .default_value("20")
                            .value_parser(clap::value_parser!(u32).range(1..))
                            .help("At most so many"),
                    ),
            )
            .subcommand(create::spec())
            .subcommand(
                clap::Command::new("versions")
                    .about("Lists the versions of a dataset")
                    .arg(name()),
            )
            .subcommand(
                clap::Command::new("export")
                    .about("Writes the items of a dataset to standard output, as JSON lines")
                    .arg(name())
                    .arg(version())
                    .arg(
                        Arg::new("csv")
                            .long("csv")
                            .action(ArgAction::SetTrue)
                            .help("As CSV"),
                    ),
            )
            .subcommand(
                clap::Command::new("delete")
                    .visible_alias("rm")
                    .about("Deletes a dataset with its items and versions")
                    .arg(name()),
            ),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("list", _)) => read::list(&session).await,
            Some(("get", matches)) => read::get(matches, &session).await,
            Some(("create", matches)) => create::run(matches, &session).await,
            Some(("versions", matches)) => read::versions(matches, &session).await,
            Some(("export", matches)) => read::export(matches, &session).await,
            Some(("delete", matches)) => read::delete(matches, &session).await,
            _ => Err(Error::invalid("dataset needs a subcommand").hint("see: stead dataset --help")),
        }
    })
}
