//! Tidying in the background: objects whose owners are gone, what is in a namespace or of a definition that is
//! being deleted, and old events.
//!
//! *Invariant:* it looks at what is, never at what happened, so that a restart goes on where it stopped.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use serde_json::Value;
use stead_kernel::{Principal, Timestamp, Verb};
use tokio::time::{Instant, sleep_until};

use super::{
    Caller, DeleteOptions, Deleted, Engine, Part, Preconditions, Target, WriteOptions,
    delete::{FOREGROUND, ORPHAN},
    draft::Tracking,
    write::target_of,
};
use crate::{
    failure::Outcome,
    kinds::{DEFINITIONS, EVENTS, NAMESPACES, rules::CLEANUP},
    object::{self, metadata_mut},
    store::{Action, Key, StoreError, Write},
};

/// How many objects are worked on at a time, so that their writes share commits.
const CONCURRENCY: usize = 32;
/// After a failure, another try.
const RETRY: Duration = Duration::from_secs(5);
/// How often old events are looked for.
const EVENTS_INTERVAL: Duration = Duration::from_mins(5);
/// How long an event is kept after it was last seen, in seconds.
const EVENTS_KEPT: i64 = 60 * 60;

/// Tidies whenever there may be something to do; ends with the server.
pub(crate) async fn tidy(engine: Arc<Engine>) {
    let signals = Arc::clone(engine.store.signals());
    let mut next_events = Instant::now();
    loop {
        if Instant::now() >= next_events {
            next_events = Instant::now() + EVENTS_INTERVAL;
            report(engine.expire_events().await);
        }
        let complete = report(engine.sweep().await);
        let wake = if complete {
            next_events
        } else {
            next_events.min(Instant::now() + RETRY)
        };
        tokio::select! {
            () = signals.cleanup.notified() => {}
            () = sleep_until(wake) => {}
        }
    }
}

/// Logs a failure; whether there was none.
fn report(outcome: Outcome<()>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(failure) => {
            let message = failure.message();
            tracing::warn!(message, "tidying did not get to its end; it is tried again");
            false
        }
    }
}

fn caller() -> Caller {
    Caller {
        principal: Arc::new(Principal::controller("garbage-collector")),
    }
}

impl Engine {
    /// Does what there is to do now; what follows from it wakes the next sweep.
    pub(crate) async fn sweep(self: &Arc<Self>) -> Outcome<()> {
        let missing = self.store.with_missing_owner().await?;
        self.for_each(missing, |engine, key| async move { engine.disown(&key).await })
            .await?;
        let deleting = self.store.deleting().await?;
        self.for_each(deleting, |engine, key| async move { engine.finish(&key).await })
            .await
    }

    async fn for_each<F, Fut>(self: &Arc<Self>, keys: Vec<Key>, work: F) -> Outcome<()>
    where
        F: Fn(Arc<Self>, Key) -> Fut,
        Fut: Future<Output = Outcome<()>>,
    {
        let results: Vec<Outcome<()>> = stream::iter(keys)
            .map(|key| work(Arc::clone(self), key))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        // One that another writer overtook, or that is gone, needs nothing now: that write wakes the next sweep.
        let serious = |result: &Outcome<()>| matches!(result, Err(failure) if !failure.is_race() && !failure.is_not_found());
        results.into_iter().find(serious).unwrap_or(Ok(()))
    }

    fn found(&self, key: &Key) -> Outcome<Option<(Target, Value)>> {
        let Some(kind) = self.registry.load().stored_at(&key.resource).map(Arc::clone) else {
            return Ok(None);
        };
        let target = target_of(&kind, key);
        Ok(self.load(&target)?.map(|object| (target, object)))
    }

    /// Deletes an object none of whose owners exists; else forgets the owners that are gone.
    async fn disown(self: &Arc<Self>, key: &Key) -> Outcome<()> {
        let Some((target, object)) = self.found(key)? else {
            return Ok(());
        };
        let mut kept = Vec::new();
        for owner in object::owners(&object) {
            if self
                .store
                .exists_owner(object::top(owner, "uid"), &key.namespace)?
            {
                kept.push(owner.clone());
            }
        }
        if kept.is_empty() {
            return self.remove(&target, &object).await;
        }
        let mut new = object.clone();
        metadata_mut(&mut new).insert("ownerReferences".into(), kept.into());
        self.change(&target, object, new).await
    }

    async fn remove(&self, target: &Target, object: &Value) -> Outcome<()> {
        if object::is_deleting(object) {
            return Ok(());
        }
        let options = DeleteOptions {
            preconditions: Preconditions {
                uid: object::uid(object).into(),
                version: String::new(),
            },
            ..DeleteOptions::default()
        };
        match self.delete(&caller(), target, &options).await? {
            Deleted::Gone(_) | Deleted::Waiting(_) => Ok(()),
        }
    }

    async fn change(&self, target: &Target, old: Value, new: Value) -> Outcome<()> {
        let options = WriteOptions {
            manager: "garbage-collector".into(),
            ..WriteOptions::default()
        };
        self.replace(
            &caller(),
            target,
            &options,
            (old, new),
            Tracking::Compare,
            Verb::Update,
        )
        .await?;
        Ok(())
    }

    /// Brings one deletion further.
    async fn finish(self: &Arc<Self>, key: &Key) -> Outcome<()> {
        let Some((target, object)) = self.found(key)? else {
            return Ok(());
        };
        if !object::is_deleting(&object) {
            return Ok(());
        }
        let finalizers = object::finalizers(&object);
        if finalizers.contains(&ORPHAN) {
            return self.set_free(&target, object).await;
        }
        if finalizers.contains(&FOREGROUND) {
            let owner = object::uid(&object).into();
            let dependents = self.store.dependents(owner, &key.namespace).await?;
            return self.after(&target, object, dependents, FOREGROUND).await;
        }
        if *key.resource == *NAMESPACES {
            return self.finish_namespace(&target, object).await;
        }
        if *key.resource == *DEFINITIONS && finalizers.contains(&CLEANUP) {
            let storage = format!(
                "{}/{}",
                object
                    .pointer("/spec/group")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                object
                    .pointer("/spec/names/plural")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
            let objects = self.store.keys_of(&storage, None).await?;
            return self.after(&target, object, objects, CLEANUP).await;
        }
        Ok(())
    }

    /// Removes the objects, and when there are none left, the finalizer that waited for that.
    async fn after(
        self: &Arc<Self>,
        target: &Target,
        object: Value,
        waiting_for: Vec<Key>,
        finalizer: &str,
    ) -> Outcome<()> {
        if !waiting_for.is_empty() {
            return self.remove_all(waiting_for).await;
        }
        let mut new = object.clone();
        let rest: Vec<&str> = object::finalizers(&object)
            .into_iter()
            .filter(|other| *other != finalizer)
            .collect();
        object::set_finalizers(&mut new, rest);
        self.change(target, object, new).await
    }

    async fn remove_all(self: &Arc<Self>, keys: Vec<Key>) -> Outcome<()> {
        // Boxed: a namespace's objects may be removed by what removes objects.
        Box::pin(self.for_each(keys, |engine, key| async move {
            match engine.found(&key)? {
                Some((target, object)) => engine.remove(&target, &object).await,
                None => Ok(()),
            }
        }))
        .await
    }

    /// Takes an owner out of its dependents' references, then lets it go.
    async fn set_free(self: &Arc<Self>, target: &Target, object: Value) -> Outcome<()> {
        let uid = object::uid(&object).to_owned();
        for key in self.store.dependents(uid.clone(), &target.namespace).await? {
            let Some((dependent, old)) = self.found(&key)? else {
                continue;
            };
            let kept: Vec<Value> = object::owners(&old)
                .iter()
                .filter(|owner| object::top(owner, "uid") != uid)
                .cloned()
                .collect();
            let mut new = old.clone();
            if kept.is_empty() {
                metadata_mut(&mut new).shift_remove("ownerReferences");
            } else {
                metadata_mut(&mut new).insert("ownerReferences".into(), kept.into());
            }
            self.change(&dependent, old, new).await?;
        }
        self.after(target, object, Vec::new(), ORPHAN).await
    }

    /// Removes what is in a namespace, and then the namespace.
    async fn finish_namespace(self: &Arc<Self>, target: &Target, object: Value) -> Outcome<()> {
        let registry = self.registry.load_full();
        let mut content = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for kind in registry.types().iter().filter(|kind| kind.namespaced) {
            if !seen.contains(&&*kind.storage) {
                seen.push(&kind.storage);
                content.extend(self.store.keys_of(&kind.storage, Some(&target.name)).await?);
            }
        }
        if !content.is_empty() {
            return self.remove_all(content).await;
        }
        if !object::finalizers(&object).is_empty() {
            return Ok(());
        }
        let write = Write {
            key: target.key(),
            action: Action::RemoveEmpty {
                expected: object::version(&object),
            },
            audit: self.audit(&caller(), Verb::Delete, target, ""),
            was: None,
        };
        match self.store.write(write).await {
            Ok(_) | Err(StoreError::NotEmpty | StoreError::Conflict | StoreError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the events that nobody has seen for an hour.
    async fn expire_events(self: &Arc<Self>) -> Outcome<()> {
        let Some(kind) = self.registry.load().find("", "v1", "events").map(Arc::clone) else {
            return Ok(());
        };
        debug_assert_eq!(&*kind.storage, EVENTS, "both groups share one storage");
        let target = Target {
            kind,
            namespace: String::new(),
            name: String::new(),
            part: Part::Main,
        };
        let now = self.clock.now();
        let old: Vec<Key> = self
            .all(&target)
            .await?
            .iter()
            .filter(|event| is_old(event, now))
            .map(|event| target.named(object::namespace(event), object::name(event)).key())
            .collect();
        self.remove_all(old).await
    }
}

fn is_old(event: &Value, now: Timestamp) -> bool {
    [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .filter_map(|path| event.pointer(path)?.as_str()?.parse::<Timestamp>().ok())
    .max()
    .is_some_and(|seen| now.as_second() - seen.as_second() > EVENTS_KEPT)
}
