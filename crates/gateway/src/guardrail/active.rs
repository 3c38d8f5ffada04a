//! The rules of all guardrails that are for one request, put together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use stead_guard::{Builder, Found, Scanner, fold};

use super::{
    Action, Stage,
    compile::{Check, Guard, GuardRule, Judge},
};
use crate::api::error::ApiError;

/// The guardrails of a project.
#[derive(Default)]
pub(crate) struct Guards {
    usable: Vec<Arc<Guard>>,
    /// Those whose rules cannot be compiled; nothing passes them.
    unusable: Vec<Arc<Guard>>,
    /// What was put together before, by the guardrails it is of.
    known: Mutex<HashMap<Vec<usize>, Arc<Active>>>,
}

impl Guards {
    /// Guardrails in order, each with whether it can be used.
    pub(crate) fn new(usable: Vec<Arc<Guard>>, unusable: Vec<Arc<Guard>>) -> Self {
        Self {
            usable,
            unusable,
            known: Mutex::default(),
        }
    }

    /// What watches over a request; `None` when nothing does.
    ///
    /// # Errors
    /// When a guardrail that is for it cannot be used.
    pub(crate) fn active(
        &self,
        model: &str,
        route: &str,
        key: Option<&str>,
    ) -> Result<Option<Arc<Active>>, ApiError> {
        if let Some(guard) = self.unusable.iter().find(|guard| guard.is_for(model, route, key)) {
            return Err(ApiError::unavailable(
                "guardrail_unusable",
                format!(
                    "guardrail `{}` has a rule that cannot be used; its status says which",
                    guard.name
                ),
            ));
        }
        let matching =
            |(place, guard): (usize, &Arc<Guard>)| guard.is_for(model, route, key).then_some(place);
        let places: Vec<usize> = self.usable.iter().enumerate().filter_map(matching).collect();
        if places.is_empty() {
            return Ok(None);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = known.get(&places) {
            return Ok(Some(Arc::clone(active)));
        }
        let guards: Vec<&Guard> = places
            .iter()
            .filter_map(|place| Some(&**self.usable.get(*place)?))
            .collect();
        let active =
            Arc::new(Active::of(&guards).map_err(|why| ApiError::unavailable("guardrail_unusable", why))?);
        known.insert(places, Arc::clone(&active));
        Ok(Some(active))
    }
}

/// What looks for spans in one direction, by what happens to what it finds. They look one after the other, so that a
/// rule that only tells never hides a value from one that blocks.
pub(crate) struct Scanners {
    pub(crate) block: Arc<Scanner>,
    pub(crate) tell: Arc<Scanner>,
    pub(crate) redact: Arc<Scanner>,
}

/// The rules that watch over one request.
pub(crate) struct Active {
    pub(crate) rules: Vec<Arc<GuardRule>>,
    pub(crate) input: Scanners,
    pub(crate) output: Scanners,
}

impl Active {
    fn of(guards: &[&Guard]) -> Result<Self, String> {
        let rules: Vec<Arc<GuardRule>> = guards
            .iter()
            .flat_map(|guard| guard.rules.iter().cloned())
            .collect();
        let input = scanners(&rules, |rule| rule.looks_at(Stage::Input))?;
        let output = scanners(&rules, looks_at_answers)?;
        Ok(Self { rules, input, output })
    }

    /// The rules of a direction that do not look for spans, by their numbers.
    fn others(&self, wanted: fn(&GuardRule) -> bool) -> impl Iterator<Item = (usize, &GuardRule)> {
        let rules = self.rules.iter().map(|rule| &**rule).enumerate();
        rules.filter(move |(_, rule)| wanted(rule))
    }

    /// The scores from which on a request is taken for an attempt, by the rule's number.
    pub(crate) fn input_injections(&self) -> impl Iterator<Item = (usize, f64)> {
        injections(self.others(|rule| rule.looks_at(Stage::Input)))
    }

    /// The same for answers.
    pub(crate) fn output_injections(&self) -> impl Iterator<Item = (usize, f64)> {
        injections(self.others(looks_at_answers))
    }

    /// The schemas that answers must fit.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (usize, &stead_guard::Schema)> {
        let rules = self.others(looks_at_answers);
        rules.filter_map(|(number, rule)| match &rule.check {
            Check::Schema(schema) => Some((number, &**schema)),
            Check::Spans | Check::Injection(_) | Check::Moderation(_) => None,
        })
    }

    /// The models that judge requests.
    pub(crate) fn input_judges(&self) -> Vec<(usize, Judge)> {
        judges(self.others(|rule| rule.looks_at(Stage::Input)))
    }

    /// The models that judge answers.
    pub(crate) fn output_judges(&self) -> Vec<(usize, Judge)> {
        judges(self.others(looks_at_answers))
    }

    /// Whether a rule ends the request when it acts.
    pub(crate) fn blocks(&self, rule: usize) -> bool {
        self.rules
            .get(rule)
            .is_some_and(|rule| rule.action == Action::Block)
    }

    /// Whether any rule looks at answers, or values may have to be put back into them.
    pub(crate) fn touches_answers(&self) -> bool {
        !self.input.redact.is_empty() || self.rules.iter().any(|rule| looks_at_answers(rule))
    }

    /// Whether a streamed answer waits until all of it was looked at.
    pub(crate) fn holds_streams(&self) -> bool {
        let whole = |rule: &GuardRule| rule.looks_at(Stage::Output) && !rule.looks_at(Stage::Stream);
        self.rules.iter().any(|rule| whole(rule))
    }

    /// The error with which a request ends that a rule blocks.
    pub(crate) fn blocked(&self, blocked: &Blocked) -> ApiError {
        let rule = self.rules.get(blocked.rule);
        let name = rule.map_or("", |rule| &*rule.name);
        let what = blocked.what;
        let mut message = format!("the {what} was blocked by guardrail `{name}`");
        if let Some(why) = &blocked.why {
            message.push_str(": ");
            message.push_str(why);
        }
        if let Some(own) = rule.and_then(|rule| rule.message.as_deref()) {
            message.push_str("; ");
            message.push_str(own);
        }
        ApiError::invalid("content_blocked", message)
    }
}

/// A whole answer is looked at by rules for streams, too: not asking for a stream is no way around them.
fn looks_at_answers(rule: &GuardRule) -> bool {
    rule.looks_at(Stage::Output) || rule.looks_at(Stage::Stream)
}

fn injections<'a>(rules: impl Iterator<Item = (usize, &'a GuardRule)>) -> impl Iterator<Item = (usize, f64)> {
    rules.filter_map(|(number, rule)| match rule.check {
        Check::Injection(threshold) => Some((number, threshold)),
        Check::Spans | Check::Schema(_) | Check::Moderation(_) => None,
    })
}

fn judges<'a>(rules: impl Iterator<Item = (usize, &'a GuardRule)>) -> Vec<(usize, Judge)> {
    rules
        .filter_map(|(number, rule)| match &rule.check {
            Check::Moderation(judge) => Some((number, judge.clone())),
            Check::Spans | Check::Injection(_) | Check::Schema(_) => None,
        })
        .collect()
}

fn scanners(rules: &[Arc<GuardRule>], wanted: fn(&GuardRule) -> bool) -> Result<Scanners, String> {
    let scanner = |actions: &[Action]| {
        let mut builder = Builder::default();
        for (number, rule) in rules.iter().enumerate() {
            if wanted(rule) && matches!(rule.check, Check::Spans) && actions.contains(&rule.action) {
                rule.add_to(&mut builder, number)?;
            }
        }
        Ok::<_, String>(Arc::new(builder.build()))
    };
    Ok(Scanners {
        block: scanner(&[Action::Block])?,
        tell: scanner(&[Action::Warn, Action::Log])?,
        redact: scanner(&[Action::Redact])?,
    })
}

/// What a rule blocked, and why; never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) rule: usize,
    /// `request` or `answer`.
    pub(crate) what: &'static str,
    pub(crate) why: Option<String>,
}

/// What was found so far in one request and its answer; never the values themselves in what is told.
#[derive(Default)]
pub(crate) struct Seen {
    /// Values of rules that act only on several.
    values: HashMap<usize, HashSet<String>>,
    /// What the rules that acted found.
    acted: BTreeMap<usize, BTreeSet<&'static str>>,
}

impl Seen {
    /// Takes in a value; says whether its rule acts.
    pub(crate) fn value(&mut self, active: &Active, found: &Found<'_>) -> bool {
        let least = active.rules.get(found.rule).map_or(1, |rule| rule.at_least);
        if least > 1 {
            let values = self.values.entry(found.rule).or_default();
            values.insert(fold(found.value));
            if values.len() < usize::try_from(least).unwrap_or(usize::MAX) {
                return false;
            }
        }
        self.acts(found.rule, found.label);
        true
    }

    /// A rule acts.
    pub(crate) fn acts(&mut self, rule: usize, label: &'static str) {
        self.acted.entry(rule).or_default().insert(label);
    }

    /// A rule that does not look for spans acts: an error when it blocks.
    pub(crate) fn judged(
        &mut self,
        active: &Active,
        blocked: Blocked,
        label: &'static str,
    ) -> Result<(), Blocked> {
        self.acts(blocked.rule, label);
        match active.rules.get(blocked.rule).map(|rule| rule.action) {
            Some(Action::Block) => Err(blocked),
            Some(Action::Redact | Action::Warn | Action::Log) | None => Ok(()),
        }
    }

    /// The rules that acted, for the record: `privacy/secrets=block,privacy/personal-data=redact`.
    pub(crate) fn label(&self, active: &Active) -> Option<String> {
        let told = self.acted.keys().filter_map(|number| {
            let rule = active.rules.get(*number)?;
            Some(format!("{}={}", rule.name, rule.action.as_str()))
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join(","))
    }

    /// What the client is told, a sentence each.
    pub(crate) fn warnings(&self, active: &Active) -> Vec<String> {
        let told = self.acted.iter().filter_map(|(number, labels)| {
            let rule = active
                .rules
                .get(*number)
                .filter(|rule| rule.action == Action::Warn)?;
            let labels: Vec<&str> = labels.iter().copied().collect();
            Some(format!("guardrail {} found {}", rule.name, labels.join(", ")))
        });
        told.collect()
    }
}

impl Action {
    /// The action in records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Redact => "redact",
            Self::Warn => "warn",
            Self::Log => "log",
        }
    }
}
