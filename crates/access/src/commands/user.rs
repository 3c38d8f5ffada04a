//! `stead user add|passwd`.

use std::sync::Arc;

use ::http::Method;
use clap::{Arg, ArgAction, ArgMatches};
use futures::future::BoxFuture;
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::json;
use stead_kernel::{
    Error, Result,
    command::{Column, Command, Session, Terminal, View},
};

use crate::user::{User, UserSpec};

/// How often a new password may be typed differently the second time.
const TRIES: usize = 3;

/// The command.
pub(super) fn command() -> Command {
    let name = Arg::new("name")
        .value_name("NAME")
        .required(true)
        .help("The user's name");
    let stdin = Arg::new("password-stdin")
        .long("password-stdin")
        .action(ArgAction::SetTrue)
        .help("Read the password from standard input");
    let add = clap::Command::new("add")
        .about("Adds a user")
        .after_help("Users are listed with `stead get users` and removed with `stead delete user NAME`.")
        .arg(name.clone())
        .arg(
            Arg::new("admin")
                .long("admin")
                .action(ArgAction::SetTrue)
                .help("Let the user do everything"),
        )
        .arg(
            Arg::new("project")
                .long("project")
                .short('p')
                .value_name("PROJECT")
                .action(ArgAction::Append)
                .help("A project of the user's own; may be repeated"),
        )
        .arg(
            Arg::new("display-name")
                .long("display-name")
                .value_name("TEXT")
                .help("The person's name"),
        )
        .arg(stdin.clone());
    let passwd = clap::Command::new("passwd")
        .about("Sets a user's password, and ends the user's sessions")
        .arg(name)
        .arg(stdin);
    Command {
        spec: clap::Command::new("user")
            .about("Adds users and sets their passwords")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(add)
            .subcommand(passwd),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match matches.subcommand() {
            Some(("add", matches)) => add(matches, &session).await,
            Some(("passwd", matches)) => passwd(matches, &session).await,
            _ => Err(Error::invalid("name what to do: add or passwd")),
        }
    })
}

async fn add(matches: &ArgMatches, session: &Session) -> Result<()> {
    let name = name_in(matches);
    // Asked first, so that a slip leaves nothing half done.
    let password = if matches.get_flag("password-stdin") || session.terminal.interactive() {
        Some(password(matches, &session.terminal, name).await?)
    } else {
        None
    };
    let spec = UserSpec {
        display_name: matches
            .get_one::<String>("display-name")
            .cloned()
            .unwrap_or_default(),
        admin: matches.get_flag("admin"),
        projects: matches
            .get_many::<String>("project")
            .unwrap_or_default()
            .cloned()
            .collect(),
        disabled: false,
    };
    let users: Api<User> = Api::all(session.server.client());
    let user = users
        .create(&PostParams::default(), &User::new(name, spec))
        .await?;
    match password {
        Some(password) => set(session, name, &password).await.map_err(|error| {
            Error::new(
                error.reason(),
                format!(
                    "the user {name} was added, but has no password: {}",
                    error.message()
                ),
            )
            .hint(format!("set one: stead user passwd {name}"))
        })?,
        None => session.terminal.note(&format!(
            "{name} has no password yet; set one: stead user passwd {name}"
        )),
    }
    session.terminal.print(&shown(&user)?)
}

fn shown(user: &User) -> Result<View> {
    let name = user.name_any();
    let item = serde_json::to_value(user)
        .map_err(|error| Error::internal("the user cannot be shown").because(error))?;
    Ok(View {
        columns: ["NAME", "ADMIN", "PROJECTS"].map(Column::new).into(),
        rows: vec![vec![
            name.clone(),
            user.spec.admin.to_string(),
            user.spec.projects.join(","),
        ]],
        names: vec![format!("user.stead.dev/{name}")],
        items: vec![item],
        list: false,
    })
}

async fn passwd(matches: &ArgMatches, session: &Session) -> Result<()> {
    let name = name_in(matches);
    let password = password(matches, &session.terminal, name).await?;
    set(session, name, &password).await?;
    session.terminal.note(&format!("the password of {name} is set"));
    Ok(())
}

async fn set(session: &Session, name: &str, password: &str) -> Result<()> {
    let path = format!("/api/users/{name}/password");
    session
        .server
        .json(Method::PUT, &path, Some(json!({"password": password})))
        .await?;
    Ok(())
}

/// Asks for a new password: twice, or once when it comes from a pipe.
async fn password(matches: &ArgMatches, terminal: &Arc<dyn Terminal>, name: &str) -> Result<String> {
    if matches.get_flag("password-stdin") {
        return terminal.read_secret("").await;
    }
    if !terminal.interactive() {
        return Err(
            Error::invalid("there is nobody to ask for the password").hint("pipe it in: --password-stdin")
        );
    }
    for _ in 0..TRIES {
        let first = terminal.read_secret(&format!("New password of {name}: ")).await?;
        if terminal.read_secret("Once more: ").await? == first {
            return Ok(first);
        }
        terminal.note("the two are not the same");
    }
    Err(Error::invalid("no password was typed twice the same"))
}

fn name_in(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("name").map_or("", String::as_str)
}
