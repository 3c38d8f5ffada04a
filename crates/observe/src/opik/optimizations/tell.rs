//! An optimization as it is told: with what its trials come to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_kernel::Result;

use super::shape::Optimization;
use crate::opik::{
    Opik,
    datasets::merge,
    experiments::{Experiment, Experiments, Sums, sums_of},
};

/// An optimization as `Optimization_Public`.
pub(super) async fn tell(opik: &Opik, workspace: &str, optimization: &Optimization) -> Result<Value> {
    let experiments = Experiments::new(&opik.ports.records);
    let mut trials = experiments
        .having(workspace, Some(("optimization_id", &optimization.id)))
        .await?;
    trials.retain(|experiment| experiment.sort == "trial");
    // The first trial is what the others are measured against.
    trials.reverse();
    let mut all = Vec::with_capacity(trials.len());
    for trial in &trials {
        all.push(sums_of(opik, workspace, &trial.id).await?);
    }
    let mut told = json!({
        "id": optimization.id,
        "name": optimization.name,
        "dataset_id": optimization.dataset_id,
        "dataset_name": optimization.dataset_name,
        "project_id": optimization.project_id,
        "objective_name": optimization.objective_name,
        "status": optimization.status,
        "metadata": optimization.metadata,
        "studio_config": optimization.studio_config,
        "error_info": optimization.error_info,
        "num_trials": trials.len(),
    });
    let summary = summary(&optimization.objective_name, &trials, &all);
    if let (Some(told), Value::Object(summary)) = (told.as_object_mut(), summary) {
        told.extend(summary);
    }
    merge(&mut told, &optimization.stamps)?;
    Ok(told)
}

/// The scores, durations and costs of the first and the best trial, and what all of them cost. Pure.
fn summary(objective: &str, trials: &[Experiment], sums: &[Sums]) -> Value {
    let objective = |(trial, sums): &(&Experiment, &Sums)| {
        let own = trial.own_scores.as_ref().and_then(|scores| {
            let scores = scores.as_array()?;
            let score = scores
                .iter()
                .find(|score| score.get("name").is_some_and(|name| name == objective))?;
            score.get("value")?.as_f64()
        });
        own.or_else(|| sums.scores().get(objective).copied())
    };
    let all: Vec<(&Experiment, &Sums)> = trials.iter().zip(sums).collect();
    let best = all.iter().filter_map(|trial| Some((objective(trial)?, trial)));
    let best = best.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let first = all.first();
    let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
    if let Some((_, (_, sums))) = best {
        scores = sums.scores();
    }
    let scores = scores
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    let costs: Vec<f64> = sums.iter().filter_map(Sums::cost).collect();
    json!({
        "feedback_scores": scores.collect::<Vec<_>>(),
        "experiment_scores": best.and_then(|(_, (trial, _))| trial.own_scores.clone()).unwrap_or(json!([])),
        "baseline_objective_score": first.and_then(objective),
        "best_objective_score": best.map(|(score, _)| score),
        "baseline_duration": first.and_then(|(_, sums)| sums.median()),
        "best_duration": best.and_then(|(_, (_, sums))| sums.median()),
        "baseline_cost": first.and_then(|(_, sums)| sums.cost()),
        "best_cost": best.and_then(|(_, (_, sums))| sums.cost()),
        "total_optimization_cost": (!costs.is_empty()).then(|| costs.iter().sum::<f64>()),
    })
}
