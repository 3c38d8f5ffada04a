//! Evaluations under way and over: what they are, where they are kept, their work and their routes.

mod item;
mod routes;
mod runner;
mod store;
mod work;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::{Collection, Timestamp};

pub(super) use self::{routes::routes, runner::Runner};
use super::{creator::Creator, suite::Suite};

/// Evaluations.
const EVALUATIONS: &str = "observe.evaluations";
/// What became of their items.
const RESULTS: &str = "observe.evaluation_results";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: EVALUATIONS,
        indexes: &["active"],
    },
    Collection {
        name: RESULTS,
        indexes: &["evaluation"],
    },
];

/// The most errors that are told.
const TOLD: usize = 20;

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Items are asked.
    Running,
    /// Every item was asked; some may have failed.
    Completed,
    /// Somebody ended it.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// How many items there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Counts {
    /// In all, each as often as it is asked; 0 before that is known.
    total: u64,
    /// That have an answer, scored or not.
    done: u64,
    /// Of them, those that could not be asked, or lack a score.
    failed: u64,
}

/// An evaluation as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Evaluation {
    id: String,
    /// Whether there is something left to do.
    active: bool,
    status: Status,
    suite: Suite,
    creator: Creator,
    experiment_id: String,
    /// The experiment's name.
    name: String,
    dataset_id: String,
    /// The number of the dataset's version; 0 when it has no item.
    version: u64,
    /// The template: a text, or a list of messages.
    #[serde(default)]
    template: Option<Value>,
    counts: Counts,
    /// What judges and vectors cost, in US dollars, as far as that is known.
    #[serde(default)]
    scoring_usd: f64,
    /// What went wrong with items, the first ones.
    #[serde(default)]
    errors: Vec<String>,
    /// Why it failed.
    #[serde(default)]
    message: Option<String>,
    created: Timestamp,
    #[serde(default)]
    finished: Option<Timestamp>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    evaluation: String,
    /// The item of the dataset.
    item: String,
    /// Which of its repetitions, from 0.
    turn: u32,
    /// What went wrong; nothing when it is absent.
    #[serde(default)]
    error: Option<String>,
    /// What judges and vectors cost, in US dollars.
    #[serde(default)]
    scoring_usd: f64,
}

impl Outcome {
    fn id(evaluation: &str, item: &str, turn: u32) -> String {
        format!("{evaluation}/{item}/{turn}")
    }
}

impl Evaluation {
    /// As `/api/evaluations` tells it.
    fn tell(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "experimentId": self.experiment_id,
            "datasetId": self.dataset_id,
            "datasetName": self.suite.dataset.name,
            "datasetVersion": self.version,
            "model": self.suite.model,
            "progress": self.counts,
            "scoringUsd": self.scoring_usd,
            "errors": self.errors,
            "message": self.message,
            "createdBy": self.creator.user,
            "createdAt": self.created,
            "finishedAt": self.finished,
            "suite": self.suite,
        })
    }
}
