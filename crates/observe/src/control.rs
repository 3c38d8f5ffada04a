//! Runs the controllers of this domain's kinds.

use std::{fmt::Debug, hash::Hash, sync::Arc, time::Duration};

use futures::{StreamExt, TryFuture};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
    runtime::{
        Controller,
        controller::{self, Action},
        watcher,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use stead_kernel::{Context, Error, GROUP, Reason, VERSION};

use crate::opik::Opik;

/// Who writes the status, for server-side apply.
pub(crate) const MANAGER: &str = "stead-observe";
/// How many objects of a kind are looked at at once.
const CONCURRENCY: u16 = 4;
/// When a look is tried again that failed by no fault of the object.
const RETRY: Duration = Duration::from_secs(5);

/// Looks after all objects of a kind until shutdown.
pub(crate) fn run<K, Work>(
    context: &Context,
    opik: &Opik,
    name: &'static str,
    reconcile: impl FnMut(Arc<K>, Arc<Opik>) -> Work + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Debug + Unpin,
    Work: TryFuture<Ok = Action, Error = Error> + Send + 'static,
{
    let stop = context.tasks.token();
    let controller = Controller::new(Api::<K>::all(context.client.clone()), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move { stop.cancelled().await });
    let retry = |_: Arc<K>, error: &Error, _: Arc<Opik>| {
        tracing::warn!(
            error = error.full_message(),
            "an object could not be looked after; it is tried again"
        );
        Action::requeue(RETRY)
    };
    let work = controller
        .run(reconcile, retry, Arc::new(opik.clone()))
        .for_each(|_| std::future::ready(()));
    // What is under way when the process stops is begun again at the next start.
    context.tasks.spawn_until_stopped(name, work);
}

/// Writes a status, if it says anything new.
pub(crate) async fn write_status<K, S>(opik: &Opik, object: &K, old: Option<&S>, new: &S) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if old == Some(new) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(opik.client.clone(), &object.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": K::kind(&()),
        "metadata": {"name": object.name_any()},
        "status": new,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    match api
        .patch_status(&object.name_any(), &parameters, &Patch::Apply(patch))
        .await
    {
        Ok(_) => Ok(()),
        // It was deleted meanwhile, so there is nothing to say any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What should be gone and is not there is no failure.
pub(crate) fn absent_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        result => result,
    }
}
