//! `stead model rm`

use std::time::Duration;

use clap::{Arg, ArgMatches};
use kube::api::DeleteParams;
use stead_kernel::{Error, Reason, Result, command::Session};

use super::{api, not_found};

/// How long to wait until the object is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn spec() -> clap::Command {
    clap::Command::new("rm")
        .about("Remove models; their files go with the last one that uses them")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .num_args(1..)
                .help("The Models' names"),
        )
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    for name in matches.get_many::<String>("name").into_iter().flatten() {
        remove(name, session).await?;
    }
    Ok(())
}

async fn remove(name: &str, session: &Session) -> Result<()> {
    let api = api(session);
    match api
        .delete(name, &DeleteParams::default())
        .await
        .map_err(Error::from)
    {
        Ok(_) => {}
        Err(error) if error.reason() == Reason::NotFound => return Err(not_found(name, &session.project)),
        Err(error) => return Err(error),
    }
    let gone = tokio::time::timeout(PATIENCE, async {
        while api.get_opt(name).await.map_err(Error::from)?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<(), Error>(())
    });
    match gone.await {
        Ok(gone) => gone?,
        Err(_) => session
            .terminal
            .note(&format!("{name} is being removed; this takes a little longer")),
    }
    session.terminal.note(&format!("model {name} removed"));
    Ok(())
}
