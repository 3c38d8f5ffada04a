//! Sign-in, sessions, users and who may do what.
//!
//! *Invariant:* passwords, session ids, links and the admin token are stored as hashes; only the admin token also lies
//! in a file that nobody else may read, for the CLI of this machine.
//!
//! *Invariant:* recognising a caller looks into memory only.

mod api;
mod audit;
mod authorizer;
mod commands;
mod limiter;
mod links;
mod password;
mod protect;
mod secret;
mod session;
mod token;
mod user;

use stead_kernel::{Kind, Module};

pub use authorizer::TableAuthorizer;
pub use protect::{Protection, protect};
pub use token::AdminToken;
pub use user::{User, UserSpec, UserStatus};

/// The domain as the composition root takes it.
pub fn module() -> Module {
    Module {
        name: "access",
        kinds: vec![Kind {
            definition: user::definition(),
            example: user::example(),
            admit: Some(user::admit),
        }],
        collections: vec![session::COLLECTION, password::COLLECTION],
        commands: commands::all(),
        start: api::start,
    }
}
