//! What Opik keeps as records: the list of its sorts.

use axum::Router;
use stead_kernel::{Collection, Context, Reason};

use super::{
    Opik, alerts, annotation_queues, assertions, dashboards, datasets, environments, evaluators, experiments,
    feedback_definitions, optimizations, prompts,
    shelf::{NAMES, SWEEPS, Sweeps},
};

/// Their collections.
pub(super) fn collections() -> Vec<Collection> {
    let mut all = vec![
        Collection {
            name: NAMES,
            indexes: &[],
        },
        Collection {
            name: SWEEPS,
            indexes: &[],
        },
    ];
    all.extend(annotation_queues::COLLECTIONS);
    all.extend(assertions::COLLECTIONS);
    all.extend(dashboards::COLLECTIONS);
    all.extend(datasets::COLLECTIONS);
    all.extend(environments::COLLECTIONS);
    all.extend(experiments::COLLECTIONS);
    all.extend(feedback_definitions::COLLECTIONS);
    all.extend(optimizations::COLLECTIONS);
    all.extend(prompts::COLLECTIONS);
    all
}

/// Their routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .merge(alerts::routes())
        .merge(annotation_queues::routes())
        .merge(assertions::routes())
        .merge(dashboards::routes())
        .merge(datasets::routes())
        .merge(environments::routes())
        .merge(evaluators::routes())
        .merge(experiments::routes())
        .merge(feedback_definitions::routes())
        .merge(optimizations::routes())
        .merge(prompts::routes())
}

/// Goes on with what was being removed when the process ended.
pub(super) fn resume(context: &Context) {
    let sweeps = Sweeps::new(context.ports.records.clone());
    context.tasks.spawn_until_stopped("opik-sweeps", async move {
        match sweeps.run(None).await {
            // A process that keeps no records has none to remove.
            Err(error) if error.reason() != Reason::Unsupported => {
                tracing::warn!(
                    "what belonged to removed records was not removed: {}",
                    error.full_message()
                );
            }
            _ => {}
        }
    });
}
