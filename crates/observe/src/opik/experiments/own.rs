//! Experiments of this server's own evaluations.

use serde_json::Value;
use stead_kernel::Result;
use uuid::Uuid;

use super::{
    Experiments,
    item_routes::made as made_item,
    routes::made,
    shape::{Experiment, ExperimentUpdate, ExperimentWrite, Item, ItemWrite, PromptLink},
    store::check,
};
use crate::opik::{Caller, Opik, desk::who, wire::OpikError};

/// What an evaluation's experiment is made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewExperiment {
    /// Its id.
    pub(crate) id: String,
    /// Its name; one is made up without it.
    pub(crate) name: Option<String>,
    /// The dataset's name.
    pub(crate) dataset: String,
    /// The id of the dataset's version.
    pub(crate) version: Option<String>,
    /// The Opik project's name.
    pub(crate) project: Option<String>,
    /// What it tries.
    pub(crate) metadata: Value,
    /// The id of the prompt's version.
    pub(crate) prompt: Option<String>,
}

/// Makes the experiment.
///
/// # Errors
/// `Conflict` when there is one with the id, `Invalid` when a field breaks a rule.
pub(crate) async fn begin(opik: &Opik, caller: &Caller, new: NewExperiment) -> Result<Experiment> {
    let who = who(opik, caller);
    let write = ExperimentWrite {
        id: Some(new.id),
        name: new.name,
        dataset_name: new.dataset,
        dataset_version_id: new.version,
        project_name: new.project,
        metadata: Some(new.metadata),
        prompt_version: new.prompt.map(|id| PromptLink { id }),
        ..ExperimentWrite::default()
    };
    let made = made(opik, caller, &who, write)
        .await
        .map_err(OpikError::into_error)?;
    check(&made)?;
    Experiments::new(&opik.ports.records).create(&who, &made).await?;
    Ok(made)
}

/// Stores which trace came of an item of the dataset, in place of what the same `id` told before.
pub(crate) async fn add(
    opik: &Opik,
    caller: &Caller,
    experiment: &str,
    id: Uuid,
    [dataset_item, trace]: [&str; 2],
) -> Result<()> {
    let who = who(opik, caller);
    let write = ItemWrite {
        id: Some(id.to_string()),
        experiment_id: experiment.to_owned(),
        dataset_item_id: dataset_item.to_owned(),
        trace_id: trace.to_owned(),
        project_name: None,
        execution_policy: None,
    };
    let item: Item = made_item(&who, write).map_err(OpikError::into_error)?;
    Experiments::new(&opik.ports.records)
        .add_items(&who, &[item])
        .await
}

/// Says how the experiment ended: `completed`, `cancelled`, or `running` again.
pub(crate) async fn set_status(opik: &Opik, caller: &Caller, experiment: &str, status: &str) -> Result<()> {
    let update = ExperimentUpdate {
        status: Some(status.to_owned()),
        ..ExperimentUpdate::default()
    };
    let who = who(opik, caller);
    let experiments = Experiments::new(&opik.ports.records);
    experiments.update(&who, experiment, &update, None).await
}
