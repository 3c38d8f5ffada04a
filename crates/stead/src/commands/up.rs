//! `stead up`: every role in one process.

use std::path::Path;

use clap::{Arg, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Error, Result, command::Terminal};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    config,
    environment::Environment,
    server::{FirstStart, Server},
};

/// `up`.
pub(super) fn command() -> LocalCommand {
    let log = Arg::new("log").long("log").value_name("FILTER").help(
        "What to log to standard error: error, warn, info, debug, or a filter by module [env: STEAD_LOG]",
    );
    LocalCommand {
        spec: clap::Command::new("up")
            .about("Starts the server: gateway, resource API, engine and stores in one process")
            .args(config::arguments())
            .arg(log),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let environment = Environment::read();
        start_log(&matches, &environment)?;
        let settings = config::resolve(&local.data, &environment, &matches)?.settings;
        let server = Server::start(settings, &environment).await?;
        let stopped = Stop::install()?;
        stopped
            .unless(introduce(&server, &environment, local.terminal.as_ref()))
            .await?;
        stopped.wait().await;
        local.terminal.note("stopping: requests under way may end");
        if !server.stop().await {
            local
                .terminal
                .note("some requests did not end in time and were cut");
        }
        Ok(())
    }
    .boxed()
}

/// Ctrl-C or a service manager's TERM.
struct Stop(tokio_util::sync::CancellationToken);

impl Stop {
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process, before and after any Tasks"
    )]
    fn install() -> Result<Self> {
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
    async fn unless(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        self.0.run_until_cancelled(work).await.unwrap_or(Ok(()))
    }

    async fn wait(&self) {
        self.0.cancelled().await;
    }
}

/// Says where the server is and how to call it; makes what the first start makes.
async fn introduce(server: &Server, environment: &Environment, terminal: &dyn Terminal) -> Result<()> {
    let address = format!("http://{}", server.address);
    let first = server.first_start(environment).await?;
    if let Err(error) = server.follow_model(terminal).await {
        terminal.note(&format!(
            "the default model is not there yet: {}",
            error.full_message()
        ));
        terminal.note("it is tried again in the background; see: stead get models");
    }
    let route = server.a_route().await?;
    terminal.write(&greeting(
        &address,
        &first,
        route.as_deref(),
        server.context.data.root(),
    ))
}

/// The text that `up` prints once the server answers.
fn greeting(address: &str, first: &FirstStart, route: Option<&str>, data: &Path) -> String {
    let token = data.join("keys/admin.token");
    let token = token.display();
    let (line, credential) = match &first.key {
        Some(key) => (format!("  API key  {key}  (shown only now)"), key.clone()),
        None => (
            "  API key  make one with: stead key create NAME".to_owned(),
            format!("$(cat '{token}')"),
        ),
    };
    let found = first.found.iter().fold(String::new(), |text, provider| {
        text + "  found    " + provider + "\n"
    });
    let next = match route {
        Some(route) => format!(
            "Try it:\n  {}\n  stead chat --model {route}",
            curl(address, &credential, route)
        ),
        None => "No model yet. Fetch one, or name who has one:\n  stead model pull hf:ORG/REPO/FILE.gguf\n  \
                 stead provider add --help"
            .to_owned(),
    };
    format!(
        "Stead is up.\n  address  {address}\n{line}\n  CLI      finds the server by itself; its token is in {token}\n\
         {found}\n{next}\n\n"
    )
}

fn curl(address: &str, credential: &str, model: &str) -> String {
    let body = format!(
        r#"{{"model": "{model}", "temperature": 0, "messages": [{{"role": "user", "content": "Tell me the capital of France."}}]}}"#
    );
    format!(
        "curl {address}/v1/chat/completions -H \"Authorization: Bearer {credential}\" \
         -H 'Content-Type: application/json' -d '{body}'"
    )
}

fn start_log(matches: &ArgMatches, environment: &Environment) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_printed_at_the_first_start_and_the_cli_token_never() {
        let first = FirstStart {
            key: Some("sk-stead-x".into()),
            found: vec!["ollama at http://127.0.0.1:11434".into()],
        };
        let text = greeting("http://127.0.0.1:7832", &first, Some("chat"), Path::new("/d"));
        assert!(
            text.contains("API key  sk-stead-x") && text.contains("Bearer sk-stead-x"),
            "{text}"
        );
        assert!(
            text.contains("found    ollama") && text.contains("stead chat --model chat"),
            "{text}"
        );
        let later = greeting(
            "http://127.0.0.1:7832",
            &FirstStart::default(),
            Some("chat"),
            Path::new("/d"),
        );
        assert!(later.contains("Bearer $(cat '/d/keys/admin.token')"), "{later}");
    }

    #[test]
    fn without_a_route_nothing_is_shown_that_would_fail() {
        let text = greeting(
            "http://127.0.0.1:7832",
            &FirstStart::default(),
            None,
            Path::new("/d"),
        );
        assert!(
            !text.contains("curl") && text.contains("stead model pull"),
            "{text}"
        );
    }
}
