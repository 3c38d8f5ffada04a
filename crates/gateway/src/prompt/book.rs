//! All prompts in memory, and their changes in the record store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Clock, Collection, Error, Result,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    LATEST, PROMPTS, Prompt, Template, VERSIONS, Version,
    changes::Changes,
    render,
    shelves::{Choice, Entry, Shelves, new_prompt},
};

/// The most versions of a prompt.
const VERSION_LIMIT: u64 = 10_000;
/// How often a change is tried again after somebody else was faster.
const TRIES: u32 = 5;

/// All prompts.
pub(crate) struct Book {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    projects: ArcSwap<Shelves>,
    /// One change at a time is taken into memory.
    change: Mutex<()>,
    /// What changed, for other processes.
    changes: Changes,
    /// Whether they were read.
    known: watch::Sender<bool>,
}

/// A new version.
pub(crate) struct Draft {
    pub(crate) name: String,
    /// What the prompt is for; what it was for before when absent.
    pub(crate) purpose: Option<String>,
    pub(crate) template: Template,
    /// What is different.
    pub(crate) description: String,
    pub(crate) author: String,
}

impl Book {
    /// A book without prompts.
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self {
            records,
            clock,
            projects: ArcSwap::default(),
            change: Mutex::default(),
            changes: Changes::default(),
            known: watch::channel(false).0,
        }
    }

    /// What changed, for other processes.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Everything.
    pub(super) fn shelves(&self) -> Shelves {
        Shelves::clone(&self.projects.load())
    }

    /// Everything is as given, as another process told.
    pub(super) fn replace(&self, shelves: Shelves) {
        self.projects.store(Arc::new(shelves));
        self.known.send_replace(true);
    }

    /// There are none, and nowhere to keep any.
    pub(crate) fn have_none(&self) {
        self.replace(Shelves::default());
    }

    /// Whether the prompts were read; before, none can be named.
    pub(crate) fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Waits until the prompts were read, not longer than given.
    pub(crate) async fn wait(&self, limit: Duration) {
        let mut known = self.known.subscribe();
        let _ = tokio::time::timeout(limit, known.wait_for(|known| *known)).await;
    }

    /// Reads every prompt from the records.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn read(&self) -> Result<()> {
        let mut projects: HashMap<String, HashMap<String, Entry>> = HashMap::new();
        for record in all(&self.records, PROMPTS, None).await? {
            let Some(prompt) = parsed::<Prompt>(&record) else {
                continue;
            };
            let entry = Entry::of(prompt);
            projects
                .entry(record.key.project)
                .or_default()
                .insert(entry.prompt.name.clone(), entry);
        }
        for record in all(&self.records, VERSIONS, None).await? {
            let Some(version) = parsed::<Version>(&record) else {
                continue;
            };
            let project = projects.get_mut(&record.key.project);
            if let Some(entry) = project.and_then(|project| project.get_mut(&version.name)) {
                entry.versions.insert(version.version, Arc::new(version));
            }
        }
        let shared = |project: HashMap<String, Entry>| {
            project.into_iter().map(|(name, entry)| (name, Arc::new(entry)))
        };
        let shelves: Shelves = projects
            .into_iter()
            .map(|(name, project)| (name, shared(project).collect()))
            .collect();
        for (project, entries) in &shelves {
            for entry in entries.values() {
                self.changes.put(project, entry);
            }
        }
        self.replace(shelves);
        Ok(())
    }

    /// Whether it is known that there is no prompt in a project.
    pub(crate) fn has_none(&self, project: &str) -> bool {
        let projects = self.projects.load();
        self.is_known() && projects.get(project).is_none_or(HashMap::is_empty)
    }

    /// Whether a project has a prompt of this name.
    pub(crate) fn has(&self, project: &str, name: &str) -> bool {
        self.projects
            .load()
            .get(project)
            .is_some_and(|project| project.contains_key(name))
    }

    /// A version of a prompt.
    pub(crate) fn find(&self, project: &str, name: &str, choice: &Choice) -> Option<Arc<Version>> {
        let projects = self.projects.load();
        projects.get(project)?.get(name)?.find(choice).cloned()
    }

    /// A prompt with its versions.
    pub(crate) fn entry(&self, project: &str, name: &str) -> Option<Arc<Entry>> {
        self.projects.load().get(project)?.get(name).cloned()
    }

    /// The prompts of a project, by name.
    pub(crate) fn list(&self, project: &str) -> Vec<Prompt> {
        let projects = self.projects.load();
        let entries = projects.get(project).into_iter().flat_map(HashMap::values);
        let mut prompts: Vec<Prompt> = entries.map(|entry| entry.prompt.clone()).collect();
        prompts.sort_by(|a, b| a.name.cmp(&b.name));
        prompts
    }

    /// Adds a version, and with the first one the prompt.
    ///
    /// # Errors
    /// When the name or the template is not right, or there are too many versions.
    pub(crate) async fn add(&self, project: &str, draft: Draft) -> Result<Arc<Version>> {
        check_name("name", &draft.name)?;
        render::check(&draft.template).map_err(|error| Error::invalid(format!("template: {error}")))?;
        let mut version = Version {
            name: draft.name.clone(),
            version: 0,
            id: Uuid::now_v7().to_string(),
            template: draft.template,
            description: draft.description,
            author: draft.author,
            created: self.clock.now(),
        };
        for _ in 0..TRIES {
            let found = self.stored(project, &draft.name).await?;
            let (mut prompt, expected) = found.unwrap_or_else(|| (new_prompt(&draft.name), 0));
            if prompt.latest >= VERSION_LIMIT {
                return Err(Error::exhausted(format!(
                    "prompt {} has {VERSION_LIMIT} versions, which is all",
                    prompt.name
                )));
            }
            prompt.latest += 1;
            if let Some(purpose) = &draft.purpose {
                prompt.description.clone_from(purpose);
            }
            version.version = prompt.latest;
            let writes = vec![
                put(PROMPTS, project, draft.name.clone(), expected, &prompt)?,
                put(
                    VERSIONS,
                    project,
                    version_id(&draft.name, version.version),
                    0,
                    &version,
                )?,
            ];
            match self.records.commit(writes).await {
                Ok(_) => {
                    self.refresh(project, &draft.name).await?;
                    return Ok(Arc::new(version));
                }
                Err(error) if error.reason() == stead_kernel::Reason::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy(&draft.name))
    }

    /// Lets a label point to a version, or to none.
    ///
    /// # Errors
    /// When there is no such prompt or version, or the label's name is not right.
    pub(crate) async fn label(
        &self,
        project: &str,
        name: &str,
        label: &str,
        version: Option<u64>,
    ) -> Result<Prompt> {
        check_name("label", label)?;
        if label == LATEST || label.parse::<u64>().is_ok() {
            return Err(Error::invalid(format!(
                "label: `{label}` always means a version already"
            )));
        }
        for _ in 0..TRIES {
            let (mut prompt, expected) = self.stored(project, name).await?.ok_or_else(|| unknown(name))?;
            match version {
                Some(number) if number == 0 || number > prompt.latest => {
                    return Err(Error::not_found(format!("prompt {name} has no version {number}")));
                }
                Some(number) => {
                    prompt.labels.insert(label.to_owned(), number);
                }
                None if prompt.labels.remove(label).is_none() => {
                    return Err(Error::not_found(format!("prompt {name} has no label {label}")));
                }
                None => {}
            }
            let write = put(PROMPTS, project, name.to_owned(), expected, &prompt)?;
            match self.records.commit(vec![write]).await {
                Ok(_) => {
                    self.refresh(project, name).await?;
                    return Ok(prompt);
                }
                Err(error) if error.reason() == stead_kernel::Reason::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(busy(name))
    }

    /// Removes a prompt with all its versions.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn remove(&self, project: &str, name: &str) -> Result<()> {
        let (_, expected) = self.stored(project, name).await?.ok_or_else(|| unknown(name))?;
        let versions = all(&self.records, VERSIONS, Some((project, name))).await?;
        let mut writes = vec![RecordWrite::Delete {
            key: key(PROMPTS, project, name.to_owned()),
            expected: Some(expected),
        }];
        writes.extend(versions.into_iter().map(|record| RecordWrite::Delete {
            key: record.key,
            expected: None,
        }));
        self.records.commit(writes).await?;
        self.refresh(project, name).await
    }

    async fn stored(&self, project: &str, name: &str) -> Result<Option<(Prompt, u64)>> {
        let record = self.records.get(&key(PROMPTS, project, name.to_owned())).await?;
        Ok(record.and_then(|record| Some((parsed(&record)?, record.version))))
    }

    /// Takes what the store says about a prompt into memory.
    async fn refresh(&self, project: &str, name: &str) -> Result<()> {
        let prompt = self.stored(project, name).await?;
        let versions = all(&self.records, VERSIONS, Some((project, name))).await?;
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut projects = HashMap::clone(&self.projects.load());
        let entries = projects.entry(project.to_owned()).or_default();
        if let Some((prompt, _)) = prompt {
            let versions = versions.iter().filter_map(parsed::<Version>);
            let versions = versions
                .map(|version| (version.version, Arc::new(version)))
                .collect();
            let newer = entries
                .get(name)
                .is_none_or(|entry| entry.prompt.latest <= prompt.latest);
            if newer {
                let entry = Arc::new(Entry { prompt, versions });
                self.changes.put(project, &entry);
                entries.insert(name.to_owned(), entry);
            }
        } else {
            entries.remove(name);
            self.changes.remove(project, name);
        }
        self.projects.store(Arc::new(projects));
        Ok(())
    }
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("there is no prompt {name}"))
}

fn busy(name: &str) -> Error {
    Error::conflict(format!("prompt {name} is being changed by others; try again"))
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=100).contains(&name.len()) && name.bytes().all(letter) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what}: at most 100 letters, digits, dashes, dots and underscores"
    )))
}

fn version_id(name: &str, version: u64) -> String {
    format!("{name}@{version}")
}

fn key(collection: Collection, project: &str, id: String) -> RecordKey {
    RecordKey {
        collection: collection.name.to_owned(),
        project: project.to_owned(),
        id,
    }
}

fn put(
    collection: Collection,
    project: &str,
    id: String,
    expected: u64,
    body: &impl Serialize,
) -> Result<RecordWrite> {
    let body = serde_json::to_value(body)
        .map_err(|error| Error::internal("a prompt cannot be written").because(error))?;
    Ok(RecordWrite::Put {
        key: key(collection, project, id),
        expected: Some(expected),
        body,
    })
}

fn parsed<T: DeserializeOwned>(record: &Record) -> Option<T> {
    let read = T::deserialize(&record.body);
    if let Err(error) = &read {
        tracing::warn!(id = record.key.id, %error, "a record of a prompt cannot be read; it is left out");
    }
    read.ok()
}

/// Every record of a collection, or those of one prompt.
async fn all(
    records: &Arc<dyn Records>,
    collection: Collection,
    of: Option<(&str, &str)>,
) -> Result<Vec<Record>> {
    let mut query = RecordQuery {
        collection: collection.name.to_owned(),
        limit: 500,
        ..RecordQuery::default()
    };
    if let Some((project, name)) = of {
        query.project = Some(project.to_owned());
        query.equals = vec![("name".to_owned(), Value::from(name))];
    }
    let mut found = Vec::new();
    loop {
        let page = records.list(query.clone()).await?;
        found.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use stead_kernel::Reason;
    use stead_testkit::World;

    use super::*;
    use crate::prompt::{TemplateMessage, TemplateRole};

    fn draft(name: &str, template: Template) -> Draft {
        Draft {
            name: name.to_owned(),
            purpose: None,
            template,
            description: String::new(),
            author: "ada".to_owned(),
        }
    }

    fn developer(text: &str) -> Template {
        Template::Messages(vec![TemplateMessage {
            role: TemplateRole::Developer,
            content: text.to_owned(),
        }])
    }

    fn empty() -> (World, Book) {
        let world = World::new();
        let ports = world.context().ports;
        let book = Book::new(ports.records, ports.clock);
        book.replace(Shelves::default());
        (world, book)
    }

    /// A book with the prompt `greet` of two versions, the second of which is in production.
    pub(crate) async fn book() -> Book {
        let (_world, book) = empty();
        let first = Template::Text("Greet {{ who }}.".into());
        book.add("default", draft("greet", first)).await.unwrap();
        let second = developer("Be kind to {{ who }}.");
        book.add("default", draft("greet", second)).await.unwrap();
        book.label("default", "greet", "production", Some(2))
            .await
            .unwrap();
        book
    }

    #[tokio::test]
    async fn versions_count_up_and_labels_move() {
        let (_world, book) = empty();
        let first = book
            .add("a", draft("p", Template::Text("1".into())))
            .await
            .unwrap();
        let second = book
            .add("a", draft("p", Template::Text("2".into())))
            .await
            .unwrap();
        assert_eq!((first.version, second.version), (1, 2));
        let found = |choice| book.find("a", "p", &choice).map(|version| version.version);
        assert_eq!(found(Choice::Default), Some(2), "the newest, without a label");
        book.label("a", "p", "production", Some(1)).await.unwrap();
        assert_eq!(found(Choice::Default), Some(1));
        assert_eq!(found(Choice::parse("latest")), Some(2));
        assert_eq!(found(Choice::parse("2")), Some(2));
        assert_eq!(found(Choice::parse(&first.id)), Some(1));
        assert_eq!(
            (found(Choice::parse("3")), found(Choice::parse("other"))),
            (None, None)
        );
        assert!(book.find("b", "p", &Choice::Default).is_none(), "another project");
        book.label("a", "p", "production", None).await.unwrap();
        assert_eq!(found(Choice::Default), Some(2));
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused() {
        let (_world, book) = empty();
        let reason = |result: Result<Arc<Version>>| result.err().map(|error| error.reason());
        let bad = book.add("a", draft("a b", Template::Text(String::new()))).await;
        assert_eq!(reason(bad), Some(Reason::Invalid));
        let bad = book.add("a", draft("p", Template::Text("{{".into()))).await;
        assert_eq!(reason(bad), Some(Reason::Invalid));
        book.add("a", draft("p", Template::Text("x".into())))
            .await
            .unwrap();
        for (label, version, expected) in [
            ("x", Some(2), Reason::NotFound),
            ("x", Some(0), Reason::NotFound),
            ("x", None, Reason::NotFound),
            ("latest", Some(1), Reason::Invalid),
            ("7", Some(1), Reason::Invalid),
        ] {
            let refused = book.label("a", "p", label, version).await.unwrap_err();
            assert_eq!(refused.reason(), expected, "{label} {version:?}");
        }
        assert_eq!(
            book.remove("a", "q").await.unwrap_err().reason(),
            Reason::NotFound
        );
    }

    #[tokio::test]
    async fn what_was_kept_is_read_again_and_what_was_removed_is_gone() {
        let (world, book) = empty();
        book.add("a", draft("p", Template::Text("x".into())))
            .await
            .unwrap();
        book.add("a", draft("q", developer("y"))).await.unwrap();
        book.remove("a", "q").await.unwrap();
        assert!(!book.has("a", "q"));
        let ports = world.context().ports;
        let again = Book::new(ports.records, ports.clock);
        assert!(!again.has_none("a"), "nothing is known yet");
        again.read().await.unwrap();
        assert!(again.has_none("b"));
        assert_eq!(again.list("a"), book.list("a"));
        assert_eq!(
            again.find("a", "p", &Choice::Default),
            book.find("a", "p", &Choice::Default)
        );
    }
}
