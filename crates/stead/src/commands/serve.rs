//! `stead serve --roles …`: some of the roles in one process.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};
use futures::{FutureExt, future::BoxFuture};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Error, Result, Roles};

use super::process::{Stop, log_argument, start_log};
use crate::{
    config,
    environment::Environment,
    server::{
        LinkOptions, Server, Start,
        roles::{Sort, sort},
    },
};

const HELP: &str = "Roles:
  control    the resource API, its controllers, sign-in, models and the engine
  telemetry  the events: requests, usage, audit
  gateway    the model APIs

control and telemetry share a process. A gateway runs beside them, or alone, as often as you like:
  stead gateway token create eu-1                    # where the control process runs
  stead serve --roles gateway --control https://HOST:7832 --token-file FILE --ca FILE";

/// `serve`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("serve")
            .about("Starts some of the roles of a server, without what `up` does at a first start")
            .after_help(HELP)
            .arg(
                Arg::new("roles")
                    .long("roles")
                    .value_name("ROLES")
                    .required(true)
                    .help("control, telemetry, gateway; separated by commas"),
            )
            .arg(
                Arg::new("control")
                    .long("control")
                    .value_name("URL")
                    .help("The control process, for a gateway that runs alone; it signs in with --token-file"),
            )
            .arg(
                Arg::new("ca")
                    .long("ca")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Certificates (PEM) that the control process's certificate is checked against, besides the system's"),
            )
            .args(config::server_arguments())
            .arg(log_argument()),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let environment = Environment::read();
        start_log(&matches, &environment)?;
        let start = plan(&matches, &environment)?;
        let resolved = config::resolve(&local.data, &environment, &matches)?;
        let server = Server::start(start, resolved, &environment).await?;
        let stopped = Stop::install()?;
        let terminal = local.terminal.as_ref();
        let roles = server.context.roles;
        terminal.write(&format!(
            "Stead is up.\n  roles    {roles}\n  address  http://{}\n",
            server.address
        ))?;
        stopped.run(server, terminal).await
    }
    .boxed()
}

fn plan(matches: &ArgMatches, environment: &Environment) -> Result<Start> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let roles: Roles = text("roles").unwrap_or_default().parse()?;
    let control = text("control");
    match sort(roles, control)? {
        Sort::Home(roles) => Ok(Start::Home(roles)),
        Sort::Gateway => Ok(Start::Gateway(LinkOptions {
            url: control.unwrap_or_default().to_owned(),
            token: token(matches, environment)?,
            ca: ca(matches)?,
            proxy: environment.proxy(),
        })),
    }
}

fn token(matches: &ArgMatches, environment: &Environment) -> Result<String> {
    let Some(file) = matches.get_one::<PathBuf>("token-file") else {
        let given = environment.get("STEAD_TOKEN").map(str::to_owned);
        return given.ok_or_else(|| {
            Error::invalid("a gateway signs in to its control process with a token").hint(
                "make one there with: stead gateway token create NAME; and name its file: --token-file FILE",
            )
        });
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::invalid(format!("the token in {} cannot be read", file.display())).because(error)
    })?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(Error::invalid(format!(
            "{} does not hold one token",
            file.display()
        )));
    }
    Ok(token.to_owned())
}

fn ca(matches: &ArgMatches) -> Result<Option<String>> {
    let Some(file) = matches.get_one::<PathBuf>("ca") else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::invalid(format!("the CA certificate in {} cannot be read", file.display())).because(error)
    })?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::invalid(format!(
            "{} holds no certificate in PEM form",
            file.display()
        )));
    }
    Ok(Some(text))
}
