//! Lists as text: what is stored is put into the answer without being read, where the two differ by little.
//!
//! *Invariant:* the text is, as JSON, what reading and writing every object would have given.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use super::{Engine, ListOptions, Listed, Target};
use crate::{
    failure::Outcome,
    kinds::{Form, ResourceType},
    object::root_mut,
    store::Row,
};

/// Whether the items of a list say what they are; those of a list of a core kind do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    Typed,
    Bare,
}

/// Puts first what is the same in all objects of a kind, so that [`splice`] finds it there.
pub(super) fn in_order(object: Value) -> Value {
    let Value::Object(mut fields) = object else {
        return object;
    };
    let mut ordered = Map::new();
    for name in ["apiVersion", "kind", "metadata"] {
        if let Some(value) = fields.shift_remove(name) {
            ordered.insert(name.into(), value);
        }
    }
    ordered.extend(fields);
    Value::Object(ordered)
}

/// What follows `"name":` at the beginning of a text, and the text after it, if that value is a string without escapes.
fn skip_text<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?;
    let rest = rest.strip_prefix(b"\":\"")?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    rest.get(end..)?.strip_prefix(b"\",")
}

/// The text of a stored body after the brace that opens its metadata, if it begins as [`in_order`] leaves it.
fn after_metadata(body: &[u8]) -> Option<&[u8]> {
    let rest = skip_text(body.strip_prefix(b"{")?, "apiVersion")?;
    let rest = skip_text(rest, "kind")?.strip_prefix(b"\"metadata\":{")?;
    rest.starts_with(b"\"").then_some(rest)
}

/// Adds an object to a text with its type and version; whether it could be done without reading it.
fn splice(text: &mut Vec<u8>, head: &str, row: &Row) -> bool {
    let Some(rest) = after_metadata(&row.body) else {
        return false;
    };
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(row.version.to_string().as_bytes());
    text.extend_from_slice(b"\",");
    text.extend_from_slice(rest);
    true
}

/// What an item begins with, up to its version.
fn head(kind: &ResourceType, items: Items) -> String {
    let typed = match items {
        Items::Typed => format!(
            "\"apiVersion\":\"{}\",\"kind\":\"{}\",",
            kind.api_version(),
            kind.kind
        ),
        Items::Bare => String::new(),
    };
    format!("{{{typed}\"metadata\":{{\"resourceVersion\":\"")
}

impl Engine {
    /// A page of all objects, as the text between the brackets of a list; `None` if they must be read to be told.
    pub(crate) async fn list_as_text(
        self: &Arc<Self>,
        target: &Target,
        options: &ListOptions,
        items: Items,
    ) -> Outcome<Option<(Vec<u8>, Listed<()>)>> {
        if target.kind.form != Form::Plain || !options.selectors.is_empty() {
            return Ok(None);
        }
        if options.at_least > 0 {
            self.reach(options.at_least).await?;
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let (sink, engine, kind) = (Arc::clone(&text), Arc::clone(self), Arc::clone(&target.kind));
        let head = head(&kind, items);
        let listed = self
            .page(target, options, move |row| {
                let mut text = sink.lock().unwrap_or_else(PoisonError::into_inner);
                if !text.is_empty() {
                    text.push(b',');
                }
                if !splice(&mut text, &head, row) {
                    let object = engine.decode(&kind, row)?;
                    text.extend_from_slice(told(object, items).to_string().as_bytes());
                }
                Ok(Some(()))
            })
            .await?;
        let text = std::mem::take(&mut *text.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Some((text, listed)))
    }
}

/// An object as an item of a list.
fn told(mut object: Value, items: Items) -> Value {
    if items == Items::Bare {
        let fields = root_mut(&mut object);
        fields.shift_remove("apiVersion");
        fields.shift_remove("kind");
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Key;

    fn row(body: &str) -> Row {
        Row {
            key: Key::new(&"configmaps".into(), "n", "a"),
            version: 7,
            body: body.as_bytes().into(),
        }
    }

    #[test]
    fn a_spliced_object_is_the_stored_one_with_its_type_and_version() {
        let stored = json!({"data": {"a": "\"metadata\":{"}, "kind": "Fleet", "metadata": {"name": "a", "labels": {}},
            "apiVersion": "x.dev/v1"});
        let body = in_order(stored).to_string();
        for (head, expected) in [
            (
                r#"{"apiVersion":"x.dev/v2","kind":"Fleet","metadata":{"resourceVersion":""#,
                json!({"apiVersion": "x.dev/v2", "kind": "Fleet", "data": {"a": "\"metadata\":{"},
                    "metadata": {"name": "a", "labels": {}, "resourceVersion": "7"}}),
            ),
            (
                r#"{"metadata":{"resourceVersion":""#,
                json!({"data": {"a": "\"metadata\":{"},
                    "metadata": {"name": "a", "labels": {}, "resourceVersion": "7"}}),
            ),
        ] {
            let mut text = Vec::new();
            assert!(splice(&mut text, head, &row(&body)));
            assert_eq!(serde_json::from_slice::<Value>(&text).expect("JSON"), expected);
        }
    }

    #[test]
    fn what_is_stored_in_another_order_or_form_is_read() {
        for body in [
            r#"{"kind":"Fleet","apiVersion":"v1","metadata":{"name":"a"}}"#,
            r#"{"apiVersion":"v1","kind":"Fleet","metadata":{}}"#,
            r#"{"apiVersion":"v\u0031","kind":"Fleet","metadata":{"name":"a"}}"#,
            r#"{"apiVersion":"v1","kind":"Fleet","data":{},"metadata":{"name":"a"}}"#,
            "",
        ] {
            let mut text = Vec::new();
            assert!(!splice(&mut text, "", &row(body)), "{body}");
            assert!(text.is_empty());
        }
    }
}
