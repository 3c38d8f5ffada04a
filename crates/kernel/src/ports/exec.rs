//! Processes.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;

use crate::Result;

/// Runs programs of the machine; never through a shell.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs a program to its end; killed when the future is dropped or the time is over.
    ///
    /// # Errors
    /// `NotFound` when there is no such program, `Timeout` when it took too long. A program that ends with a
    /// failure is not an error here: see [`ProcessOutput::code`].
    async fn run(&self, request: ProcessRequest) -> Result<ProcessOutput>;
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRequest {
    /// Name, looked up in `PATH`, or path of the program.
    pub program: String,
    /// Arguments; no secrets, since every user of the machine can read them.
    pub arguments: Vec<String>,
    /// The folder to run in.
    pub folder: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOutput {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The last 64 KiB of standard output.
    pub stdout: String,
    /// The last 64 KiB of standard error.
    pub stderr: String,
}
