//! `stead gateway token create|list|revoke`. The composition root puts it below `stead gateway`, which it owns.

use ::http::Method;
use clap::{Arg, ArgMatches};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Session, View},
};

use super::{field, one};

/// Where tokens of gateways are.
const PATH: &str = "/api/gateway/tokens";

/// The command.
pub fn gateway_token() -> Command {
    let name = Arg::new("name")
        .value_name("NAME")
        .required(true)
        .help("The gateway's name");
    Command {
        spec: clap::Command::new("token")
            .about("Makes, lists and revokes the tokens by which gateway processes sign in")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                clap::Command::new("create")
                    .about("Makes a token for a gateway process and prints it once")
                    .after_help(
                        "Put it into a file that nobody else may read, and start the process with:\n  \
                         stead serve --roles gateway --control URL --token-file FILE --ca FILE",
                    )
                    .arg(name.clone()),
            )
            .subcommand(clap::Command::new("list").about("Lists the gateways that have a token"))
            .subcommand(
                clap::Command::new("revoke")
                    .about("Makes a gateway's token worthless")
                    .arg(name),
            ),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("create", matches)) => create(name_in(matches), &session).await,
            Some(("list", _)) => list(&session).await,
            Some(("revoke", matches)) => revoke(name_in(matches), &session).await,
            _ => Err(Error::invalid("name what to do: create, list or revoke")),
        }
    })
}

async fn create(name: &str, session: &Session) -> Result<()> {
    let body = Some(json!({"name": name}));
    let answer = session.server.json(Method::POST, PATH, body).await?;
    field(&answer, "token")?;
    session
        .terminal
        .note("the token is shown only now; it is good until it is revoked");
    let columns = [("NAME", "name"), ("TOKEN", "token")];
    session.terminal.print(&one(answer, name, &columns))
}

async fn list(session: &Session) -> Result<()> {
    let answer = session.server.json(Method::GET, PATH, None).await?;
    let items = answer.get("items").and_then(Value::as_array).cloned();
    let items = items.unwrap_or_default();
    let text = |item: &Value, name: &str| {
        let text = item.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    session.terminal.print(&View {
        columns: ["NAME", "CREATED"].map(Column::new).into(),
        rows: items
            .iter()
            .map(|item| vec![text(item, "name"), text(item, "created")])
            .collect(),
        names: items.iter().map(|item| text(item, "name")).collect(),
        items,
        list: true,
    })
}

async fn revoke(name: &str, session: &Session) -> Result<()> {
    // What could be a path of its own is no name of a token.
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(Error::not_found(format!(
            "there is no token for a gateway {name:?}"
        )));
    }
    session
        .server
        .json(Method::DELETE, &format!("{PATH}/{name}"), None)
        .await?;
    session
        .terminal
        .note(&format!("the token of the gateway {name} is worth nothing now"));
    Ok(())
}

fn name_in(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("name").map_or("", String::as_str)
}
