//! The tree of commands and the arguments that all of them take.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource, value_parser};
use stead_kernel::{DEFAULT_PROJECT, command::Format};

use crate::{Environment, Program, exit, server::Finder, verbs};

/// The heading of the arguments that every command takes.
const GLOBAL: &str = "Global options";

/// The whole tree of commands: generic verbs, those of modules and those of the composition root. Two commands of
/// one name are a defect, which `debug_assert` finds.
pub fn clap_command(program: &Program) -> clap::Command {
    let own = verbs::ALL.iter().map(|verb| (verb.spec)());
    let modules = program
        .commands
        .iter()
        .map(|command| yield_project(command.spec.clone()));
    let local = program
        .local
        .iter()
        .map(|command| yield_project(command.spec.clone()));
    clap::Command::new("stead")
        .bin_name("stead")
        .about("A private AI cloud from the machines you have")
        .version(program.environment.version)
        .after_help(exit::HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(globals())
        .subcommands(local.chain(own).chain(modules))
}

fn namespace() -> Arg {
    Arg::new("namespace")
        .short('n')
        .long("namespace")
        .value_name("PROJECT")
        .default_value(DEFAULT_PROJECT)
        .help("The project (namespace) to work in")
}

/// Leaves `--project` to a command that means something of its own by it; `-n` and `--namespace` stay.
fn yield_project(command: clap::Command) -> clap::Command {
    let own = command
        .get_arguments()
        .any(|argument| argument.get_long() == Some("project"));
    let command = command.mut_subcommands(yield_project);
    if own {
        command.arg(namespace().help_heading(GLOBAL))
    } else {
        command
    }
}

/// The arguments that every command takes. Commands of modules must not use these names and
/// letters, but for `--project`.
fn globals() -> Vec<Arg> {
    let arguments = [
        namespace().visible_alias("project"),
        Arg::new("all-namespaces")
            .short('A')
            .long("all-namespaces")
            .visible_alias("all-projects")
            .action(ArgAction::SetTrue)
            .help("Every project"),
        Arg::new("output")
            .short('o')
            .long("output")
            .value_name("FORMAT")
            .default_value("table")
            .value_parser(value_parser!(Format))
            .help("How data is printed"),
        Arg::new("server")
            .long("server")
            .value_name("URL")
            .help("The server [default: the one running here]"),
        Arg::new("token-file")
            .long("token-file")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("A file with the bearer token [default: this machine's admin token]"),
        Arg::new("data")
            .long("data")
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .help("The data folder"),
        Arg::new("no-color")
            .long("no-color")
            .action(ArgAction::SetTrue)
            .help("No colours"),
    ];
    arguments
        .into_iter()
        .map(|argument| argument.global(true).help_heading(GLOBAL))
        .collect()
}

/// The global arguments as they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Globals {
    pub(crate) project: String,
    /// Whether the project was named, rather than the default.
    pub(crate) project_named: bool,
    pub(crate) all_projects: bool,
    pub(crate) format: Format,
    pub(crate) no_color: bool,
    pub(crate) data: PathBuf,
    pub(crate) finder: Finder,
}

impl Globals {
    /// Reads them, with the environment behind.
    pub(crate) fn read(matches: &ArgMatches, environment: &Environment) -> Self {
        let data = matches.get_one("data").unwrap_or(&environment.data).clone();
        let token_file: Option<PathBuf> = matches.get_one("token-file").cloned();
        Self {
            project: text(matches, "namespace").unwrap_or_else(|| DEFAULT_PROJECT.into()),
            project_named: matches.value_source("namespace") == Some(ValueSource::CommandLine),
            all_projects: matches.get_flag("all-namespaces"),
            format: matches.get_one("output").copied().unwrap_or_default(),
            no_color: matches.get_flag("no-color") || environment.no_color,
            finder: Finder {
                data: data.clone(),
                server: text(matches, "server").or_else(|| environment.server.clone()),
                token: environment.token.clone().filter(|_| token_file.is_none()),
                token_file,
                ca: environment.ca.clone(),
                version: environment.version,
            },
            data,
        }
    }
}

/// The text of an argument.
pub(crate) fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// The texts of an argument that can be given several times.
pub(crate) fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}
