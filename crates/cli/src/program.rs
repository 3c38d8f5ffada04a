//! What the composition root puts into the command line.

use std::{path::PathBuf, sync::Arc};

use clap::ArgMatches;
use futures::future::BoxFuture;
use stead_kernel::{
    Result,
    command::{Command, Format, Server, Terminal},
    ports::Exec,
};

use crate::server::Finder;

/// What the composition root knows of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The data folder; `--data` overrides it.
    pub data: PathBuf,
    /// The server's address; `--server` overrides it. The one running on the data folder when absent.
    pub server: Option<String>,
    /// The bearer token; `--token-file` overrides it. The one in the data folder when absent.
    pub token: Option<String>,
    /// Certificates (PEM) that the server's certificate is checked against; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Whether colours are unwanted.
    pub no_color: bool,
    /// The program that edits text, with arguments: `code --wait`.
    pub editor: Option<String>,
    /// Where lines that the person typed are kept.
    pub history: PathBuf,
    /// The version of the program.
    pub version: &'static str,
}

/// Everything that the command line is made of.
pub struct Program {
    /// The commands of all modules.
    pub commands: Vec<Command>,
    /// The commands of the composition root.
    pub local: Vec<LocalCommand>,
    /// What it knows of the world.
    pub environment: Environment,
    /// Runs programs for local commands.
    pub exec: Arc<dyn Exec>,
}

/// A command of the composition root, which needs no server: `up`, `doctor`, `config`.
#[derive(Clone)]
pub struct LocalCommand {
    /// Name, arguments, help and subcommands.
    pub spec: clap::Command,
    /// Runs it, on a multi-threaded runtime. Ctrl-C ends the program at once as long as nothing listens to it.
    pub run: fn(ArgMatches, Local) -> BoxFuture<'static, Result<()>>,
}

/// What a [`LocalCommand`] may use. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    /// The person.
    pub terminal: Arc<dyn Terminal>,
    /// The format that `-o` chose.
    pub format: Format,
    /// The data folder: `--data`, else the environment's.
    pub data: PathBuf,
    /// Runs programs.
    pub exec: Arc<dyn Exec>,
    pub(crate) finder: Finder,
}

impl Local {
    /// Finds the server as every client command does; nothing is sent yet.
    ///
    /// # Errors
    /// `Unavailable` when no server runs on the data folder and none was named.
    pub fn connect(&self) -> Result<Arc<dyn Server>> {
        crate::server::connect(&self.finder)
    }
}
