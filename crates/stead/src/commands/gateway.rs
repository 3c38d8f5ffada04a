//! `stead gateway --config DIR`: the data plane from files; `stead gateway token`: tokens of gateway processes.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use futures::{FutureExt, future::BoxFuture};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{DEFAULT_PROJECT, Error, Result, command::Session};

use super::process::{Stop, log_argument, start_log};
use crate::{
    config,
    environment::Environment,
    server::{FilesOptions, Server, Start},
};

const HELP: &str = "The folder holds manifests (*.yaml, *.yml, *.json) of ModelProvider, ModelRoute, ApiKey, Secret and the other \
kinds of the gateway. A change is in force about a second later; one that is not valid is said in the log, and what was valid before \
stays. An ApiKey has a keyHash, or names with writeToSecretRef a Secret of the folder that holds the key.";

/// `gateway`.
pub(super) fn command() -> LocalCommand {
    let token = stead_access::gateway_token();
    // `--config` is the folder here; settings come from flags, the environment and DATA/config.yaml.
    let settings = config::server_arguments()
        .into_iter()
        .filter(|argument| argument.get_id() != "config");
    LocalCommand {
        spec: clap::Command::new("gateway")
            .about("Runs the data plane alone, from files; makes tokens for gateway processes")
            .after_help(HELP)
            .args_conflicts_with_subcommands(true)
            .arg(
                Arg::new("folder")
                    .long("config")
                    .value_name("DIR")
                    .value_parser(value_parser!(PathBuf))
                    .help("The folder with the manifests"),
            )
            .arg(
                Arg::new("no-usage")
                    .long("no-usage")
                    .action(ArgAction::SetTrue)
                    .help("Keeps no usage in the data folder"),
            )
            .args(settings)
            .arg(log_argument())
            .subcommand(token.spec),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    if let Some(("token", matches)) = matches.subcommand() {
        return token(matches.clone(), local);
    }
    async move {
        let folder = matches.get_one::<PathBuf>("folder").cloned().ok_or_else(|| {
            Error::invalid("name the folder with the manifests, or what to do")
                .hint("stead gateway --config DIR, or stead gateway token --help")
        })?;
        let environment = Environment::read();
        start_log(&matches, &environment)?;
        let resolved = config::resolve(&local.data, &environment, &matches)?;
        let options = FilesOptions {
            folder,
            usage: !matches.get_flag("no-usage"),
        };
        let server = Server::start(Start::Files(options), resolved, &environment).await?;
        let stopped = Stop::install()?;
        let terminal = local.terminal.as_ref();
        terminal.write(&format!(
            "Stead's gateway is up.\n  address  http://{}\n",
            server.address
        ))?;
        stopped.run(server, terminal).await
    }
    .boxed()
}

fn token(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let session = Session {
            server: local.connect()?,
            terminal: local.terminal,
            project: DEFAULT_PROJECT.into(),
            format: local.format,
        };
        (stead_access::gateway_token().run)(matches, session).await
    }
    .boxed()
}
