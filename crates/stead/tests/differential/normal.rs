//! Makes two answers comparable: what a server is free to choose becomes what it stands for.
//!
//! Ids and versions become numbers in the order of their first use, so that it still shows whether two are the same.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use crate::server::Answer;

static UID: LazyLock<Regex> =
    LazyLock::new(|| pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^127\.0\.0\.1:\d+$"));
/// The end of a generated name that is told as a fault.
static GENERATED: LazyLock<Regex> = LazyLock::new(|| pattern(r"_[bcdfghjklmnpqrstvwxz2456789]{5}\b"));
static AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\d+[smhd])+$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// What one server has chosen in one case.
#[derive(Debug)]
pub(crate) struct Choices {
    namespace: String,
    uids: HashMap<String, usize>,
    versions: HashMap<String, usize>,
}

impl Choices {
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            uids: HashMap::new(),
            versions: HashMap::new(),
        }
    }

    /// The answer with names for what was chosen.
    pub(crate) fn normalize(&mut self, mut answer: Answer) -> Answer {
        self.value(&mut answer.body, "");
        unordered(&mut answer.body);
        answer.warnings = answer.warnings.iter().map(|text| self.text(text)).collect();
        answer
    }

    fn value(&mut self, value: &mut Value, key: &str) {
        match value {
            Value::String(text) => *text = self.named(text, key),
            Value::Array(list) => {
                if key == "managedFields" {
                    // By time in seconds first, and two requests can lie in one second or in two.
                    list.sort_by_key(|entry| {
                        ["operation", "manager", "apiVersion", "subresource"]
                            .map(|name| entry[name].to_string())
                    });
                }
                for item in list {
                    self.value(item, key);
                }
            }
            Value::Object(map) => {
                // Where a bookmark is, and in which order a group's kinds are listed, is the server's own affair.
                if map.get("type").is_some_and(|kind| kind == "BOOKMARK") {
                    bookmark(map.get_mut("object"));
                }
                if let Some(Value::Array(resources)) = map.get_mut("resources") {
                    resources.sort_by_key(|resource| resource["name"].to_string());
                }
                let is_list = map.contains_key("items") || map.contains_key("rows");
                generated(map.get_mut("metadata"));
                // In the order of the names: what is first is told the same by both.
                let mut members: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, mut item) in members {
                    if is_list && key == "metadata" {
                        place(&mut item, "resourceVersion", "VERSION");
                        place(&mut item, "continue", "CONTINUE");
                    }
                    self.value(&mut item, &key);
                    map.insert(self.text(&key), item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn named(&mut self, text: &str, key: &str) -> String {
        if key == "resourceVersion" && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let next = self.versions.len() + 1;
            return format!("VERSION-{}", self.versions.entry(text.to_owned()).or_insert(next));
        }
        if key == "serverAddress" && ADDRESS.is_match(text) {
            return "ADDRESS".to_owned();
        }
        if key == "cells" && AGE.is_match(text) {
            return "AGE".to_owned();
        }
        self.text(text)
    }

    fn text(&mut self, text: &str) -> String {
        let text = text.replace(&self.namespace, "NAMESPACE");
        let text = GENERATED.replace_all(&text, "_RANDOM");
        let text = TIME.replace_all(&text, |found: &regex::Captures<'_>| {
            if found.get(1).is_some() {
                "MICROTIME"
            } else {
                "TIME"
            }
        });
        UID.replace_all(&text, |found: &regex::Captures<'_>| {
            let next = self.uids.len() + 1;
            format!("UID-{}", self.uids.entry(found[0].to_owned()).or_insert(next))
        })
        .into_owned()
    }
}

/// Sorts the causes of a failure: the original has them in the order of its hash tables. The message repeats them.
fn unordered(status: &mut Value) {
    let Some(causes) = status
        .pointer_mut("/details/causes")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    causes.sort_by_key(ToString::to_string);
    // Some it finds twice.
    causes.dedup();
    if let Some(Value::String(message)) = status.get_mut("message")
        && let Some((begin, _)) = message.split_once(" is invalid: ")
    {
        *message = format!("{begin} is invalid: …");
    }
}

fn bookmark(object: Option<&mut Value>) {
    let Some(object) = object else { return };
    for pointer in ["/metadata", "/rows/0/object/metadata"] {
        if let Some(metadata) = object.pointer_mut(pointer) {
            place(metadata, "resourceVersion", "VERSION");
        }
    }
}

/// Gives a value that only has to be there a fixed text.
fn place(object: &mut Value, key: &str, text: &str) {
    if let Some(value) = object.get_mut(key).filter(|value| value.as_str() != Some("")) {
        *value = text.into();
    }
}

/// The random end of a generated name.
fn generated(metadata: Option<&mut Value>) {
    let Some(metadata) = metadata else { return };
    let prefix = metadata
        .get("generateName")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let (Some(prefix), Some(name)) = (prefix, metadata.get_mut("name")) {
        let rest = name.as_str().and_then(|name| name.strip_prefix(&prefix));
        if rest.is_some_and(|rest| rest.len() == 5) {
            *name = format!("{prefix}RANDOM").into();
        }
    }
}
