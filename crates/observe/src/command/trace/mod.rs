//! `stead trace`: what applications trace and what the gateway was asked, as one list and one tree.

mod export;
mod get;
mod import;
mod list;
pub(super) mod request;
mod tail;

use clap::{Arg, ArgMatches, builder::PossibleValuesParser};
use futures::future::BoxFuture;
use stead_kernel::{
    Error, Result,
    command::{Command, Session},
};

use super::{all_projects, option, since, text};

/// The command.
pub(super) fn command() -> Command {
    Command {
        spec: clap::Command::new("trace")
            .about("Shows what applications traced and what models were asked: who answered, what it took")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(list::spec())
            .subcommand(list::search_spec())
            .subcommand(get::spec())
            .subcommand(tail::spec())
            .subcommand(export::spec())
            .subcommand(import::spec()),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("list" | "search", matches)) => list::run(matches, &session).await,
            Some(("get", matches)) => get::run(matches, &session).await,
            Some(("tail", matches)) => tail::run(matches, &session).await,
            Some(("export", matches)) => export::run(matches, &session).await,
            Some(("import", matches)) => import::run(matches, &session).await,
            _ => Err(Error::invalid("trace needs a subcommand").hint("see: stead trace --help")),
        }
    })
}

/// What a question in the filter language may be, for help texts.
const LANGUAGE: &str = "A query has terms with spaces between them, all of which hold: model:qwen3 status:error \
    latency>500ms cost>0.01 tokens>1000 user:ada key:ci tag:x thread:y env:production name:\"two words\" \
    label.team:blue metadata.a.b:c score.quality<0.5 source:gateway. `:` is \"contains\", `=` is \"is\", `-` before a term \
    denies it, commas mean either. Words without a field are looked for in names, inputs and outputs.";

/// The options that say which traces are meant.
fn which(command: clap::Command) -> clap::Command {
    command
        .arg(
            Arg::new("query")
                .short('q')
                .long("query")
                .value_name("QUERY")
                .help("Which, in the filter language: model:qwen3 status:error latency>500ms"),
        )
        .arg(option("model", "NAME", "That asked this model"))
        .arg(option("provider", "NAME", "Answered by this provider"))
        .arg(option("key", "NAME", "With this API key"))
        .arg(option("user", "NAME", "By this user"))
        .arg(
            option("status", "STATUS", "Which ended like this").value_parser(PossibleValuesParser::new([
                "ok",
                "error",
                "running",
                "cancelled",
                "interrupted",
            ])),
        )
}

/// `--since` and `--until`.
fn when(command: clap::Command) -> clap::Command {
    command.arg(since()).arg(option("until", "TIME", "Before then"))
}

/// The question that the options ask, in the filter language.
fn question(matches: &ArgMatches) -> Option<String> {
    let mut terms: Vec<String> = Vec::new();
    for name in ["model", "provider", "key", "user", "status"] {
        if let Some(value) = text(matches, name) {
            terms.push(format!("{name}=\"{}\"", value.replace('"', "")));
        }
    }
    let words = matches.try_get_many::<String>("words").ok().flatten();
    terms.extend(words.into_iter().flatten().cloned());
    terms.extend(text(matches, "query").map(str::to_owned));
    (!terms.is_empty()).then(|| terms.join(" "))
}

/// The project that is asked about; `None` for all.
fn project<'a>(matches: &ArgMatches, session: &'a Session) -> Option<&'a str> {
    (!all_projects(matches)).then_some(session.project.as_str())
}
