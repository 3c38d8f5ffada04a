//! The values that filters and orders ask for. Pure.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;
use stead_kernel::ports::traces::{Cell, Entry, Filter, Json, Order, Score, Thread};

/// The value of a field of an entry.
pub(super) fn of_entry<'a>(entry: &'a Entry, field: &str, key: &str) -> Cell<'a> {
    let fields = &entry.fields;
    let spans = entry.spans.as_ref();
    match field {
        "id" => Cell::Text(entry.id.to_string().into()),
        "project_id" => Cell::Text(entry.project.to_string().into()),
        "trace_id" => id(fields.trace_id),
        "parent_span_id" => id(fields.parent_span_id),
        "name" => Cell::text(fields.name.as_deref()),
        "type" => Cell::text(fields.sort.as_deref()),
        "start_time" => Cell::time(fields.start),
        "end_time" => Cell::time(fields.end),
        "created_at" => Cell::Time(entry.created),
        "last_updated_at" => Cell::Time(entry.updated),
        "created_by" => Cell::text(Some(&entry.created_by)),
        "last_updated_by" => Cell::text(Some(&entry.updated_by)),
        "input" | "input_json" => json(fields.input.as_ref(), key),
        "output" | "output_json" => json(fields.output.as_ref(), key),
        "metadata" => json(fields.metadata.as_ref(), key),
        // What was not read is only asked for whether it is there.
        "error_info" if entry.has.error && fields.error.is_none() => Cell::text(Some("error")),
        "error_info" => json(fields.error.as_ref(), key),
        "has_error" => Cell::text(Some(if entry.has.error { "true" } else { "false" })),
        "error_type" => json(fields.error.as_ref(), "exception_type"),
        "custom" => custom(entry, key),
        "tags" => fields
            .tags
            .as_deref()
            .map_or(Cell::Absent, |tags| Cell::List(tags.into())),
        "model" => Cell::text(fields.model.as_deref()),
        "provider" => Cell::text(fields.provider.as_deref()),
        "providers" => spans.map_or(Cell::Absent, |spans| {
            Cell::List(spans.providers.as_slice().into())
        }),
        "models" => spans.map_or(Cell::Absent, |spans| Cell::List(spans.models.as_slice().into())),
        "thread_id" => Cell::text(fields.thread.as_deref()),
        "source" => Cell::text(fields.source.as_deref()),
        "environment" => Cell::text(fields.environment.as_deref()),
        "visibility_mode" => Cell::text(Some("default")),
        "duration" => Cell::number(entry.duration_ms()),
        "ttft" => Cell::number(fields.first_token_ms),
        "total_estimated_cost" => Cell::number(entry.cost),
        "span_count" => Cell::number(spans.map(|spans| count(spans.spans))),
        "llm_span_count" => Cell::number(spans.map(|spans| count(spans.llm_spans))),
        "has_tool_spans" => {
            Cell::text(spans.map(|spans| if spans.tool_spans > 0 { "true" } else { "false" }))
        }
        "feedback_scores" => score(&entry.scores, key),
        "span_feedback_scores" => {
            let found = spans.and_then(|spans| spans.scores.get(key));
            Cell::number(found.copied())
        }
        other => {
            let usage = spans.map(|spans| &spans.usage).or(fields.usage.as_ref());
            let name = other.strip_prefix("usage.").unwrap_or(key);
            Cell::number(
                usage
                    .and_then(|usage| usage.get(name))
                    .map(|tokens| signed(*tokens)),
            )
        }
    }
}

/// The value of a field of a thread.
pub(super) fn of_thread<'a>(thread: &'a Thread, field: &str, key: &str) -> Cell<'a> {
    match field {
        "id" | "thread_id" => Cell::text(Some(&thread.name)),
        "thread_model_id" => Cell::Text(thread.id.to_string().into()),
        "project_id" => Cell::Text(thread.project.to_string().into()),
        "status" => Cell::text(Some(if thread.active { "active" } else { "inactive" })),
        "start_time" => Cell::time(thread.start),
        "end_time" => Cell::time(thread.end),
        "duration" => Cell::number(thread.duration_ms()),
        // A trace is a question and an answer.
        "number_of_messages" => Cell::Number(count(thread.traces.saturating_mul(2))),
        "first_message" => json(thread.first_message.as_ref(), key),
        "last_message" => json(thread.last_message.as_ref(), key),
        "tags" => Cell::List(thread.tags.as_slice().into()),
        "environment" => Cell::text(thread.environment.as_deref()),
        "total_estimated_cost" => Cell::number(thread.cost),
        "feedback_scores" => score(&thread.scores, key),
        "created_at" => Cell::Time(thread.created),
        "last_updated_at" => Cell::Time(thread.updated),
        "created_by" => Cell::text(Some(&thread.created_by)),
        "last_updated_by" => Cell::text(Some(&thread.updated_by)),
        other => {
            let name = other.strip_prefix("usage.").unwrap_or(key);
            Cell::number(thread.usage.get(name).map(|tokens| signed(*tokens)))
        }
    }
}

fn id(id: Option<uuid::Uuid>) -> Cell<'static> {
    id.map_or(Cell::Absent, |id| Cell::Text(id.to_string().into()))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens are far below 2^53")]
fn signed(count: i64) -> f64 {
    count as f64
}

/// The mean of all authors' scores of that name.
fn score(scores: &[Score], name: &str) -> Cell<'static> {
    let values: Vec<f64> = scores
        .iter()
        .filter(|score| score.name == name)
        .map(|score| score.value)
        .collect();
    if values.is_empty() {
        return Cell::Absent;
    }
    Cell::Number(values.iter().sum::<f64>() / count(values.len() as u64))
}

/// `input.a.b`: a key in a field.
fn custom<'a>(entry: &'a Entry, key: &str) -> Cell<'a> {
    let (field, rest) = key.split_once('.').unwrap_or((key, ""));
    match field {
        "input" => json(entry.fields.input.as_ref(), rest),
        "output" => json(entry.fields.output.as_ref(), rest),
        "metadata" => json(entry.fields.metadata.as_ref(), rest),
        _ => Cell::Absent,
    }
}

/// A document's text, or what lies at a path in it.
fn json<'a>(document: Option<&'a Json>, path: &str) -> Cell<'a> {
    let Some(document) = document else {
        return Cell::Absent;
    };
    if path.is_empty() {
        let text = document.get();
        let is_empty = matches!(text, "null" | "{}" | "[]" | "\"\"");
        return if is_empty {
            Cell::Absent
        } else {
            Cell::Text(Cow::Borrowed(text))
        };
    }
    let Ok(value) = serde_json::from_str::<Value>(document.get()) else {
        return Cell::Absent;
    };
    match at_path(&value, path) {
        None | Some(Value::Null) => Cell::Absent,
        Some(Value::String(text)) => Cell::Text(text.clone().into()),
        Some(Value::Number(number)) => Cell::number(number.as_f64()),
        Some(other) => Cell::Text(other.to_string().into()),
    }
}

/// What lies at `a.b[0].c`, with or without `$.` before it; a key that has the whole path as its name counts first.
fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path
        .strip_prefix("$.")
        .or_else(|| path.strip_prefix('$'))
        .unwrap_or(path);
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut at = value;
    for part in path.split(['.', '[']).map(|part| part.trim_end_matches(']')) {
        if part.is_empty() {
            continue;
        }
        at = match at {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part.trim_matches(['"', '\'']))?,
        };
    }
    Some(at)
}

/// Whether all filters hold.
pub(super) fn all_hold<'a>(filters: &[Filter], cell: impl Fn(&str, &str) -> Cell<'a>) -> bool {
    filters
        .iter()
        .all(|filter| filter.holds(&cell(&filter.field, &filter.key)))
}

/// Whether a text, in lower case, is somewhere in an entry.
pub(super) fn contains(entry: &Entry, lower: &str) -> bool {
    let fields = &entry.fields;
    let texts = [
        fields.name.as_deref(),
        fields.input.as_deref().map(serde_json::value::RawValue::get),
        fields.output.as_deref().map(serde_json::value::RawValue::get),
        fields.metadata.as_deref().map(serde_json::value::RawValue::get),
        fields.thread.as_deref(),
        fields.model.as_deref(),
    ];
    let mut texts = texts.into_iter().flatten();
    texts.any(|text| text.to_lowercase().contains(lower))
        || entry.id.to_string().contains(lower)
        || fields
            .tags
            .iter()
            .flatten()
            .any(|tag| tag.to_lowercase().contains(lower))
}

/// A value to sort by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Absent,
    Number(f64),
    Text(String),
}

impl Key {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 are below 2^53 until the year 2255"
    )]
    pub(super) fn of(cell: &Cell<'_>) -> Self {
        match cell {
            Cell::Absent => Self::Absent,
            Cell::Number(number) => Self::Number(*number),
            Cell::Time(time) => Self::Number(time.as_microsecond() as f64),
            Cell::Text(text) => Self::Text(text.to_lowercase()),
            Cell::List(items) => Self::Text(items.join(",").to_lowercase()),
        }
    }

    /// What has no value comes last, whatever the direction.
    fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Absent, Self::Absent) => return Ordering::Equal,
            (Self::Absent, _) => return Ordering::Greater,
            (_, Self::Absent) => return Ordering::Less,
            (Self::Number(own), Self::Number(other)) => own.total_cmp(other),
            (Self::Text(own), Self::Text(other)) => own.cmp(other),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        };
        if descending { order.reverse() } else { order }
    }
}

/// Compares by several keys.
pub(super) fn compare(own: &[Key], other: &[Key], orders: &[Order]) -> Ordering {
    let pairs = own.iter().zip(other).zip(orders);
    pairs
        .map(|((own, other), order)| own.compare(other, order.descending))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let value = json!({"a": {"b": [1, {"c": "x"}]}, "a.b": 7, "d e": 2});
        for (path, expected) in [
            ("a.b", Some(json!(7))),
            ("$.a.b[1].c", Some(json!("x"))),
            ("a.b[0]", Some(json!(7))),
            ("d e", Some(json!(2))),
            ("a.x", None),
            ("a.b[9]", None),
        ] {
            let found = at_path(&value, path).cloned();
            if path == "a.b[0]" {
                assert_eq!(found, Some(json!(1)), "{path}");
            } else {
                assert_eq!(found, expected, "{path}");
            }
        }
    }

    #[test]
    fn what_has_no_value_comes_last_in_both_directions() {
        let orders = |descending| {
            vec![Order {
                field: "x".into(),
                key: String::new(),
                descending,
            }]
        };
        for descending in [false, true] {
            let mut keys = [vec![Key::Absent], vec![Key::Number(1.0)], vec![Key::Number(2.0)]];
            keys.sort_by(|own, other| compare(own, other, &orders(descending)));
            assert_eq!(keys[2], [Key::Absent]);
            assert_eq!(keys[0] == [Key::Number(2.0)], descending);
        }
    }
}
