//! The part of `JSONPath` that `stead wait` needs: `.a.b`, `['a']`, `[0]`, `[-1]`, `[*]` and `[?(@.a=="x")]`.

use serde_json::Value;

/// A path to values in an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Each,
    Where(JsonPath, Value),
}

impl JsonPath {
    /// Reads a path, in braces or not.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let inner = inner.strip_prefix('$').unwrap_or(inner);
        let mut steps = Vec::new();
        let mut rest = inner;
        while !rest.is_empty() {
            let (step, after) =
                parse_step(rest).ok_or_else(|| format!("{text:?} cannot be read from {rest:?} on"))?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            Err("an empty path leads nowhere".into())
        } else {
            Ok(Self(steps))
        }
    }

    /// All values that it leads to.
    pub(super) fn find<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![object];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.take(value)).collect();
        }
        found
    }
}

impl Step {
    fn take<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let index = if *index < 0 {
                    items
                        .len()
                        .checked_sub(index.unsigned_abs().try_into().unwrap_or(usize::MAX))
                } else {
                    usize::try_from(*index).ok()
                };
                index.and_then(|index| items.get(index)).into_iter().collect()
            }
            Self::Each => match value.as_object() {
                Some(fields) => fields.values().collect(),
                None => items.iter().collect(),
            },
            Self::Where(path, wanted) => items
                .iter()
                .filter(|item| path.find(item).contains(&wanted))
                .collect(),
        }
    }
}

fn parse_step(text: &str) -> Option<(Step, &str)> {
    let Some(inside) = text.strip_prefix('[') else {
        let rest = text.strip_prefix('.').unwrap_or(text);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        let step = if name == "*" {
            Step::Each
        } else {
            Step::Field(name.to_owned())
        };
        return (!name.is_empty()).then_some((step, after));
    };
    if let Some(filter) = inside.strip_prefix("?(") {
        let (filter, after) = filter.split_once(")]")?;
        let (path, value) = filter.split_once("==")?;
        let path = JsonPath::parse(path.trim().strip_prefix('@')?).ok()?;
        return Some((Step::Where(path, literal(value.trim())?), after));
    }
    let (inside, after) = inside.split_once(']')?;
    let step = match inside {
        "*" => Step::Each,
        _ if inside.starts_with(['\'', '"']) => Step::Field(literal(inside)?.as_str()?.to_owned()),
        _ => Step::Index(inside.parse().ok()?),
    };
    Some((step, after))
}

fn literal(text: &str) -> Option<Value> {
    match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(text) => Some(text.into()),
        None => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_the_values_that_kubectl_finds() {
        let object = json!({"status": {"phase": "Up", "n": 3, "a.b": 1,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]}});
        let cases = [
            ("{.status.phase}", json!(["Up"])),
            (".status.n", json!([3])),
            ("{.status['a.b']}", json!([1])),
            ("{$.status.conditions[0].type}", json!(["Ready"])),
            ("{.status.conditions[-1].type}", json!(["Old"])),
            ("{.status.conditions[*].status}", json!(["True", "False"])),
            (
                "{.status.conditions[?(@.type==\"Ready\")].status}",
                json!(["True"]),
            ),
            ("{.status.conditions[?(@.type=='None')].status}", json!([])),
            ("{.status.conditions[9]}", json!([])),
            ("{.status.gone.deep}", json!([])),
        ];
        for (path, wanted) in cases {
            let found: Value = JsonPath::parse(path)
                .unwrap()
                .find(&object)
                .into_iter()
                .cloned()
                .collect();
            assert_eq!(found, wanted, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic(text in "[.\\[\\]{}()?@=a-c0-9'\"*$-]{0,20}") {
            if let Ok(path) = JsonPath::parse(&text) {
                path.find(&json!({"a": [{"b": 1}], "b": {"c": []}}));
            }
        }
    }
}
