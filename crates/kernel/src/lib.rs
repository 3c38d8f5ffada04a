//! The waist of Stead: the words that every other crate speaks.
//!
//! A domain is a [`Module`]; it runs against a [`Context`] of ports; every request has a [`Principal`];
//! everything that fails is an [`Error`].
//!
//! *Invariant:* nothing here performs I/O, reads the environment or knows a kind.

mod clock;
pub mod command;
pub mod conditions;
mod context;
mod error;
pub mod http;
mod module;
pub mod ports;
mod principal;
mod project;
mod roles;
mod settings;
pub mod steps;
mod tasks;

pub use clock::{Clock, SystemClock};
pub use context::{Context, DataDir, Ports};
pub use error::{Error, Reason, Result};
pub use module::{Admission, Admit, Collection, Kind, Module, Running, Scope, Unready};
pub use principal::{
    AccessRequest, Authenticator, Authorizer, Credential, Identity, Principal, Verb, groups, resources,
};
pub use project::{PROJECT_HEADER, project_of};
pub use roles::{Role, Roles};
pub use settings::{AccessLog, Capture, OpikLocal, Settings, StoreUrl};
pub use tasks::Tasks;

/// The body type of every HTTP message inside the process.
pub use axum::body::Body;
pub use jiff::Timestamp;

/// The API group of Stead's own kinds.
pub const GROUP: &str = "stead.dev";
/// The version of Stead's own kinds.
pub const VERSION: &str = "v1alpha1";
/// The project (namespace) that exists from the first start.
pub const DEFAULT_PROJECT: &str = "default";
