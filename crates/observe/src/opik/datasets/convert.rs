//! Items as clients send them, made into items as they are stored. Pure.

use serde_json::{Map, Value};

use super::shape::{Item, ItemWrite};
use crate::opik::{
    desk::uuid,
    shelf::{Stamps, Who, new_id},
    wire::OpikError,
};

/// Where items come from.
const SOURCES: [&str; 4] = ["manual", "trace", "span", "sdk"];
/// The columns that have a field of their own, from before there were others.
const COLUMNS: [&str; 3] = ["input", "expected_output", "metadata"];

/// Whether labels replace those that are there, or are added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// They replace them.
    Replace,
    /// They are added.
    Merge,
}

/// The items of a batch, each once: of two with the same id the later one counts.
pub(super) fn batch(who: &Who, dataset: &str, writes: Vec<ItemWrite>) -> Result<Vec<Item>, OpikError> {
    let mut items: Vec<Item> = Vec::with_capacity(writes.len());
    let mut places = std::collections::HashMap::new();
    for write in writes {
        let item = item(who, dataset, write)?;
        if let Some(earlier) = places.get(&item.id).and_then(|place| items.get_mut(*place)) {
            *earlier = item;
        } else {
            places.insert(item.id.clone(), items.len());
            items.push(item);
        }
    }
    Ok(items)
}

/// A new item.
fn item(who: &Who, dataset: &str, write: ItemWrite) -> Result<Item, OpikError> {
    let id = match write.id.as_deref().or(write.dataset_item_id.as_deref()) {
        Some(id) => uuid(id, "dataset item")?.to_string(),
        None => new_id(),
    };
    let item = Item {
        id,
        trace_id: write.trace_id.clone(),
        span_id: write.span_id.clone(),
        source: write.source.clone().unwrap_or_else(|| "sdk".to_owned()),
        data: data(&write, None),
        description: write.description,
        tags: write.tags,
        evaluators: write.evaluators,
        execution_policy: write.execution_policy,
        dataset_id: dataset.to_owned(),
        stamps: Stamps::new(who),
    };
    check(&item)?;
    Ok(item)
}

/// An item with a change: what the change does not say stays.
pub(super) fn changed(who: &Who, item: &Item, write: &ItemWrite, tags: Tags) -> Result<Item, OpikError> {
    let mut item = item.clone();
    item.data = data(write, Some(item.data));
    replace(&mut item.description, write.description.as_ref());
    replace(&mut item.trace_id, write.trace_id.as_ref());
    replace(&mut item.span_id, write.span_id.as_ref());
    replace(&mut item.evaluators, write.evaluators.as_ref());
    replace(&mut item.execution_policy, write.execution_policy.as_ref());
    if write.clear_execution_policy == Some(true) {
        item.execution_policy = None;
    }
    if let Some(source) = &write.source {
        item.source.clone_from(source);
    }
    item.tags = labels(item.tags, write, tags);
    item.stamps.touch(who);
    check(&item)?;
    Ok(item)
}

fn replace<T: Clone>(old: &mut Option<T>, new: Option<&T>) {
    if let Some(new) = new {
        *old = Some(new.clone());
    }
}

fn labels(old: Option<Vec<String>>, write: &ItemWrite, how: Tags) -> Option<Vec<String>> {
    let mut labels = match (&write.tags, how) {
        (Some(new), Tags::Replace) => Some(new.clone()),
        (Some(new), Tags::Merge) => Some(old.into_iter().flatten().chain(new.iter().cloned()).collect()),
        (None, _) => old,
    };
    if let Some(more) = &write.tags_to_add {
        labels.get_or_insert_default().extend(more.iter().cloned());
    }
    if let (Some(labels), Some(less)) = (&mut labels, &write.tags_to_remove) {
        labels.retain(|label| !less.contains(label));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(labels) = &mut labels {
        labels.retain(|label| seen.insert(label.clone()));
    }
    labels
}

/// The columns of an item: those it is sent with, or those it has, with the ones that are sent apart.
fn data(write: &ItemWrite, old: Option<Value>) -> Value {
    let mut data = write
        .data
        .clone()
        .or(old)
        .unwrap_or_else(|| Value::Object(Map::new()));
    if let Value::Object(fields) = &mut data {
        let apart = COLUMNS
            .iter()
            .zip([&write.input, &write.expected_output, &write.metadata]);
        for (name, value) in apart {
            fields.extend(value.clone().map(|value| ((*name).to_owned(), value)));
        }
    }
    data
}

fn check(item: &Item) -> Result<(), OpikError> {
    if !item.data.is_object() {
        return Err(OpikError::unprocessable(
            "data of a dataset item must be a JSON object",
        ));
    }
    if !SOURCES.contains(&item.source.as_str()) {
        return Err(OpikError::unprocessable(format!(
            "source must be one of: {}",
            SOURCES.join(", ")
        )));
    }
    for (id, what) in [(&item.trace_id, "trace"), (&item.span_id, "span")] {
        if let Some(id) = id {
            uuid(id, what)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "01a1fce2-e8b1-7270-8650-9f0c76e811f9";

    fn who() -> Who {
        Who::new(
            "default".into(),
            "ada".into(),
            stead_kernel::Timestamp::UNIX_EPOCH,
        )
    }

    fn write(body: Value) -> ItemWrite {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn items_are_taken_as_both_sdks_send_them() {
        let sent = json!({"id": ID.to_uppercase(), "trace_id": null, "span_id": null, "source": "sdk",
            "data": {"input": {"q": null}}, "description": null, "evaluators": null, "execution_policy": null});
        let item = item(&who(), "d", write(sent)).unwrap();
        assert_eq!((item.id.as_str(), item.data), (ID, json!({"input": {"q": null}})));
        let later = batch(
            &who(),
            "d",
            vec![
                write(json!({"id": ID, "data": {"n": 1}})),
                write(json!({"data": {"n": 2}})),
                write(json!({"id": ID, "data": {"n": 3}})),
            ],
        );
        let later = later.unwrap();
        assert_eq!(
            later.iter().map(|item| &item.data["n"]).collect::<Vec<_>>(),
            [3, 2]
        );
        let old = super::item(&who(), "d", write(json!({"input": "q", "expected_output": "a"}))).unwrap();
        assert_eq!(old.data, json!({"input": "q", "expected_output": "a"}));
        for refused in [
            json!({"data": [1]}),
            json!({"id": "1", "data": {}}),
            json!({"source": "elsewhere", "data": {}}),
            json!({"trace_id": "x", "data": {}}),
        ] {
            assert!(
                super::item(&who(), "d", write(refused.clone())).is_err(),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_say() {
        let old = write(
            json!({"id": ID, "data": {"n": 1}, "description": "d", "tags": ["a", "b"],
            "execution_policy": {"runs_per_item": 2}}),
        );
        let old = item(&who(), "d", old).unwrap();
        let tags = |body: Value, how| {
            changed(&who(), &old, &write(body), how)
                .unwrap()
                .tags
                .unwrap_or_default()
        };
        assert_eq!(tags(json!({}), Tags::Merge), ["a", "b"]);
        assert_eq!(tags(json!({"tags": ["c"]}), Tags::Replace), ["c"]);
        assert_eq!(tags(json!({"tags": ["c", "a"]}), Tags::Merge), ["a", "b", "c"]);
        let both = json!({"tags_to_add": ["c"], "tags_to_remove": ["a"]});
        assert_eq!(tags(both, Tags::Replace), ["b", "c"]);
        let new = write(json!({"data": {"n": 2}, "clear_execution_policy": true}));
        let new = changed(&who(), &old, &new, Tags::Replace).unwrap();
        assert_eq!((new.data, new.execution_policy), (json!({"n": 2}), None));
        assert_eq!(new.description.as_deref(), Some("d"));
    }
}
