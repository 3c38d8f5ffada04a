//! Placeholders for values, the same for the same value within a request, and the way back.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{Piece, Scanner};

/// The most bytes of a placeholder.
const LONGEST: usize = 48;

/// How a value is written where it is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Within a JSON string (the arguments of a tool call).
    Json,
}

/// What was hidden in one request.
#[derive(Default)]
pub struct Vault {
    /// Placeholders by label and value.
    placeholders: HashMap<(&'static str, String), String>,
    /// Values by placeholder; only those that the client sent itself.
    values: HashMap<String, String>,
    /// How many there are of each label.
    counts: HashMap<&'static str, u32>,
    /// Placeholders that the client wrote itself; they mean nothing.
    taken: HashSet<String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Vault({} values)", self.placeholders.len())
    }
}

impl Vault {
    /// Whether there is nothing to be put back.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Leaves alone what looks like a placeholder in a text that a client sent. Comes before all hiding.
    pub fn reserve(&mut self, text: &str) {
        for (at, _) in text.match_indices('[') {
            if let Parsed::Whole(name) = parse(text.get(at..).unwrap_or_default()) {
                self.taken.insert(name.to_ascii_uppercase());
            }
        }
    }

    /// The placeholder of a value that the client sent; [`Vault::restore`] puts the value back.
    pub fn hide(&mut self, label: &'static str, value: &str) -> String {
        let placeholder = self.mask(label, value);
        self.values.insert(placeholder.clone(), value.to_owned());
        placeholder
    }

    /// The placeholder of a value that somebody else produced; it stays hidden unless the client sent it, too.
    pub fn mask(&mut self, label: &'static str, value: &str) -> String {
        let key = (label, value.to_owned());
        if let Some(placeholder) = self.placeholders.get(&key) {
            return placeholder.clone();
        }
        let count = self.counts.entry(label).or_default();
        let placeholder = loop {
            *count += 1;
            let placeholder = format!("[{label}_{count}]");
            if !self.taken.contains(&placeholder) {
                break placeholder;
            }
        };
        self.placeholders.insert(key, placeholder.clone());
        placeholder
    }

    /// The value behind a placeholder, if the client sent it.
    pub fn reveal(&self, placeholder: &str) -> Option<&str> {
        let value = self.values.get(placeholder).or_else(|| {
            // Models change the case of what they repeat.
            self.values.get(&placeholder.to_ascii_uppercase())
        });
        value.map(String::as_str)
    }

    /// Hides everything that a scanner finds in a text of the client's.
    pub fn redact<'t>(&mut self, scanner: &Scanner, text: &'t str) -> Cow<'t, str> {
        let findings = scanner.find_all(text);
        if findings.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut at = 0;
        for finding in findings {
            redacted.push_str(text.get(at..finding.value.start).unwrap_or_default());
            let value = text.get(finding.value.clone()).unwrap_or_default();
            redacted.push_str(&self.hide(finding.label, value));
            at = finding.value.end;
        }
        redacted.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// Puts the values back into a text.
    pub fn restore(&self, text: &str, encoding: Encoding) -> String {
        let mut restorer = Restorer::default();
        let mut whole = String::with_capacity(text.len());
        restorer.push(text, self, encoding, &mut whole);
        restorer.finish(&mut whole);
        whole
    }
}

/// Puts values back into a text that comes in pieces, wherever it is split.
#[derive(Debug, Default)]
pub struct Restorer {
    /// What may be the beginning of a placeholder.
    held: String,
}

impl Restorer {
    /// Takes in a piece, and appends what is decided.
    pub fn push(&mut self, text: &str, vault: &Vault, encoding: Encoding, whole: &mut String) {
        if self.held.is_empty() && !text.contains('[') {
            return whole.push_str(text);
        }
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        while let Some(at) = rest.find('[') {
            let (before, begun) = rest.split_at(at);
            whole.push_str(before);
            match parse(begun) {
                Parsed::Whole(placeholder) => {
                    match (vault.reveal(placeholder), encoding) {
                        (Some(value), Encoding::Plain) => whole.push_str(value),
                        (Some(value), Encoding::Json) => whole.push_str(&escaped(value)),
                        (None, _) => whole.push_str(placeholder),
                    }
                    rest = begun.get(placeholder.len()..).unwrap_or_default();
                }
                Parsed::Begun => {
                    begun.clone_into(&mut self.held);
                    return;
                }
                Parsed::Nothing => {
                    whole.push('[');
                    rest = begun.get(1..).unwrap_or_default();
                }
            }
        }
        whole.push_str(rest);
    }

    /// Appends what is held: nothing follows.
    pub fn finish(&mut self, whole: &mut String) {
        whole.push_str(&std::mem::take(&mut self.held));
    }
}

fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

enum Parsed<'a> {
    Whole(&'a str),
    /// The text ends before it is decided.
    Begun,
    Nothing,
}

/// Reads a placeholder at the beginning of a text that begins with a bracket.
fn parse(text: &str) -> Parsed<'_> {
    let inner = text.get(1..).unwrap_or_default();
    let end = inner.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    match end {
        None if text.len() < LONGEST => Parsed::Begun,
        Some(end) if end + 2 <= LONGEST && inner.get(end..).is_some_and(|rest| rest.starts_with(']')) => {
            let placeholder = text.get(..end + 2).unwrap_or_default();
            if is_placeholder(placeholder) {
                Parsed::Whole(placeholder)
            } else {
                Parsed::Nothing
            }
        }
        Some(_) | None => Parsed::Nothing,
    }
}

/// Whether a text is a placeholder such as `[EMAIL_1]`, in any case.
pub fn is_placeholder(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let Some((label, number)) = inner.and_then(|inner| inner.rsplit_once('_')) else {
        return false;
    };
    let letters = label
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST
        && letters
        && digits
        && label.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

impl Scanner {
    /// A text as a scanner's rules leave it, for tests and whole texts: `change` says what stands for each value.
    pub fn rewrite(
        self: &Arc<Self>,
        text: &str,
        change: &mut dyn FnMut(crate::Found<'_>) -> String,
    ) -> String {
        let mut whole = String::with_capacity(text.len());
        let mut feed = self.feed();
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Found(found) => whole.push_str(&change(found)),
        };
        feed.push(text, &mut sink);
        feed.finish(&mut sink);
        whole
    }
}
