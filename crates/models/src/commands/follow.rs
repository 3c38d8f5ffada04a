//! Showing how a Model comes.

use std::time::Duration;

use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use stead_kernel::{
    Clock, Error, Result, SystemClock,
    command::{ProgressBar, Terminal},
    conditions::READY,
    steps::{StepState, StepStatus},
};

use super::not_found;
use crate::{
    Model, ModelStatus,
    model::{FETCH_FAILED, RETRY},
    size::human_size,
};

/// How often the Model is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Follows a Model with a progress bar until it is Ready. If its last try failed, asks for another one first.
/// Dropping the future changes nothing: the server goes on.
///
/// # Errors
/// `NotFound` when there is no such Model; `Unavailable` with what every source said when a try fails (the server
/// tries again by itself later).
pub async fn follow(client: kube::Client, project: &str, name: &str, terminal: &dyn Terminal) -> Result<()> {
    follow_to_end(client, project, name, terminal).await.map(drop)
}

/// As [`follow`], and returns the Model as it is in the end.
pub(super) async fn follow_to_end(
    client: Client,
    project: &str,
    name: &str,
    terminal: &dyn Terminal,
) -> Result<Model> {
    let api: Api<Model> = Api::namespaced(client, project);
    let mut asked = None;
    let mut bar = Bar::default();
    loop {
        let model = api
            .get_opt(name)
            .await
            .map_err(Error::from)?
            .ok_or_else(|| not_found(name, project))?;
        let status = model.status.clone().unwrap_or_default();
        match stage(&model, &status, asked.as_deref()) {
            Stage::Ready => {
                drop(bar);
                terminal.note(&arrival(&model, &status));
                return Ok(model);
            }
            Stage::FailedBefore => asked = Some(ask_again(&api, name).await?),
            Stage::Failed(why) => {
                return Err(Error::unavailable(format!("{name} could not be fetched: {why}")));
            }
            Stage::UnderWay => bar.show(&status.steps, name, terminal),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// `m is here: 98.3 MB`, with the source when it was not the first.
fn arrival(model: &Model, status: &ModelStatus) -> String {
    let size = human_size(status.size.unwrap_or(0));
    let other = status
        .source
        .as_ref()
        .filter(|source| model.spec.sources.first() != Some(source));
    let source = other.map(|source| format!(", from {source}")).unwrap_or_default();
    format!("{} is here: {size}{source}", model.name_any())
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    UnderWay,
    Ready,
    /// The last try failed before we came.
    FailedBefore,
    Failed(String),
}

fn stage(model: &Model, status: &ModelStatus, asked: Option<&str>) -> Stage {
    let current = status.observed_generation == model.metadata.generation;
    let Some(condition) = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == READY && current)
    else {
        return Stage::UnderWay;
    };
    if condition.status == "True" {
        return Stage::Ready;
    }
    if condition.reason != FETCH_FAILED {
        return Stage::UnderWay;
    }
    match asked {
        None => Stage::FailedBefore,
        Some(asked) if status.observed_retry.as_deref() == Some(asked) => {
            Stage::Failed(condition.message.clone())
        }
        Some(_) => Stage::UnderWay,
    }
}

async fn ask_again(api: &Api<Model>, name: &str) -> Result<String> {
    let now = SystemClock.now().to_string();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {RETRY: now}}}));
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .map_err(Error::from)?;
    Ok(now)
}

/// A bar for the step under way.
#[derive(Default)]
struct Bar {
    step: String,
    bar: Option<Box<dyn ProgressBar>>,
}

impl Bar {
    fn show(&mut self, steps: &[StepStatus], name: &str, terminal: &dyn Terminal) {
        let Some(step) = steps.iter().find(|step| step.state == StepState::Running) else {
            return;
        };
        let progress = step.progress.unwrap_or_default();
        if self.bar.is_none() || self.step != step.name {
            self.bar = None;
            self.bar = Some(terminal.progress(&format!("{} {name}", step.name), progress.total));
            self.step.clone_from(&step.name);
        }
        if let Some(bar) = &self.bar {
            bar.set(progress.done, progress.total);
            bar.message(&step.message);
        }
    }
}
