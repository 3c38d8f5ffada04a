//! What is wrong with the schema of a definition, in the words of the Kubernetes API server (version 1.36): first what
//! makes it not structural, then what no definition may have.

use serde_json::{Map, Value, json};

use super::{FieldError, FieldErrorKind};

/// The types there are.
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Keywords that no schema of a definition may have.
const FORBIDDEN: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];
/// Keywords that say what there is, which a branch of a junctor may not: what they must be instead.
const NOT_IN_BRANCHES: [(&str, &str); 11] = [
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-map-type", "undefined"),
];

/// Every fault of a whole object's schema; `path` is where it stands.
pub(super) fn review(schema: &Value, path: &str) -> Vec<FieldError> {
    let empty = Map::new();
    let schema = schema.as_object().unwrap_or(&empty);
    let mut structural = Review::default();
    structural.structure(schema, path, Level::Root);
    structural.errors.sort_by_key(ToString::to_string);
    let mut other = Review::default();
    other.keywords(schema, path, Level::Root, Inside::Spec);
    let unreadable = |error: &FieldError| error.detail.ends_with(" is not supported");
    if other.errors.iter().any(unreadable) {
        // What such words mean decides what the rest means.
        return other.errors;
    }
    structural.errors.extend(other.errors);
    structural.errors
}

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Whether a schema is about an object's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Spec,
    /// The metadata, or the kind or version, of the whole object.
    RootMeta,
    /// The metadata of an embedded object.
    Meta,
}

#[derive(Default)]
struct Review {
    errors: Vec<FieldError>,
}

fn flag(schema: &Map<String, Value>, word: &str) -> bool {
    schema.get(word).and_then(Value::as_bool) == Some(true)
}

fn text<'a>(schema: &'a Map<String, Value>, word: &str) -> &'a str {
    schema.get(word).and_then(Value::as_str).unwrap_or_default()
}

fn object<'a>(
    schema: &'a Map<String, Value>,
    word: &str,
) -> impl Iterator<Item = (&'a String, &'a Map<String, Value>)> {
    let members = schema.get(word).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, member)| Some((name, member.as_object()?)))
}

fn branches<'a>(
    schema: &'a Map<String, Value>,
    word: &'static str,
) -> impl Iterator<Item = (usize, &'a Map<String, Value>)> {
    let list = schema.get(word).and_then(Value::as_array).into_iter().flatten();
    list.enumerate()
        .filter_map(|(index, branch)| Some((index, branch.as_object()?)))
}

/// A text as the value of an error.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Review {
    fn forbid(&mut self, path: String, detail: &str) {
        self.errors
            .push(FieldError::new(path, FieldErrorKind::Forbidden, detail));
    }

    fn require(&mut self, path: String, detail: &str) {
        self.errors
            .push(FieldError::new(path, FieldErrorKind::Required, detail));
    }

    fn invalid(&mut self, path: String, value: impl std::fmt::Display, detail: impl Into<String>) {
        let error = FieldError::new(path, FieldErrorKind::Invalid, detail);
        self.errors.push(error.with_value(value));
    }

    /// A schema outside of junctors, and all below it.
    fn structure(&mut self, schema: &Map<String, Value>, path: &str, level: Level) {
        let kind = text(schema, "type");
        match schema.get("items").and_then(Value::as_object) {
            Some(items) => self.structure(items, &format!("{path}.items"), Level::Item),
            None if kind == "array" => self.require(format!("{path}.items"), "must be specified"),
            None => {}
        }
        for (name, property) in object(schema, "properties") {
            self.structure(property, &format!("{path}.properties[{name}]"), Level::Field);
        }
        if let Some(values) = schema
            .get("additionalProperties")
            .filter(|values| !values.is_null())
        {
            let path = format!("{path}.additionalProperties");
            if level == Level::Root {
                self.forbid(path.clone(), "must not be used at the root");
            }
            if let Some(values) = values.as_object() {
                self.structure(values, &path, Level::Field);
            }
        }
        self.extensions(schema, path, level);
        self.metadata(schema, path, level);
        self.values(schema, path, Some(schema));
    }

    fn extensions(&mut self, schema: &Map<String, Value>, path: &str, level: Level) {
        let kind = text(schema, "type");
        let (preserve, embedded, int_or_string) = (
            flag(schema, "x-kubernetes-preserve-unknown-fields"),
            flag(schema, "x-kubernetes-embedded-resource"),
            flag(schema, "x-kubernetes-int-or-string"),
        );
        let exclusive = "must be false if x-kubernetes-int-or-string is true";
        if int_or_string && preserve {
            self.invalid(
                format!("{path}.x-kubernetes-preserve-unknown-fields"),
                true,
                exclusive,
            );
        }
        if int_or_string && embedded {
            self.invalid(format!("{path}.x-kubernetes-embedded-resource"), true, exclusive);
        }
        let at = format!("{path}.type");
        let embedded_object = "must be object if x-kubernetes-embedded-resource is true";
        match (embedded, kind) {
            (true, "object") => {}
            (true, "") => self.require(at, embedded_object),
            (true, kind) => self.invalid(at, quoted(kind), embedded_object),
            (false, "") if !int_or_string && !preserve => {
                let detail = match level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                };
                self.require(at, detail);
            }
            (false, kind) if level == Level::Root && !kind.is_empty() && kind != "object" => {
                self.invalid(at, quoted(kind), "must be object at the root");
            }
            (false, _) => {}
        }
        if embedded
            && schema
                .get("additionalProperties")
                .is_some_and(|values| !values.is_null())
        {
            let at = format!("{path}.additionalProperties");
            self.forbid(at, "must not be used if x-kubernetes-embedded-resource is set");
        }
        if embedded && !preserve && object(schema, "properties").next().is_none() {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                          x-kubernetes-preserve-unknown-fields";
            self.require(format!("{path}.properties"), detail);
        }
    }

    /// What a whole object's schema may say about the fields that every object has.
    fn metadata(&mut self, schema: &Map<String, Value>, path: &str, level: Level) {
        if level != Level::Root && !flag(schema, "x-kubernetes-embedded-resource") {
            return;
        }
        for (name, property) in object(schema, "properties") {
            let path = format!("{path}.properties[{name}]");
            let kind = text(property, "type");
            let expected = match name.as_str() {
                "kind" | "apiVersion" => "string",
                "metadata" => "object",
                _ => continue,
            };
            if kind != expected {
                self.invalid(
                    format!("{path}.type"),
                    quoted(kind),
                    format!("must be {expected}"),
                );
            }
            let named = object(property, "properties")
                .all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
            let other = property
                .keys()
                .any(|word| !matches!(word.as_str(), "type" | "properties" | "default"));
            if name == "metadata" && level == Level::Root && (!named || other) {
                let detail = "must not specify anything other than name and generateName, but metadata is implicitly \
                              specified";
                self.forbid(path, detail);
            }
        }
    }

    /// What a schema says about values; `whole` is the schema itself when it is outside of junctors.
    fn values(&mut self, schema: &Map<String, Value>, path: &str, whole: Option<&Map<String, Value>>) {
        let pattern = text(schema, "pattern");
        if let Err(error) = regex::Regex::new(pattern) {
            let error = error.to_string();
            let reason = error
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let detail = format!("must be a valid regular expression, but isn't: {reason}");
            self.invalid(format!("{path}.pattern"), quoted(pattern), detail);
        }
        let two_types = json!([{"type": "integer"}, {"type": "string"}]);
        for word in ["anyOf", "allOf", "oneOf"] {
            // The two ways to write that something is a number or a text.
            if word == "anyOf" && whole.is_some() && schema.get(word) == Some(&two_types) {
                continue;
            }
            for (index, branch) in branches(schema, word) {
                let path = format!("{path}.{word}[{index}]");
                let skip = word == "allOf" && index == 0 && branch.get("anyOf") == Some(&two_types);
                self.branch(branch, &path, skip && whole.is_some());
            }
        }
        if let Some(branch) = schema.get("not").and_then(Value::as_object) {
            self.branch(branch, &format!("{path}.not"), false);
        }
    }

    /// A branch of a junctor.
    fn branch(&mut self, schema: &Map<String, Value>, path: &str, two_types: bool) {
        if two_types {
            let mut rest = schema.clone();
            rest.shift_remove("anyOf");
            self.values(&rest, path, None);
        } else {
            self.values(schema, path, None);
        }
        if let Some(items) = schema.get("items").and_then(Value::as_object) {
            self.branch(items, &format!("{path}.items"), false);
        }
        for (name, property) in object(schema, "properties") {
            self.branch(property, &format!("{path}.properties[{name}]"), false);
            if name == "metadata" {
                let at = format!("{path}.properties[metadata]");
                self.forbid(at, "must not be specified in a nested context");
            }
        }
        let lists = [
            ("x-kubernetes-list-type", "undefined"),
            ("x-kubernetes-validations", "empty"),
        ];
        for (word, instead) in NOT_IN_BRANCHES.into_iter().chain(lists) {
            let given = match schema.get(word) {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(Value::Array(list)) => !list.is_empty(),
                Some(_) => true,
            };
            if given {
                self.forbid(
                    format!("{path}.{word}"),
                    &format!("must be {instead} to be structural"),
                );
            }
        }
    }

    /// What no schema of a definition may have, here and below.
    fn keywords(&mut self, schema: &Map<String, Value>, path: &str, level: Level, inside: Inside) {
        let kind = text(schema, "type");
        let at = |word: &str| format!("{path}.{word}");
        if !kind.is_empty() && !TYPES.contains(&kind) {
            let detail = format!("supported values: {}", TYPES.map(quoted).join(", "));
            let error = FieldError::new(at("type"), FieldErrorKind::NotSupported, detail);
            self.errors.push(error.with_value(quoted(kind)));
        }
        if inside == Inside::RootMeta && schema.get("default").is_some_and(|default| !default.is_null()) {
            let word = path
                .rsplit_once('[')
                .map_or("", |(_, name)| name.trim_end_matches(']'));
            self.forbid(at("default"), &format!("must not be set in top-level {word}"));
        }
        for word in FORBIDDEN {
            if schema.get(word).is_some_and(|value| !value.is_null()) {
                self.forbid(at(word), &format!("{word} is not supported"));
            }
        }
        if kind == "null" {
            self.forbid(
                at("type"),
                "type cannot be set to null, use nullable as an alternative",
            );
        }
        if flag(schema, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbid(at("uniqueItems"), detail);
        }
        if inside != Inside::Spec && flag(schema, "x-kubernetes-embedded-resource") {
            self.forbid(
                at("x-kubernetes-embedded-resource"),
                "must not be used inside of resource meta",
            );
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.invalid(
                at("x-kubernetes-preserve-unknown-fields"),
                false,
                "must be true or undefined",
            );
        }
        self.kinds_of_lists(schema, path);
        let values = schema
            .get("additionalProperties")
            .filter(|values| !values.is_null());
        let given = values.is_some_and(|values| *values != Value::Bool(true));
        if given && object(schema, "properties").next().is_some() {
            let detail = "additionalProperties and properties are mutual exclusive";
            self.forbid(at("additionalProperties"), detail);
        }
        self.below(schema, path, level, inside);
    }

    fn below(&mut self, schema: &Map<String, Value>, path: &str, level: Level, inside: Inside) {
        if let Some(values) = schema.get("additionalProperties").and_then(Value::as_object) {
            self.keywords(
                values,
                &format!("{path}.additionalProperties"),
                Level::Field,
                inside,
            );
        }
        let whole = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
        for (name, property) in object(schema, "properties") {
            let meta = whole && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
            let inside = match (meta, level) {
                (true, Level::Root) => Inside::RootMeta,
                (true, _) => Inside::Meta,
                (false, _) => inside,
            };
            self.keywords(
                property,
                &format!("{path}.properties[{name}]"),
                Level::Field,
                inside,
            );
        }
        for word in ["allOf", "oneOf", "anyOf"] {
            for (index, branch) in branches(schema, word) {
                self.keywords(branch, &format!("{path}.{word}[{index}]"), Level::Field, inside);
            }
        }
        for word in ["not", "items"] {
            if let Some(inner) = schema.get(word).and_then(Value::as_object) {
                self.keywords(inner, &format!("{path}.{word}"), Level::Item, inside);
            }
        }
    }

    /// The kinds of lists and maps.
    fn kinds_of_lists(&mut self, schema: &Map<String, Value>, path: &str) {
        let kind = text(schema, "type");
        let at = |word: &str| format!("{path}.{word}");
        let pairs: [(&str, &str, &[&str]); 2] = [
            ("x-kubernetes-map-type", "object", &["atomic", "granular"]),
            ("x-kubernetes-list-type", "array", &["atomic", "set", "map"]),
        ];
        for (word, needed, allowed) in pairs {
            let Some(value) = schema.get(word).and_then(Value::as_str) else {
                continue;
            };
            let detail = format!("must be {needed} if {word} is specified");
            match kind {
                kind if kind == needed => {}
                "" => self.require(at("type"), &detail),
                kind => self.invalid(at("type"), quoted(kind), detail),
            }
            if !allowed.contains(&value) {
                let allowed: Vec<String> = allowed.iter().map(|text| quoted(text)).collect();
                let detail = format!("supported values: {}", allowed.join(", "));
                let error = FieldError::new(at(word), FieldErrorKind::NotSupported, detail);
                self.errors.push(error.with_value(quoted(value)));
            }
        }
        let list = text(schema, "x-kubernetes-list-type");
        let keys: Vec<&str> = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match (keys.is_empty(), list) {
            (true, _) | (false, "map") => {}
            (false, "") => self.require(at("x-kubernetes-list-type"), detail),
            (false, list) => self.invalid(at("x-kubernetes-list-type"), quoted(list), detail),
        }
        if list == "map" {
            self.map_keys(schema, path, &keys);
        }
        self.items_of_sets(schema, path, list);
    }

    fn map_keys(&mut self, schema: &Map<String, Value>, path: &str, keys: &[&str]) {
        let at = format!("{path}.x-kubernetes-list-map-keys");
        if keys.is_empty() {
            self.require(at.clone(), "must not be empty if x-kubernetes-list-type is map");
        }
        let Some(items) = schema.get("items").and_then(Value::as_object) else {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            self.require(format!("{path}.items"), detail);
            return;
        };
        let kind = text(items, "type");
        if kind != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            self.invalid(format!("{path}.items.type"), quoted(kind), detail);
            return;
        }
        let shown = json!(keys).to_string();
        let required = items.get("required").and_then(Value::as_array);
        for (index, key) in keys.iter().enumerate() {
            match object(items, "properties").find(|(name, _)| *name == key) {
                None => self.invalid(at.clone(), &shown, "entries must all be names of item properties"),
                Some((_, property)) => {
                    let path = format!("{path}.items.properties[{key}]");
                    if matches!(text(property, "type"), "array" | "object") {
                        let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                        self.invalid(format!("{path}.type"), quoted(kind), detail);
                    }
                    let required = required.is_some_and(|required| required.contains(&json!(key)));
                    if !required && property.get("default").is_none_or(Value::is_null) {
                        let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a \
                                      required property";
                        self.require(format!("{path}.default"), detail);
                    }
                    if flag(property, "nullable") {
                        let detail =
                            "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                        self.forbid(format!("{path}.nullable"), detail);
                    }
                }
            }
            if keys.iter().take(index).any(|earlier| earlier == key) {
                self.invalid(at.clone(), &shown, "must not contain duplicate entries");
            }
        }
    }

    fn items_of_sets(&mut self, schema: &Map<String, Value>, path: &str, list: &str) {
        let Some(items) = schema.get("items").and_then(Value::as_object) else {
            return;
        };
        if matches!(list, "set" | "map") && flag(items, "nullable") {
            let detail = format!("cannot be nullable when x-kubernetes-list-type is {list}");
            self.forbid(format!("{path}.items.nullable"), &detail);
        }
        if list != "set" {
            return;
        }
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let inner = text(items, "x-kubernetes-list-type");
        match text(items, "type") {
            "array" if !inner.is_empty() && inner != "atomic" => {
                self.invalid(
                    format!("{path}.items.x-kubernetes-list-type"),
                    quoted(inner),
                    detail,
                );
            }
            "object" if text(items, "x-kubernetes-map-type") != "atomic" => {
                self.invalid(format!("{path}.items.x-kubernetes-map-type"), "null", detail);
            }
            _ => {}
        }
    }
}
