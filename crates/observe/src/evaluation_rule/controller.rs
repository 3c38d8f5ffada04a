//! Looks after rules: a look, a status, and the next look soon.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, runtime::controller::Action};
use stead_kernel::{Context, Error, Result, Role};

use super::{
    EvaluationRule,
    plan::{self, Seen},
    progress::Progresses,
    work::Look,
};
use crate::{control, opik::Opik};

/// When the next look is when there is more to do at once.
const AT_ONCE: Duration = Duration::from_millis(50);
/// When it is else.
const SOON: Duration = Duration::from_secs(5);
/// When it is for rules that are switched off.
const LATER: Duration = Duration::from_mins(5);

pub(crate) fn start(context: &Context, opik: &Opik) {
    let roles = [Role::Control, Role::Telemetry, Role::Gateway];
    if roles.into_iter().all(|role| context.roles.has(role)) {
        control::run(context, opik, "evaluation rules", reconcile);
    }
}

pub(super) async fn reconcile(rule: Arc<EvaluationRule>, opik: Arc<Opik>) -> Result<Action, Error> {
    let (project, name) = (rule.namespace().unwrap_or_default(), rule.name_any());
    let uid = rule.uid().unwrap_or_else(|| name.clone());
    let now = opik.ports.clock.now();
    let made = rule
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |time| time.0);
    let look = Look {
        opik: &opik,
        spec: &rule.spec,
        project: &project,
        name: &name,
        uid: &uid,
        made,
    };
    let (progress, seen, next) = if rule.spec.disabled {
        let progress = Progresses::new(&opik.ports.records).get(&project, &uid).await?;
        let halted = Some(("Disabled", "it is switched off".to_owned()));
        let backlog = rule.status.as_ref().map_or(0, |status| status.backlog);
        (progress, Seen { backlog, halted }, LATER)
    } else if let Err(error) = plan::check(&rule.spec) {
        // Written before a rule of admission became stricter.
        let progress = Progresses::new(&opik.ports.records).get(&project, &uid).await?;
        let halted = Some(("Unusable", error.full_message()));
        (progress, Seen { backlog: 0, halted }, LATER)
    } else {
        let looked = look.run().await?;
        (
            looked.progress,
            looked.seen,
            if looked.more { AT_ONCE } else { SOON },
        )
    };
    let status = plan::status(
        rule.status.as_ref(),
        &progress,
        &seen,
        rule.metadata.generation,
        now,
    );
    control::write_status(&opik, &*rule, rule.status.as_ref(), &status).await?;
    Ok(Action::requeue(next))
}
