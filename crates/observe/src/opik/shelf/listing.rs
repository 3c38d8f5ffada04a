//! Lists of what is told: filters, sorting and pages over JSON objects. Pure.

use std::cmp::Ordering;

use serde_json::Value;
use stead_kernel::{
    Timestamp,
    ports::traces::{Cell, Filter, Order},
};

use crate::opik::wire::{OpikError, PageOf, Paging, Query, filters, order};

/// How many items a page has when the query does not say.
const USUAL: usize = 10;

/// The page that a query asks for of all that there is, which comes in the usual order. `fields` are what it can be
/// filtered and sorted by.
pub(crate) fn page(
    mut all: Vec<Value>,
    query: &Query,
    fields: &'static [&'static str],
) -> Result<PageOf<Value>, OpikError> {
    let paging = Paging::of(query, USUAL)?;
    if let Some(part) = query.text("name") {
        let part = part.to_lowercase();
        all.retain(|told| text(told, "name").is_some_and(|name| name.to_lowercase().contains(&part)));
    }
    let filters = known_filters(query.text("filters"), fields)?;
    all.retain(|told| keeps(told, &filters));
    let orders = order(query.text("sorting"), |_| true)?;
    for by in &orders {
        known(&by.field, fields)?;
    }
    sort(&mut all, &orders);
    Ok(paging.cut(all, fields))
}

/// The filters of a parameter, all on these fields.
pub(crate) fn known_filters(text: Option<&str>, fields: &[&str]) -> Result<Vec<Filter>, OpikError> {
    let filters = filters(text, |_| true)?;
    for filter in &filters {
        known(&filter.field, fields)?;
    }
    Ok(filters)
}

fn known(field: &str, fields: &[&str]) -> Result<(), OpikError> {
    if fields.contains(&root(field)) {
        return Ok(());
    }
    Err(OpikError::invalid(format!(
        "there is no field {field:?} here; use one of: {}",
        fields.join(", ")
    )))
}

/// The text of a field.
pub(crate) fn text<'a>(told: &'a Value, field: &str) -> Option<&'a str> {
    told.get(field).and_then(Value::as_str)
}

/// The field that a path begins with: `data` in `data.question`.
fn root(field: &str) -> &str {
    field.split_once('.').map_or(field, |(root, _)| root)
}

/// Whether an object meets all conditions.
pub(crate) fn keeps(told: &Value, filters: &[Filter]) -> bool {
    filters
        .iter()
        .all(|filter| filter.holds(&cell(told, &filter.field, &filter.key)))
}

/// Sorts by each of the fields, the first the most important; what is equal in all stays in its order.
pub(crate) fn sort(all: &mut [Value], orders: &[Order]) {
    for by in orders.iter().rev() {
        all.sort_by(|a, b| {
            let order = compare(&cell(a, &by.field, &by.key), &cell(b, &by.field, &by.key));
            if by.descending { order.reverse() } else { order }
        });
    }
}

/// The value of a field, with a key in it: the name of a score, or a path in a document.
pub(crate) fn cell<'a>(told: &'a Value, field: &str, key: &str) -> Cell<'a> {
    let value = match field.split_once('.') {
        Some((root, path)) => told.get(root).and_then(|value| within(value, path)),
        None => told.get(field),
    };
    let value = match key {
        "" => value,
        key => value.and_then(|value| within(value, key)),
    };
    match value {
        None | Some(Value::Null) => Cell::Absent,
        Some(Value::Bool(value)) => Cell::Text(if *value { "true" } else { "false" }.into()),
        Some(Value::Number(number)) => Cell::number(number.as_f64()),
        Some(Value::String(text)) if field.ends_with("_at") => match text.parse::<Timestamp>() {
            Ok(time) => Cell::Time(time),
            Err(_) => Cell::Text(text.into()),
        },
        Some(Value::String(text)) => Cell::Text(text.into()),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            let texts = items.iter().filter_map(Value::as_str);
            Cell::List(texts.map(str::to_owned).collect::<Vec<_>>().into())
        }
        Some(value) => Cell::Text(value.to_string().into()),
    }
}

/// The value at a path in a document: a field of that very name, or one step after the other; in a list of scores the
/// value of the one with the name.
fn within<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.strip_prefix("$.").unwrap_or(path);
    match value {
        Value::Array(items) => {
            let mut named = items.iter().filter(|item| text(item, "name") == Some(path));
            named.next()?.get("value")
        }
        Value::Object(fields) => fields.get(path).or_else(|| {
            let (first, rest) = path.split_once('.')?;
            within(fields.get(first)?, rest)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The order of two values; what is absent comes first.
fn compare(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::Absent, Cell::Absent) => Ordering::Equal,
        (Cell::Absent, _) => Ordering::Less,
        (_, Cell::Absent) => Ordering::Greater,
        (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
        (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
        (Cell::List(a), Cell::List(b)) => a.cmp(b),
        (a, b) => words(a).cmp(&words(b)),
    }
}

fn words(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Absent => String::new(),
        Cell::Text(text) => text.to_lowercase(),
        Cell::Number(number) => number.to_string(),
        Cell::Time(time) => time.to_string(),
        Cell::List(items) => items.join(","),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[&str] = &[
        "id",
        "name",
        "tags",
        "metadata",
        "created_at",
        "feedback_scores",
        "count",
    ];

    fn all() -> Vec<Value> {
        vec![
            json!({"id": "1", "name": "Beta", "tags": ["x"], "count": 10, "metadata": {"a": {"b": 1}},
                   "created_at": "2026-01-01T00:00:00.000000Z", "feedback_scores": [{"name": "q", "value": 0.5}]}),
            json!({"id": "2", "name": "alpha", "tags": [], "count": 9, "metadata": {"a.b": "text"},
                   "created_at": "2026-01-02T00:00:00Z"}),
            json!({"id": "3", "name": "alphabet", "count": null, "metadata": {"flag": true}}),
        ]
    }

    fn ids(query: &str) -> Result<(Vec<String>, u64), OpikError> {
        let page = page(all(), &Query::parse(query), FIELDS)?;
        let ids = page
            .content
            .iter()
            .filter_map(|told| text(told, "id"))
            .map(str::to_owned);
        Ok((ids.collect(), page.total))
    }

    fn encoded(name: &str, json: &Value) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair(name, &json.to_string()).finish()
    }

    #[test]
    fn a_list_is_filtered_sorted_and_cut() {
        let filter = |field: &str, operator: &str, key: &str, value: &str| {
            encoded(
                "filters",
                &json!([{"field": field, "operator": operator, "key": key, "value": value}]),
            )
        };
        let sorting = |field: &str, direction: &str| {
            encoded("sorting", &json!([{"field": field, "direction": direction}]))
        };
        for (query, expected) in [
            (String::new(), vec!["1", "2", "3"]),
            ("name=ALPHA".into(), vec!["2", "3"]),
            ("page=2&size=2".into(), vec!["3"]),
            ("page=9".into(), vec![]),
            (filter("tags", "contains", "", "x"), vec!["1"]),
            (filter("count", ">", "", "9.5"), vec!["1"]),
            (filter("metadata", "=", "a.b", "1"), vec!["1"]),
            (filter("metadata", "=", "a.b", "text"), vec!["2"]),
            (filter("metadata", "=", "flag", "true"), vec!["3"]),
            (filter("metadata.flag", "is_not_empty", "", ""), vec!["3"]),
            (filter("feedback_scores", ">=", "q", "0.5"), vec!["1"]),
            (filter("created_at", ">", "", "2026-01-01T12:00:00Z"), vec!["2"]),
            (sorting("name", "ASC"), vec!["2", "3", "1"]),
            (sorting("name", "DESC"), vec!["1", "3", "2"]),
            (sorting("count", "DESC"), vec!["1", "2", "3"]),
            (sorting("feedback_scores.q", "DESC"), vec!["1", "2", "3"]),
        ] {
            assert_eq!(ids(&query).unwrap().0, expected, "{query}");
        }
        assert_eq!(ids("size=1").unwrap().1, 3);
        for query in [
            "page=0",
            "size=x",
            &filter("nothing", "=", "", "1"),
            &sorting("nothing", "ASC"),
        ] {
            assert!(ids(query).is_err(), "{query}");
        }
    }
}
