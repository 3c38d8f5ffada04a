//! Reading JSON objects field by field, with complaints that name the field.
//!
//! Names are asked for as the API documents spell them; a camel-case name is also found in its snake-case spelling,
//! which Google's JSON mapping accepts.

use serde_json::{Map, Value};

use crate::chat::{TranslateError, refuse};

/// A JSON object and where it lies in the body.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The object at `path` (empty for the body itself).
    pub(crate) fn new(value: &'a Value, path: impl Into<String>) -> Result<Self, TranslateError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            _ if path.is_empty() => refuse("body", "must be a JSON object"),
            _ => refuse(path, "must be an object"),
        }
    }

    /// The name of a field in complaints.
    pub(crate) fn param(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Where the object lies.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// A member; null counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        lookup(self.members, name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, TranslateError> {
        self.read(name, "must be a text", Value::as_str)
    }

    /// A text that must be there and hold something.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, TranslateError> {
        match self.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => refuse(self.param(name), "must be a text that is not empty"),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, TranslateError> {
        self.read(name, "must be true or false", Value::as_bool)
    }

    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, TranslateError> {
        self.read(name, "must be a whole number that is not negative", count)
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, TranslateError> {
        self.read(name, "must be a whole number", integer)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, TranslateError> {
        self.read(name, "must be a number", Value::as_f64)
    }

    /// The elements of a list. A value that is no list counts as a list of one, as in Google's JSON mapping.
    pub(crate) fn list(&self, name: &str) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(elements)) => elements,
            Some(other) => std::slice::from_ref(other),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, TranslateError> {
        let texts: Option<Vec<String>> = self
            .list(name)
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect();
        texts.map_or_else(|| refuse(self.param(name), "must be a list of texts"), Ok)
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, TranslateError> {
        self.get(name)
            .map(|value| Self::new(value, self.param(name)))
            .transpose()
    }

    /// The objects of a list, with their positions in their paths.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, TranslateError> {
        self.list(name)
            .iter()
            .enumerate()
            .map(|(index, value)| Self::new(value, format!("{}[{index}]", self.param(name))))
            .collect()
    }

    /// The members that are none of `known`, null ones left out.
    pub(crate) fn others(&self, known: &[&str]) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.members
            .iter()
            .filter(|(key, value)| !value.is_null() && !known.iter().any(|name| is_spelled(key, name)))
            .map(|(key, value)| (key.as_str(), value))
    }

    fn read<T>(
        &self,
        name: &str,
        message: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, TranslateError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => refuse(self.param(name), message),
            },
        }
    }
}

/// A member of an object in either spelling; null counts as absent.
pub(crate) fn lookup<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members
        .get(name)
        .or_else(|| {
            members
                .iter()
                .find(|(key, _)| is_spelled(key, name))
                .map(|(_, value)| value)
        })
        .filter(|value| !value.is_null())
}

/// Whether a key is the name, or the name in snake case.
fn is_spelled(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut wanted = name.chars();
    let mut is_after_line = false;
    for character in key.chars() {
        if character == '_' {
            is_after_line = true;
            continue;
        }
        let character = if std::mem::take(&mut is_after_line) {
            character.to_ascii_uppercase()
        } else {
            character
        };
        if wanted.next() != Some(character) {
            return false;
        }
    }
    wanted.next().is_none()
}

/// A key in camel case.
pub(crate) fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut is_after_line = false;
    for character in key.chars() {
        if character == '_' && !out.is_empty() {
            is_after_line = true;
        } else if std::mem::take(&mut is_after_line) {
            out.push(character.to_ascii_uppercase());
        } else {
            out.push(character);
        }
    }
    out
}

/// A whole number, as one, as `40.0` or, as Google's JSON mapping has it, as a text.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            format!("{number:.0}").parse().ok()
        }),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| u64::try_from(integer(value)?).ok())
}

/// A number as JSON, whole ones without a fraction, as clients write them.
pub(crate) fn number(given: f64) -> Value {
    let whole = || format!("{given:.0}").parse::<i64>().ok();
    match whole().filter(|_| given.fract() == 0.0 && given.abs() < 1e15) {
        Some(whole) => whole.into(),
        None => given.into(),
    }
}

/// Sets the value at a path like `options.num_ctx` or `contents[0].parts[1].videoMetadata`. Objects on the way are
/// made, list elements must be there; false when they are not.
pub(crate) fn set(root: &mut Value, path: &str, value: Value) -> bool {
    let mut at = root;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let (name, index) = match step.split_once('[') {
            None => (step, None),
            Some((name, rest)) => match rest
                .strip_suffix(']')
                .and_then(|index| index.parse::<usize>().ok())
            {
                Some(index) => (name, Some(index)),
                None => return false,
            },
        };
        let Value::Object(members) = at else {
            return false;
        };
        if index.is_none() && steps.peek().is_none() {
            members.insert(name.to_owned(), value);
            return true;
        }
        let next = match index {
            None => Some(members.entry(name).or_insert_with(|| Value::Object(Map::new()))),
            Some(index) => members.get_mut(name).and_then(|list| list.get_mut(index)),
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fields, camel, number, set};

    #[test]
    fn both_spellings_are_found_and_nothing_else() {
        let body = json!({"inline_data": 1, "fileData": 2, "text": null, "num_ctx": 3, "top_K": "4"});
        let fields = Fields::new(&body, "").expect("an object");
        for (name, wanted) in [("inlineData", 1), ("fileData", 2), ("num_ctx", 3), ("topK", 4)] {
            assert_eq!(fields.count(name).expect("a count"), Some(wanted), "{name}");
        }
        for name in ["text", "inline", "numCtxs", "file"] {
            assert_eq!(fields.get(name), None, "{name}");
        }
        let others: Vec<&str> = fields
            .others(&["inlineData", "topK"])
            .map(|(key, _)| key)
            .collect();
        assert_eq!(others, ["fileData", "num_ctx"]);
        assert_eq!(camel("google_search_retrieval"), "googleSearchRetrieval");
    }

    #[test]
    fn numbers_may_be_texts_or_have_a_zero_fraction() {
        let body = json!({"a": "12", "b": 40.0, "c": 1.5, "d": -1, "e": "x", "f": 1e300});
        let fields = Fields::new(&body, "generationConfig").expect("an object");
        assert_eq!(fields.count("a").expect("a count"), Some(12));
        assert_eq!(fields.count("b").expect("a count"), Some(40));
        assert_eq!(fields.integer("d").expect("whole"), Some(-1));
        for name in ["c", "d", "e", "f"] {
            let error = fields.count(name).expect_err(name);
            assert_eq!(error.param, format!("generationConfig.{name}"));
        }
        assert_eq!([number(1.0), number(-0.5)], [json!(1), json!(-0.5)]);
    }

    #[test]
    fn values_are_set_at_their_path_when_its_lists_are_long_enough() {
        let mut body = json!({"contents": [{"parts": [{"text": "a"}]}]});
        assert!(set(&mut body, "contents[0].parts[0].videoMetadata", json!(1)));
        assert!(set(&mut body, "options.num_ctx", json!(2)));
        for path in [
            "contents[1].x",
            "contents[0]",
            "contents[x].y",
            "contents.x",
            "options.num_ctx.x",
            "a[0].b",
        ] {
            assert!(!set(&mut body, path, json!(0)), "{path}");
        }
        assert_eq!(
            body,
            json!({"contents": [{"parts": [{"text": "a", "videoMetadata": 1}]}], "options": {"num_ctx": 2}})
        );
    }
}
