//! `metadata.managedFields`: who owns which fields.

use serde_json::{Map, Value, json};

use super::{Manager, fields::FieldSet};
use crate::time;

/// How many `Update` entries are kept apart; older ones are put together.
const MOST_UPDATERS: usize = 10;
/// The manager of fields that existed before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager of old updates that were put together.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// How fields came to be owned; `Apply` sorts before `Update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: Option<String>,
    pub(super) fields: FieldSet,
}

impl Owner {
    pub(super) fn new(manager: &Manager<'_>, operation: Operation, fields: FieldSet) -> Self {
        Self {
            manager: manager.name.to_owned(),
            operation,
            api_version: manager.api_version.to_owned(),
            subresource: manager.subresource.to_owned(),
            time: Some(manager.now.to_owned()),
            fields,
        }
    }

    /// The owner of what was there before the first apply.
    pub(super) fn before_first_apply(manager: &Manager<'_>, fields: FieldSet) -> Self {
        let manager = Manager {
            name: BEFORE_FIRST_APPLY,
            ..*manager
        };
        Self::new(&manager, Operation::Update, fields)
    }

    /// Whether both are the same owner. An applier stays the same when it moves to another version.
    pub(super) fn is(&self, manager: &Manager<'_>, operation: Operation) -> bool {
        self.manager == manager.name
            && self.operation == operation
            && self.subresource == manager.subresource
            && (operation == Operation::Apply || self.api_version == manager.api_version)
    }

    fn decode(entry: &Value) -> Result<Self, String> {
        let text = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("apiVersion").is_empty() {
            return Err("metadata.managedFields has an entry without apiVersion".to_owned());
        }
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            other => {
                return Err(format!(
                    "metadata.managedFields has the unknown operation {other:?}"
                ));
            }
        };
        match entry.get("fieldsType").and_then(Value::as_str) {
            Some("FieldsV1") => {}
            other => {
                return Err(format!(
                    "metadata.managedFields has the unknown fieldsType {other:?}"
                ));
            }
        }
        let fields = match entry.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => {
                FieldSet::decode(fields).map_err(|reason| format!("metadata.managedFields: {reason}"))?
            }
        };
        let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time,
            fields,
        })
    }

    fn encode(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("manager".to_owned(), json!(self.manager));
        entry.insert("operation".to_owned(), json!(self.operation.as_str()));
        entry.insert("apiVersion".to_owned(), json!(self.api_version));
        if let Some(time) = &self.time {
            entry.insert("time".to_owned(), json!(time));
        }
        entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
        entry.insert("fieldsV1".to_owned(), self.fields.encode());
        if !self.subresource.is_empty() {
            entry.insert("subresource".to_owned(), json!(self.subresource));
        }
        Value::Object(entry)
    }

    fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(time::parse).unwrap_or_default()
    }
}

/// Reads the owners of an object; none when it has no `managedFields`.
pub(super) fn decode(object: &Value) -> Result<Vec<Owner>, String> {
    match managed_fields(object) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(Owner::decode).collect(),
        Some(_) => Err("metadata.managedFields must be a list".to_owned()),
    }
}

/// What the object has at `metadata.managedFields`.
pub(super) fn managed_fields(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

/// Whether a request asks to forget all owners: an empty list, or a list of one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    match managed_fields(object)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.is_empty(),
        _ => false,
    }
}

/// The object without its `managedFields`.
pub(super) fn without(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.shift_remove("managedFields");
    }
    object
}

/// Writes the owners, sorted as the Kubernetes API server does, without those that own nothing.
pub(super) fn encode(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty());
    owners.sort_by(|a, b| {
        let key = |owner: &Owner| (owner.operation, owner.seconds());
        key(a).cmp(&key(b)).then_with(|| {
            (&a.manager, &a.api_version, &a.subresource).cmp(&(&b.manager, &b.api_version, &b.subresource))
        })
    });
    let Value::Object(object) = object else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Value::Object(metadata) = metadata else {
        return;
    };
    metadata.shift_remove("managedFields");
    if !owners.is_empty() {
        metadata.insert(
            "managedFields".to_owned(),
            owners.iter().map(Owner::encode).collect(),
        );
    }
}

/// Puts the oldest updaters of a version together until few enough are left.
pub(super) fn cap_updaters(owners: &mut Vec<Owner>) {
    loop {
        owners.sort_by(|a, b| (a.seconds(), &a.manager).cmp(&(b.seconds(), &b.manager)));
        let updaters: Vec<(i64, usize)> = owners
            .iter()
            .enumerate()
            .filter(|(_, owner)| owner.operation == Operation::Update)
            .map(|(position, owner)| (owner.seconds(), position))
            .collect();
        if updaters.len() <= MOST_UPDATERS {
            return;
        }
        let Some((first, second)) = oldest_pair(owners, &updaters) else {
            return;
        };
        let later = owners.remove(first.max(second));
        let Some(bucket) = owners.get_mut(first.min(second)) else {
            return;
        };
        bucket.fields = std::mem::take(&mut bucket.fields).union(&later.fields);
        if later.seconds() > bucket.seconds() {
            bucket.time = later.time;
        }
        ANCIENT_CHANGES.clone_into(&mut bucket.manager);
        bucket.subresource = String::new();
    }
}

/// The oldest two updaters that share a version.
fn oldest_pair(owners: &[Owner], updaters: &[(i64, usize)]) -> Option<(usize, usize)> {
    let version = |position: usize| owners.get(position).map(|owner| owner.api_version.as_str());
    updaters.iter().enumerate().find_map(|(rank, &(_, first))| {
        let rest = updaters.iter().skip(rank + 1);
        rest.map(|&(_, second)| second)
            .find(|&second| version(second) == version(first))
            .map(|second| (first, second))
    })
}
