//! Asks providers in the background whether they answer and which models they have.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    core::DynamicObject,
    runtime::{controller::Action, reflector::ObjectRef, watcher},
};
use stead_kernel::{Body, Context, Error, Reason, ports::SendOptions};

use super::{
    Availability, ModelProvider, ModelProviderStatus, ProviderType, SecretKeyRef, breakers,
    plan::{self, Endpoints, Observed},
};
use crate::{
    control,
    snapshot::{self, Handle, headers, model_resource},
};

/// When a provider that answers is asked again.
const REFRESH: Duration = Duration::from_mins(5);
/// When a provider that does not answer is asked again.
const RECHECK: Duration = Duration::from_secs(30);
/// How long a provider may take to answer the question for its models.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest list of models, in bytes.
const LIST_LIMIT: usize = 8 << 20;

pub(crate) fn start(context: &Context, snapshot: &Handle) {
    breakers::start(context, snapshot);
    let controller = control::over::<ModelProvider>(context);
    let store = controller.store();
    let of_project = move |model: DynamicObject| {
        let project = model.namespace();
        let embedded = store.state().into_iter().filter(move |provider| {
            provider.spec.kind == ProviderType::Embedded && provider.namespace() == project
        });
        embedded
            .map(|provider| ObjectRef::from_obj(&*provider))
            .collect::<Vec<_>>()
    };
    let controller = if context.ports.chat.absent().is_some() {
        controller
    } else {
        let models = Api::all_with(context.client.clone(), &model_resource());
        controller.watches_with(models, model_resource(), watcher::Config::default(), of_project)
    };
    control::run(context, "provider controller", controller, reconcile);
}

async fn reconcile(object: Arc<ModelProvider>, context: Arc<Context>) -> Result<Action, Error> {
    let observed = observe(&object, &context).await?;
    let status = plan::status(
        &object.spec,
        object.status.as_ref(),
        &observed,
        object.metadata.generation,
        context.ports.clock.now(),
    );
    let old = object.status.clone().map(|old| ModelProviderStatus {
        resting: Vec::new(),
        ..old
    });
    control::write_status(&context, &*object, old.as_ref(), &status).await?;
    Ok(match observed {
        Observed::Answered(_) if object.spec.kind == ProviderType::Embedded => Action::await_change(),
        Observed::Disabled | Observed::NotAsked => Action::await_change(),
        Observed::Answered(_) | Observed::NoList => Action::requeue(REFRESH),
        Observed::Failed { .. } => Action::requeue(RECHECK),
    })
}

async fn observe(object: &ModelProvider, context: &Context) -> Result<Observed, Error> {
    let spec = &object.spec;
    if spec.availability == Availability::Disabled {
        return Ok(Observed::Disabled);
    }
    let project = object.namespace().unwrap_or_default();
    let endpoints = match Endpoints::of(spec) {
        Ok(Some(endpoints)) => endpoints,
        Ok(None) => {
            return match context.ports.chat.absent() {
                Some(why) => Ok(failed("NoEngine", why.to_owned())),
                None => embedded_models(context, &project).await,
            };
        }
        Err(error) => return Ok(failed("Misconfigured", error.full_message())),
    };
    let Some(list) = endpoints.models() else {
        return Ok(Observed::NotAsked);
    };
    let secret = match &spec.credential {
        None => None,
        Some(credential) => match read_secret(context, &project, &credential.secret_ref).await? {
            Ok(secret) => Some(secret),
            Err(why) => return Ok(failed("CredentialMissing", why)),
        },
    };
    let mut request = Request::new(Body::empty());
    match (list.parse(), headers(spec.kind, secret.as_deref())) {
        (Ok(uri), Ok(headers)) => {
            *request.uri_mut() = uri;
            *request.headers_mut() = headers;
        }
        (Err(_), _) => return Ok(failed("Misconfigured", "spec.baseUrl: this is no address".into())),
        (_, Err(why)) => return Ok(failed("Misconfigured", why)),
    }
    let asked = tokio::time::timeout(PATIENCE, ask(context, object, request)).await;
    Ok(asked.unwrap_or_else(|_| {
        failed(
            "Unreachable",
            format!("it did not answer within {} s", PATIENCE.as_secs()),
        )
    }))
}

fn failed(reason: &'static str, message: String) -> Observed {
    Observed::Failed { reason, message }
}

async fn embedded_models(context: &Context, project: &str) -> Result<Observed, Error> {
    let resource = model_resource();
    let api: Api<DynamicObject> = Api::all_with(context.client.clone(), &resource);
    let found = api.list(&kube::api::ListParams::default()).await?;
    let mut names: Vec<String> = found
        .iter()
        .filter_map(|model| snapshot::embedded(model, &context.data))
        .filter(|model| model.project == project)
        .map(|model| model.file.name)
        .collect();
    names.sort_unstable();
    Ok(Observed::Answered(names))
}

/// The credential, or why there is none.
async fn read_secret(
    context: &Context,
    project: &str,
    reference: &SecretKeyRef,
) -> Result<Result<String, String>, Error> {
    let SecretKeyRef { name, key } = reference;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), project);
    let Some(secret) = api.get_opt(name).await? else {
        return Ok(Err(format!("there is no Secret `{name}`")));
    };
    let value = secret.data.unwrap_or_default().remove(key);
    let text = value.and_then(|value| String::from_utf8(value.0).ok());
    Ok(match text.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(format!("Secret `{name}` has no text under the key `{key}`")),
    })
}

async fn ask(context: &Context, object: &ModelProvider, request: Request<Body>) -> Observed {
    let options = SendOptions {
        reach: plan::reach(object.spec.network),
        connect_timeout: PATIENCE,
    };
    let response = match context.ports.outbound.send(request, options).await {
        Ok(response) => response,
        Err(error) if error.reason() == Reason::Forbidden => {
            return failed("AddressNotAllowed", error.full_message());
        }
        Err(error) => return failed("Unreachable", error.full_message()),
    };
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return failed(
            "CredentialRefused",
            format!("it refused the credential (HTTP {})", status.as_u16()),
        );
    }
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        return Observed::NoList;
    }
    if !status.is_success() {
        return failed("Failing", format!("it answered with HTTP {}", status.as_u16()));
    }
    let Ok(body) = Limited::new(response.into_body(), LIST_LIMIT).collect().await else {
        return failed("Failing", "its list of models broke off or is too long".into());
    };
    match plan::model_names(object.spec.kind, &body.to_bytes()) {
        Some(names) => Observed::Answered(names),
        None => failed(
            "Failing",
            "what it answered is no list of models; check spec.baseUrl".into(),
        ),
    }
}
