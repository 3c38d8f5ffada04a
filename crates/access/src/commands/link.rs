//! `stead login-link`.

use ::http::Method;
use clap::{Arg, ArgMatches};
use futures::future::BoxFuture;
use serde_json::json;
use stead_kernel::{
    Result,
    command::{Command, Session},
};

use super::{field, one};

/// The command.
pub(super) fn command() -> Command {
    Command {
        spec: clap::Command::new("login-link")
            .about("Prints a link that signs a browser in, once and within ten minutes")
            .arg(
                Arg::new("user")
                    .long("user")
                    .value_name("NAME")
                    .help("Whom it signs in; the administrator when not given"),
            ),
        run,
    }
}

fn run(matches: ArgMatches, session: Session) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let body = json!({"user": matches.get_one::<String>("user")});
        let answer = session
            .server
            .json(Method::POST, "/api/session/links", Some(body))
            .await?;
        let url = format!("{}{}", session.server.address(), field(&answer, "path")?);
        let item = json!({"url": url, "expires": field(&answer, "expires")?});
        session
            .terminal
            .print(&one(item, &url, &[("URL", "url"), ("EXPIRES", "expires")]))
    })
}
