//! Makes keys for `writeToSecretRef` and says in the status whether a key works.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
    runtime::{controller::Action, watcher},
};
use stead_kernel::{Context, Error};

use super::{
    ApiKey, KeySecretRef,
    plan::{self, Source},
    text,
};
use crate::control;

pub(crate) fn start(context: &Context) {
    let secrets: Api<Secret> = Api::all(context.client.clone());
    let ours = watcher::Config::default().labels(LABEL);
    let controller = control::over::<ApiKey>(context).owns(secrets, ours);
    control::run(context, "key controller", controller, reconcile);
}

/// The label of Secrets that hold keys made here.
const LABEL: &str = "stead.dev/api-key";

async fn reconcile(object: Arc<ApiKey>, context: Arc<Context>) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let source = match &object.spec.write_to_secret_ref {
        None => Source::Given,
        Some(secret) => ensure_secret(&object, secret, &context).await?,
    };
    let now = context.ports.clock.now();
    let old = object.status.as_ref();
    let status = plan::status(&object.spec, old, &source, object.metadata.generation, now);
    control::write_status(&context, &*object, old, &status).await?;
    // The status has to say it when the key's time is over.
    let left = plan::expiry(&object.spec)
        .and_then(|expires| Duration::try_from(expires.duration_since(now)).ok())
        .filter(|left| !left.is_zero());
    Ok(left.map_or_else(Action::await_change, |left| {
        Action::requeue(left.min(Duration::from_hours(24)))
    }))
}

/// Makes the Secret with a new key unless it is there. One that was not made for this key is left alone.
async fn ensure_secret(
    object: &ApiKey,
    reference: &KeySecretRef,
    context: &Context,
) -> Result<Source, Error> {
    let project = object.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &project);
    if let Some(found) = api.get_opt(&reference.name).await? {
        return match read(object, reference, &found) {
            Source::Written(hash) if is_due(object) => replace(object, reference, found, &hash, &api).await,
            source => Ok(source),
        };
    }
    let key = text::generate();
    let made = secret(object, reference, &key);
    match api.create(&PostParams::default(), &made).await {
        Ok(_) => Ok(Source::Written(text::print(&text::hash(key.as_bytes())))),
        // Somebody was faster; the next look says who.
        Err(error) => Err(error.into()),
    }
}

/// Whether the key in the Secret is to be replaced.
fn is_due(object: &ApiKey) -> bool {
    let done = object.status.as_ref().map_or(0, |status| status.rotations);
    let known = object
        .status
        .as_ref()
        .is_some_and(|status| status.key_hash.is_some());
    known && done < object.spec.rotations
}

/// Puts a new key into the Secret, unless an earlier look did and could not say so.
async fn replace(
    object: &ApiKey,
    reference: &KeySecretRef,
    mut secret: Secret,
    hash: &str,
    api: &Api<Secret>,
) -> Result<Source, Error> {
    let known = object
        .status
        .as_ref()
        .and_then(|status| status.key_hash.as_deref());
    if known != Some(hash) {
        return Ok(Source::Replaced(hash.to_owned()));
    }
    let key = text::generate();
    let data = secret.data.get_or_insert_default();
    data.insert(reference.key.clone(), ByteString(key.as_bytes().to_vec()));
    api.replace(&reference.name, &PostParams::default(), &secret)
        .await?;
    Ok(Source::Replaced(text::print(&text::hash(key.as_bytes()))))
}

fn read(object: &ApiKey, reference: &KeySecretRef, secret: &Secret) -> Source {
    let ours = secret
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == object.metadata.uid.as_ref());
    let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
    match value {
        Some(value) if ours && value.0.starts_with(text::PREFIX.as_bytes()) => {
            Source::Written(text::print(&text::hash(&value.0)))
        }
        Some(_) | None => Source::Foreign(reference.name.clone()),
    }
}

fn secret(object: &ApiKey, reference: &KeySecretRef, key: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(reference.name.clone()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), object.name_any())])),
            owner_references: Some(object.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            reference.key.clone(),
            ByteString(key.as_bytes().to_vec()),
        )])),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}
