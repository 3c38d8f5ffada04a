//! Says in the status where a quota's limits stand, at most once a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{ResourceExt, runtime::controller::Action};
use stead_kernel::{Context, Error};
use tokio::time::Instant;

use super::{Desk, Meters, Quota, plan};
use crate::control;

/// The shortest time between two statuses of a quota, unless its spec changed.
const PACE: Duration = Duration::from_secs(1);
/// How soon a quota is looked at again whose status did not change.
const LATER: Duration = Duration::from_secs(2);

/// What the controller works with.
struct Reporter {
    meters: Meters,
    desk: Arc<Desk>,
    /// When statuses were written last.
    written: Mutex<HashMap<(String, String), Instant>>,
}

pub(crate) fn start(context: &Context, meters: Meters, desk: Arc<Desk>) {
    let reporter = Arc::new(Reporter {
        meters,
        desk,
        written: Mutex::default(),
    });
    let controller = control::over::<Quota>(context);
    control::run(context, "quota controller", controller, move |object, context| {
        let reporter = Arc::clone(&reporter);
        async move { reporter.reconcile(&object, &context).await }
    });
}

impl Reporter {
    async fn reconcile(&self, object: &Quota, context: &Context) -> Result<Action, Error> {
        let id = (object.namespace().unwrap_or_default(), object.name_any());
        if object.metadata.deletion_timestamp.is_some() {
            self.written
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            return Ok(Action::await_change());
        }
        let old = object.status.as_ref();
        let current = old.and_then(|old| old.observed_generation) == object.metadata.generation;
        let last = self
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied();
        let early = last.and_then(|last| PACE.checked_sub(last.elapsed()));
        if let Some(wait) = early.filter(|wait| current && !wait.is_zero()) {
            return Ok(Action::requeue(wait));
        }
        let standings = self
            .meters
            .standings(&id, |metered| self.desk.used_elsewhere(metered));
        let Some(standings) = standings else {
            // The snapshot has not seen it yet.
            return Ok(Action::requeue(PACE));
        };
        let status = plan::status(
            old,
            standings,
            object.metadata.generation,
            context.ports.clock.now(),
        );
        if old == Some(&status) {
            return Ok(Action::requeue(LATER));
        }
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Instant::now());
        control::write_status(context, object, old, &status).await?;
        Ok(Action::requeue(PACE))
    }
}
