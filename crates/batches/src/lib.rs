//! Files, and batches of requests to models that run by themselves: `/v1/files`, `/v1/batches` and
//! `/v1/messages/batches`.
//!
//! *Invariant:* a file that was answered with 200 is on the disk, and nobody else's removal takes it away.
//!
//! *Invariant:* a line of a batch whose answer was stored is not asked again, whatever is killed when; nor is one that was
//! billed, as its answer is stored before. A batch asks as the one who made it.

mod batches;
mod caller;
mod error;
mod files;
mod page;

use stead_kernel::{Collection, Module, Running};

/// The domain as the composition root takes it.
pub fn module() -> Module {
    Module {
        name: "batches",
        kinds: Vec::new(),
        collections: vec![
            Collection {
                name: files::FILES,
                indexes: &["purpose", "digest"],
            },
            Collection {
                name: batches::BATCHES,
                indexes: &["active"],
            },
            Collection {
                name: batches::RESULTS,
                indexes: &["batch", "line"],
            },
        ],
        commands: Vec::new(),
        start: |context| {
            Box::pin(async move {
                let files = files::Files::open(&context).await?;
                files.look_after(&context);
                let runner = batches::Runner::start(&context, files.clone()).await?;
                Ok(Running {
                    routes: files::routes(files)
                        .merge(batches::message_routes(runner.clone()))
                        .merge(batches::routes(runner)),
                    ..Running::default()
                })
            })
        },
    }
}
