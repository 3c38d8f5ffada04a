//! Model files: where they come from, how they get here, and that they are what they should be.
//!
//! *Invariant:* a file is in the blob folder only under the SHA-256 of its content, and only whole.
//! *Invariant:* nothing that is fetched is executed, and nothing of an archive is written but the one file asked for.

mod blobs;
mod commands;
mod fetch;
mod machine;
mod model;
mod size;
mod source;

use serde_json::Value;
use stead_kernel::{Kind, Module};

pub use commands::follow;
pub use model::{Model, ModelSpec, ModelStatus, Network};

/// The name of the model that the first start fetches.
pub const DEFAULT_MODEL: &str = "smollm2-135m";

/// The model that the first start fetches, as an object of the project `default`: small enough for any machine.
/// Both sources carry the same file, so one pin holds for both.
pub fn default_model() -> Value {
    model::example()
}

/// The domain as the composition root takes it.
pub fn module() -> Module {
    Module {
        name: "models",
        kinds: vec![Kind {
            definition: model::definition(),
            example: model::example(),
            admit: Some(model::admit),
        }],
        collections: Vec::new(),
        commands: vec![commands::command()],
        start: model::start,
    }
}
