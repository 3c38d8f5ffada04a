//! What follows from a quota's spec: rules of admission, its terms, its status. Nothing here performs I/O.

use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
};
use stead_metering::{Measure, Reading, Terms, Window};

use super::{LimitStatus, Per, QuotaSpec, QuotaStatus, SubjectKind};

/// The name that stands for each subject by itself.
pub(crate) const EACH: &str = "*";
/// The condition that says whether some limit has nothing left.
const EXCEEDED: &str = "Exceeded";
/// The most limits that a status shows.
const SHOWN: usize = 50;
/// Billionths in a dollar.
const NANO: f64 = 1e9;

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = QuotaSpec::deserialize(admission.new.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of a Quota").because(error))?;
    check_subject(&spec)?;
    check_limits(&spec)?;
    let unchanged = admission
        .old
        .is_some_and(|old| old.get("spec") == admission.new.get("spec"));
    if unchanged || admission.principal.is_admin() {
        return Ok(());
    }
    Err(Error::forbidden("spec: quotas are set by admins").hint("ask an admin for one"))
}

fn check_subject(spec: &QuotaSpec) -> Result<()> {
    let named = spec.subject.name.is_some();
    match spec.subject.kind {
        SubjectKind::Project if named => Err(Error::invalid(
            "spec.subject.name: a project needs no name, it is the quota's own",
        )),
        SubjectKind::Key | SubjectKind::User | SubjectKind::Team | SubjectKind::Route if !named => {
            Err(Error::invalid("spec.subject.name: whom does it limit?").hint("write * for each by itself"))
        }
        SubjectKind::Project
        | SubjectKind::Key
        | SubjectKind::User
        | SubjectKind::Team
        | SubjectKind::Route => Ok(()),
    }
}

fn check_limits(spec: &QuotaSpec) -> Result<()> {
    if terms(spec).is_empty() {
        return Err(Error::invalid(
            "spec: it limits nothing; name limits or a concurrency",
        ));
    }
    let mut windows: Vec<&str> = spec
        .limits
        .iter()
        .map(|limit| limit.per.window().as_str())
        .collect();
    windows.sort_unstable();
    if let Some([twice, _]) = windows.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(Error::invalid(format!(
            "spec.limits: there are two for a {twice}"
        )));
    }
    let odd = spec.limits.iter().filter_map(|limit| limit.spend_usd);
    if odd
        .into_iter()
        .any(|dollars| !dollars.is_finite() || dollars < 0.0)
    {
        return Err(Error::invalid(
            "spec.limits: spendUsd must be an amount of dollars",
        ));
    }
    Ok(())
}

/// The limits that a spec names.
pub(crate) fn terms(spec: &QuotaSpec) -> Vec<Terms> {
    let mut all = Vec::new();
    let mut add = |measure, window, ceiling: Option<u64>| {
        all.extend(ceiling.map(|ceiling| Terms {
            measure,
            window,
            ceiling,
            hard: spec.hard,
        }));
    };
    for limit in &spec.limits {
        let window = Some(limit.per.window());
        add(Measure::Requests, window, limit.requests);
        add(Measure::InputTokens, window, limit.input_tokens);
        add(Measure::OutputTokens, window, limit.output_tokens);
        add(Measure::Tokens, window, limit.tokens);
        add(Measure::Spend, window, limit.spend_usd.map(nano));
    }
    add(Measure::Concurrency, None, spec.concurrency);
    all
}

/// Dollars in billionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "admission bounds it, and what is negative counts as nothing"
)]
fn nano(dollars: f64) -> u64 {
    (dollars * NANO).round() as u64
}

/// A measure as statuses and messages spell it.
pub(crate) const fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::Requests => "requests",
        Measure::InputTokens => "inputTokens",
        Measure::OutputTokens => "outputTokens",
        Measure::Tokens => "tokens",
        Measure::Concurrency => "concurrency",
        Measure::Spend => "spendUsd",
    }
}

/// An amount as people read it: dollars for money.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(crate) fn amount(measure: Measure, count: u64) -> f64 {
    match measure {
        Measure::Spend => count as f64 / NANO,
        Measure::Requests
        | Measure::InputTokens
        | Measure::OutputTokens
        | Measure::Tokens
        | Measure::Concurrency => count as f64,
    }
}

/// Where a limit of some subject stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) subject: String,
    pub(crate) measure: Measure,
    pub(crate) window: Option<Window>,
    pub(crate) reading: Reading,
    /// What other processes used, which the reading counts as lent.
    pub(crate) elsewhere: u64,
}

impl Standing {
    fn status(&self) -> LimitStatus {
        let of = |count| amount(self.measure, count);
        let reading = &self.reading;
        LimitStatus {
            subject: self.subject.clone(),
            measure: name(self.measure).into(),
            per: self.window.map(per),
            limit: of(reading.ceiling),
            used: of(reading.used.saturating_add(self.elsewhere)),
            reserved: of(reading.reserved.saturating_sub(self.elsewhere)),
            remaining: of(reading.remaining()),
            reset_at: self
                .window
                .and_then(|_| reading.span.ends())
                .map(|end| end.to_string()),
        }
    }

    /// How full it is, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "for the order alone")]
    fn fullness(&self) -> f64 {
        let ceiling = self.reading.ceiling.max(1) as f64;
        1.0 - self.reading.remaining() as f64 / ceiling
    }
}

const fn per(window: Window) -> Per {
    match window {
        Window::Minute => Per::Minute,
        Window::Hour => Per::Hour,
        Window::Day => Per::Day,
        Window::Month => Per::Month,
    }
}

/// The status that follows.
pub(crate) fn status(
    old: Option<&QuotaStatus>,
    mut standings: Vec<Standing>,
    generation: Option<i64>,
    now: Timestamp,
) -> QuotaStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    standings.sort_by(|a, b| {
        let fuller = b.fullness().total_cmp(&a.fullness());
        fuller.then_with(|| (&a.subject, a.measure, a.window).cmp(&(&b.subject, b.measure, b.window)))
    });
    let seeded = standings.iter().all(|standing| standing.reading.seeded);
    let (reason, message) = if seeded {
        ("Counting", "")
    } else {
        ("Starting", "what was used before is still being counted")
    };
    let ready = conditions::condition(READY, seeded, reason, message.to_owned(), generation, now);
    conditions::set(&mut status.conditions, ready);
    let full: Vec<&Standing> = standings
        .iter()
        .filter(|standing| standing.reading.remaining() == 0)
        .collect();
    let message = full.first().map(|standing| {
        let window = standing.window.map(|window| format!(" per {}", window.as_str()));
        let window = window.unwrap_or_default();
        format!(
            "nothing is left of {}{window} of {}",
            name(standing.measure),
            standing.subject
        )
    });
    let reason = if full.is_empty() {
        "WithinLimits"
    } else {
        "NothingLeft"
    };
    let exceeded = conditions::condition(
        EXCEEDED,
        !full.is_empty(),
        reason,
        message.unwrap_or_default(),
        generation,
        now,
    );
    conditions::set(&mut status.conditions, exceeded);
    status.limits = standings.iter().take(SHOWN).map(Standing::status).collect();
    status
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
