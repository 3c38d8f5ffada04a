//! One thing that is looked for in a text, and what of the text's end may still become it.

use std::{cell::OnceCell, ops::Range};

use regex::Regex;

use crate::{
    detector::{Compiled, Detector, Open},
    fold::Folded,
    words::Words,
};

/// The most bytes between the beginning and the end of what an expression of a rule matches. Beginnings are looked for
/// in blocks of this length, counted from the beginning of the text, each with the block after it in sight.
pub(crate) const WINDOW: usize = 128;
/// The most bytes of a letter.
const LETTER: usize = 4;

/// A text, or the part of one that is at hand.
pub(crate) struct View<'a> {
    pub(crate) text: &'a str,
    /// Where it begins in the whole.
    pub(crate) origin: usize,
    folded: OnceCell<Folded>,
}

impl<'a> View<'a> {
    pub(crate) fn new(text: &'a str, origin: usize) -> Self {
        Self {
            text,
            origin,
            folded: OnceCell::new(),
        }
    }

    fn folded(&self) -> &Folded {
        self.folded.get_or_init(|| Folded::of(self.text))
    }
}

/// What was found, in bytes of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) value: Range<usize>,
}

/// One thing that is looked for.
#[derive(Clone)]
pub(crate) enum Matcher {
    Detector(&'static Detector, Compiled),
    Words(Words),
    Pattern(Regex),
}

impl Matcher {
    /// The first match that begins at a byte or later.
    pub(crate) fn next(&self, view: &View<'_>, from: usize, allowed: &dyn Fn(&str) -> bool) -> Option<Hit> {
        let mut at = from;
        loop {
            let (start, hit) = match self {
                Self::Detector(detector, compiled) => candidate(view.text, detector, compiled, at)?,
                Self::Words(words) => phrase(view, words, at)?,
                Self::Pattern(regex) => block_match(view, regex, at)?,
            };
            let kept = hit.filter(|hit| !allowed(view.text.get(hit.value.clone()).unwrap_or_default()));
            if kept.is_some() {
                return kept;
            }
            at = after(view.text, start);
        }
    }

    /// The first byte at which a match may begin that more text could make, unmake or change.
    pub(crate) fn undecided(&self, view: &View<'_>, from: usize) -> usize {
        let text = view.text;
        match self {
            Self::Detector(detector, compiled) => {
                let far = text
                    .floor_char_boundary(text.len().saturating_sub(detector.longest + LETTER))
                    .max(from);
                let tail = text.get(far..).unwrap_or_default();
                let run = far + tail.trim_end_matches(detector.inside).len();
                let open = match (detector.open, &compiled.open) {
                    (Some(Open::Function(open)), _) => open(tail),
                    (_, Some(open)) => open.find(tail).map(|found| found.start()),
                    (Some(Open::Pattern(_)) | None, None) => None,
                };
                open.map_or(run, |open| run.min(far + open))
            }
            Self::Words(words) => {
                let folded = view.folded();
                words.open(folded).map_or(text.len(), |at| folded.start(at, text))
            }
            Self::Pattern(_) => {
                let block = ((view.origin + text.len()) / WINDOW).saturating_sub(1) * WINDOW;
                text.floor_char_boundary(block.saturating_sub(view.origin))
            }
        }
    }
}

/// The byte after the letter at a byte.
fn after(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at + 1)
}

/// The next place where a detector's expression matches, and what its check says.
fn candidate(
    text: &str,
    detector: &Detector,
    compiled: &Compiled,
    at: usize,
) -> Option<(usize, Option<Hit>)> {
    // Groups cost more than places, and most candidates are none.
    let start = compiled.pattern.find_at(text, at)?.start();
    let found = compiled.pattern.captures_at(text, start)?;
    let hit = (detector.check)(text, &found).map(|extent| Hit {
        start,
        end: extent.end,
        value: extent.value,
    });
    Some((start, hit))
}

fn phrase(view: &View<'_>, words: &Words, at: usize) -> Option<(usize, Option<Hit>)> {
    let folded = view.folded();
    let (first, last) = words.find(&folded.text, folded.at(at))?;
    let (start, end) = (folded.start(first, view.text), folded.end(last));
    let hit = Hit {
        start,
        end,
        value: start..end,
    };
    Some((start, Some(hit)))
}

/// The next match of a rule's expression, block by block, so that how far it sees does not depend on how the text
/// came.
fn block_match(view: &View<'_>, regex: &Regex, at: usize) -> Option<(usize, Option<Hit>)> {
    let text = view.text;
    let mut at = at;
    while at < text.len() {
        let block = (view.origin + at) / WINDOW;
        let bound = |blocks: usize| ((block + blocks) * WINDOW).saturating_sub(view.origin);
        let (next, sight) = (
            text.ceil_char_boundary(bound(1)),
            text.floor_char_boundary(bound(2)),
        );
        let found = text
            .get(..sight)
            .filter(|_| at <= sight)
            .and_then(|seen| regex.find_at(seen, at));
        match found.filter(|found| found.start() < next) {
            Some(found) if found.is_empty() => at = after(text, found.start()),
            Some(found) => {
                let hit = Hit {
                    start: found.start(),
                    end: found.end(),
                    value: found.range(),
                };
                return Some((found.start(), Some(hit)));
            }
            None => at = next,
        }
    }
    None
}
