//! Experiments as they are told: with the names of what they refer to, and with what their traces come to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use stead_kernel::{
    Result,
    ports::traces::{Entry, Kind},
};
use uuid::Uuid;

use super::{
    Experiments, Sums,
    shape::{Experiment, Item},
};
use crate::opik::{
    Caller, Opik,
    assertions::{Assertion, Assertions},
    datasets::{Datasets, merge},
    prompts::Prompts,
};

/// How many traces are read at once.
const PART: usize = 500;

/// What an experiment's items come to.
pub(crate) async fn sums_of(opik: &Opik, workspace: &str, experiment: &str) -> Result<Sums> {
    let items = Experiments::new(&opik.ports.records)
        .items(workspace, experiment)
        .await?;
    let mut sums = Sums::default();
    add_all(opik, workspace, &items, &mut sums).await?;
    Ok(sums)
}

/// Adds items to sums, a part after the other.
pub(super) async fn add_all(opik: &Opik, workspace: &str, items: &[Item], sums: &mut Sums) -> Result<()> {
    for part in items.chunks(PART) {
        let found = Found::of(opik, workspace, part).await?;
        for item in part {
            sums.add(item, found.entry(item), found.assertions(item));
        }
    }
    Ok(())
}

/// What is known of the traces of some items.
#[derive(Default)]
pub(super) struct Found {
    entries: HashMap<String, Entry>,
    assertions: HashMap<String, Vec<Assertion>>,
}

impl Found {
    /// Reads the traces of items, and what was asserted of them.
    pub(super) async fn of(opik: &Opik, workspace: &str, items: &[Item]) -> Result<Self> {
        let ids: BTreeSet<&str> = items.iter().map(|item| item.trace_id.as_str()).collect();
        let uuids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let mut found = Self::default();
        for entry in opik
            .ports
            .traces
            .entries_of(Kind::Trace, workspace, uuids)
            .await?
        {
            found.entries.insert(entry.id.to_string(), entry);
        }
        let assertions = Assertions::new(&opik.ports.records);
        // Few workspaces have any.
        if assertions.any(workspace).await? {
            for id in ids {
                let all = assertions.of_trace(workspace, id).await?;
                found.assertions.insert(id.to_owned(), all);
            }
        }
        Ok(found)
    }

    /// The trace of an item.
    pub(super) fn entry(&self, item: &Item) -> Option<&Entry> {
        self.entries.get(&item.trace_id)
    }

    /// What was asserted of an item's trace.
    pub(super) fn assertions(&self, item: &Item) -> &[Assertion] {
        self.assertions.get(&item.trace_id).map_or(&[], Vec::as_slice)
    }
}

/// Whether what the traces come to is told too, which takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Only what the experiment itself says.
    Plain,
    /// That too.
    Counted,
}

/// Experiments as `Experiment_Public`, in their order.
pub(super) async fn tell(
    opik: &Opik,
    caller: &Caller,
    experiments: &[Experiment],
    detail: Detail,
) -> Result<Vec<Value>> {
    let names = Names::of(opik, caller, experiments).await?;
    let mut all = Vec::with_capacity(experiments.len());
    for experiment in experiments {
        let mut told = names.tell(experiment)?;
        if let (Detail::Counted, Some(told)) = (detail, told.as_object_mut()) {
            told.extend(sums_of(opik, &caller.workspace, &experiment.id).await?.tell());
        }
        all.push(told);
    }
    Ok(all)
}

/// The names of what experiments refer to, by id.
struct Names {
    datasets: HashMap<String, String>,
    projects: HashMap<String, String>,
    versions: HashMap<String, Value>,
    prompts: HashMap<String, Value>,
}

impl Names {
    async fn of(opik: &Opik, caller: &Caller, experiments: &[Experiment]) -> Result<Self> {
        let mut names = Self {
            datasets: HashMap::new(),
            projects: HashMap::new(),
            versions: HashMap::new(),
            prompts: HashMap::new(),
        };
        names.add_datasets(opik, caller, experiments).await?;
        names.add_projects(opik, caller, experiments).await?;
        names.add_prompts(opik, caller, experiments).await?;
        Ok(names)
    }

    async fn add_datasets(&mut self, opik: &Opik, caller: &Caller, experiments: &[Experiment]) -> Result<()> {
        let datasets = Datasets::new(&opik.ports.records);
        let ids: BTreeSet<&String> = experiments
            .iter()
            .map(|experiment| &experiment.dataset_id)
            .collect();
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let latest: BTreeMap<String, u64> = datasets
            .get_many(&caller.workspace, &ids)
            .await?
            .into_iter()
            .map(|(id, name, latest)| {
                self.datasets.insert(id.clone(), name);
                (id, latest)
            })
            .collect();
        let versions = experiments
            .iter()
            .filter_map(|experiment| experiment.dataset_version_id.clone());
        for id in versions.collect::<BTreeSet<_>>() {
            if let Some(version) = datasets.items.version(&caller.workspace, &id).await? {
                let latest = latest.get(&version.dataset_id).copied().unwrap_or(0);
                self.versions.insert(id, version.summary(latest));
            }
        }
        Ok(())
    }

    async fn add_projects(&mut self, opik: &Opik, caller: &Caller, experiments: &[Experiment]) -> Result<()> {
        let ids = experiments
            .iter()
            .filter_map(|experiment| experiment.project_id.clone());
        for id in ids.collect::<BTreeSet<_>>() {
            let Ok(uuid) = id.parse() else { continue };
            // A project can be gone.
            if let Ok(project) = opik.projects.get(&caller.workspace, uuid).await {
                self.projects.insert(id, project.body.name);
            }
        }
        Ok(())
    }

    async fn add_prompts(&mut self, opik: &Opik, caller: &Caller, experiments: &[Experiment]) -> Result<()> {
        let ids = experiments
            .iter()
            .flat_map(|experiment| experiment.prompt_versions.clone());
        let ids: Vec<String> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        let prompts = Prompts::new(&opik.ports.records);
        self.prompts = prompts.links(&caller.workspace, &ids).await?;
        Ok(())
    }

    fn tell(&self, experiment: &Experiment) -> Result<Value> {
        let name = |names: &HashMap<String, String>, id: &Option<String>| {
            id.as_ref().and_then(|id| names.get(id)).cloned()
        };
        let version = experiment
            .dataset_version_id
            .as_ref()
            .and_then(|id| self.versions.get(id));
        let prompts = experiment.prompt_versions.iter().map(|id| {
            let link = self.prompts.get(id).cloned();
            link.unwrap_or_else(|| json!({"id": id}))
        });
        let prompts: Vec<Value> = prompts.collect();
        let dataset = self
            .datasets
            .get(&experiment.dataset_id)
            .unwrap_or(&experiment.dataset_name);
        let mut told = json!({
            "id": experiment.id,
            "name": experiment.name,
            "dataset_id": experiment.dataset_id,
            "dataset_name": dataset,
            "project_id": experiment.project_id,
            "project_name": name(&self.projects, &experiment.project_id),
            "metadata": experiment.metadata,
            "tags": experiment.tags,
            "type": experiment.sort,
            "evaluation_method": experiment.evaluation_method,
            "optimization_id": experiment.optimization_id,
            "status": experiment.status,
            "experiment_scores": experiment.own_scores,
            "dataset_version_id": experiment.dataset_version_id,
            "dataset_version_summary": version,
            "prompt_version": prompts.first(),
            "prompt_versions": if prompts.is_empty() { Value::Null } else { prompts.clone().into() },
        });
        merge(&mut told, &experiment.stamps)?;
        Ok(told)
    }
}
