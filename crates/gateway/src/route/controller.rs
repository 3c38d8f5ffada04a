//! Says in a route's status whether its targets can answer.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef, watcher},
};
use stead_kernel::{Context, Error};

use super::{
    ModelRoute, RouteTarget,
    plan::{self, TargetState},
};
use crate::{
    control,
    provider::{Availability, ModelProvider},
    snapshot::Handle,
};

/// When a route is looked at again, to say how its targets fare.
const REFRESH: Duration = Duration::from_secs(15);

pub(crate) fn start(context: &Context, snapshot: &Handle) {
    let snapshot = snapshot.clone();
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
    control::run(context, "route controller", controller, move |object, context| {
        reconcile(object, context, snapshot.clone())
    });
}

async fn reconcile(
    object: Arc<ModelRoute>,
    context: Arc<Context>,
    snapshot: Handle,
) -> Result<Action, Error> {
    let project = object.namespace().unwrap_or_default();
    let mut states = Vec::new();
    for target in &object.spec.targets {
        let owner = target.project.as_deref().unwrap_or(&project);
        let api: Api<ModelProvider> = Api::namespaced(context.client.clone(), owner);
        let provider = api.get_opt(&target.provider).await?;
        states.push(state(provider.as_ref(), &target.provider, &project));
    }
    let now = tokio::time::Instant::now().into_std();
    let known = snapshot.load();
    let route = known.project(&project).routes.get(object.name_any().as_str());
    let view = |target: &RouteTarget| route?.view(&target.provider, &target.model, now);
    let views: Vec<_> = object.spec.targets.iter().map(view).collect();
    let states: Vec<_> = states.into_iter().zip(views).collect();
    let status = plan::status(
        &object.spec,
        object.status.as_ref(),
        &states,
        object.metadata.generation,
        context.ports.clock.now(),
    );
    control::write_status(&context, &*object, object.status.as_ref(), &status).await?;
    Ok(Action::requeue(REFRESH))
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
