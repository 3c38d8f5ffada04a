//! Says in a provider's status which of its models are left alone because they fail, as this process sees it. Other
//! gateway processes have breakers of their own, which their metrics tell.
//!
//! *Invariant:* a status is written when something changed, and not oftener than at every look.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use stead_kernel::{Context, Error, GROUP, VERSION};
use stead_routing::State;

use super::{BreakerState, ModelProvider, RestingModel};
use crate::snapshot::{Handle, Snapshot};

/// How often the breakers are looked at.
const REFRESH: Duration = Duration::from_secs(15);
/// Who writes this part of the status, for server-side apply.
const MANAGER: &str = "stead-gateway-breakers";

/// A provider's project and name.
type Id = (String, String);
/// The models that are left alone, by their provider.
type Resting = BTreeMap<Id, Vec<RestingModel>>;

/// Starts to tell.
pub(crate) fn start(context: &Context, snapshot: &Handle) {
    let (owned, snapshot) = (context.clone(), snapshot.clone());
    context
        .tasks
        .spawn_until_stopped("provider breakers", async move {
            let mut told = None;
            loop {
                tokio::time::sleep(REFRESH).await;
                let before = match told.take() {
                    Some(told) => told,
                    // What an earlier process told stands in the statuses.
                    None => match read(&owned).await {
                        Ok(told) => told,
                        Err(error) => {
                            tracing::warn!(
                                error = error.full_message(),
                                "the statuses of providers cannot be read"
                            );
                            continue;
                        }
                    },
                };
                let now = tokio::time::Instant::now().into_std();
                told = Some(tell(&owned, before, resting(&snapshot.load(), now)).await);
            }
        });
}

/// The models that are left alone or tried again, by their provider.
fn resting(snapshot: &Snapshot, now: std::time::Instant) -> Resting {
    let mut resting = Resting::new();
    for known in &snapshot.catalog.targets {
        let state = match known.live.state(now) {
            State::Closed => continue,
            State::Open => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        };
        let (project, name) = &known.provider;
        let models = resting.entry((project.clone(), name.clone())).or_default();
        models.push(RestingModel {
            model: known.model.clone(),
            state,
        });
    }
    resting
}

/// Those whose status must be written: what is to be told of them changed.
fn changed<'a>(told: &'a Resting, now: &'a Resting) -> BTreeSet<&'a Id> {
    let all = told.keys().chain(now.keys());
    all.filter(|id| told.get(*id) != now.get(*id)).collect()
}

async fn read(context: &Context) -> Result<Resting, Error> {
    let api: Api<ModelProvider> = Api::all(context.client.clone());
    let list = api.list(&ListParams::default()).await?;
    let told = list.items.into_iter().filter_map(|provider| {
        let id = (provider.namespace().unwrap_or_default(), provider.name_any());
        let models = provider.status?.resting;
        (!models.is_empty()).then_some((id, models))
    });
    Ok(told.collect())
}

/// Writes what changed; returns what stands in the statuses then.
async fn tell(context: &Context, mut told: Resting, mut now: Resting) -> Resting {
    let changed: Vec<Id> = changed(&told, &now).into_iter().cloned().collect();
    for id in changed {
        let models = now.remove(&id).unwrap_or_default();
        if let Err(error) = write(context, &id, &models).await {
            tracing::warn!(
                provider = id.1,
                error = error.full_message(),
                "a provider's status could not be written; it is tried again"
            );
            continue;
        }
        if models.is_empty() {
            told.remove(&id);
        } else {
            told.insert(id, models);
        }
    }
    told
}

async fn write(context: &Context, (project, name): &Id, models: &[RestingModel]) -> Result<(), Error> {
    let api: Api<ModelProvider> = Api::namespaced(context.client.clone(), project);
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ModelProvider",
        "metadata": {"name": name},
        "status": {"resting": models},
    });
    let parameters = PatchParams::apply(MANAGER).force();
    match api.patch_status(name, &parameters, &Patch::Apply(patch)).await {
        Ok(_) => Ok(()),
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &str, BreakerState)]) -> Resting {
        let mut resting = Resting::new();
        for (name, model, state) in list {
            let models = resting.entry(("a".to_owned(), (*name).to_owned())).or_default();
            models.push(RestingModel {
                model: (*model).to_owned(),
                state: *state,
            });
        }
        resting
    }

    #[test]
    fn only_what_changed_is_written() {
        use BreakerState::{HalfOpen, Open};
        let told = of(&[("p", "m", Open), ("q", "m", Open), ("r", "m", Open)]);
        let now = of(&[("p", "m", Open), ("q", "m", HalfOpen), ("s", "m", Open)]);
        let names: Vec<&str> = changed(&told, &now).into_iter().map(|id| id.1.as_str()).collect();
        assert_eq!(names, ["q", "r", "s"]);
        assert!(changed(&told, &told).is_empty());
    }
}
