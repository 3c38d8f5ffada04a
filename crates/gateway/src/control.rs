//! Runs the controllers of the gateway's kinds.

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
use stead_kernel::{Context, Error, GROUP, VERSION};

use crate::{
    guardrail, key, provider,
    quota::{self, Desk, Meters},
    route,
    snapshot::Handle,
};

/// Who writes the status, for server-side apply.
pub(crate) const MANAGER: &str = "stead-gateway";
/// How many objects of a kind are looked at at once.
const CONCURRENCY: u16 = 8;
/// When a look is tried again that failed by no fault of the object.
const RETRY: Duration = Duration::from_secs(5);

/// Starts all controllers.
pub(crate) fn start(context: &Context, snapshot: &Handle, meters: Meters, desk: Arc<Desk>) {
    provider::controller::start(context, snapshot);
    route::controller::start(context, snapshot);
    key::controller::start(context);
    quota::controller::start(context, meters, desk);
    guardrail::controller::start(context);
}

/// A controller over all objects of a kind.
pub(crate) fn over<K>(context: &Context) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let stop = context.tasks.token();
    Controller::new(Api::all(context.client.clone()), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move { stop.cancelled().await })
}

/// Runs a controller until shutdown.
pub(crate) fn run<K, Work>(
    context: &Context,
    name: &'static str,
    controller: Controller<K>,
    reconcile: impl FnMut(Arc<K>, Arc<Context>) -> Work + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Debug + Unpin,
    Work: TryFuture<Ok = Action, Error = Error> + Send + 'static,
{
    let retry = |_: Arc<K>, error: &Error, _: Arc<Context>| {
        tracing::warn!(
            error = error.full_message(),
            "an object could not be looked after; it is tried again"
        );
        Action::requeue(RETRY)
    };
    let work = controller
        .run(reconcile, retry, Arc::new(context.clone()))
        .for_each(|_| std::future::ready(()));
    context.tasks.spawn(name, work);
}

/// Writes a status, if it says anything new.
pub(crate) async fn write_status<K, S>(
    context: &Context,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if old == Some(new) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
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
