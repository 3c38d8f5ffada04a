//! Requests, usage and audit records, read back: over HTTP and on the command line.
//!
//! *Invariant:* sums come from the server's rollups; nothing here adds up a page of rows.

mod command;
mod opik;
mod otlp;
mod routes;

use stead_kernel::{Module, Running};

/// The domain.
pub fn module() -> Module {
    Module {
        name: "observe",
        kinds: Vec::new(),
        collections: opik::collections()
            .into_iter()
            .chain(otlp::collections())
            .collect(),
        commands: vec![command::trace(), command::usage()],
        start: |context| {
            Box::pin(async move {
                let opik = opik::opik(&context);
                let otlp = otlp::routes(&context, opik.clone());
                Ok(Running {
                    routes: opik::routes(&context, opik)
                        .merge(otlp)
                        .merge(routes::routes(context.ports)),
                    ..Running::default()
                })
            })
        },
    }
}
