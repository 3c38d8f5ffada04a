//! What the commands that run a server have in common: the log, the signals, the end.

use clap::{Arg, ArgMatches};
use stead_kernel::{Error, Result, command::Terminal};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{environment::Environment, server::Server};

/// `--log`.
pub(super) fn log_argument() -> Arg {
    Arg::new("log").long("log").value_name("FILTER").help(
        "What to log to standard error: error, warn, info, debug, or a filter by module [env: STEAD_LOG]",
    )
}

/// Starts the log.
pub(super) fn start_log(matches: &ArgMatches, environment: &Environment) -> Result<()> {
    let named = matches
        .get_one::<String>("log")
        .map(String::as_str)
        .or_else(|| environment.get("STEAD_LOG"));
    let filter = EnvFilter::try_new(named.unwrap_or("warn"))
        .map_err(|error| Error::invalid("--log is no log filter").because(error))?;
    // A second start in one process (tests) keeps the first log.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .ok();
    Ok(())
}

/// Ctrl-C or a service manager's TERM.
pub(super) struct Stop(tokio_util::sync::CancellationToken);

impl Stop {
    /// Begins to watch for the signals.
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process, before and after any Tasks"
    )]
    pub(super) fn install() -> Result<Self> {
        let watch =
            |kind| signal(kind).map_err(|error| Error::internal("cannot watch for signals").because(error));
        let (mut interrupt, mut terminate) =
            (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
        let token = tokio_util::sync::CancellationToken::new();
        let cancel = token.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            cancel.cancel();
        });
        Ok(Self(token))
    }

    /// Runs the work, unless the signal comes first.
    pub(super) async fn unless(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        self.0.run_until_cancelled(work).await.unwrap_or(Ok(()))
    }

    /// Waits for the signal, or until another process leads, and stops the server.
    ///
    /// # Errors
    /// `Conflict` when another process leads.
    pub(super) async fn run(self, server: Server, terminal: &dyn Terminal) -> Result<()> {
        let lost = server.lost.clone();
        tokio::select! {
            () = self.0.cancelled() => {}
            () = lost.cancelled() => {}
        }
        terminal.note("stopping: requests under way may end");
        if !server.stop().await {
            terminal.note("some requests did not end in time and were cut");
        }
        if lost.is_cancelled() && !self.0.is_cancelled() {
            return Err(
                Error::conflict("another control process has taken the lead, so this one stopped")
                    .hint("see who holds it: stead get lease stead-leader -n stead-system -o yaml"),
            );
        }
        Ok(())
    }
}
