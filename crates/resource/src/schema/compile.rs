//! From the JSON of an OpenAPI v3 schema to [`Node`]s, checking that it is structural.

use regex::Regex;
use serde_json::{Value, json};

use super::{
    SchemaError, cel,
    keywords::{self, Keywords},
    metadata,
    node::{ListType, MapType, Node, Range, Rules, Type},
};

/// Where a schema stands, which decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

impl Level {
    const fn needs_type(self) -> &'static str {
        match self {
            Self::Root => "must not be empty at the root",
            Self::Field => "must not be empty for specified object fields",
            Self::Item => "must not be empty for specified array items",
        }
    }
}

/// Compiles the schema of a whole object; its validation rules are read, and not compiled yet.
pub(super) fn compile(schema: &Value) -> Result<Node, SchemaError> {
    let mut root = Compiler.structural(schema, "openAPIV3Schema", Level::Root)?;
    metadata::complete(&mut root);
    Ok(root)
}

struct Compiler;

impl Compiler {
    /// Compiles a schema outside of `allOf`, `anyOf`, `oneOf` and `not`.
    fn structural(&mut self, schema: &Value, path: &str, level: Level) -> Result<Node, SchemaError> {
        let words = Keywords::new(schema, path)?;
        words.refuse(keywords::NOT_STRUCTURAL)?;
        let kind = kind(&words, level)?;
        let mut node = Node {
            kind,
            nullable: words.flag("nullable")?,
            default: words.get("default").cloned(),
            preserve_unknown: words.flag("x-kubernetes-preserve-unknown-fields")?,
            embedded: words.flag("x-kubernetes-embedded-resource")?,
            map: map_type(&words)?,
            validations: cel::read(&words)?,
            ..Node::default()
        };
        self.children(&mut node, &words, level)?;
        node.has_validations = !node.validations.is_empty()
            || node.properties.values().any(|property| property.has_validations)
            || node
                .additional
                .as_ref()
                .is_some_and(|values| values.has_validations)
            || node.items.as_ref().is_some_and(|items| items.has_validations);
        node.list = list_type(&node, &words)?;
        node.rules = self.rules(&words, kind == Type::IntOrString)?;
        // As in Kubernetes, at the root only.
        if level == Level::Root {
            check_branches_are_declared(&node, &node.rules, path)?;
        }
        if node.embedded {
            embedded(&mut node, &words)?;
        }
        check_default(&node, &words)?;
        Ok(node)
    }

    fn children(&mut self, node: &mut Node, words: &Keywords<'_>, level: Level) -> Result<(), SchemaError> {
        for (name, property) in words.object("properties")?.into_iter().flatten() {
            let path = words.path_to(&format!("properties[{name}]"));
            node.properties
                .insert(name.clone(), self.structural(property, &path, Level::Field)?);
        }
        if let Some(additional) = words.get("additionalProperties") {
            node.additional = self.additional(additional, words, level)?;
        }
        match words.get("items") {
            Some(items) => {
                let items = self.structural(items, &words.path_to("items"), Level::Item)?;
                node.items = Some(Box::new(items));
            }
            None if node.kind == Type::Array => {
                return Err(words.error("items", "must be specified for an array"));
            }
            None => {}
        }
        Ok(())
    }

    fn additional(
        &mut self,
        schema: &Value,
        words: &Keywords<'_>,
        level: Level,
    ) -> Result<Option<Box<Node>>, SchemaError> {
        const WORD: &str = "additionalProperties";
        if level == Level::Root {
            return Err(words.error(WORD, "must not be used at the root"));
        }
        if words.get("properties").is_some() {
            return Err(words.error(WORD, "cannot be used together with properties"));
        }
        match schema {
            Value::Bool(true) => Ok(Some(Box::new(Node::any()))),
            Value::Bool(false) => {
                Err(words.error(WORD, "cannot be false; leave it out, unknown fields are pruned"))
            }
            schema => Ok(Some(Box::new(self.structural(
                schema,
                &words.path_to(WORD),
                Level::Field,
            )?))),
        }
    }

    fn rules(&mut self, words: &Keywords<'_>, int_or_string: bool) -> Result<Rules, SchemaError> {
        let any_of = if int_or_string && words.get("anyOf") == Some(&int_or_string_branches()) {
            Vec::new()
        } else {
            self.branches(words, "anyOf", false)?
        };
        Ok(Rules {
            required: words.texts("required")?,
            allowed: words.list("enum")?.cloned(),
            pattern: pattern(words)?,
            format: words.text("format")?.map(str::to_owned),
            minimum: words.bound("minimum", "exclusiveMinimum")?,
            maximum: words.bound("maximum", "exclusiveMaximum")?,
            multiple_of: words.multiple_of()?,
            length: Range {
                min: words.count("minLength")?,
                max: words.count("maxLength")?,
            },
            items: Range {
                min: words.count("minItems")?,
                max: words.count("maxItems")?,
            },
            members: Range {
                min: words.count("minProperties")?,
                max: words.count("maxProperties")?,
            },
            any_of,
            all_of: self.branches(words, "allOf", int_or_string)?,
            one_of: self.branches(words, "oneOf", false)?,
            not: match words.get("not") {
                Some(schema) => Some(Box::new(self.branch(schema, &words.path_to("not"), false)?)),
                None => None,
            },
        })
    }

    fn branches(
        &mut self,
        words: &Keywords<'_>,
        word: &str,
        int_or_string: bool,
    ) -> Result<Vec<Node>, SchemaError> {
        let mut branches = Vec::new();
        for (index, schema) in words.list(word)?.into_iter().flatten().enumerate() {
            let path = words.path_to(&format!("{word}[{index}]"));
            branches.push(self.branch(schema, &path, int_or_string && index == 0)?);
        }
        Ok(branches)
    }

    /// Compiles a branch of a logical junctor: it may restrict values but not say what there is.
    fn branch(&mut self, schema: &Value, path: &str, int_or_string: bool) -> Result<Node, SchemaError> {
        let words = Keywords::new(schema, path)?;
        words.refuse(keywords::NOT_STRUCTURAL)?;
        words.refuse(keywords::NOT_IN_BRANCHES)?;
        let mut node = Node {
            rules: self.rules(&words, int_or_string)?,
            ..Node::default()
        };
        for (name, property) in words.object("properties")?.into_iter().flatten() {
            if name == "metadata" {
                return Err(words.error(
                    "properties[metadata]",
                    "must not be specified in a nested context",
                ));
            }
            let path = words.path_to(&format!("properties[{name}]"));
            node.properties
                .insert(name.clone(), self.branch(property, &path, false)?);
        }
        if let Some(items) = words.get("items") {
            node.items = Some(Box::new(self.branch(items, &words.path_to("items"), false)?));
        }
        Ok(node)
    }
}

fn int_or_string_branches() -> Value {
    json!([{"type": "integer"}, {"type": "string"}])
}

fn kind(words: &Keywords<'_>, level: Level) -> Result<Type, SchemaError> {
    let int_or_string = words.flag("x-kubernetes-int-or-string")?;
    let preserve = words.flag("x-kubernetes-preserve-unknown-fields")?;
    let embedded = words.flag("x-kubernetes-embedded-resource")?;
    if int_or_string && (preserve || embedded) {
        return Err(words.error(
            "x-kubernetes-int-or-string",
            "cannot be combined with x-kubernetes-preserve-unknown-fields or x-kubernetes-embedded-resource",
        ));
    }
    let kind = match words.text("type")? {
        None if int_or_string => Type::IntOrString,
        None if preserve && !embedded && level != Level::Root => Type::Any,
        None if embedded => return Err(words.error("type", "must be object for an embedded resource")),
        None => return Err(words.error("type", level.needs_type())),
        Some(_) if int_or_string => {
            return Err(words.error("type", "must be empty if x-kubernetes-int-or-string is true"));
        }
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        Some(other) => {
            let message = format!("{other:?} is not one of object, array, string, integer, number, boolean");
            return Err(words.error("type", message));
        }
    };
    if (embedded || level == Level::Root) && kind != Type::Object {
        return Err(words.error("type", "must be object at the root and for an embedded resource"));
    }
    Ok(kind)
}

fn pattern(words: &Keywords<'_>) -> Result<Option<Regex>, SchemaError> {
    let Some(text) = words.text("pattern")? else {
        return Ok(None);
    };
    Regex::new(text).map(Some).map_err(|error| {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        words.error("pattern", format!("must be a valid regular expression: {reason}"))
    })
}

fn map_type(words: &Keywords<'_>) -> Result<MapType, SchemaError> {
    Ok(
        match words.one_of("x-kubernetes-map-type", &["granular", "atomic"])? {
            Some("atomic") => MapType::Atomic,
            _ => MapType::Granular,
        },
    )
}

fn list_type(node: &Node, words: &Keywords<'_>) -> Result<ListType, SchemaError> {
    const WORD: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let list = words.one_of(WORD, &["atomic", "set", "map"])?;
    let keys = words.texts(KEYS)?;
    if list.is_some() && node.kind != Type::Array {
        return Err(words.error(WORD, "must be used on an array"));
    }
    if list != Some("map") && !keys.is_empty() {
        return Err(words.error(KEYS, "is only for x-kubernetes-list-type map"));
    }
    match list {
        Some("set") if !is_set_element(node.element()) => {
            Err(words.error(WORD, "a set's items must be scalars, or atomic lists or maps"))
        }
        Some("set") => Ok(ListType::Set),
        Some("map") => list_map(node, keys, words),
        _ => Ok(ListType::Atomic),
    }
}

fn is_set_element(items: &Node) -> bool {
    match items.kind {
        Type::Object => items.map == MapType::Atomic,
        Type::Array => items.list == ListType::Atomic,
        Type::Any => false,
        Type::String | Type::Integer | Type::Number | Type::Boolean | Type::IntOrString => !items.nullable,
    }
}

fn list_map(node: &Node, keys: Vec<String>, words: &Keywords<'_>) -> Result<ListType, SchemaError> {
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let items = node.element();
    if items.kind != Type::Object {
        return Err(words.error("items.type", "must be object if x-kubernetes-list-type is map"));
    }
    if keys.is_empty() {
        return Err(words.error(KEYS, "must not be empty if x-kubernetes-list-type is map"));
    }
    for (index, key) in keys.iter().enumerate() {
        let Some(property) = items.properties.get(key) else {
            return Err(words.error(KEYS, format!("{key:?} is not a property of the items")));
        };
        if matches!(property.kind, Type::Object | Type::Array | Type::Any) || property.nullable {
            return Err(words.error(KEYS, format!("{key:?} must be a scalar that is not nullable")));
        }
        if property.default.is_none() && !items.rules.required.contains(key) {
            return Err(words.error(KEYS, format!("{key:?} must be required or have a default")));
        }
        if keys.iter().take(index).any(|earlier| earlier == key) {
            return Err(words.error(KEYS, format!("{key:?} is listed twice")));
        }
    }
    Ok(ListType::Map(keys))
}

fn embedded(node: &mut Node, words: &Keywords<'_>) -> Result<(), SchemaError> {
    if node.additional.is_some() {
        return Err(words.error(
            "additionalProperties",
            "must not be used for an embedded resource",
        ));
    }
    if node.properties.is_empty() && !node.preserve_unknown {
        return Err(words.error(
            "properties",
            "must not be empty for an embedded resource without x-kubernetes-preserve-unknown-fields",
        ));
    }
    metadata::complete(node);
    for name in ["apiVersion", "kind"] {
        if !node.rules.required.iter().any(|required| required == name) {
            node.rules.required.push(name.to_owned());
        }
    }
    Ok(())
}

/// Every field that a branch speaks of must be declared outside of branches.
fn check_branches_are_declared(node: &Node, rules: &Rules, path: &str) -> Result<(), SchemaError> {
    let listed = [
        ("allOf", &rules.all_of),
        ("anyOf", &rules.any_of),
        ("oneOf", &rules.one_of),
    ];
    for (word, branches) in listed {
        for (index, branch) in branches.iter().enumerate() {
            check_branch(node, branch, &format!("{path}.{word}[{index}]"))?;
        }
    }
    rules.not.as_deref().map_or(Ok(()), |branch| {
        check_branch(node, branch, &format!("{path}.not"))
    })
}

fn check_branch(node: &Node, branch: &Node, path: &str) -> Result<(), SchemaError> {
    for (name, property) in &branch.properties {
        let path = format!("{path}.properties[{name}]");
        let Some(declared) = node.properties.get(name) else {
            return Err(undeclared(path));
        };
        check_branch(declared, property, &path)?;
    }
    if let Some(items) = &branch.items {
        let path = format!("{path}.items");
        let Some(declared) = &node.items else {
            return Err(undeclared(path));
        };
        check_branch(declared, items, &path)?;
    }
    check_branches_are_declared(node, &branch.rules, path)
}

fn undeclared(path: String) -> SchemaError {
    SchemaError {
        path,
        message: "must also be specified outside of allOf, anyOf, oneOf and not".to_owned(),
    }
}

/// A default must fit its own schema, or every object would be refused.
fn check_default(node: &Node, words: &Keywords<'_>) -> Result<(), SchemaError> {
    let Some(default) = &node.default else {
        return Ok(());
    };
    let mut value = default.clone();
    super::default::fill(node, &mut value);
    if let Some(error) = super::validate::check(node, &value).into_iter().next() {
        let below = if error.path.is_empty() {
            "default".into()
        } else {
            format!("default.{}", error.path)
        };
        return Err(words.error(&below, error.message()));
    }
    if !super::prune::prune(node, &mut value).is_empty() {
        return Err(words.error(
            "default",
            format!("Invalid value: {default}: must not have unknown fields"),
        ));
    }
    Ok(())
}
