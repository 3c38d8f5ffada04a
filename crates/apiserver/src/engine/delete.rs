//! Deleting: at once, or when the last finalizer is gone.

use std::sync::Arc;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use stead_kernel::{DEFAULT_PROJECT, Verb};

use super::{Caller, Engine, ListOptions, Target, definitions::set_condition, draft::next_generation};
use crate::{
    failure::{Failure, Outcome},
    kinds::rules::{CLEANUP, Rules},
    object::{self, map_mut, metadata_mut},
    store::{Action, Write},
};

/// The finalizer that keeps an owner until its dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until its dependents are set free.
pub(super) const ORPHAN: &str = "orphan";
/// How often a deletion that others overtook is tried again.
const RETRIES: usize = 8;
/// How many objects of a collection are deleted at a time.
const CONCURRENCY: usize = 32;

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What must hold for a deletion.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: String,
    pub(crate) version: String,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) dry_run: bool,
    pub(crate) propagation: Propagation,
    pub(crate) preconditions: Preconditions,
}

/// What a deletion did.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this is the last it was.
    Gone(Value),
    /// The object waits for its finalizers.
    Waiting(Value),
}

impl Engine {
    /// Deletes an object.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
    ) -> Outcome<Deleted> {
        for _ in 0..RETRIES {
            let old = self.get(target)?;
            check_preconditions(target, &old, &options.preconditions)?;
            if target.kind.rules == Rules::Namespace && target.name == DEFAULT_PROJECT {
                let why = "this namespace may not be deleted";
                return Err(Failure::forbidden(&target.kind, &target.name, why));
            }
            match self.try_delete(caller, target, options, old).await {
                Err(failure) if failure.is_race() && options.preconditions.version.is_empty() => {}
                result => return result,
            }
        }
        Err(Failure::changed(&target.kind, &target.name))
    }

    async fn try_delete(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
        old: Value,
    ) -> Outcome<Deleted> {
        let audit = self.audit(caller, Verb::Delete, target, "");
        let marked = self.mark(target, options, &old);
        let waits = !object::finalizers(&marked).is_empty() || target.kind.rules == Rules::Namespace;
        if options.dry_run {
            return Ok(if waits {
                Deleted::Waiting(marked)
            } else {
                Deleted::Gone(old)
            });
        }
        if waits {
            if marked == old {
                return Ok(Deleted::Waiting(old));
            }
            let object = self.store_change(target, &old, marked, audit).await?;
            return Ok(Deleted::Waiting(object));
        }
        let write = Write {
            key: target.key(),
            action: Action::Remove {
                expected: object::version(&old),
            },
            audit,
            was: None,
        };
        self.write(target, write).await?;
        self.definitions_changed(target).await;
        Ok(Deleted::Gone(old))
    }

    /// The object as it is when its deletion has begun.
    fn mark(&self, target: &Target, options: &DeleteOptions, old: &Value) -> Value {
        let mut object = old.clone();
        let mut finalizers: Vec<String> = object::finalizers(old)
            .into_iter()
            .filter(|finalizer| !matches!(*finalizer, FOREGROUND | ORPHAN))
            .map(str::to_owned)
            .collect();
        match options.propagation {
            Propagation::Background if object::is_deleting(old) => {
                finalizers = object::finalizers(old).into_iter().map(str::to_owned).collect();
            }
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(FOREGROUND.into()),
            Propagation::Orphan => finalizers.push(ORPHAN.into()),
        }
        let begins = target.kind.rules == Rules::Definition && !object::is_deleting(old);
        if begins && !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            finalizers.push(CLEANUP.into());
        }
        object::set_finalizers(&mut object, finalizers);
        if object::is_deleting(old) {
            return object;
        }
        let now = self.now();
        let metadata = metadata_mut(&mut object);
        metadata.insert("deletionTimestamp".into(), now.clone().into());
        if target.kind.rules != Rules::Namespace {
            metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
        }
        if target.kind.counted {
            next_generation(&mut object);
        }
        match target.kind.rules {
            Rules::Namespace => {
                map_mut(&mut object, "status").insert("phase".into(), "Terminating".into());
            }
            Rules::Definition => {
                let message =
                    "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
                let why = ("True", "InstanceDeletionPending", message);
                set_condition(&mut object, "Terminating", why, &now);
            }
            Rules::None
            | Rules::Role
            | Rules::Binding
            | Rules::Account
            | Rules::Secret
            | Rules::ConfigMap
            | Rules::Event
            | Rules::Lease => {}
        }
        object
    }

    /// Deletes the objects that match; returns what they were.
    pub(crate) async fn delete_collection(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        list: ListOptions,
        options: &DeleteOptions,
    ) -> Outcome<Vec<Value>> {
        let items = self.list(target, list).await?.items;
        let deletions = items.into_iter().map(|item| async move {
            let named = target.named(object::namespace(&item), object::name(&item));
            let mut options = options.clone();
            options.preconditions.uid = object::uid(&item).into();
            match self.delete(caller, &named, &options).await {
                Ok(Deleted::Gone(_) | Deleted::Waiting(_)) => Ok(Some(item)),
                Err(failure) if failure.is_not_found() => Ok(None),
                Err(failure) => Err(failure),
            }
        });
        let results: Vec<Outcome<Option<Value>>> =
            stream::iter(deletions).buffered(CONCURRENCY).collect().await;
        let objects: Outcome<Vec<Option<Value>>> = results.into_iter().collect();
        Ok(objects?.into_iter().flatten().collect())
    }
}

fn check_preconditions(target: &Target, old: &Value, conditions: &Preconditions) -> Outcome<()> {
    let (uid, version) = (object::uid(old), object::text(old, "resourceVersion"));
    for (what, wanted, found) in [
        ("UID", &conditions.uid, uid),
        ("ResourceVersion", &conditions.version, version),
    ] {
        if !wanted.is_empty() && wanted != found {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
                 might have been deleted and then recreated"
            );
            return Err(Failure::precondition(&target.kind, &target.name, &why));
        }
    }
    Ok(())
}

/// The answer to a deletion that is complete.
pub(crate) fn gone_status(target: &Target, object: &Value) -> Value {
    let mut details = json!({
        "name": object::name(object),
        "kind": target.kind.plural,
        "uid": object::uid(object),
    });
    if !target.kind.group.is_empty() {
        object::root_mut(&mut details).insert("group".into(), target.kind.group.clone().into());
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}
