//! Requests, usage and audit records, read back: over HTTP and on the command line.
//!
//! *Invariant:* sums come from the server's rollups; nothing here adds up a page of rows.

mod alert_rule;
mod command;
mod control;
mod evaluation;
mod evaluation_rule;
mod logs;
mod metrics;
mod opik;
mod otlp;
mod retention_policy;
mod routes;
mod traces;

use stead_kernel::{Module, Running};

/// The domain.
pub fn module() -> Module {
    Module {
        name: "observe",
        kinds: vec![
            evaluation_rule::kind(),
            alert_rule::kind(),
            retention_policy::kind(),
        ],
        collections: opik::collections()
            .into_iter()
            .chain(otlp::collections())
            .chain(evaluation::collections())
            .chain(evaluation_rule::COLLECTIONS)
            .chain(alert_rule::COLLECTIONS)
            .collect(),
        commands: vec![
            command::trace(),
            command::usage(),
            command::eval::command(),
            command::dataset::command(),
            command::experiment::command(),
            command::logs(),
            command::metrics(),
            command::monitor(),
            command::alert::command(),
        ],
        start: |context| {
            Box::pin(async move {
                let opik = opik::opik(&context);
                let otlp = otlp::routes(&context, opik.clone());
                let told = routes::routes(&opik)
                    .merge(traces::routes(&opik))
                    .merge(logs::routes(&opik))
                    .merge(metrics::routes(&opik));
                evaluation_rule::controller::start(&context, &opik);
                alert_rule::controller::start(&context, &opik);
                retention_policy::controller::start(&context, &opik);
                let alerts = alert_rule::routes::routes(opik.clone());
                let evaluations = evaluation::start(&context, &opik).await?;
                Ok(Running {
                    routes: opik::routes(&context, opik)
                        .merge(otlp)
                        .merge(told)
                        .merge(evaluations)
                        .merge(alerts),
                    ..Running::default()
                })
            })
        },
    }
}
