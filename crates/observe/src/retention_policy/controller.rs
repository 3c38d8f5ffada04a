//! Looks after policies: removes what is too old, every hour, and says what in the status.
//!
//! *Invariant:* what is removed twice is removed once: a look that was cut off is made again from its beginning.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, runtime::controller::Action};
use stead_kernel::{Context, Error, Result, Role, Timestamp};

use super::{
    Removed, RetentionPolicy, RetentionPolicySpec,
    plan::{self, Outcome},
};
use crate::{control, opik::Opik};

/// When a policy that is switched off is looked at again; a change of it is seen at once.
const LATER: Duration = Duration::from_hours(1);

pub(crate) fn start(context: &Context, opik: &Opik) {
    let roles = [Role::Control, Role::Telemetry];
    if roles.into_iter().all(|role| context.roles.has(role)) {
        control::run(context, opik, "retention policies", reconcile);
    }
}

pub(super) async fn reconcile(policy: Arc<RetentionPolicy>, opik: Arc<Opik>) -> Result<Action, Error> {
    let project = policy.namespace().unwrap_or_default();
    let (generation, old) = (policy.metadata.generation, policy.status.as_ref());
    let now = opik.ports.clock.now();
    let (outcome, next) = if policy.metadata.deletion_timestamp.is_some() {
        (Outcome::Waited, LATER)
    } else if policy.spec.disabled {
        (Outcome::Halted("Disabled", "it is switched off".into()), LATER)
    } else if let Err(error) = plan::check(&policy.spec) {
        // Written before a rule of admission became stricter.
        (Outcome::Halted("Unusable", error.full_message()), LATER)
    } else {
        let wait = plan::due_in(old, generation, now);
        if wait > 0 {
            (Outcome::Waited, Duration::from_secs(wait.unsigned_abs()))
        } else {
            let mut removed = Removed::default();
            let run = remove(&opik, &project, &policy.spec, now, &mut removed).await;
            let error = run.err().map_or_else(String::new, |error| error.full_message());
            (
                Outcome::Ran(removed, error),
                Duration::from_secs(plan::EVERY.unsigned_abs()),
            )
        }
    };
    let status = plan::status(old, outcome, generation, now);
    control::write_status(&opik, &*policy, old, &status).await?;
    Ok(Action::requeue(next))
}

/// Removes what is too old, and adds up what; what was removed before something went wrong counts too.
async fn remove(
    opik: &Opik,
    project: &str,
    spec: &RetentionPolicySpec,
    now: Timestamp,
    removed: &mut Removed,
) -> Result<()> {
    if let Some(before) = plan::before(spec.trace_days, now) {
        let traces = opik.ports.traces.as_ref();
        if spec.opik_projects.is_empty() {
            removed.traces += traces.retire(project, None, before).await?;
        }
        for named in &spec.opik_projects {
            let id = match named.parse() {
                Ok(id) => Some(id),
                Err(_) => opik.projects.find(project, named).await?.map(|found| found.id),
            };
            // What was traced into a project that is not there yet comes later.
            if let Some(id) = id {
                removed.traces += traces.retire(project, Some(id), before).await?;
            }
        }
    }
    let (logs, points) = (
        plan::before(spec.log_days, now),
        plan::before(spec.metric_days, now),
    );
    if logs.is_some() || points.is_some() {
        let gone = opik.ports.signals.retire(project, logs, points).await?;
        (removed.logs, removed.points) = (gone.0, gone.1);
    }
    if let Some(before) = plan::before(spec.request_days, now) {
        removed.requests = opik.ports.events.retire(project, before).await?;
    }
    Ok(())
}
