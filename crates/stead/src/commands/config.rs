//! `stead config view`: each value with its source.

use clap::ArgMatches;
use futures::{FutureExt, future::BoxFuture};
use serde_json::json;
use stead_cli::{Local, LocalCommand};
use stead_kernel::{
    Result,
    command::{Column, View},
};

use crate::{config, environment::Environment};

/// `config` and `config view`.
pub(super) fn command() -> LocalCommand {
    let view = clap::Command::new("view")
        .about("Shows every setting with its value and source")
        .args(config::arguments());
    LocalCommand {
        spec: clap::Command::new("config")
            .about("Shows the configuration: flag > environment > file > default")
            .args(config::arguments())
            .subcommand(view),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        // `config` alone is `config view`.
        let flags = matches.subcommand_matches("view").unwrap_or(&matches);
        let resolved = config::resolve(&local.data, &Environment::read(), flags)?;
        local.terminal.print(&view(&resolved))
    }
    .boxed()
}

fn view(resolved: &config::Resolved) -> View {
    let mut view = View {
        columns: vec![
            Column::new("NAME"),
            Column::new("VALUE"),
            Column::new("SOURCE"),
            Column::wide("VARIABLE"),
        ],
        list: true,
        ..View::default()
    };
    for (name, value, source) in &resolved.values {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        view.rows.push(vec![
            name.clone(),
            text,
            source.to_string(),
            config::variable(name),
        ]);
        view.items
            .push(json!({"name": name, "value": value, "source": source.to_string()}));
        view.names.push(name.clone());
    }
    view
}
