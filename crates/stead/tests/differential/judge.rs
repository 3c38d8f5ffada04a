//! What a case shows that was played once, or several times because its answers differed.
//!
//! *Invariant:* a case is let off only for what Kubernetes itself was seen to answer.

use std::fmt::Write;

use crate::{
    compare::{self, Accepted, Difference},
    server::Answer,
};

/// The most of a value that is told.
const SHOWN: usize = 300;

/// What both servers answered to one step, in a form that can be compared.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) number: usize,
    pub(crate) request: String,
    pub(crate) theirs: Answer,
    pub(crate) ours: Answer,
}

impl Played {
    fn differences(&self, case: &str, accepted: &Accepted) -> Vec<Difference> {
        unaccepted(&self.theirs, &self.ours, case, accepted)
    }
}

/// What was found out about a case.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Stead differs from Kubernetes, or from itself; how.
    Differs(String),
    /// Kubernetes differs from itself, and Stead answers one of what Kubernetes does.
    Unsteady,
}

/// Whether a step was answered in two ways.
pub(crate) fn differs(play: &[Played], case: &str, accepted: &Accepted) -> bool {
    // All are looked at: each may show that a difference is still there.
    let differ = play
        .iter()
        .filter(|step| !step.differences(case, accepted).is_empty());
    differ.count() > 0
}

/// Judges a case of which at least one play differed.
pub(crate) fn judge(plays: &[Vec<Played>], case: &str, accepted: &Accepted) -> Verdict {
    let mut report = String::new();
    for index in 0..plays.iter().map(Vec::len).min().unwrap_or(0) {
        let steps: Vec<&Played> = plays.iter().map(|play| &play[index]).collect();
        let is_known = |ours: &Answer| {
            let mut theirs = steps.iter().map(|step| &step.theirs);
            theirs.any(|theirs| unaccepted(theirs, ours, case, accepted).is_empty())
        };
        if let Some(step) = steps.iter().find(|step| !is_known(&step.ours)) {
            let _ = writeln!(report, "  step {}: {}", step.number, step.request);
            tell(
                &mut report,
                step.differences(case, accepted),
                ["kubernetes", "stead"],
            );
        } else if let Some([one, other]) = unlike(&steps) {
            let _ = writeln!(
                report,
                "  step {}: {}, not the same twice",
                one.number, one.request
            );
            let found = compare::differences(&one.ours, &other.ours);
            tell(&mut report, found, ["stead once", "stead again"]);
        }
    }
    if report.is_empty() {
        Verdict::Unsteady
    } else {
        Verdict::Differs(format!("{case}\n{report}"))
    }
}

/// Two plays of a step of which Stead's answers differ.
fn unlike<'a>(steps: &[&'a Played]) -> Option<[&'a Played; 2]> {
    let (first, rest) = steps.split_first()?;
    let other = rest
        .iter()
        .find(|step| !compare::differences(&first.ours, &step.ours).is_empty())?;
    Some([first, other])
}

fn unaccepted(theirs: &Answer, ours: &Answer, case: &str, accepted: &Accepted) -> Vec<Difference> {
    let found = compare::differences(theirs, ours).into_iter();
    found
        .filter(|difference| !accepted.has(case, difference))
        .collect()
}

fn tell(report: &mut String, found: Vec<Difference>, [left, right]: [&str; 2]) {
    for difference in found {
        let _ = writeln!(
            report,
            "    {}\n      {left:10} {}\n      {right:10} {}",
            difference.place,
            clip(&difference.theirs),
            clip(&difference.ours)
        );
    }
}

fn clip(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn played(theirs: u64, ours: u64) -> Vec<Played> {
        let answer = |value: u64| Answer {
            status: 200,
            media_type: String::new(),
            warnings: Vec::new(),
            body: json!({ "value": value }),
        };
        vec![Played {
            number: 1,
            request: "GET /".into(),
            theirs: answer(theirs),
            ours: answer(ours),
        }]
    }

    #[test]
    fn only_what_kubernetes_was_seen_to_answer_is_let_off() {
        for (what, plays, fails) in [
            ("always another answer", [(1, 2), (1, 2), (1, 2)], true),
            ("another answer once", [(1, 2), (1, 1), (1, 1)], true),
            ("an answer that is never theirs", [(1, 3), (2, 3), (1, 3)], true),
            ("theirs varies, ours varies", [(1, 2), (2, 1), (1, 1)], true),
            ("theirs was another once", [(1, 2), (2, 2), (2, 2)], false),
            (
                "theirs varies, ours is one of them",
                [(1, 2), (2, 2), (1, 2)],
                false,
            ),
        ] {
            let plays: Vec<_> = plays
                .into_iter()
                .map(|(theirs, ours)| played(theirs, ours))
                .collect();
            let verdict = judge(&plays, "theme: case", &Accepted::none());
            assert_eq!(matches!(verdict, Verdict::Differs(_)), fails, "{what}");
        }
    }
}
