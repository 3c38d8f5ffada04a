//! `stead up`: every role in one process.

use std::path::Path;

use clap::ArgMatches;
use futures::{FutureExt, future::BoxFuture};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Result, Roles};

use super::process::{Stop, log_argument, start_log};
use crate::{
    config,
    environment::Environment,
    server::{FirstStart, Server, Start},
};

/// `up`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("up")
            .about("Starts the server: gateway, resource API, engine and stores in one process")
            .args(config::arguments())
            .arg(log_argument()),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let environment = Environment::read();
        start_log(&matches, &environment)?;
        let resolved = config::resolve(&local.data, &environment, &matches)?;
        let server = Server::start(Start::Home(Roles::all()), resolved, &environment).await?;
        let stopped = Stop::install()?;
        let terminal = local.terminal.as_ref();
        let introduction = introduce(&server, &environment, &local);
        stopped.unless(introduction).await?;
        stopped.run(server, terminal).await
    }
    .boxed()
}

/// Says where the server is and how to call it; makes what the first start makes.
async fn introduce(server: &Server, environment: &Environment, local: &Local) -> Result<()> {
    let terminal = local.terminal.as_ref();
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
    let console = sign_in(local, &address).await;
    terminal.write(&greeting(
        &address,
        &console,
        &first,
        route.as_deref(),
        server.context.data.root(),
    ))
}

/// How to get into the console: by a link that is good once, as `stead login-link` makes it.
async fn sign_in(local: &Local, address: &str) -> String {
    let made = async {
        let server = local.connect()?;
        server.json(http::Method::POST, "/api/session/links", None).await
    };
    let link = made.await.ok();
    let path = link.as_ref().and_then(|link| link.get("path")?.as_str());
    path.map_or_else(
        || format!("{address}/  (sign in with: stead login-link)"),
        |path| format!("{address}{path}  (signs you in once, within ten minutes)"),
    )
}

/// The text that `up` prints once the server answers.
fn greeting(address: &str, console: &str, first: &FirstStart, route: Option<&str>, data: &Path) -> String {
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
        "Stead is up.\n  console  {console}\n  address  {address}\n{line}\n  CLI      finds the server by itself; its token is in {token}\n\
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_printed_at_the_first_start_and_the_cli_token_never() {
        let first = FirstStart {
            key: Some("sk-stead-x".into()),
            found: vec!["ollama at http://127.0.0.1:11434".into()],
        };
        let text = greeting(
            "http://127.0.0.1:7832",
            "link",
            &first,
            Some("chat"),
            Path::new("/d"),
        );
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
            "link",
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
            "link",
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
