//! Says in a guardrail's status whether its rules are in force.

use std::sync::Arc;

use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef, watcher},
};
use stead_kernel::{Context, Error};

use super::{Guardrail, plan};
use crate::{control, route::ModelRoute};

pub(crate) fn start(context: &Context) {
    let controller = control::over::<Guardrail>(context);
    let store = controller.store();
    let all = move |_: ModelRoute| {
        let guardrails = store.state().into_iter();
        guardrails
            .map(|guardrail| ObjectRef::from_obj(&*guardrail))
            .collect::<Vec<_>>()
    };
    let routes: Api<ModelRoute> = Api::all(context.client.clone());
    let controller = controller.watches(routes, watcher::Config::default(), all);
    control::run(context, "guardrail controller", controller, reconcile);
}

async fn reconcile(object: Arc<Guardrail>, context: Arc<Context>) -> Result<Action, Error> {
    let project = object.namespace().unwrap_or_default();
    let api: Api<ModelRoute> = Api::namespaced(context.client.clone(), &project);
    let judges = object
        .spec
        .rules
        .iter()
        .filter_map(|rule| rule.moderation.as_ref());
    let mut missing = Vec::new();
    for judge in judges {
        // Names with a slash are of models, which no object lists.
        if !judge.route.contains('/') && api.get_opt(&judge.route).await?.is_none() {
            missing.push(judge.route.clone());
        }
    }
    let status = plan::status(
        object.status.as_ref(),
        &object.spec,
        &missing,
        object.metadata.generation,
        context.ports.clock.now(),
    );
    control::write_status(&context, &*object, object.status.as_ref(), &status).await?;
    Ok(Action::await_change())
}
