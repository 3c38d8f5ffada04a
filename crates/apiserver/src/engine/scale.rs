//! The scale of objects whose definition says where it is (`autoscaling/v1`, `Scale`).

use serde_json::{Value, json};
use stead_kernel::{Error, Verb};
use stead_resource::{FieldError, FieldErrorKind};

use super::{Caller, Engine, Target, WriteOptions, draft::Tracking};
use crate::{
    failure::{Failure, Outcome},
    kinds::Scale,
    object::{self, root_mut, top},
};

/// How often a change that others overtook is tried again.
const RETRIES: usize = 8;

impl Engine {
    /// An object's scale.
    pub(crate) fn scale(&self, target: &Target) -> Outcome<Value> {
        let object = self.get(target)?;
        let paths = paths(target)?;
        if object.pointer(&paths.spec).and_then(Value::as_i64).is_none() {
            let path = paths.spec.replace('/', ".");
            let message = format!("the spec replicas field {path:?} does not exist");
            return Err(Error::internal(message).into());
        }
        Ok(scale_of(&object, paths))
    }

    /// Changes how many there should be, and returns the new scale.
    pub(crate) async fn rescale(
        &self,
        caller: &Caller,
        target: &Target,
        options: &WriteOptions,
        verb: Verb,
        change: impl Fn(&Value) -> Outcome<Value>,
    ) -> Outcome<Value> {
        let paths = paths(target)?;
        for _ in 0..RETRIES {
            let old = self.get(target)?;
            let wanted = change(&scale_of(&old, paths))?;
            let replicas = check(target, &wanted)?;
            let given = object::text(&wanted, "resourceVersion");
            let conditional = verb == Verb::Update && !given.is_empty();
            let mut new = old.clone();
            put(&mut new, &paths.spec, replicas.into());
            if conditional {
                object::metadata_mut(&mut new).insert("resourceVersion".into(), given.into());
            }
            match self
                .replace(caller, target, options, (old, new), Tracking::Compare, verb)
                .await
            {
                Err(failure) if failure.is_race() && !conditional => {}
                result => return result.map(|object| scale_of(&object, paths)),
            }
        }
        Err(Failure::changed(&target.kind, &target.name))
    }
}

fn paths(target: &Target) -> Outcome<&Scale> {
    target.kind.scale.as_ref().ok_or_else(Failure::no_such_path)
}

fn scale_of(object: &Value, paths: &Scale) -> Value {
    let count = |pointer| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let metadata = json!({
        "name": object::name(object),
        "namespace": object.pointer("/metadata/namespace"),
        "uid": object::uid(object),
        "resourceVersion": object::text(object, "resourceVersion"),
        "creationTimestamp": object.pointer("/metadata/creationTimestamp"),
    });
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": count(&paths.spec)},
        "status": {"replicas": count(&paths.status)},
    });
    let metadata = object::metadata_mut(&mut scale);
    metadata.retain(|_, value| !value.is_null());
    let selector = object.pointer(&paths.selector).and_then(Value::as_str);
    if let Some(selector) = selector.filter(|_| !paths.selector.is_empty()) {
        object::map_mut(&mut scale, "status").insert("selector".into(), selector.into());
    }
    scale
}

/// How many a scale asks for, if it is one of this object.
fn check(target: &Target, scale: &Value) -> Outcome<i64> {
    for (field, expected) in [("kind", "Scale"), ("apiVersion", "autoscaling/v1")] {
        let given = top(scale, field);
        if !given.is_empty() && given != expected {
            let message =
                format!("the {field} in the data ({given}) does not match the expected {field} ({expected})");
            return Err(Failure::bad_request(message));
        }
    }
    let name = object::name(scale);
    if !name.is_empty() && name != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let replicas = scale.pointer("/spec/replicas").unwrap_or(&Value::Null);
    let replicas = if replicas.is_null() {
        Some(0)
    } else {
        replicas.as_i64()
    };
    match replicas {
        Some(count) if (0..=i64::from(i32::MAX)).contains(&count) => Ok(count),
        Some(count) => {
            let detail = "should be a non-negative integer";
            let error = FieldError::new("spec.replicas", FieldErrorKind::Invalid, detail).with_value(count);
            Err(Failure::invalid(&target.kind, &target.name, &[error]))
        }
        None => Err(Failure::bad_request("spec.replicas is no whole number")),
    }
}

/// Puts a value where a pointer leads, making the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for word in pointer.split('/').filter(|word| !word.is_empty()) {
        place = root_mut(place).entry(word).or_insert(Value::Null);
    }
    *place = value;
}
