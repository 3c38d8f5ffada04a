//! `GET /api/machine`: what this machine is, and which models it can serve.
//!
//! *Invariant:* it is read when it is asked for; nothing is measured, and no process is started.

mod facts;
mod known;

use axum::{Json, Router, extract::State, routing::get};
use http::Extensions;
use serde::Serialize;
use stead_kernel::{DataDir, Error, Identity, Result, http::ApiError};

use self::{
    facts::{Facts, Graphics},
    known::{Fit, KNOWN, Known},
};

/// The route.
pub(crate) fn routes(data: DataDir) -> Router {
    Router::new().route("/api/machine", get(machine)).with_state(data)
}

/// What `GET /api/machine` answers.
#[derive(Debug, Serialize)]
struct Machine {
    cpu: Cpu,
    memory: Memory,
    /// The disk that the data folder lies on.
    disk: Disk,
    /// Graphics processors; the embedded engine does not use them.
    gpus: Vec<Graphics>,
    models: Vec<Candidate>,
}

#[derive(Debug, Serialize)]
struct Cpu {
    model: String,
    /// How many threads run at once.
    cores: usize,
}

/// In bytes.
#[derive(Debug, Serialize)]
struct Memory {
    total: u64,
    available: u64,
}

/// In bytes.
#[derive(Debug, Serialize)]
struct Disk {
    free: u64,
}

/// A model that is known to run here, and whether this machine is enough for it.
#[derive(Debug, Serialize)]
struct Candidate {
    #[serde(flatten)]
    known: &'static Known,
    /// How much memory it takes while it answers, in bytes, as estimated from its parameters.
    memory: u64,
    fits: Fit,
    /// Why, in one sentence.
    why: String,
}

async fn machine(State(data): State<DataDir>, extensions: Extensions) -> Result<Json<Machine>, ApiError> {
    Identity::require(&extensions)?;
    let read = tokio::task::spawn_blocking(move || Facts::read(data.root())).await;
    let facts = read.map_err(|error| Error::internal("the machine could not be read").because(error))?;
    Ok(Json(Machine::of(facts)))
}

impl Machine {
    fn of(facts: Facts) -> Self {
        let models = KNOWN
            .iter()
            .map(|known| {
                let (fits, why) = known.fit(&facts);
                Candidate {
                    known,
                    memory: known.memory(),
                    fits,
                    why,
                }
            })
            .collect();
        Self {
            cpu: Cpu {
                model: facts.cpu,
                cores: facts.cores,
            },
            memory: Memory {
                total: facts.memory_total,
                available: facts.memory_available,
            },
            disk: Disk {
                free: facts.disk_free,
            },
            gpus: facts.gpus,
            models,
        }
    }
}
