//! `stead version`: of the program and of the server.

use clap::{Arg, ArgAction, ArgMatches};
use http::Method;
use serde_json::{Value, json};
use stead_kernel::{
    Result,
    command::{Column, Terminal as _, View},
};

use super::Call;
use crate::server;

pub(super) fn spec() -> clap::Command {
    clap::Command::new("version")
        .about("Shows the versions of this program and of the server")
        .arg(
            Arg::new("client")
                .long("client")
                .action(ArgAction::SetTrue)
                .help("Of this program only"),
        )
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let mut item = json!({"client": call.environment.version});
    let mut view = View {
        columns: vec![
            Column::new("PART"),
            Column::new("VERSION"),
            Column::new("ADDRESS"),
        ],
        rows: vec![vec![
            "client".into(),
            call.environment.version.into(),
            String::new(),
        ]],
        ..View::default()
    };
    let asked = if matches.get_flag("client") {
        Ok(None)
    } else {
        server_version(&call).await.map(Some)
    };
    if let Ok(Some((version, address))) = &asked {
        view.rows
            .push(vec!["server".into(), version.clone(), address.clone()]);
        if let Some(item) = item.as_object_mut() {
            item.insert("server".into(), version.as_str().into());
            item.insert("address".into(), address.as_str().into());
        }
    }
    view.names.push(call.environment.version.to_owned());
    view.items.push(item);
    call.screen.print(&view)?;
    asked.map(drop)
}

/// The version that the server says it has, and its address.
pub(super) async fn server_version(call: &Call) -> Result<(String, String)> {
    let server = server::connect(&call.globals.finder)?;
    let answer = server.json(Method::GET, "/version", None).await?;
    let known = ["version", "gitVersion"]
        .into_iter()
        .find_map(|name| answer.get(name)?.as_str());
    let version = known
        .or_else(|| answer.as_str())
        .map_or_else(|| Value::to_string(&answer), str::to_owned);
    Ok((version, server.address()))
}
