//! Says in a route's status whether its targets can answer.

use std::sync::Arc;

use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef, watcher},
};
use stead_kernel::{Context, Error};

use super::{
    ModelRoute,
    plan::{self, TargetState},
};
use crate::{
    control,
    provider::{Availability, ModelProvider},
};

pub(crate) fn start(context: &Context) {
    let controller = control::over::<ModelRoute>(context);
    let store = controller.store();
    let all = move |_: ModelProvider| {
        store
            .state()
            .into_iter()
            .map(|route| ObjectRef::from_obj(&*route))
            .collect::<Vec<_>>()
    };
    let providers: Api<ModelProvider> = Api::all(context.client.clone());
    let controller = controller.watches(providers, watcher::Config::default(), all);
    control::run(context, "route controller", controller, reconcile);
}

async fn reconcile(object: Arc<ModelRoute>, context: Arc<Context>) -> Result<Action, Error> {
    let project = object.namespace().unwrap_or_default();
    let mut states = Vec::new();
    for target in &object.spec.targets {
        let owner = target.project.as_deref().unwrap_or(&project);
        let api: Api<ModelProvider> = Api::namespaced(context.client.clone(), owner);
        let provider = api.get_opt(&target.provider).await?;
        states.push(state(provider.as_ref(), &target.provider, &project));
    }
    let status = plan::status(
        object.status.as_ref(),
        &states,
        object.metadata.generation,
        context.ports.clock.now(),
    );
    control::write_status(&context, &*object, object.status.as_ref(), &status).await?;
    Ok(Action::await_change())
}

fn state(provider: Option<&ModelProvider>, name: &str, project: &str) -> TargetState {
    let Some(provider) = provider else {
        return TargetState::Missing(name.to_owned());
    };
    let own = provider.namespace().as_deref() == Some(project);
    let allowed = provider
        .spec
        .allowed_projects
        .iter()
        .flat_map(|allowed| &allowed.names);
    if !own && !allowed.into_iter().any(|name| name == "*" || name == project) {
        return TargetState::Missing(name.to_owned());
    }
    if provider.spec.availability == Availability::Disabled {
        return TargetState::Disabled(name.to_owned());
    }
    TargetState::Usable
}
