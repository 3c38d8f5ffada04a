//! Everything that is looked for in a text at once.

use std::{ops::Range, sync::Arc};

use regex::{Regex, RegexBuilder};

use crate::{
    Feed,
    detector::{Detector, compiled},
    fold::fold,
    matcher::{Hit, Matcher, View},
    words::Words,
};

/// The most bytes that the expression of a rule may take, compiled.
const SIZE_LIMIT: usize = 1 << 20;

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// A list of words.
    #[error(
        "a list of words needs words, of at most {} bytes each",
        crate::words::LONGEST_PHRASE
    )]
    Words,
    /// An expression.
    #[error("the expression does not compile: {0}")]
    Pattern(String),
    /// An expression that matches nothing's worth.
    #[error("the expression matches an empty text, which is everywhere")]
    Empty,
}

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, as [`Builder`] was told.
    pub rule: usize,
    /// What sort: a detector's label, `WORD` or `PATTERN`.
    pub label: &'static str,
    /// Where the match lies, in bytes.
    pub span: Range<usize>,
    /// Where the value lies in it.
    pub value: Range<usize>,
}

struct Entry {
    rule: usize,
    label: &'static str,
    matcher: Matcher,
    allowed: Option<Arc<Allowed>>,
}

/// Values that are no findings.
#[derive(Default)]
struct Allowed {
    /// Folded, in order.
    values: Vec<String>,
    patterns: Vec<Regex>,
}

impl Allowed {
    fn has(&self, value: &str) -> bool {
        let folded = || fold(value);
        let listed = !self.values.is_empty() && self.values.binary_search(&folded()).is_ok();
        let whole = |regex: &Regex| {
            regex
                .find(value)
                .is_some_and(|found| found.range() == (0..value.len()))
        };
        listed || self.patterns.iter().any(whole)
    }
}

/// Finds what its rules look for. Of overlapping matches the one that begins first counts; of those that begin at one
/// place the longest, then the one that was added first.
pub struct Scanner {
    entries: Vec<Entry>,
}

/// Puts a scanner together.
#[derive(Default)]
pub struct Builder {
    entries: Vec<Entry>,
}

impl Builder {
    /// Looks for what a detector knows.
    pub fn detector(&mut self, rule: usize, detector: &'static Detector) {
        self.add(
            rule,
            detector.label,
            Matcher::Detector(detector, compiled(detector)),
        );
    }

    /// Looks for words and phrases, in whatever way they are written.
    ///
    /// # Errors
    /// When the list is empty or a phrase is longer than 200 bytes.
    pub fn words<S: AsRef<str>>(&mut self, rule: usize, words: &[S]) -> Result<(), BadRule> {
        let words = Words::new(words).ok_or(BadRule::Words)?;
        self.add(rule, "WORD", Matcher::Words(words));
        Ok(())
    }

    /// Looks for what an expression matches (<https://docs.rs/regex/latest/regex/#syntax>), up to 256 bytes long.
    ///
    /// # Errors
    /// When it does not compile, or matches nothing in particular.
    pub fn pattern(&mut self, rule: usize, pattern: &str) -> Result<(), BadRule> {
        self.add(rule, "PATTERN", Matcher::Pattern(expression(pattern)?));
        Ok(())
    }

    /// Says which values of a rule are no findings: texts in whatever way they are written, and expressions that match
    /// a whole value. Holds for what was added to the rule before.
    ///
    /// # Errors
    /// When an expression does not compile.
    pub fn allow<S: AsRef<str>>(&mut self, rule: usize, values: &[S], patterns: &[S]) -> Result<(), BadRule> {
        let mut allowed = Allowed {
            values: values.iter().map(|value| fold(value.as_ref())).collect(),
            patterns: Vec::new(),
        };
        allowed.values.sort_unstable();
        for pattern in patterns {
            // As a whole, also where an alternative begins like another.
            allowed
                .patterns
                .push(expression(&format!("^(?:{})$", pattern.as_ref()))?);
        }
        let allowed = Arc::new(allowed);
        for entry in self.entries.iter_mut().filter(|entry| entry.rule == rule) {
            entry.allowed = Some(Arc::clone(&allowed));
        }
        Ok(())
    }

    fn add(&mut self, rule: usize, label: &'static str, matcher: Matcher) {
        self.entries.push(Entry {
            rule,
            label,
            matcher,
            allowed: None,
        });
    }

    /// The scanner.
    pub fn build(self) -> Scanner {
        Scanner {
            entries: self.entries,
        }
    }
}

fn expression(pattern: &str) -> Result<Regex, BadRule> {
    let regex = RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| {
            BadRule::Pattern(
                error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            )
        })?;
    if regex.is_match("") && !pattern.starts_with("^(?:") {
        return Err(BadRule::Empty);
    }
    Ok(regex)
}

/// The next match of each entry, as far as it was looked for.
pub(crate) enum Next {
    Unknown,
    Nothing,
    Hit(Hit),
}

impl Scanner {
    /// A scanner's beginning.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Whether it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Everything in a text, in order, without overlaps.
    pub fn find_all(&self, text: &str) -> Vec<Finding> {
        let view = View::new(text, 0);
        let mut known = self.unknown();
        let mut findings = Vec::new();
        let mut from = 0;
        while let Some(finding) = self.next(&view, from, text.len(), &mut known) {
            from = finding.span.end;
            findings.push(finding);
        }
        findings
    }

    /// Reads a text that comes in pieces.
    pub fn feed(self: &Arc<Self>) -> Feed {
        Feed::new(Arc::clone(self))
    }

    pub(crate) fn unknown(&self) -> Vec<Next> {
        self.entries.iter().map(|_| Next::Unknown).collect()
    }

    /// The first match that begins at `from` or later, and before `limit`.
    pub(crate) fn next(
        &self,
        view: &View<'_>,
        from: usize,
        limit: usize,
        known: &mut [Next],
    ) -> Option<Finding> {
        let mut best: Option<(&Entry, &Hit)> = None;
        for (entry, next) in self.entries.iter().zip(known) {
            let stale = match next {
                Next::Unknown => true,
                Next::Nothing => false,
                Next::Hit(hit) => hit.start < from,
            };
            if stale {
                let allowed = |value: &str| entry.allowed.as_ref().is_some_and(|allowed| allowed.has(value));
                *next = entry
                    .matcher
                    .next(view, from, &allowed)
                    .map_or(Next::Nothing, Next::Hit);
            }
            let Next::Hit(hit) = &*next else { continue };
            let better = |(_, other): (&Entry, &Hit)| {
                hit.start < other.start || (hit.start == other.start && hit.end > other.end)
            };
            if hit.start < limit && best.is_none_or(better) {
                best = Some((entry, hit));
            }
        }
        best.map(|(entry, hit)| Finding {
            rule: entry.rule,
            label: entry.label,
            span: hit.start..hit.end,
            value: hit.value.clone(),
        })
    }

    /// The first byte at which a match may begin that more text could make, unmake or change.
    pub(crate) fn undecided(&self, view: &View<'_>, from: usize) -> usize {
        let bounds = self
            .entries
            .iter()
            .map(|entry| entry.matcher.undecided(view, from));
        bounds.min().unwrap_or(view.text.len())
    }
}
