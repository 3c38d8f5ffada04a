//! Brings the file of every Model here, and removes it with the last Model that needs it.

mod status;
mod steps;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        controller::{Action, Config, Controller},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde_json::json;
use stead_kernel::{Context, Error, Reason, Result, Running, ports::Reach};
use tokio::time::Instant;

use self::{status::StatusWriter, steps::Work};
use super::{
    Model, Network, may_read_any_file,
    plan::{self, FINALIZER, Held, Observed, Plan, RETRY},
};
use crate::{
    blobs::Blobs,
    fetch::{self, Fetch, Files},
};

/// How many Models are worked on at a time.
const CONCURRENCY: u16 = 8;
/// How often a Model is looked at though nothing changed: its file may have vanished.
const RECHECK: Duration = Duration::from_mins(5);
/// The pause after the resource API failed.
const API_PAUSE: Duration = Duration::from_secs(5);
/// How often work under way looks whether it is still wanted.
const STILL_WANTED: Duration = Duration::from_millis(500);

/// Starts the controller.
pub(crate) fn start(context: Context) -> BoxFuture<'static, Result<Running>> {
    Box::pin(async move {
        let api: Api<Model> = Api::all(context.client.clone());
        let controller = Controller::new(api, watcher::Config::default())
            .with_config(Config::default().concurrency(CONCURRENCY));
        let tasks = context.tasks.clone();
        let routes = crate::machine::routes(context.data.clone());
        let shared = Arc::new(Shared {
            blobs: Blobs::new(context.data.clone()),
            store: controller.store(),
            tries: Mutex::default(),
            context,
        });
        // Dropped at shutdown wherever it is: every step is found half done or done, and gone on with.
        tasks.spawn_until_stopped("models", async move {
            let results = controller.run(reconcile, |_, _, _| Action::requeue(API_PAUSE), shared);
            results
                .for_each(|result| async move {
                    if let Err(error) = result {
                        tracing::warn!(%error, "a Model could not be worked on");
                    }
                })
                .await;
        });
        Ok(Running {
            routes,
            ..Running::default()
        })
    })
}

struct Shared {
    context: Context,
    blobs: Blobs,
    store: Store<Model>,
    tries: Mutex<HashMap<String, Failed>>,
}

/// The last failure of a Model.
struct Failed {
    count: u32,
    next: Instant,
    generation: Option<i64>,
    retry: Option<String>,
}

async fn reconcile(model: Arc<Model>, shared: Arc<Shared>) -> Result<Action> {
    let blob_size = |digest: &str| shared.blobs.size(digest);
    let plan = plan::decide(&Observed {
        model: &model,
        blob_size: &blob_size,
        pause: shared.pause(&model),
    });
    tracing::debug!(model = model.name_any(), ?plan, "plan");
    match plan {
        Plan::Rest => {
            shared.tidy(&model)?;
            Ok(Action::requeue(RECHECK))
        }
        Plan::Wait(pause) => Ok(Action::requeue(pause)),
        Plan::AddFinalizer => {
            let mut finalizers = model.finalizers().to_vec();
            finalizers.push(FINALIZER.to_owned());
            shared.set_finalizers(&model, &finalizers).await?;
            Ok(Action::await_change())
        }
        Plan::CleanUp => shared.clean_up(&model).await,
        Plan::Announce(held) => {
            shared.announce(&model, &held).await?;
            shared.tidy(&model)?;
            Ok(Action::requeue(RECHECK))
        }
        Plan::Fetch => shared.fetch(&model).await,
    }
}

impl Shared {
    fn api(&self, model: &Model) -> Api<Model> {
        Api::namespaced(self.client(), &model.namespace().unwrap_or_default())
    }

    fn client(&self) -> Client {
        self.context.client.clone()
    }

    fn folder(&self, model: &Model) -> std::path::PathBuf {
        let unfinished = self.context.data.scratch().join("models");
        unfinished.join(model.uid().unwrap_or_else(|| model.name_any()))
    }

    /// Removes unfinished files that are of no use any more.
    fn tidy(&self, model: &Model) -> Result<()> {
        let folder = self.folder(model);
        if folder.exists() {
            fetch::clear(&folder)
        } else {
            Ok(())
        }
    }

    /// How long to wait still; not at all when the spec changed or somebody asked for another try.
    fn pause(&self, model: &Model) -> Option<Duration> {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = tries.get(&model.uid()?)?;
        let same = failed.generation == model.metadata.generation
            && failed.retry.as_ref() == model.annotations().get(RETRY);
        let left = failed.next.saturating_duration_since(Instant::now());
        (same && !left.is_zero()).then_some(left)
    }

    fn note_failure(&self, model: &Model) -> Duration {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = model.uid().unwrap_or_default();
        let count = tries.get(&uid).map_or(0, |failed| failed.count).saturating_add(1);
        let pause = plan::pause_after(count);
        let failed = Failed {
            count,
            next: Instant::now() + pause,
            generation: model.metadata.generation,
            retry: model.annotations().get(RETRY).cloned(),
        };
        tries.insert(uid, failed);
        pause
    }

    fn forget_failures(&self, model: &Model) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&model.uid().unwrap_or_default());
    }

    async fn set_finalizers(&self, model: &Model, finalizers: &[String]) -> Result<()> {
        let patch = json!({"metadata": {
            "finalizers": finalizers, "resourceVersion": model.metadata.resource_version,
        }});
        let result = self
            .api(model)
            .patch(&model.name_any(), &PatchParams::default(), &Patch::Merge(patch))
            .await;
        match result.map_err(Error::from) {
            // Changed or gone meanwhile: the next event brings it back here.
            Err(error) if !matches!(error.reason(), Reason::Conflict | Reason::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    /// Fetches, verifies and stores, unless the Model is changed or deleted meanwhile.
    async fn fetch(&self, model: &Arc<Model>) -> Result<Action> {
        let writer = StatusWriter::new(self.api(model), model, self.context.ports.clock.clone());
        let result = tokio::select! {
            result = self.bring(model, &writer) => result,
            () = self.superseded(model) => return Ok(Action::requeue(Duration::ZERO)),
        };
        let held = match result {
            Ok(held) => held,
            Err(error) if error.reason() == Reason::NotFound && self.is_gone(model) => {
                return Ok(Action::await_change());
            }
            Err(error) => {
                let pause = self.note_failure(model);
                writer.failed(&error, pause).await?;
                return Ok(Action::requeue(pause));
            }
        };
        self.forget_failures(model);
        self.announce(model, &held).await?;
        self.tidy(model)?;
        Ok(Action::requeue(RECHECK))
    }

    async fn bring(&self, model: &Model, writer: &StatusWriter) -> Result<Held> {
        let spec = &model.spec;
        let files = if may_read_any_file(model.metadata.annotations.as_ref(), spec) {
            Files::Anywhere
        } else {
            Files::Below(self.context.settings.allow_folders.clone())
        };
        let reach = match spec.network {
            Network::Public => Reach::Public,
            Network::Private => Reach::Private,
        };
        let fetch = Fetch {
            outbound: self.context.ports.outbound.clone(),
            exec: self.context.ports.exec.clone(),
            folder: self.folder(model),
            reach,
            files,
        };
        let work = Arc::new(Work::new(fetch, plan::sources(spec)?, self.blobs.clone()));
        work.run(self.context.ports.clock.as_ref(), writer).await
    }

    /// Resolves once the Model was changed or deleted since this work began.
    async fn superseded(&self, model: &Arc<Model>) {
        let reference = ObjectRef::from_obj(model.as_ref());
        let mut looks = tokio::time::interval(STILL_WANTED);
        loop {
            looks.tick().await;
            let present = self.store.get(&reference);
            let same = present.is_some_and(|present| {
                present.metadata.uid == model.metadata.uid
                    && present.metadata.deletion_timestamp == model.metadata.deletion_timestamp
                    && present.spec == model.spec
            });
            if !same {
                return;
            }
        }
    }

    fn is_gone(&self, model: &Arc<Model>) -> bool {
        self.store.get(&ObjectRef::from_obj(model.as_ref())).is_none()
    }

    /// Writes that the file is here, and lets go of the one before.
    async fn announce(&self, model: &Model, held: &Held) -> Result<()> {
        let claim = self.blobs.claim(&held.digest);
        if self.blobs.size(&held.digest) != Some(held.size) {
            return Err(Error::unavailable("the model file was removed meanwhile"));
        }
        let writer = StatusWriter::new(self.api(model), model, self.context.ports.clock.clone());
        writer.ready(held).await?;
        drop(claim);
        let before = model.status.as_ref().and_then(|status| status.digest.clone());
        match before.filter(|before| *before != held.digest) {
            Some(before) => self.release(&before, model).await,
            None => Ok(()),
        }
    }

    /// Removes what the Model has on the disk, then our mark.
    async fn clean_up(&self, model: &Model) -> Result<Action> {
        let folder = self.folder(model);
        let stored = steps::complete(&folder).map(|fetched| format!("sha256:{}", fetched.sha256));
        let known = model.status.as_ref().and_then(|status| status.digest.clone());
        for digest in stored.into_iter().chain(known) {
            self.release(&digest, model).await?;
        }
        fetch::clear(&folder)?;
        self.forget_failures(model);
        let others: Vec<String> = model
            .finalizers()
            .iter()
            .filter(|finalizer| *finalizer != FINALIZER)
            .cloned()
            .collect();
        self.set_finalizers(model, &others).await?;
        Ok(Action::await_change())
    }

    /// Removes a blob that the Model no longer needs, unless another one does.
    async fn release(&self, digest: &str, model: &Model) -> Result<()> {
        self.blobs.condemn(digest);
        let all = Api::<Model>::all(self.client())
            .list(&ListParams::default())
            .await
            .map_err(Error::from)?;
        let needed = all.items.iter().any(|other| {
            let other_digest = other.status.as_ref().and_then(|status| status.digest.as_deref());
            other.metadata.uid != model.metadata.uid && other_digest == Some(digest)
        });
        if !needed {
            let removed = self.blobs.remove_condemned(digest)?;
            tracing::info!(digest, removed, "no Model needs this file any more");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
