//! What changed among the prompts, in order, for gateway processes that keep the same prompts without records.
//!
//! *Invariant:* it holds each version and each prompt once, at the place of its last change, and a name that was removed
//! until it is used again: it is as long as the book, not as its history.
//! *Invariant:* a version comes before the prompt that counts it, so that who reads up to any place has whole prompts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Prompt, Version, shelves::Entry};

/// About how many bytes of texts one page has; a single version may have more.
const PAGE: usize = 1 << 20;
/// What a change takes besides its texts, in bytes.
const CHANGE: usize = 512;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Change {
    /// A version, which nobody can name before its prompt comes.
    Version { project: String, version: Arc<Version> },
    /// A prompt as it is from now on.
    Prompt { project: String, prompt: Prompt },
    /// A prompt is gone with its versions.
    Removed { project: String, name: String },
}

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// Of which process's changes; empty before the first page.
    pub(super) epoch: String,
    /// The number of the last one.
    pub(super) number: u64,
}

/// Some changes in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Whether they begin with the first one, so that what was known before is forgotten.
    pub(super) anew: bool,
    pub(super) changes: Vec<Change>,
    /// Where the next page begins.
    pub(super) place: Place,
    /// Whether more is there already.
    pub(super) more: bool,
}

/// The changes of this process.
#[derive(Debug)]
pub(super) struct Changes {
    /// Another one for each process, since numbers begin anew with it.
    epoch: String,
    log: Mutex<Log>,
    last: watch::Sender<u64>,
}

/// A project, a prompt, and a version of it; 0 is the prompt itself.
type Key = (String, String, u64);

#[derive(Debug, Default)]
struct Log {
    last: u64,
    changes: BTreeMap<u64, Change>,
    places: BTreeMap<Key, u64>,
}

impl Log {
    fn put(&mut self, key: Key, change: Change) {
        self.last += 1;
        self.changes.insert(self.last, change);
        if let Some(before) = self.places.insert(key, self.last) {
            self.changes.remove(&before);
        }
    }

    fn forget(&mut self, project: &str, name: &str) {
        let key = |version| (project.to_owned(), name.to_owned(), version);
        let gone: Vec<Key> = self
            .places
            .range(key(0)..=key(u64::MAX))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(number) = self.places.remove(&key) {
                self.changes.remove(&number);
            }
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            epoch: Uuid::now_v7().to_string(),
            log: Mutex::default(),
            last: watch::channel(0).0,
        }
    }
}

impl Changes {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A prompt is as given from now on.
    pub(super) fn put(&self, project: &str, entry: &Entry) {
        let last = {
            let mut log = self.log();
            let name = &entry.prompt.name;
            for (number, version) in &entry.versions {
                let key = (project.to_owned(), name.clone(), *number);
                // A version never changes; one of another id is of a prompt that was removed meanwhile.
                let known = log.places.get(&key).and_then(|place| log.changes.get(place));
                if matches!(known, Some(Change::Version { version: known, .. }) if known.id == version.id) {
                    continue;
                }
                let change = Change::Version {
                    project: project.to_owned(),
                    version: Arc::clone(version),
                };
                log.put(key, change);
            }
            let change = Change::Prompt {
                project: project.to_owned(),
                prompt: entry.prompt.clone(),
            };
            log.put((project.to_owned(), name.clone(), 0), change);
            log.last
        };
        self.last.send_replace(last);
    }

    /// A prompt is gone.
    pub(super) fn remove(&self, project: &str, name: &str) {
        let last = {
            let mut log = self.log();
            log.forget(project, name);
            let change = Change::Removed {
                project: project.to_owned(),
                name: name.to_owned(),
            };
            log.put((project.to_owned(), name.to_owned(), 0), change);
            log.last
        };
        self.last.send_replace(last);
    }

    /// What comes after a place; from the beginning for one of another process.
    pub(super) fn after(&self, place: &Place) -> Page {
        let log = self.log();
        let anew = place.epoch != self.epoch || place.number > log.last;
        let from = if anew { 0 } else { place.number };
        let (mut changes, mut size, mut number) = (Vec::new(), 0, from);
        for (at, change) in log.changes.range(from + 1..) {
            if size >= PAGE {
                break;
            }
            size += change.size();
            changes.push(change.clone());
            number = *at;
        }
        let more = log.changes.range(number + 1..).next().is_some();
        Page {
            anew,
            changes,
            place: Place {
                epoch: self.epoch.clone(),
                number: if more { number } else { log.last },
            },
            more,
        }
    }

    /// Waits until there is something after a place.
    pub(super) async fn beyond(&self, place: &Place) {
        if place.epoch != self.epoch {
            return;
        }
        let mut last = self.last.subscribe();
        // It ends with this process only.
        let _ = last.wait_for(|last| *last != place.number).await;
    }
}

impl Change {
    fn size(&self) -> usize {
        match self {
            Self::Version { version, .. } => {
                let texts = version.template.texts();
                CHANGE + version.description.len() + texts.iter().map(|text| text.len()).sum::<usize>()
            }
            Self::Prompt { prompt, .. } => CHANGE + prompt.description.len() + 128 * prompt.labels.len(),
            Self::Removed { .. } => CHANGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stead_kernel::Timestamp;

    use super::*;
    use crate::prompt::{
        Template,
        shelves::{Shelves, take},
    };

    fn entry(name: &str, versions: u64, text: &str) -> Entry {
        let version = |version: u64| {
            Arc::new(Version {
                name: name.to_owned(),
                version,
                id: format!("{name}-{version}-{text}"),
                template: Template::Text(text.to_owned()),
                description: String::new(),
                author: "ada".to_owned(),
                created: Timestamp::UNIX_EPOCH,
            })
        };
        Entry {
            prompt: Prompt {
                name: name.to_owned(),
                description: String::new(),
                latest: versions,
                labels: BTreeMap::from([("production".to_owned(), versions)]),
            },
            versions: (1..=versions).map(|number| (number, version(number))).collect(),
        }
    }

    /// Reads all pages after a place into what is known.
    fn read(changes: &Changes, place: &mut Place, known: &mut Shelves) {
        loop {
            let page = changes.after(place);
            if page.anew {
                known.clear();
            }
            page.changes.into_iter().for_each(|change| take(known, change));
            *place = page.place;
            if !page.more {
                return;
            }
        }
    }

    #[test]
    fn only_what_is_new_comes_and_nothing_twice() {
        let changes = Changes::default();
        changes.put("a", &entry("p", 2, "x"));
        let first = changes.after(&Place::default());
        assert_eq!((first.anew, first.changes.len(), first.more), (true, 3, false));
        let nothing = changes.after(&first.place);
        assert_eq!((nothing.anew, nothing.changes.len()), (false, 0));
        assert_eq!(nothing.place, first.place);
        changes.put("a", &entry("p", 3, "x"));
        let second = changes.after(&first.place);
        assert!(
            matches!(&second.changes[..], [Change::Version { version, .. }, Change::Prompt { prompt, .. }]
            if version.version == 3 && prompt.latest == 3)
        );
        changes.remove("a", "p");
        let third = changes.after(&second.place);
        assert!(matches!(&third.changes[..], [Change::Removed { .. }]));
        assert_eq!(changes.log().changes.len(), 1, "the versions are not kept");
        let other = Place {
            epoch: "another process".into(),
            number: 3,
        };
        assert!(changes.after(&other).anew);
    }

    #[test]
    fn what_is_long_comes_in_pages() {
        let changes = Changes::default();
        changes.put("a", &entry("p", 20, &"x".repeat(PAGE / 4)));
        let page = changes.after(&Place::default());
        assert!(page.more && page.changes.len() < 6);
        let (mut place, mut known) = (Place::default(), Shelves::default());
        read(&changes, &mut place, &mut known);
        assert_eq!(known["a"]["p"].versions.len(), 20);
    }

    proptest! {
        #[test]
        fn whoever_reads_at_any_times_ends_with_the_same_prompts(
            steps in proptest::collection::vec((0_usize..3, 0_u64..4, any::<bool>()), 1..40),
        ) {
            let changes = Changes::default();
            let (mut place, mut known) = (Place::default(), Shelves::default());
            let mut real: BTreeMap<String, Entry> = BTreeMap::new();
            for (number, (name, versions, reads)) in steps.into_iter().enumerate() {
                let name = format!("p{name}");
                match real.get_mut(&name) {
                    // None is removed; one that is there gets more versions, which never change.
                    Some(_) if versions == 0 => {
                        real.remove(&name);
                        changes.remove("a", &name);
                    }
                    Some(old) => {
                        let more = entry(&name, old.prompt.latest + versions, &number.to_string());
                        let mut next = more.clone();
                        next.versions.extend(old.versions.clone());
                        changes.put("a", &next);
                        *old = next;
                    }
                    None if versions > 0 => {
                        let made = entry(&name, versions, &number.to_string());
                        changes.put("a", &made);
                        real.insert(name, made);
                    }
                    None => {}
                }
                if reads {
                    read(&changes, &mut place, &mut known);
                }
            }
            read(&changes, &mut place, &mut known);
            let project = known.remove("a").unwrap_or_default();
            prop_assert_eq!(project.len(), real.len());
            for (name, wanted) in real {
                let entry = &project[&name];
                prop_assert_eq!(&entry.prompt, &wanted.prompt);
                prop_assert_eq!(&entry.versions, &wanted.versions);
            }
        }
    }
}
