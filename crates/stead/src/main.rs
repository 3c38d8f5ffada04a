//! The `stead` program: the one crate that knows all others, reads the environment and wires the ports.

mod commands;
mod config;
mod environment;
mod modules;
mod server;

use std::process::ExitCode;

/// A request makes and drops about a hundred small things; the system's allocator takes a tenth of its time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stead_cli::run(program, std::env::args_os().collect())
}

/// What the command line is made of; built only when an argument needs it.
fn program() -> stead_cli::Program {
    let environment = environment::Environment::read();
    stead_cli::Program {
        commands: modules::all()
            .into_iter()
            .flat_map(|module| module.commands)
            .collect(),
        local: commands::all(),
        environment: environment.cli(),
        exec: std::sync::Arc::new(stead_net::SystemExec),
    }
}
