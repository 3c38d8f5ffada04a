//! Conversations: threads and their messages, kept as records, pages that share them, collections of documents that
//! they ask, and the command `stead chat`.
//!
//! *Invariant:* a user sees and changes only their own threads; to everybody else they do not exist.

mod caller;
mod collections;
mod command;
mod import;
mod records;
mod shares;
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
            Collection {
                name: shares::SHARES,
                indexes: &["owner", "thread"],
            },
            Collection {
                name: collections::COLLECTIONS,
                indexes: &["owner"],
            },
            Collection {
                name: collections::DOCUMENTS,
                indexes: &["collection"],
            },
            Collection {
                name: collections::PASSAGES,
                indexes: &["collection", "document"],
            },
        ],
        commands: vec![command::command()],
        start: |context| {
            Box::pin(async move {
                let public = if context.settings.public_shares {
                    shares::Public::Allowed
                } else {
                    shares::Public::Refused
                };
                let ports = &context.ports;
                Ok(Running {
                    routes: threads::routes(ports)
                        .merge(shares::routes(ports, public))
                        .merge(collections::routes(ports)),
                    ..Running::default()
                })
            })
        },
    }
}
