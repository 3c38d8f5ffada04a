//! `stead trace`, `stead logs`, `stead metrics`, `stead monitor`, `stead usage`, `stead eval`, `stead dataset` and
//! `stead experiment`.

pub(crate) mod alert;
pub(crate) mod dataset;
pub(crate) mod eval;
pub(crate) mod experiment;
mod logs;
mod metrics;
mod monitor;
mod opik;
pub(crate) mod rows;
mod show;
mod stream;
#[cfg(test)]
mod tests;
mod trace;
mod usage;

use clap::{Arg, ArgMatches, parser::ValueSource};
use stead_kernel::{Error, Result, command::Command};
use url::form_urlencoded::Serializer;

/// `stead trace`
pub(crate) fn trace() -> Command {
    trace::command()
}

/// `stead logs`
pub(crate) fn logs() -> Command {
    Command {
        spec: logs::spec(),
        run: |matches, session| Box::pin(async move { logs::run(&matches, &session).await }),
    }
}

/// `stead metrics`
pub(crate) fn metrics() -> Command {
    Command {
        spec: metrics::spec(),
        run: |matches, session| Box::pin(async move { metrics::run(&matches, &session).await }),
    }
}

/// `stead monitor`
pub(crate) fn monitor() -> Command {
    Command {
        spec: monitor::spec(),
        run: |matches, session| Box::pin(async move { monitor::run(&matches, &session).await }),
    }
}

/// `stead usage`
pub(crate) fn usage() -> Command {
    Command {
        spec: usage::spec(),
        run: |matches, session| Box::pin(async move { usage::run(&matches, &session).await }),
    }
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
