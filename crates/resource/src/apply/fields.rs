//! Sets of field paths and their `fieldsV1` form.
//!
//! A path element is kept in its wire form: `f:<name>` for a member of a map, `k:<keys>` for an element of a keyed
//! list, `v:<value>` for an element of a set and `i:<index>` for an element by position, with JSON in canonical form.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Map, Value};

use crate::canonical;

/// A tree of path elements; a path is in the set when the node at its end is a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    pub(super) member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// The set of just this place, or of nothing.
    pub(super) fn place(member: bool) -> Self {
        Self {
            member,
            children: BTreeMap::new(),
        }
    }

    /// Nothing is in the set.
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Puts a subtree below this place, unless it is empty.
    pub(super) fn attach(&mut self, element: String, child: Self) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub(super) fn child(&self, element: &str) -> Option<&Self> {
        self.children.get(element)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.children
            .iter()
            .map(|(element, child)| (element.as_str(), child))
    }

    /// Adds the path, whose elements are in wire form.
    pub(super) fn insert(&mut self, path: &[&str]) {
        match path.split_first() {
            None => self.member = true,
            Some((first, rest)) => self.children.entry((*first).to_owned()).or_default().insert(rest),
        }
    }

    /// Everything that is in either.
    pub(super) fn union(mut self, other: &Self) -> Self {
        self.member |= other.member;
        for (element, theirs) in &other.children {
            let ours = self.children.remove(element).unwrap_or_default();
            self.attach(element.clone(), ours.union(theirs));
        }
        self
    }

    /// Everything that is in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::place(self.member && other.member);
        for (element, ours) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                out.attach(element.clone(), ours.intersection(theirs));
            }
        }
        out
    }

    /// Everything that is here and not there.
    pub(super) fn difference(&self, other: &Self) -> Self {
        let mut out = Self::place(self.member && !other.member);
        for (element, ours) in &self.children {
            let rest = match other.children.get(element) {
                Some(theirs) => ours.difference(theirs),
                None => ours.clone(),
            };
            out.attach(element.clone(), rest);
        }
        out
    }

    /// Every path, printed as `.spec.targets[name="a"].weight`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.member {
            out.push(String::new());
        }
        self.collect(&mut String::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut String, out: &mut Vec<String>) {
        // Level by level, as the original lists them: what is a member first, then what lies deeper.
        let mut visit = |deeper: bool| {
            for (element, child) in &self.children {
                let length = prefix.len();
                print_element(element, prefix);
                if deeper {
                    child.collect(prefix, out);
                } else if child.member {
                    out.push(prefix.clone());
                }
                prefix.truncate(length);
            }
        };
        visit(false);
        visit(true);
    }

    /// The set without everything at and below these top-level members.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        for name in names {
            self.children.remove(&field(name));
        }
        self
    }

    /// Whether the path of another set's member, printed, is in this set.
    pub(super) fn has_path(&self, path: &str) -> bool {
        self.paths().iter().any(|known| known == path)
    }

    /// The `fieldsV1` form.
    pub(super) fn encode(&self) -> Value {
        let mut members = Map::new();
        for (element, child) in &self.children {
            if child.is_empty() {
                continue;
            }
            let mut inner = Map::new();
            if child.member && !child.children.is_empty() {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            if let Value::Object(deeper) = child.encode() {
                inner.extend(deeper);
            }
            members.insert(element.clone(), Value::Object(inner));
        }
        Value::Object(members)
    }

    /// Reads the `fieldsV1` form.
    pub(super) fn decode(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err("fieldsV1 holds something else than objects".to_owned());
        };
        let mut out = Self::default();
        for (element, inner) in members {
            if element == "." {
                out.member = true;
                continue;
            }
            let element = canonical_element(element)?;
            let mut child = Self::decode(inner)?;
            child.member |= child.children.is_empty();
            out.attach(element, child);
        }
        Ok(out)
    }
}

/// The wire form of a member of a map.
pub(super) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The wire form of an element of a set.
pub(super) fn set_element(value: &Value) -> String {
    format!("v:{}", canonical::text(value))
}

/// The wire form of an element of a keyed list.
pub(super) fn keyed_element(keys: Map<String, Value>) -> String {
    format!("k:{}", canonical::text(&Value::Object(keys)))
}

/// The name when the element is a member of a map.
pub(super) fn field_name(element: &str) -> Option<&str> {
    element.strip_prefix("f:")
}

fn canonical_element(element: &str) -> Result<String, String> {
    let bad = || format!("fieldsV1 has the malformed path element {element:?}");
    let (kind, text) = element.split_once(':').ok_or_else(bad)?;
    match kind {
        "f" => Ok(element.to_owned()),
        "v" => {
            let value: Value = serde_json::from_str(text).map_err(|_| bad())?;
            Ok(set_element(&value))
        }
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(text).map_err(|_| bad())?;
            Ok(keyed_element(keys))
        }
        "i" => Ok(format!("i:{}", text.parse::<u32>().map_err(|_| bad())?)),
        _ => Err(bad()),
    }
}

/// Appends an element as paths show it: `.name`, `[key="value"]`, `[="value"]` or `[0]`.
pub(super) fn print_element(element: &str, out: &mut String) {
    let (kind, text) = element.split_once(':').unwrap_or(("f", element));
    // Writing into a String cannot fail.
    let _ = match kind {
        "f" => write!(out, ".{text}"),
        "v" => write!(out, "[={text}]"),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
            let keys: Vec<String> = keys
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            write!(out, "[{}]", keys.join(","))
        }
        _ => write!(out, "[{text}]"),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{FieldSet, field, keyed_element, set_element};

    fn element() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z.:/\"{}é]{0,6}".prop_map(|name| field(&name)),
            any::<i32>().prop_map(|value| set_element(&json!(value))),
            ".{0,4}".prop_map(|value| set_element(&json!(value))),
            (".{0,3}", any::<u16>()).prop_map(|(name, port)| {
                let json = json!({"port": port, "name": name});
                keyed_element(json.as_object().cloned().unwrap_or_default())
            }),
            any::<u32>().prop_map(|index| format!("i:{index}")),
        ]
    }

    fn set() -> impl Strategy<Value = FieldSet> {
        prop::collection::vec(prop::collection::vec(element(), 1..4), 0..12).prop_map(|paths| {
            let mut set = FieldSet::default();
            for path in paths {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                set.insert(&path);
            }
            set
        })
    }

    proptest! {
        #[test]
        fn a_set_survives_its_wire_form(set in set()) {
            prop_assert_eq!(FieldSet::decode(&set.encode()), Ok(set));
        }

        #[test]
        fn set_algebra_holds(a in set(), b in set()) {
            let union = a.clone().union(&b);
            prop_assert_eq!(&union, &b.clone().union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert!(union.difference(&a).difference(&b).is_empty());
        }
    }

    #[test]
    fn the_wire_form_is_the_documented_one() {
        let mut set = FieldSet::default();
        set.insert(&["f:spec"]);
        set.insert(&["f:spec", "f:replicas"]);
        set.insert(&["f:metadata", "f:finalizers", "v:\"a\""]);
        assert_eq!(
            set.encode(),
            json!({"f:metadata": {"f:finalizers": {"v:\"a\"": {}}}, "f:spec": {".": {}, "f:replicas": {}}})
        );
    }

    #[test]
    fn the_order_of_keys_in_an_element_does_not_matter() {
        let one = FieldSet::decode(&json!({"f:l": {"k:{\"b\":1,\"a\":2}": {}}}));
        let two = FieldSet::decode(&json!({"f:l": {"k:{ \"a\": 2.0, \"b\": 1 }": {}}}));
        assert_eq!(one, two);
        assert_eq!(one.map(|set| set.paths()), Ok(vec![".l[a=2,b=1]".to_owned()]));
    }

    #[test]
    fn malformed_sets_are_refused() {
        for bad in [
            json!([]),
            json!({"spec": {}}),
            json!({"f:a": 1}),
            json!({"k:[]": {}}),
            json!({"v:{": {}}),
            json!({"i:-1": {}}),
            json!({"x:y": {}}),
        ] {
            assert!(FieldSet::decode(&bad).is_err(), "{bad}");
        }
    }
}
