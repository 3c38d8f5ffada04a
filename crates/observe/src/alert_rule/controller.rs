//! Looks after alerts: measures, decides, tells, and says so in the status.
//!
//! *Invariant:* what is to be told is stored before it is sent; a kill repeats a message with the same id.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, runtime::controller::Action};
use stead_kernel::{Context, Error, Result, Role, Timestamp};
use uuid::Uuid;

use super::{
    AlertRule, AlertRuleSpec,
    delivery::{deliver, enqueue},
    held::{Alerts, Held},
    measure::measure,
    plan,
};
use crate::{control, opik::Opik};

/// When an alert that is switched off is looked at again.
const LATER: Duration = Duration::from_mins(5);
/// The soonest look.
const SOONEST: Duration = Duration::from_secs(1);

pub(crate) fn start(context: &Context, opik: &Opik) {
    let roles = [Role::Control, Role::Telemetry];
    if roles.into_iter().all(|role| context.roles.has(role)) {
        control::run(context, opik, "alert rules", reconcile);
    }
}

pub(super) async fn reconcile(rule: Arc<AlertRule>, opik: Arc<Opik>) -> Result<Action, Error> {
    let (project, name) = (rule.namespace().unwrap_or_default(), rule.name_any());
    let id = rule.uid().unwrap_or_else(|| name.clone());
    let alerts = Alerts::new(&opik.ports.records);
    let now = opik.ports.clock.now();
    let mut held = alerts.get(&project, &id).await?;
    let halted = if rule.spec.disabled {
        Some(("Disabled", "it is switched off".to_owned()))
    } else if let Err(error) = plan::check(&rule.spec) {
        // Written before a rule of admission became stricter.
        Some(("Unusable", error.full_message()))
    } else {
        if is_due(&held, &rule.spec, now) {
            look(&opik, [&project, &name], &rule.spec, &mut held, now).await?;
            alerts.put(&project, &id, &held).await?;
        }
        let waiting = held.outbox.len();
        deliver(&opik, &project, &rule.spec.webhook, &mut held, now).await;
        if waiting > 0 {
            alerts.put(&project, &id, &held).await?;
        }
        None
    };
    let next = if halted.is_some() {
        LATER
    } else {
        next(&held, &rule.spec, opik.ports.clock.now())
    };
    let status = plan::status(rule.status.as_ref(), &held, halted, rule.metadata.generation, now);
    control::write_status(&opik, &*rule, rule.status.as_ref(), &status).await?;
    Ok(Action::requeue(next))
}

fn is_due(held: &Held, spec: &AlertRuleSpec, now: Timestamp) -> bool {
    let every = i64::from(spec.every_seconds);
    let aged = held
        .looked
        .is_none_or(|looked| now.as_second() - looked.as_second() >= every);
    // Another number of thresholds is another rule.
    aged || held.values.len() != spec.thresholds.len()
}

fn next(held: &Held, spec: &AlertRuleSpec, now: Timestamp) -> Duration {
    let look = held.looked.map_or(0, |looked| {
        looked.as_second() + i64::from(spec.every_seconds) - now.as_second()
    });
    let told = held
        .outbox
        .first()
        .map(|first| first.next.as_second() - now.as_second());
    let seconds = told.map_or(look, |told| told.min(look));
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).max(SOONEST)
}

/// Measures every threshold and goes on to the phase that follows.
async fn look(
    opik: &Opik,
    [project, name]: [&str; 2],
    spec: &AlertRuleSpec,
    held: &mut Held,
    now: Timestamp,
) -> Result<()> {
    let projects = opik_projects(opik, project, spec).await?;
    let (mut values, mut crossed) = (Vec::new(), Vec::new());
    for (place, threshold) in spec.thresholds.iter().enumerate() {
        let value = measure(opik, project, &projects, threshold, now).await?;
        let was = held.crossed.get(place).copied().unwrap_or_default();
        crossed.push(plan::is_crossed(threshold, value, was));
        values.push(value);
    }
    (held.values, held.crossed, held.looked) = (values, crossed, Some(now));
    if let Some(event) = plan::step(held, spec, now) {
        enqueue(held, event, [project, name], spec, now);
    }
    Ok(())
}

/// The ids of the Opik projects that it is about; one that is not there has an id that nothing has.
async fn opik_projects(opik: &Opik, project: &str, spec: &AlertRuleSpec) -> Result<Vec<Uuid>> {
    let mut found = Vec::new();
    for named in &spec.opik_projects {
        let id = match named.parse() {
            Ok(id) => Some(id),
            Err(_) => opik
                .projects
                .find(project, named)
                .await?
                .map(|project| project.id),
        };
        found.push(id.unwrap_or_default());
    }
    Ok(found)
}
