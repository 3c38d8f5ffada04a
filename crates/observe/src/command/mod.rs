//! `stead trace` and `stead usage`.

mod get;
mod list;
mod show;
#[cfg(test)]
mod tests;
mod usage;

use clap::{Arg, ArgMatches, parser::ValueSource};
use futures::future::BoxFuture;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};
use url::form_urlencoded::Serializer;

/// `stead trace`
pub(crate) fn trace() -> Command {
    Command {
        spec: clap::Command::new("trace")
            .about("Shows requests to models: what was asked, who answered, what it took")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(list::spec())
            .subcommand(get::spec()),
        run: run_trace,
    }
}

/// `stead usage`
pub(crate) fn usage() -> Command {
    Command {
        spec: usage::spec(),
        run: |matches, session| Box::pin(async move { usage::run(&matches, &session).await }),
    }
}

fn run_trace(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("list", matches)) => list::run(matches, &session).await,
            Some(("get", matches)) => get::run(matches, &session).await,
            _ => Err(Error::invalid("trace needs a subcommand").hint("see: stead trace --help")),
        }
    })
}

/// An option that takes a text.
fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// `--since`, as the server understands it.
fn since() -> Arg {
    option(
        "since",
        "TIME",
        "From then on: a time, a day, or how long ago (15m, 24h, 7d)",
    )
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// Whether `-A` was given; the CLI defines it for all commands.
fn all_projects(matches: &ArgMatches) -> bool {
    let flag = matches.try_get_one::<bool>("all-namespaces");
    flag.ok().flatten().copied().unwrap_or_default()
}

/// Whether `-n` was given, rather than left at its default.
fn project_named(matches: &ArgMatches) -> bool {
    let known = matches.try_contains_id("namespace").unwrap_or_default();
    known && matches.value_source("namespace") == Some(ValueSource::CommandLine)
}

/// A path with those parameters that have a value.
fn path(of: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() {
        of.to_owned()
    } else {
        format!("{of}?{query}")
    }
}

/// Reads the server's answer as what it should be.
fn read<T: serde::de::DeserializeOwned>(answer: &serde_json::Value) -> Result<T> {
    T::deserialize(answer).map_err(|error| {
        Error::internal("the server's answer is not understood")
            .hint("`stead version` shows whether client and server are of one version")
            .because(error)
    })
}
