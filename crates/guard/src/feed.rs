//! A text that comes in pieces, read as if it came whole.

use std::sync::Arc;

use crate::{Scanner, matcher::View};

/// Held text beyond this many bytes is not looked at again with every piece, but when it has grown by half.
const EAGER: usize = 512;
/// Bytes that are kept before what is looked at: whether something begins there depends on them.
const BEFORE: usize = 4;

/// A part of a text that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text in which nothing was found.
    Text(&'a str),
    /// Something that was found.
    Found(Found<'a>),
}

/// A value that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The rule that looked for it.
    pub rule: usize,
    /// What sort it is.
    pub label: &'static str,
    /// The value.
    pub value: &'a str,
}

/// Reads a text in pieces: passes on what is decided and holds back what may be the beginning of a match.
///
/// *Invariant:* the pieces that it passes on, put together, and what it finds do not depend on how the text was split;
/// they are what [`Scanner::find_all`] finds in the whole.
pub struct Feed {
    scanner: Arc<Scanner>,
    /// A few letters before what is held, and what is held.
    buffer: String,
    /// Where in the buffer that which is held begins.
    at: usize,
    /// Where the buffer begins in the whole text.
    origin: usize,
    /// Nothing is looked at until the buffer is this long.
    patience: usize,
}

impl Feed {
    pub(crate) fn new(scanner: Arc<Scanner>) -> Self {
        Self {
            scanner,
            buffer: String::new(),
            at: 0,
            origin: 0,
            patience: 0,
        }
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.at
    }

    /// Takes in a piece, and gives out what is decided.
    pub fn push(&mut self, text: &str, sink: &mut dyn FnMut(Piece<'_>)) {
        if text.is_empty() {
            return;
        }
        self.buffer.push_str(text);
        if self.buffer.len() < self.patience {
            return;
        }
        let view = View::new(&self.buffer, self.origin);
        let limit = self.scanner.undecided(&view, self.at);
        self.at = give(&self.scanner, &view, self.at, limit, sink);
        self.forget();
    }

    /// Gives out what is held: nothing follows.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        let view = View::new(&self.buffer, self.origin);
        self.at = give(&self.scanner, &view, self.at, self.buffer.len(), sink);
        self.forget();
    }

    /// Drops what was given out, but for the last letters.
    fn forget(&mut self) {
        let kept = self.buffer.floor_char_boundary(self.at.saturating_sub(BEFORE));
        self.buffer.drain(..kept);
        self.origin += kept;
        self.at -= kept;
        let held = self.held();
        self.patience = if held > EAGER {
            self.buffer.len() + held / 2
        } else {
            0
        };
    }
}

/// Gives out everything that begins before a limit; returns where the rest begins.
fn give(
    scanner: &Scanner,
    view: &View<'_>,
    from: usize,
    limit: usize,
    sink: &mut dyn FnMut(Piece<'_>),
) -> usize {
    let mut at = from;
    if limit <= at {
        return at;
    }
    let mut known = scanner.unknown();
    let text = |from: usize, to: usize, sink: &mut dyn FnMut(Piece<'_>)| {
        if let Some(text) = view.text.get(from..to).filter(|text| !text.is_empty()) {
            sink(Piece::Text(text));
        }
    };
    while let Some(finding) = scanner.next(view, at, limit, &mut known) {
        text(at, finding.value.start, sink);
        sink(Piece::Found(Found {
            rule: finding.rule,
            label: finding.label,
            value: view.text.get(finding.value.clone()).unwrap_or_default(),
        }));
        text(finding.value.end, finding.span.end, sink);
        at = finding.span.end;
    }
    if at < limit {
        text(at, limit, sink);
        at = limit;
    }
    at
}
