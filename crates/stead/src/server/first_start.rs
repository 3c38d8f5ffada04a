//! What the first start makes: a project's first providers, model, route and key.
//!
//! *Invariant:* killed anywhere, the next start goes on; once the marker is there, nothing is made again.

use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use stead_kernel::{Context, DEFAULT_PROJECT, Error, GROUP, Result, VERSION, command::Terminal};

use super::discover;
use crate::environment::Environment;

/// The object that says the first start is over.
const MARKER: &str = "stead-first-start";
/// The default model's name.
const MODEL: &str = "smollm2-135m";
/// The route to it.
const ROUTE: &str = "chat";
/// The name of the first API key.
const KEY: &str = "first";

/// What the first start made.
#[derive(Debug, Default)]
pub(crate) struct FirstStart {
    /// The first API key; only at the first start, and only now.
    pub(crate) key: Option<String>,
    /// Providers that were found and declared.
    pub(crate) found: Vec<String>,
}

/// Makes what is missing, unless the marker says that all was made once.
pub(crate) async fn run(context: &Context, environment: &Environment) -> Result<FirstStart> {
    let client = &context.client;
    let markers: Api<ConfigMap> = Api::namespaced(client.clone(), DEFAULT_PROJECT);
    if markers.get_opt(MARKER).await?.is_some() {
        return Ok(FirstStart::default());
    }
    if context.settings.default_model {
        create(client, stead_models::default_model()).await?;
        create(client, local_provider()).await?;
        create(client, default_route()).await?;
    }
    let mut found = Vec::new();
    if context.settings.discover {
        for provider in discover::providers(context, environment).await {
            if let Some((secret, key)) = provider.credential {
                create_secret(client, &secret, &key).await?;
            }
            found.push(provider.describe);
            create(client, provider.object).await?;
        }
    }
    let key = replace_key(client).await?;
    markers.create(&PostParams::default(), &marker()).await?;
    Ok(FirstStart {
        key: Some(key),
        found,
    })
}

/// Follows the default model while it is not ready.
pub(crate) async fn follow_model(context: &Context, terminal: &dyn Terminal) -> Result<()> {
    let models = dynamic(&context.client, "Model");
    let Some(model) = models.get_opt(MODEL).await? else {
        return Ok(());
    };
    if is_ready(&model) {
        return Ok(());
    }
    stead_models::follow(context.client.clone(), DEFAULT_PROJECT, MODEL, terminal).await
}

/// The route of the default model while it is there, else the first by name.
pub(super) async fn a_route(context: &Context) -> Result<Option<String>> {
    let routes = dynamic(&context.client, "ModelRoute")
        .list(&ListParams::default())
        .await?;
    let mut names: Vec<String> = routes
        .items
        .into_iter()
        .filter_map(|route| route.metadata.name)
        .collect();
    names.sort_by_key(|name| (name != ROUTE, name.clone()));
    Ok(names.into_iter().next())
}

fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Ready")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

fn local_provider() -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ModelProvider",
        "metadata": {"name": "local", "namespace": DEFAULT_PROJECT},
        "spec": {"type": "embedded"},
    })
}

fn default_route() -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ModelRoute",
        "metadata": {"name": ROUTE, "namespace": DEFAULT_PROJECT},
        "spec": {"targets": [{"provider": "local", "model": MODEL}]},
    })
}

fn marker() -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(MARKER.into()),
            namespace: Some(DEFAULT_PROJECT.into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

/// The key of an interrupted first start was never shown to anyone, so it is made anew.
async fn replace_key(client: &Client) -> Result<String> {
    let (key, hash) = stead_gateway::new_key();
    let keys = dynamic(client, "ApiKey");
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ApiKey",
        "metadata": {"name": KEY, "namespace": DEFAULT_PROJECT},
        "spec": {"owner": {"user": "admin"}, "keyHash": hash},
    });
    if keys.get_opt(KEY).await?.is_some() {
        keys.delete(KEY, &kube::api::DeleteParams::default()).await?;
    }
    create(client, object).await?;
    Ok(key)
}

async fn create_secret(client: &Client, name: &str, value: &str) -> Result<()> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(DEFAULT_PROJECT.into()),
            ..ObjectMeta::default()
        },
        string_data: Some([("api-key".to_owned(), value.to_owned())].into()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), DEFAULT_PROJECT);
    exists_is_fine(secrets.create(&PostParams::default(), &secret).await)
}

/// Creates an object of the default project; one that is there stays as it is.
async fn create(client: &Client, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)
        .map_err(|error| Error::internal("an object of the first start is malformed").because(error))?;
    let kind = object
        .types
        .as_ref()
        .map(|types| types.kind.clone())
        .unwrap_or_default();
    exists_is_fine(
        dynamic(client, &kind)
            .create(&PostParams::default(), &object)
            .await,
    )
}

fn exists_is_fine<T>(result: kube::Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Objects of one of Stead's own kinds in the default project.
fn dynamic(client: &Client, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
    Api::namespaced_with(client.clone(), DEFAULT_PROJECT, &resource)
}
