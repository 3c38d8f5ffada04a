//! The prompts in memory: by project and name, each with its versions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{LATEST, Prompt, Version, changes::Change};

/// Which version is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one that the label `production` points to; the newest when there is none.
    Default,
    /// By its number.
    Version(u64),
    /// By a label, or its id.
    Label(String),
}

impl Choice {
    /// Reads a number, a label or an id.
    pub(crate) fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Label(text.to_owned()), Self::Version)
    }
}

/// A prompt with all its versions.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) prompt: Prompt,
    pub(crate) versions: BTreeMap<u64, Arc<Version>>,
}

impl Entry {
    /// A prompt of which no version is known yet.
    pub(super) fn of(prompt: Prompt) -> Self {
        Self {
            prompt,
            versions: BTreeMap::new(),
        }
    }

    /// A version of it.
    pub(super) fn find(&self, choice: &Choice) -> Option<&Arc<Version>> {
        let latest = self.prompt.latest;
        let number = match choice {
            Choice::Default => self.prompt.labels.get("production").copied().unwrap_or(latest),
            Choice::Version(number) => *number,
            Choice::Label(label) if label == LATEST => latest,
            Choice::Label(label) => match self.prompt.labels.get(label) {
                Some(number) => *number,
                None => return self.versions.values().find(|version| version.id == *label),
            },
        };
        self.versions.get(&number)
    }
}

/// Prompts by project and name.
pub(super) type Shelves = HashMap<String, HashMap<String, Arc<Entry>>>;

/// Takes a change that another process told.
pub(super) fn take(shelves: &mut Shelves, change: Change) {
    match change {
        Change::Version { project, version } => {
            let entries = shelves.entry(project).or_default();
            let entry = entries
                .entry(version.name.clone())
                .or_insert_with(|| Arc::new(Entry::of(new_prompt(&version.name))));
            Arc::make_mut(entry).versions.insert(version.version, version);
        }
        Change::Prompt { project, prompt } => {
            let entries = shelves.entry(project).or_default();
            let entry = entries
                .entry(prompt.name.clone())
                .or_insert_with(|| Arc::new(Entry::of(new_prompt(&prompt.name))));
            let entry = Arc::make_mut(entry);
            // What is beyond is of a prompt of this name that was removed.
            entry.versions.retain(|number, _| *number <= prompt.latest);
            entry.prompt = prompt;
        }
        Change::Removed { project, name } => {
            if let Some(entries) = shelves.get_mut(&project) {
                entries.remove(&name);
            }
        }
    }
}

/// A prompt without versions.
pub(super) fn new_prompt(name: &str) -> Prompt {
    Prompt {
        name: name.to_owned(),
        description: String::new(),
        latest: 0,
        labels: BTreeMap::new(),
    }
}
