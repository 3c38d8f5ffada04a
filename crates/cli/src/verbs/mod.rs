//! The generic verbs: they work on any kind that the server has.

mod api;
mod apply;
mod completions;
mod delete;
mod describe;
mod edit;
mod explain;
mod get;
mod jsonpath;
mod kubeconfig;
mod status;
mod version;
mod wait;

use std::{sync::Arc, time::Duration};

use clap::{Arg, ArgAction, ArgMatches};
use futures::future::BoxFuture;
use stead_kernel::{Error, Result, command::Format};

use crate::{
    Environment,
    arguments::{Globals, texts},
    resource::{Chosen, Discovery, Document, choose, collect, expand},
    server::{self, Api},
    terminal::Screen,
};

/// A command of this crate.
pub(crate) struct Verb {
    /// Name, arguments and help.
    pub(crate) spec: fn() -> clap::Command,
    /// Runs it.
    pub(crate) run: fn(ArgMatches, Call) -> BoxFuture<'static, Result<()>>,
}

macro_rules! verbs {
    ($($module:ident),* $(,)?) => {
        [$(Verb { spec: $module::spec, run: |matches, call| Box::pin($module::run(matches, call)) }),*]
    };
}

/// All of them, in the order of the help.
pub(crate) static ALL: [Verb; 12] = verbs![
    get,
    describe,
    apply,
    edit,
    delete,
    wait,
    explain,
    api,
    status,
    version,
    kubeconfig,
    completions,
];

/// What a verb works with.
pub(crate) struct Call {
    pub(crate) screen: Arc<Screen>,
    pub(crate) globals: Globals,
    pub(crate) environment: Environment,
    /// The whole tree of commands, for completions.
    pub(crate) tree: clap::Command,
}

impl Call {
    pub(crate) fn new(
        environment: Environment,
        globals: Globals,
        screen: Arc<Screen>,
        tree: clap::Command,
    ) -> Self {
        Self {
            screen,
            globals,
            environment,
            tree,
        }
    }

    /// The resource API of the server.
    pub(crate) fn api(&self) -> Result<Api> {
        Ok(Api::new(server::connect(&self.globals.finder)?))
    }

    /// The project to list in; `None` for all of them.
    pub(crate) fn list_project(&self) -> Option<&str> {
        (!self.globals.all_projects).then_some(self.globals.project.as_str())
    }

    /// Whether data is printed as columns.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.globals.format, Format::Table | Format::Wide)
    }

    /// The objects of the manifests that `-f` names.
    async fn documents(&self, matches: &ArgMatches) -> Result<Vec<Document>> {
        let paths = texts(matches, "filename");
        let recursive = matches.get_flag("recursive");
        let mut sources = Vec::new();
        for path in paths {
            if path == "-" {
                sources.push(("standard input".to_owned(), self.screen.read_all().await?));
                continue;
            }
            let files = tokio::task::spawn_blocking(move || collect(&[path], recursive)).await;
            sources.extend(files.map_err(|error| Error::internal("reading files failed").because(error))??);
        }
        let mut documents = Vec::new();
        for (source, text) in &sources {
            documents.extend(expand(source, text)?);
        }
        if documents.is_empty() {
            return Err(Error::invalid("there is no object in what was given"));
        }
        Ok(documents)
    }

    /// What the words of a command line mean.
    fn chosen(matches: &ArgMatches, discovery: &Discovery) -> Result<Vec<Chosen>> {
        choose(discovery, &texts(matches, "words"))
    }
}

/// `KIND [NAME…] | KIND/NAME…`
fn words() -> Arg {
    Arg::new("words")
        .value_name("KIND [NAME…] | KIND/NAME")
        .num_args(1..)
        .help("What: a kind, or objects of it")
}

/// `-f FILE…`
fn manifests() -> [Arg; 2] {
    [
        Arg::new("filename")
            .short('f')
            .long("filename")
            .value_name("FILE")
            .action(ArgAction::Append)
            .help("A manifest, a folder of them, or - for standard input"),
        Arg::new("recursive")
            .short('R')
            .long("recursive")
            .action(ArgAction::SetTrue)
            .help("Folders below folders, too"),
    ]
}

/// `-l SELECTOR`
fn selector() -> Arg {
    Arg::new("selector")
        .short('l')
        .long("selector")
        .value_name("LABELS")
        .help("Only objects with these labels: app=x,tier!=db")
}

/// `--timeout TIME`
fn timeout(default: &'static str) -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("TIME")
        .default_value(default)
        .value_parser(duration)
        .help("How long to wait: 30s, 5m")
}

/// A duration as people write it: `30s`, `1h 30m`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let duration = parsed.ok().and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| format!("{text:?} is no duration such as 30s, 5m or 1h30m"))
}

/// Counts what failed of several things; each failure is told as it happens.
struct Tally<'a> {
    screen: &'a Screen,
    total: usize,
    failed: usize,
    first: Option<Error>,
}

impl<'a> Tally<'a> {
    fn new(screen: &'a Screen, total: usize) -> Self {
        Self {
            screen,
            total,
            failed: 0,
            first: None,
        }
    }

    /// Counts one result. With a single thing to do, the failure is left to whoever tells the end.
    fn count(&mut self, result: Result<()>) {
        let Err(error) = result else { return };
        self.failed += 1;
        if self.total > 1 {
            self.screen.error(&error);
        }
        self.first.get_or_insert(error);
    }

    /// The end: the only failure itself, or how many there were, with the first one's reason.
    fn end(self, done: &str) -> Result<()> {
        match self.first {
            None => Ok(()),
            Some(only) if self.total == 1 => Err(only),
            Some(first) => Err(Error::new(
                first.reason(),
                format!("{} of {} objects were not {done}", self.failed, self.total),
            )),
        }
    }
}
