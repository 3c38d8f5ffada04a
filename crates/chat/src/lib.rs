//! Conversations: threads and their messages, kept as records, and the command `stead chat`.
//!
//! *Invariant:* a user sees and changes only their own threads; to everybody else they do not exist.

mod command;
mod threads;

use stead_kernel::{Collection, Module, Running};

/// The domain as the composition root takes it.
pub fn module() -> Module {
    Module {
        name: "chat",
        kinds: Vec::new(),
        collections: vec![
            Collection {
                name: threads::THREADS,
                indexes: &["owner"],
            },
            Collection {
                name: threads::MESSAGES,
                indexes: &["thread"],
            },
        ],
        commands: vec![command::command()],
        start: |context| {
            Box::pin(async move {
                Ok(Running {
                    routes: threads::routes(&context.ports),
                    ..Running::default()
                })
            })
        },
    }
}
