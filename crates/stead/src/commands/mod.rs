//! The commands that need the composition root: they run, inspect or copy a server's data themselves.

mod backup;
mod config;
mod doctor;
mod gateway;
mod import;
mod process;
mod records;
mod reference;
mod restore;
mod serve;
mod up;

use stead_cli::LocalCommand;

/// Every such command.
pub(crate) fn all() -> Vec<LocalCommand> {
    vec![
        up::command(),
        serve::command(),
        gateway::command(),
        import::command(),
        config::command(),
        doctor::command(),
        backup::command(),
        restore::command(),
        reference::command(),
    ]
}
