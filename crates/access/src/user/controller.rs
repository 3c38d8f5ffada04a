//! Keeps the status of Users.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{Controller, controller::Action},
};
use serde_json::json;
use stead_kernel::{Clock, Error, Result};
use tokio::sync::watch;

use super::{User, plan};
use crate::password::Passwords;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// What the controller works with.
pub(crate) struct Reconciler {
    pub(crate) client: Client,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Runs until it is dropped; looks at every user when `poked` changes, which records of passwords do not tell.
pub(crate) async fn run(
    controller: Controller<User>,
    reconciler: Arc<Reconciler>,
    poked: watch::Receiver<()>,
) {
    controller
        .reconcile_all_on(pokes(poked))
        .run(reconcile, |_, _, _| Action::requeue(PAUSE), reconciler)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::warn!(%error, "a User could not be worked on");
            }
        })
        .await;
}

fn pokes(poked: watch::Receiver<()>) -> impl Stream<Item = ()> + Send {
    stream::unfold(poked, |mut poked| async move {
        poked.changed().await.ok()?;
        Some(((), poked))
    })
}

async fn reconcile(user: Arc<User>, reconciler: Arc<Reconciler>) -> Result<Action, Error> {
    let name = user.name_any();
    let uid = user.uid().unwrap_or_default();
    let password_set = reconciler.passwords.exists(&name, &uid).await?;
    let status = plan::status(&user, password_set, reconciler.clock.now());
    if user.status.as_ref() != Some(&status) {
        let users: Api<User> = Api::all(reconciler.client.clone());
        let patch = Patch::Merge(json!({"status": status}));
        users.patch_status(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(Action::await_change())
}
