//! What `/metrics` says of targets and hedges.

use std::{fmt::Write, sync::atomic::Ordering};

use stead_routing::State;
use tokio::time::Instant;

use crate::snapshot::Snapshot;

/// One family of metrics: its name, sort, help and lines.
struct Family {
    name: &'static str,
    sort: &'static str,
    help: &'static str,
    lines: String,
}

impl Family {
    const fn new(name: &'static str, sort: &'static str, help: &'static str) -> Self {
        Self {
            name,
            sort,
            help,
            lines: String::new(),
        }
    }

    fn add(&mut self, labels: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.lines, "stead_gateway_{}{{{labels}}} {value}", self.name);
    }

    fn render(&self, text: &mut String) {
        let Self {
            name,
            sort,
            help,
            lines,
        } = self;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# HELP stead_gateway_{name} {help}\n# TYPE stead_gateway_{name} {sort}\n{lines}"
        );
    }
}

/// How every target of a route fares, and how often routes hedge, in Prometheus' text format 0.0.4.
pub(crate) fn render(snapshot: &Snapshot) -> String {
    let now = Instant::now().into_std();
    let mut text = String::new();
    for family in targets(snapshot, now).iter().chain(&hedges(snapshot)) {
        family.render(&mut text);
    }
    text
}

fn targets(snapshot: &Snapshot, now: std::time::Instant) -> [Family; 4] {
    let mut families = [
        Family::new(
            "target_state",
            "gauge",
            "Whether a target is asked: 0 closed, 1 half-open, 2 open (left alone).",
        ),
        Family::new(
            "target_opened_total",
            "counter",
            "How often a target's breaker opened.",
        ),
        Family::new(
            "target_in_flight",
            "gauge",
            "Requests of routes under way to a target.",
        ),
        Family::new(
            "target_first_token_seconds",
            "gauge",
            "Moving average of a target's time to first token.",
        ),
    ];
    let [state, opened, in_flight, first_token] = &mut families;
    for known in &snapshot.catalog.targets {
        let labels = format!(
            "project=\"{}\",provider=\"{}\",model=\"{}\"",
            known.provider.0,
            known.provider.1,
            escaped(&known.model)
        );
        let view = known.live.view(now);
        let number = match view.state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        state.add(&labels, number);
        opened.add(&labels, view.opened);
        in_flight.add(&labels, view.in_flight);
        if let Some(average) = view.first_token {
            first_token.add(&labels, average.as_secs_f64());
        }
    }
    families
}

fn hedges(snapshot: &Snapshot) -> [Family; 2] {
    let mut families = [
        Family::new(
            "hedges_total",
            "counter",
            "Requests for which a second target was asked.",
        ),
        Family::new(
            "hedges_won_total",
            "counter",
            "Hedges that the second target won.",
        ),
    ];
    let [hedged, won] = &mut families;
    for (project, route) in snapshot.routes().filter(|(_, route)| route.hedge.is_some()) {
        let labels = format!("project=\"{project}\",route=\"{}\"", route.name);
        hedged.add(&labels, route.memory.hedged.load(Ordering::Relaxed));
        won.add(&labels, route.memory.won.load(Ordering::Relaxed));
    }
    families
}

/// A label's value (<https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information>).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_any_name() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
