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
mod gateway;
mod limiter;
mod links;
mod password;
mod protect;
mod secret;
mod session;
mod token;
mod user;

use axum::Router;
use stead_kernel::{Kind, Module, Ports};

pub use authorizer::TableAuthorizer;
pub use commands::gateway_token;
pub use gateway::{Gateways, SECRET_NAMING_KINDS, names_a_secret};
pub use protect::{Protected, Protection, protect};
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
        collections: vec![session::COLLECTION, password::COLLECTION, gateway::COLLECTION],
        commands: commands::all(),
        start: api::start,
    }
}

/// `/api/gateway/tokens`, for the process that signs gateways in.
pub fn gateway_token_routes(gateways: Gateways, ports: &Ports) -> Router {
    gateway::routes(gateways, ports)
}
