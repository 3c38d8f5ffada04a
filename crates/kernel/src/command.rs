//! Commands that modules contribute to the CLI, and what such a command may use.
//!
//! *Invariant:* a command speaks to the server as any client does; it never opens the data folder.

use std::sync::Arc;

use async_trait::async_trait;
use clap::ArgMatches;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::{Body, Result};

/// A command below `stead`.
#[derive(Clone)]
pub struct Command {
    /// Name, arguments, help and subcommands.
    pub spec: clap::Command,
    /// Runs it.
    pub run: fn(ArgMatches, Session) -> BoxFuture<'static, Result<()>>,
}

/// What a command may use. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    /// The server.
    pub server: Arc<dyn Server>,
    /// The person.
    pub terminal: Arc<dyn Terminal>,
    /// The project that `-n/--namespace` chose.
    pub project: String,
    /// The format that `-o` chose.
    pub format: Format,
}

/// The server that the CLI found.
#[async_trait]
pub trait Server: Send + Sync {
    /// Sends a request whose URI is a path (`/api/usage?by=model`); address and credential are added.
    ///
    /// # Errors
    /// `Unavailable` when the server does not answer. A response with a failure status is not an error here.
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>>;

    /// Sends a request and reads the JSON answer; a failure status becomes the error that its body tells.
    async fn json(&self, method: http::Method, path: &str, body: Option<Value>) -> Result<Value>;

    /// A client for the resource API.
    fn client(&self) -> kube::Client;

    /// The address, for printing: `http://127.0.0.1:7832`.
    fn address(&self) -> String;
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Names only, a line each.
    Name,
}

/// Data that a command prints; the format is the person's choice.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The columns of a table.
    pub columns: Vec<Column>,
    /// The cells, a row an item.
    pub rows: Vec<Vec<String>>,
    /// The items themselves, for JSON and YAML.
    pub items: Vec<Value>,
    /// The items' names, for `-o name`.
    pub names: Vec<String>,
    /// Whether it is a list (`{"items": […]}`) or one item.
    pub list: bool,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading, in capitals.
    pub name: String,
    /// Whether only `-o wide` shows it.
    pub wide: bool,
}

impl Column {
    /// A column that every table shows.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            wide: false,
        }
    }

    /// A column that only `-o wide` shows.
    pub fn wide(name: &str) -> Self {
        Self {
            name: name.into(),
            wide: true,
        }
    }
}

/// The person at the terminal: data goes to standard output, everything else to standard error.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Prints data in the chosen format.
    fn print(&self, view: &View) -> Result<()>;

    /// Writes text to standard output as it is, at once (a streamed answer).
    fn write(&self, text: &str) -> Result<()>;

    /// Writes a line to standard error.
    fn note(&self, text: &str);

    /// Writes a line of small print to standard error (figures after an answer), faint where that can be shown.
    fn aside(&self, text: &str) {
        self.note(text);
    }

    /// Shows progress on standard error until it is dropped; `total` in units of the bar.
    fn progress(&self, label: &str, total: Option<u64>) -> Box<dyn ProgressBar>;

    /// Whether a person is there to be asked.
    fn interactive(&self) -> bool;

    /// Reads a line with editing and history; `None` at the end of input (Ctrl-D), `Some("")` after Ctrl-C.
    async fn read_line(&self, prompt: &str) -> Result<Option<String>>;

    /// Reads a password without showing it.
    async fn read_secret(&self, prompt: &str) -> Result<String>;

    /// Resolves at the next Ctrl-C, which then does not end the program.
    async fn interrupted(&self);
}

/// A progress bar of bytes.
pub trait ProgressBar: Send + Sync {
    /// Sets how much is done, of how much.
    fn set(&self, done: u64, total: Option<u64>);
    /// Sets the text beside it.
    fn message(&self, text: &str);
}
