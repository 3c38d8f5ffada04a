//! From a guardrail's spec to rules that can be applied. Nothing here performs I/O.

use std::{sync::Arc, time::Duration};

use stead_guard::{Builder, Schema, select};

use super::{Action, GuardrailSpec, Moderation, OnFailure, Requests, Rule, Stage};

/// A guardrail, ready for use.
pub(crate) struct Guard {
    pub(crate) name: Box<str>,
    requests: Requests,
    pub(crate) rules: Vec<Arc<GuardRule>>,
}

/// A rule, ready for use.
pub(crate) struct GuardRule {
    /// `GUARDRAIL/RULE`, as clients and records are told.
    pub(crate) name: Box<str>,
    pub(crate) action: Action,
    pub(crate) message: Option<Box<str>>,
    stages: Vec<Stage>,
    pub(crate) at_least: u32,
    pub(crate) check: Check,
    spec: Rule,
}

/// In which way a rule looks.
pub(crate) enum Check {
    /// For spans of a text.
    Spans,
    /// For an attempt to take the model over, from this score on.
    Injection(f64),
    /// Whether an answer fits.
    Schema(Box<Schema>),
    /// By asking a model.
    Moderation(Judge),
}

/// A model that judges.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) route: Box<str>,
    /// What a chat model is told; `None` for a moderation model.
    pub(crate) instruction: Option<Box<str>>,
    pub(crate) threshold: Option<f64>,
    pub(crate) categories: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) on_failure: OnFailure,
}

impl GuardRule {
    /// Whether it looks at this stage.
    pub(crate) fn looks_at(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }

    /// Adds what it looks for to a scanner, as the rule of this number.
    pub(crate) fn add_to(&self, builder: &mut Builder, number: usize) -> Result<(), String> {
        add(&self.spec, builder, number)
    }
}

impl Guard {
    /// Compiles a guardrail.
    ///
    /// # Errors
    /// Names the rule that cannot be, and why.
    pub(crate) fn of(name: &str, spec: &GuardrailSpec) -> Result<Self, String> {
        let mut rules: Vec<Arc<GuardRule>> = Vec::with_capacity(spec.rules.len());
        for rule in &spec.rules {
            let compiled = compile(name, spec, rule).map_err(|why| format!("rule `{}`: {why}", rule.name))?;
            if rules.iter().any(|other| other.name == compiled.name) {
                return Err(format!("rule `{}`: there are two of this name", rule.name));
            }
            rules.push(Arc::new(compiled));
        }
        Ok(Self {
            name: name.into(),
            requests: spec.requests.clone().unwrap_or_default(),
            rules,
        })
    }

    /// A guardrail whose rules cannot be compiled.
    pub(crate) fn unusable(name: &str, spec: &GuardrailSpec) -> Self {
        Self {
            name: name.into(),
            requests: spec.requests.clone().unwrap_or_default(),
            rules: Vec::new(),
        }
    }

    /// Whether it is for a request that names this model (and came to this route) with this key.
    pub(crate) fn is_for(&self, model: &str, route: &str, key: Option<&str>) -> bool {
        let Requests { routes, keys } = &self.requests;
        let named = |patterns: &[String], name: &str| patterns.iter().any(|pattern| fits(pattern, name));
        (routes.is_empty() || named(routes, model) || named(routes, route))
            && (keys.is_empty() || key.is_some_and(|key| named(keys, key)))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

fn compile(guardrail: &str, spec: &GuardrailSpec, rule: &Rule) -> Result<GuardRule, String> {
    let check = check(rule)?;
    let redacts = rule.action == Action::Redact;
    if redacts && !matches!(check, Check::Spans) {
        return Err("only what detectors, words and patterns find can be redacted".to_owned());
    }
    if redacts && rule.at_least.is_some_and(|least| least > 1) {
        return Err("atLeast: a value is redacted or not, however many there are".to_owned());
    }
    if rule.at_least.is_some() && !matches!(check, Check::Spans) {
        return Err("atLeast: is for detectors, words and patterns".to_owned());
    }
    let mut stages = if rule.stages.is_empty() {
        spec.stages.clone()
    } else {
        rule.stages.clone()
    };
    if matches!(check, Check::Schema(_)) {
        stages.retain(|stage| *stage != Stage::Input);
    }
    Ok(GuardRule {
        name: format!("{guardrail}/{}", rule.name).into(),
        action: rule.action,
        message: spec.message.as_deref().map(Into::into),
        stages,
        at_least: rule.at_least.unwrap_or(1).max(1),
        check,
        spec: rule.clone(),
    })
}

fn check(rule: &Rule) -> Result<Check, String> {
    let spans = !(rule.detectors.is_empty() && rule.words.is_empty() && rule.patterns.is_empty());
    let given = [
        spans,
        rule.injection.is_some(),
        rule.schema.is_some(),
        rule.moderation.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(
            "it needs one of: detectors, words or patterns; injection; schema; moderation".to_owned(),
        );
    }
    if let Some(injection) = rule.injection {
        return if (0.0..=1.0).contains(&injection.threshold) {
            Ok(Check::Injection(injection.threshold))
        } else {
            Err("injection.threshold: from 0 to 1".to_owned())
        };
    }
    if let Some(schema) = &rule.schema {
        let schema = Schema::new(schema).map_err(|error| error.to_string())?;
        return Ok(Check::Schema(Box::new(schema)));
    }
    if let Some(moderation) = &rule.moderation {
        return Ok(Check::Moderation(judge(moderation)?));
    }
    add(rule, &mut Builder::default(), 0)?;
    Ok(Check::Spans)
}

fn judge(moderation: &Moderation) -> Result<Judge, String> {
    let timeout = moderation.timeout.0;
    if timeout.is_zero() || timeout > Duration::from_mins(5) {
        return Err("moderation.timeout: more than nothing, at most 5m".to_owned());
    }
    let scores = moderation.threshold.is_some() || !moderation.categories.is_empty();
    if moderation.judge.is_some() && scores {
        return Err("moderation: a chat model that judges has no threshold and no categories".to_owned());
    }
    if moderation
        .threshold
        .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
    {
        return Err("moderation.threshold: from 0 to 1".to_owned());
    }
    Ok(Judge {
        route: moderation.route.as_str().into(),
        instruction: moderation.judge.as_deref().map(Into::into),
        threshold: moderation.threshold,
        categories: moderation.categories.clone(),
        timeout,
        on_failure: moderation.on_failure,
    })
}

fn add(rule: &Rule, builder: &mut Builder, number: usize) -> Result<(), String> {
    let detectors = select(&rule.detectors).map_err(|error| error.to_string())?;
    for detector in detectors {
        builder.detector(number, detector);
    }
    if !rule.words.is_empty() {
        builder
            .words(number, &rule.words)
            .map_err(|error| error.to_string())?;
    }
    for pattern in &rule.patterns {
        builder
            .pattern(number, pattern)
            .map_err(|error| error.to_string())?;
    }
    if let Some(allow) = &rule.allow {
        builder
            .allow(number, &allow.values, &allow.patterns)
            .map_err(|error| format!("allow: {error}"))?;
    }
    Ok(())
}
