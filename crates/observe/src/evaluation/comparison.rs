//! `/api/comparisons`: two experiments, item by item.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Ports, Result, ports::traces::Kind};
use stead_scoring::compare;
use uuid::Uuid;

use crate::{
    opik::{
        Opik,
        experiments::{Experiment, Experiments},
    },
    routes::{Answer, Asked},
};

/// How often runs are drawn again, when nothing is told; and the most.
const RESAMPLES: usize = 10_000;
const MOST_RESAMPLES: usize = 100_000;
/// How many traces are read at once.
const PART: usize = 500;

/// The route.
pub(super) fn routes(opik: Opik) -> Router {
    Router::new()
        .route("/api/comparisons", get(compared))
        .with_state(opik)
}

impl AsRef<Ports> for Opik {
    fn as_ref(&self) -> &Ports {
        &self.ports
    }
}

/// Scores by name, of each item of the dataset.
type Scores = BTreeMap<String, BTreeMap<String, f64>>;

async fn compared(State(opik): State<Opik>, mut asked: Asked) -> Answer<Value> {
    let mut named = |name: &str| -> Result<String> {
        let text = asked.parameters.text(name)?;
        text.ok_or_else(|| {
            Error::invalid(format!(
                "{name} names an experiment by id or name, and is missing"
            ))
        })
    };
    let (first, second) = (named("first")?, named("second")?);
    let seed = number(asked.parameters.text("seed")?, "seed", 0..=u64::MAX)?.unwrap_or(42);
    let resamples = number(
        asked.parameters.text("resamples")?,
        "resamples",
        100..=MOST_RESAMPLES,
    )?;
    let confidence =
        number(asked.parameters.text("confidence")?, "confidence", 0.5..=0.9999)?.unwrap_or(0.95);
    let resamples = resamples.unwrap_or(RESAMPLES);
    let first = experiment(&opik, &asked.project, &first).await?;
    let second = experiment(&opik, &asked.project, &second).await?;
    let scores = [
        scores(&opik, &asked.project, &first).await?,
        scores(&opik, &asked.project, &second).await?,
    ];
    // Drawing takes a while with many items.
    let told = tokio::task::spawn_blocking(move || tell(&scores, resamples, confidence, seed));
    let mut told = told
        .await
        .map_err(|error| Error::internal("a comparison broke off").because(error))?;
    told.insert("first".into(), json!({"id": first.id, "name": first.name}));
    told.insert("second".into(), json!({"id": second.id, "name": second.name}));
    Ok(Json(Value::Object(told)))
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    text: Option<String>,
    name: &str,
    range: std::ops::RangeInclusive<T>,
) -> Result<Option<T>> {
    let Some(text) = text else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    let refused = || {
        Error::invalid(format!(
            "{name}: {text:?} is no number from {} to {}",
            range.start(),
            range.end()
        ))
    };
    number.ok_or_else(refused).map(Some)
}

/// An experiment by its id, or the newest one of a name.
async fn experiment(opik: &Opik, project: &str, named: &str) -> Result<Experiment> {
    let experiments = Experiments::new(&opik.ports.records);
    if let Ok(id) = named.parse::<Uuid>() {
        return experiments.get(project, &id.to_string()).await;
    }
    let found = experiments.having(project, Some(("name", named))).await?;
    found.into_iter().next().ok_or_else(|| {
        Error::not_found(format!("there is no experiment {named:?}"))
            .hint("see what there is with: stead experiment list")
    })
}

/// The scores of each item; of several traces of one item, and of several opinions, the mean.
async fn scores(opik: &Opik, project: &str, experiment: &Experiment) -> Result<Scores> {
    let items = Experiments::new(&opik.ports.records)
        .items(project, &experiment.id)
        .await?;
    let mut sums: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for part in items.chunks(PART) {
        let ids: Vec<Uuid> = part
            .iter()
            .filter_map(|item| item.trace_id.parse().ok())
            .collect();
        let entries = opik.ports.traces.entries_of(Kind::Trace, project, ids).await?;
        let by_id: BTreeMap<String, _> = entries
            .iter()
            .map(|entry| (entry.id.to_string(), entry))
            .collect();
        for item in part {
            let scores = sums.entry(item.dataset_item_id.clone()).or_default();
            for score in by_id
                .get(&item.trace_id)
                .into_iter()
                .flat_map(|entry| &entry.scores)
            {
                scores.entry(score.name.clone()).or_default().push(score.value);
            }
        }
    }
    let means = sums.into_iter().map(|(item, scores)| {
        let scores = scores
            .into_iter()
            .filter_map(|(name, values)| Some((name, stead_scoring::mean(&values)?)));
        (item, scores.collect())
    });
    Ok(means.collect())
}

fn tell([first, second]: &[Scores; 2], resamples: usize, confidence: f64, seed: u64) -> Map<String, Value> {
    let names: BTreeSet<&String> = first
        .values()
        .chain(second.values())
        .flat_map(BTreeMap::keys)
        .collect();
    let mut sums = Vec::new();
    for name in names {
        let pairs: Vec<(f64, f64)> = first
            .iter()
            .filter_map(|(item, scores)| Some((*scores.get(name)?, *second.get(item)?.get(name)?)))
            .collect();
        sums.extend(compare(&pairs, resamples, confidence, seed).map(|one| {
            json!({"name": name, "items": one.items, "first": one.first, "second": one.second,
                "difference": one.difference, "low": one.interval.low, "high": one.interval.high,
                "higher": one.higher, "lower": one.lower, "probabilityHigher": one.probability_higher})
        }));
    }
    let items: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let items: Vec<Value> = items
        .into_iter()
        .map(|item| tell_item(item, first.get(item), second.get(item)))
        .collect();
    let told = json!({"seed": seed, "confidence": confidence, "resamples": resamples, "scores": sums, "items": items});
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

fn tell_item(
    item: &str,
    first: Option<&BTreeMap<String, f64>>,
    second: Option<&BTreeMap<String, f64>>,
) -> Value {
    let of = |scores: Option<&BTreeMap<String, f64>>, name: &str| {
        scores.and_then(|scores| scores.get(name)).copied()
    };
    let names: BTreeSet<&String> = first.into_iter().chain(second).flat_map(BTreeMap::keys).collect();
    let scores: Map<String, Value> = names
        .into_iter()
        .map(|name| {
            let (first, second) = (of(first, name), of(second, name));
            let difference = first.zip(second).map(|(first, second)| second - first);
            (
                name.clone(),
                json!({"first": first, "second": second, "difference": difference}),
            )
        })
        .collect();
    json!({"datasetItemId": item, "scores": scores})
}
