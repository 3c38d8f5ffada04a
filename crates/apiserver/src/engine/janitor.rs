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
    Caller, DeleteOptions, Deleted, Engine, Part, Preconditions, Propagation, Target, WriteOptions,
    delete::{FOREGROUND, ORPHAN},
    draft::Tracking,
    write::target_of,
};
use crate::{
    failure::Outcome,
    kinds::{DEFINITIONS, EVENTS, NAMESPACES, rules::CLEANUP},
    object::{self, metadata_mut},
    store::Key,
};

/// Who owns what is changed here, as in the original.
const MANAGER: &str = "kube-controller-manager";
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

pub(super) fn caller() -> Caller {
    Caller::of(Principal::controller("garbage-collector"))
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

    pub(super) async fn for_each<F, Fut>(self: &Arc<Self>, keys: Vec<Key>, work: F) -> Outcome<()>
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

    pub(super) fn found(&self, key: &Key) -> Outcome<Option<(Target, Value)>> {
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
            return self.remove(&target, &object, Propagation::Background).await;
        }
        let mut new = object.clone();
        metadata_mut(&mut new).insert("ownerReferences".into(), kept.into());
        self.change(&target, object, new).await
    }

    async fn remove(&self, target: &Target, object: &Value, propagation: Propagation) -> Outcome<()> {
        if object::is_deleting(object) {
            return Ok(());
        }
        let options = DeleteOptions {
            propagation,
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

    pub(super) async fn change(&self, target: &Target, old: Value, new: Value) -> Outcome<()> {
        let options = WriteOptions {
            manager: MANAGER.into(),
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
            return self.go_last(&target, object).await;
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

    /// Removes the dependents that an owner waits for, and when there are none left, lets it go. Dependents that do not
    /// block it go when it is gone.
    async fn go_last(self: &Arc<Self>, target: &Target, object: Value) -> Outcome<()> {
        let uid = object::uid(&object).to_owned();
        let mut blocking = Vec::new();
        for key in self.store.dependents(uid.clone(), &target.namespace).await? {
            if let Some((dependent, found)) = self.found(&key)?
                && blocks(&found, &uid)
            {
                blocking.push((dependent, found));
            }
        }
        if blocking.is_empty() {
            return self.after(target, object, Vec::new(), FOREGROUND).await;
        }
        for (dependent, found) in blocking {
            match self.go_before(&dependent, found).await {
                Err(failure) if !failure.is_race() && !failure.is_not_found() => return Err(failure),
                Err(_) | Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Removes a dependent whose owner waits for that; one that has another owner is set free instead, and one whose own
    /// dependents wait for theirs, which may be the owner itself, lets the owner go.
    async fn go_before(self: &Arc<Self>, target: &Target, object: Value) -> Outcome<()> {
        let mut solid = Vec::new();
        for owner in object::owners(&object) {
            let found = self.owner(owner, &target.namespace)?;
            if found.is_some_and(|found| !waits(&found)) {
                solid.push(owner.clone());
            }
        }
        if !solid.is_empty() {
            let mut new = object.clone();
            metadata_mut(&mut new).insert("ownerReferences".into(), solid.into());
            return self.change(target, object, new).await;
        }
        let mut propagation = Propagation::Background;
        for key in self
            .store
            .dependents(object::uid(&object).to_owned(), &target.namespace)
            .await?
        {
            propagation = Propagation::Foreground;
            if self.found(&key)?.is_some_and(|(_, found)| waits(&found)) {
                let mut new = object.clone();
                unblock(&mut new);
                self.change(target, object.clone(), new).await?;
                let Some((_, changed)) = self.found(&target.key())? else {
                    return Ok(());
                };
                return self.remove(target, &changed, propagation).await;
            }
        }
        self.remove(target, &object, propagation).await
    }

    /// The object that a reference names, if it is there.
    fn owner(&self, reference: &Value, namespace: &str) -> Outcome<Option<Value>> {
        let key = self
            .store
            .key_of_owner(object::top(reference, "uid"), namespace)?;
        let Some(key) = key else { return Ok(None) };
        Ok(self.found(&key)?.map(|(_, object)| object))
    }

    pub(super) async fn remove_all(self: &Arc<Self>, keys: Vec<Key>) -> Outcome<()> {
        // Boxed: a namespace's objects may be removed by what removes objects.
        Box::pin(self.for_each(keys, |engine, key| async move {
            match engine.found(&key)? {
                Some((target, object)) => engine.remove(&target, &object, Propagation::Background).await,
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

/// Whether an object is being deleted and waits for its dependents.
fn waits(object: &Value) -> bool {
    object::is_deleting(object) && object::finalizers(object).contains(&FOREGROUND)
}

/// Whether the owner with this uid has to wait for the object.
fn blocks(object: &Value, uid: &str) -> bool {
    object::owners(object).iter().any(|owner| {
        let blocking = owner.get("blockOwnerDeletion").and_then(Value::as_bool);
        object::top(owner, "uid") == uid && blocking == Some(true)
    })
}

/// Lets an object's owners go before it.
fn unblock(object: &mut Value) {
    let owners = metadata_mut(object).get_mut("ownerReferences");
    for owner in owners.and_then(Value::as_array_mut).into_iter().flatten() {
        object::root_mut(owner).insert("blockOwnerDeletion".into(), false.into());
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
