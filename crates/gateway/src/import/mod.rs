//! Configuration of other gateways as resources.
//!
//! *Invariant:* pure: what the environment says is asked of the caller, and nothing is written.
//!
//! *Invariant:* nothing is dropped in silence: what has no equivalent is a note with its path and the reason.

pub(crate) mod litellm;
mod section;
mod vocabulary;

use std::fmt;

use serde_json::Value;

pub(crate) use vocabulary::Vocabulary;

/// Another gateway's configuration as resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Import {
    /// The objects, in the order in which they can be applied; no Secret is among them.
    pub objects: Vec<Value>,
    /// The Secrets that they name, a row for each value.
    pub secrets: Vec<SecretValue>,
    /// What is not, or not exactly, the same.
    pub notes: Vec<Note>,
}

/// A value that a Secret must hold.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue {
    /// The Secret's name.
    pub secret: String,
    /// The key in its data.
    pub key: String,
    /// Where the value comes from: `$OPENAI_API_KEY`, or the configuration itself.
    pub origin: String,
    /// The value, where it is known.
    pub value: Option<String>,
}

impl fmt::Debug for SecretValue {
    /// Leaves out the value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SecretValue")
            .field("secret", &self.secret)
            .field("key", &self.key)
            .field("origin", &self.origin)
            .field("known", &self.value.is_some())
            .finish()
    }
}

/// Something that is not, or not exactly, the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where it stands: `model_list[0].litellm_params.tags`.
    pub path: String,
    /// How it differs.
    pub sort: NoteSort,
    /// Why, and what to do about it.
    pub text: String,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteSort {
    /// It has no equivalent.
    Missing,
    /// It has one that is not exactly the same.
    Changed,
    /// Somebody has to do something.
    Todo,
}

impl NoteSort {
    /// The sort as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Todo => "todo",
        }
    }
}

/// Notes as they are gathered.
#[derive(Debug, Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, sort: NoteSort, path: impl Into<String>, text: impl Into<String>) {
        self.0.push(Note {
            path: path.into(),
            sort,
            text: text.into(),
        });
    }

    fn missing(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(NoteSort::Missing, path, text);
    }

    fn changed(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(NoteSort::Changed, path, text);
    }

    fn todo(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(NoteSort::Todo, path, text);
    }
}

/// A name that objects can have, as like the given one as possible; `None` when it is one already.
fn renamed(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    for letter in name.chars() {
        let lower = letter.to_ascii_lowercase();
        let fits = lower.is_ascii_alphanumeric() || lower == '.';
        text.push(if fits { lower } else { '-' });
    }
    let trimmed = text.trim_matches(['-', '.']).to_owned();
    // Beside a dash, a dot is no part of a name.
    let mut clean = String::with_capacity(trimmed.len());
    for letter in trimmed.chars() {
        let last = clean.chars().next_back();
        let double = matches!((last, letter), (Some('.' | '-'), '.') | (Some('.'), '-'));
        if !double {
            clean.push(letter);
        }
    }
    clean.truncate(200);
    if clean.is_empty() {
        clean.push_str("unnamed");
    }
    (clean != name).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_names_of_objects() {
        for (given, expected) in [
            ("gpt-4o", None),
            ("gpt-3.5-turbo", None),
            ("GPT 4", Some("gpt-4")),
            ("azure/gpt-4", Some("azure-gpt-4")),
            ("claude_3.-x.", Some("claude-3.x")),
            ("*", Some("unnamed")),
            ("-a-", Some("a")),
        ] {
            assert_eq!(renamed(given).as_deref(), expected, "{given}");
        }
    }
}
