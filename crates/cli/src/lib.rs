//! The command line: verbs over kinds, output, errors and exit codes.
//!
//! Generic verbs learn kinds from the server's discovery and schemas; what is special to a domain comes as a
//! [`Command`](stead_kernel::command::Command) of its module.
//!
//! *Invariants:* nothing here knows a kind of Stead's own, reads the environment or opens the data folder but for
//! the running server's address and token. Data goes to standard output, everything else to standard error.

mod arguments;
mod exit;
mod json;
mod manifests;
mod program;
mod report;
mod resource;
mod run;
mod server;
mod terminal;
mod verbs;
mod yaml;

#[cfg(test)]
mod tests;

pub use arguments::clap_command;
pub use exit::code as exit_code;
pub use manifests::{Manifest, print_manifests, read_manifests};
pub use program::{Environment, Local, LocalCommand, Program};
pub use run::run;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
