//! Creating and updating.

use std::sync::Arc;

use serde_json::Value;
use stead_kernel::Verb;
use stead_resource::{
    FieldError, FieldErrorKind,
    apply::{ApplyError, Manager, server_side_apply},
};

use super::{
    Caller, Engine, Part, PatchKind, Target, WriteOptions, Written,
    draft::{Tracking, clean, resets},
    identify::Origin,
    metadata,
};
use crate::{
    failure::{Failure, Outcome},
    kinds::rules::Rules,
    object::{self, metadata_mut},
    store::{Action, StoreError, Write},
};

/// How often a write that others overtook is tried again.
const RETRIES: usize = 8;

impl Engine {
    /// Makes an object; `target` has its name if the path has.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        target: &Target,
        mut body: Value,
        options: &WriteOptions,
    ) -> Outcome<Written> {
        let mut warnings: Vec<String> = target.kind.warning.iter().cloned().collect();
        clean(target, &mut body, options, Origin::Sent, &mut warnings)?;
        if object::version(&body) != 0 {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Failure::plain(message).warned(warnings));
        }
        let given = !object::name(&body).is_empty();
        if !given && object::text(&body, "generateName").is_empty() {
            let why = "name or generateName is required";
            let error = FieldError::new("metadata.name", FieldErrorKind::Required, why);
            return Err(Failure::invalid(&target.kind, "", &[error]).warned(warnings));
        }
        let made = self.create_given(caller, target, (body, given), options).await;
        match made {
            Ok(object) => Ok(Written {
                object,
                created: true,
                warnings,
            }),
            Err(failure) => Err(failure.warned(warnings)),
        }
    }

    /// Makes an object, with a name that is generated if none was given.
    async fn create_given(
        &self,
        caller: &Caller,
        target: &Target,
        (mut body, given): (Value, bool),
        options: &WriteOptions,
    ) -> Outcome<Value> {
        let prefix = object::text(&body, "generateName").to_owned();
        for _ in 0..RETRIES {
            if !given {
                let name = format!("{prefix}{}", metadata::suffix());
                metadata_mut(&mut body).insert("name".into(), name.into());
            }
            let named = target.named(&target.namespace, object::name(&body));
            match self
                .create_named(
                    caller,
                    &named,
                    body.clone(),
                    options,
                    Tracking::Compare,
                    Verb::Create,
                )
                .await
            {
                Err(failure) if !given && failure.is_exists() => {}
                made => return made,
            }
        }
        Err(Failure::exists(&target.kind, &prefix))
    }

    async fn create_named(
        &self,
        caller: &Caller,
        target: &Target,
        body: Value,
        options: &WriteOptions,
        tracking: Tracking,
        verb: Verb,
    ) -> Outcome<Value> {
        let _turn = self.definition_turn(target).await;
        let object = self.draft(caller, target, options, None, body, tracking)?;
        if options.dry_run {
            return match self.load(target)? {
                Some(_) => Err(Failure::exists(&target.kind, &target.name)),
                None => Ok(object),
            };
        }
        let key = target.key();
        let action = Action::Create {
            uid: object::uid(&object).into(),
            content: self.encode(&target.kind, &key, &object)?,
            definition: target.kind.definition(),
        };
        let audit = self.audit(caller, verb, target, &options.manager);
        let write = Write {
            key,
            action,
            audit,
            was: None,
        };
        let version = self.write(target, write).await?;
        self.definitions_changed(target).await;
        Ok(with_version(object, version))
    }

    /// Replaces an object, or its status.
    pub(crate) async fn update(
        &self,
        caller: &Caller,
        target: &Target,
        mut body: Value,
        options: &WriteOptions,
    ) -> Outcome<Written> {
        let mut warnings: Vec<String> = target.kind.warning.iter().cloned().collect();
        clean(target, &mut body, options, Origin::Sent, &mut warnings)?;
        let unconditional = object::version(&body) == 0;
        for _ in 0..RETRIES {
            let old = match self.load(target)? {
                Some(old) => old,
                None if target.kind.rules.creates_on_update() && target.part == Part::Main => {
                    let object = self
                        .create_named(caller, target, body, options, Tracking::Compare, Verb::Create)
                        .await?;
                    return Ok(Written {
                        object,
                        created: true,
                        warnings,
                    });
                }
                None => return Err(Failure::not_found(&target.kind, &target.name).warned(warnings)),
            };
            let uids = (object::uid(&body), object::uid(&old));
            if !uids.0.is_empty() && uids.0 != uids.1 {
                return Err(Failure::other_uid(&target.kind, &target.name, uids).warned(warnings));
            }
            if unconditional && (target.kind.defined || target.kind.rules == Rules::Lease) {
                return Err(Failure::unconditional(&target.kind, &target.name).warned(warnings));
            }
            match self
                .replace(
                    caller,
                    target,
                    options,
                    (old, body.clone()),
                    Tracking::Compare,
                    Verb::Update,
                )
                .await
            {
                Err(failure) if unconditional && failure.is_race() => {}
                Err(failure) => return Err(failure.warned(warnings)),
                Ok(object) => {
                    return Ok(Written {
                        object,
                        created: false,
                        warnings,
                    });
                }
            }
        }
        Err(Failure::changed(&target.kind, &target.name))
    }

    /// Changes an object by a patch; an apply makes it if it is not there.
    pub(crate) async fn patch(
        &self,
        caller: &Caller,
        target: &Target,
        kind: PatchKind,
        mut patch: Value,
        options: &WriteOptions,
    ) -> Outcome<Written> {
        let mut warnings: Vec<String> = target.kind.warning.iter().cloned().collect();
        if kind == PatchKind::Apply {
            clean(target, &mut patch, options, Origin::Applied, &mut warnings)?;
        }
        for _ in 0..RETRIES {
            let old = self.load(target)?;
            let attempt = match (kind, old) {
                (PatchKind::Apply, None) if target.part == Part::Main => {
                    self.authorize(caller, Verb::Create, target)?;
                    let uid = object::uid(&patch);
                    if !uid.is_empty() {
                        return Err(Failure::no_such_uid(&target.kind, &target.name, uid));
                    }
                    let mut merged = self.apply(target, None, &patch, options)?;
                    if target.kind.namespaced {
                        metadata_mut(&mut merged).insert("namespace".into(), target.namespace.clone().into());
                    }
                    let made = self
                        .create_named(caller, target, merged, options, Tracking::Applied, Verb::Patch)
                        .await;
                    match made {
                        Err(failure) if failure.is_exists() => continue,
                        made => made.map(|object| (object, true)),
                    }
                }
                (_, None) => return Err(Failure::not_found(&target.kind, &target.name)),
                (PatchKind::Apply, Some(old)) => {
                    let new = self.apply(target, Some(&old), &patch, options)?;
                    self.replace(
                        caller,
                        target,
                        options,
                        (old, new),
                        Tracking::Applied,
                        Verb::Patch,
                    )
                    .await
                    .map(|object| (object, false))
                }
                (kind, Some(old)) => {
                    let mut new = kind.apply(target, &old, &patch)?;
                    warnings.truncate(usize::from(target.kind.warning.is_some()));
                    clean(target, &mut new, options, Origin::Patched, &mut warnings)?;
                    self.replace(
                        caller,
                        target,
                        options,
                        (old, new),
                        Tracking::Compare,
                        Verb::Patch,
                    )
                    .await
                    .map(|object| (object, false))
                }
            };
            match attempt {
                Err(failure) if failure.is_race() && !kind.is_conditional(&patch) => {}
                Err(failure) => return Err(failure.warned(warnings)),
                Ok((object, created)) => {
                    return Ok(Written {
                        object,
                        created,
                        warnings,
                    });
                }
            }
        }
        Err(Failure::changed(&target.kind, &target.name))
    }

    fn apply(
        &self,
        target: &Target,
        live: Option<&Value>,
        applied: &Value,
        options: &WriteOptions,
    ) -> Outcome<Value> {
        let now = self.now();
        let manager = Manager {
            name: &options.manager,
            api_version: &target.kind.api_version(),
            subresource: target.part.as_str(),
            now: &now,
            resets: resets(target),
            empty: &target.kind.empty,
        };
        server_side_apply(live, applied, &target.kind.schema, &manager, options.force).map_err(|error| {
            match error {
                ApplyError::Conflicts(conflicts) => Failure::apply_conflicts(&conflicts),
                ApplyError::Invalid(message) => Failure::bad_request(message),
                ApplyError::Untyped(message) => Failure::plain(message),
            }
        })
    }

    /// Stores what `new` makes of `old`, if they differ, on condition that `old` is still there.
    pub(super) async fn replace(
        &self,
        caller: &Caller,
        target: &Target,
        options: &WriteOptions,
        (old, new): (Value, Value),
        tracking: Tracking,
        verb: Verb,
    ) -> Outcome<Value> {
        check_conditions(target, &old, &new)?;
        let _turn = self.definition_turn(target).await;
        let object = self.draft(caller, target, options, Some(&old), new, tracking)?;
        if options.dry_run || object == old {
            return Ok(object);
        }
        let audit = self.audit(caller, verb, target, &options.manager);
        self.store_change(target, &old, object, audit).await
    }

    /// Stores a changed object; removes it if it only waited for its last finalizer.
    pub(super) async fn store_change(
        &self,
        target: &Target,
        old: &Value,
        object: Value,
        audit: Option<stead_kernel::ports::events::AuditRow>,
    ) -> Outcome<Value> {
        let (key, expected) = (target.key(), object::version(old));
        let finished = object::is_deleting(&object)
            && object::finalizers(&object).is_empty()
            && target.kind.rules != Rules::Namespace;
        let action = if finished {
            Action::Remove { expected }
        } else {
            let content = self.encode(&target.kind, &key, &object)?;
            Action::Replace { expected, content }
        };
        let was = target.kind.selectable(old);
        let was = (was != target.kind.selectable(&object)).then(|| was.to_string().into());
        let write = Write {
            key,
            action,
            audit,
            was,
        };
        let version = self.write(target, write).await?;
        self.definitions_changed(target).await;
        // What is gone is told as the last that it was.
        Ok(with_version(object, if finished { expected } else { version }))
    }

    pub(super) async fn write(&self, target: &Target, write: Write) -> Outcome<u64> {
        self.metrics.write();
        let removes = matches!(write.action, Action::Remove { .. });
        let ends_kind = removes && target.kind.rules == Rules::Definition;
        if ends_kind {
            self.retire(&target.name);
        }
        let written = self.store.write(write).await;
        if ends_kind && written.is_err() {
            self.definitions_changed(target).await;
        }
        let version = written.map_err(|error: StoreError| {
            Failure::from_write(error, &target.kind, &target.namespace, &target.name)
        })?;
        self.access_written(&target.kind).await;
        Ok(version)
    }

    /// The turn to write definitions, when the target is one.
    async fn definition_turn(&self, target: &Target) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if target.kind.rules == Rules::Definition {
            Some(self.definitions.lock().await)
        } else {
            None
        }
    }
}

fn with_version(mut object: Value, version: u64) -> Value {
    metadata_mut(&mut object).insert("resourceVersion".into(), version.to_string().into());
    object
}

/// Refuses a write that was made against another state, or another object of the same name.
fn check_conditions(target: &Target, old: &Value, new: &Value) -> Outcome<()> {
    let given = object::text(new, "resourceVersion");
    if !given.is_empty() && given != "0" && given != object::text(old, "resourceVersion") {
        return Err(Failure::changed(&target.kind, &target.name));
    }
    let deletion = object::text(new, "deletionTimestamp");
    if !deletion.is_empty() && !object::is_deleting(old) {
        let path = "metadata.deletionTimestamp";
        let error = FieldError::new(path, FieldErrorKind::Invalid, "field is immutable");
        let error = error.with_value(Value::from(deletion));
        return Err(Failure::invalid(&target.kind, &target.name, &[error]));
    }
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let error = FieldError::new("metadata.uid", FieldErrorKind::Invalid, "field is immutable");
        let error = error.with_value(Value::from(uid));
        return Err(Failure::invalid(&target.kind, &target.name, &[error]));
    }
    Ok(())
}

/// Makes the target of an object of the same kind.
pub(super) fn target_of(kind: &Arc<crate::kinds::ResourceType>, key: &crate::store::Key) -> Target {
    Target {
        kind: Arc::clone(kind),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        part: Part::Main,
    }
}
