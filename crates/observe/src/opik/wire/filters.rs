//! Filters and sorting, as Opik's query language arrives on the wire: a JSON array of `{"field", "operator", "key",
//! "value"}`, and one of `{"field", "direction"}` (<https://www.comet.com/docs/opik/reference/rest-api/overview>).

use serde::Deserialize;
use stead_kernel::ports::traces::{Filter, Operator, Order};

use super::OpikError;

/// The most filters or fields to sort by.
const MOST: usize = 100;

/// A filter as it is written.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Written {
    field: String,
    operator: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Sorting {
    field: String,
    #[serde(default)]
    direction: Option<String>,
}

/// The filters of a parameter; `known` says whether there is such a field.
pub(crate) fn filters(text: Option<&str>, known: fn(&str) -> bool) -> Result<Vec<Filter>, OpikError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let written: Vec<Written> = serde_json::from_str(text)
        .map_err(|error| OpikError::invalid(format!("Invalid filters query parameter '{text}': {error}")))?;
    typed(written, known)
}

/// The filters of a body.
pub(crate) fn typed(written: Vec<Written>, known: fn(&str) -> bool) -> Result<Vec<Filter>, OpikError> {
    if written.len() > MOST {
        return Err(OpikError::invalid(format!(
            "at most {MOST} filters can be combined"
        )));
    }
    written.into_iter().map(|one| typed_one(one, known)).collect()
}

fn typed_one(written: Written, known: fn(&str) -> bool) -> Result<Filter, OpikError> {
    let Written {
        field,
        operator,
        key,
        value,
    } = written;
    let invalid = |why: &str| OpikError::invalid(format!("Invalid filter on {field:?}: {why}"));
    if !known(&field) {
        return Err(invalid("there is no such field"));
    }
    let Some(parsed) = Operator::parse(&operator) else {
        return Err(invalid(&format!("there is no operator {operator:?}")));
    };
    let key = key.unwrap_or_default();
    // The value may come as text or as what it stands for.
    let value = match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let filter = Filter::new(field.clone(), key, parsed, value);
    check(&filter).map_err(invalid)?;
    Ok(filter)
}

/// Whether the value is of the field's sort where it is compared in order.
fn check(filter: &Filter) -> Result<(), &'static str> {
    use Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};
    let ordered = matches!(filter.operator, Greater | GreaterOrEqual | Less | LessOrEqual);
    let empty = matches!(filter.operator, Operator::IsEmpty | Operator::IsNotEmpty);
    match filter.field.as_str() {
        "feedback_scores" | "span_feedback_scores" if filter.key.is_empty() => {
            Err("the key must name a score")
        }
        field
            if is_number(field) && !empty && filter.number().is_none() && filter.operator != Operator::In =>
        {
            Err("the value must be a number")
        }
        field if is_time(field) && ordered && filter.time().is_none() => Err("the value must be a time"),
        _ => Ok(()),
    }
}

/// Whether values of a field are numbers.
fn is_number(field: &str) -> bool {
    field.starts_with("usage.")
        || matches!(
            field,
            "duration"
                | "ttft"
                | "total_estimated_cost"
                | "span_count"
                | "llm_span_count"
                | "number_of_messages"
                | "feedback_scores"
                | "span_feedback_scores"
        )
}

/// Whether values of a field are times.
fn is_time(field: &str) -> bool {
    matches!(
        field,
        "start_time" | "end_time" | "created_at" | "last_updated_at"
    )
}

/// What a list is sorted by; fields that are not `known` are refused.
pub(crate) fn order(text: Option<&str>, known: fn(&str) -> bool) -> Result<Vec<Order>, OpikError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let sorting: Vec<Sorting> = serde_json::from_str(text)
        .map_err(|error| OpikError::invalid(format!("Invalid sorting query parameter '{text}': {error}")))?;
    if sorting.len() > MOST {
        return Err(OpikError::invalid(format!(
            "at most {MOST} fields can be sorted by"
        )));
    }
    sorting.into_iter().map(|one| order_one(one, known)).collect()
}

fn order_one(sorting: Sorting, known: fn(&str) -> bool) -> Result<Order, OpikError> {
    let descending = match sorting.direction.as_deref() {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("asc") => false,
        Some(text) if text.eq_ignore_ascii_case("desc") => true,
        Some(other) => return Err(OpikError::invalid(format!("there is no direction {other:?}"))),
    };
    // `metadata.a.b` and `feedback_scores.name` name a key in a field; `usage.total_tokens` is a field.
    let (field, key) = match sorting.field.split_once('.') {
        Some((
            field @ ("metadata" | "input" | "output" | "feedback_scores" | "span_feedback_scores"),
            key,
        )) => (field.to_owned(), key.to_owned()),
        _ => (sorting.field, String::new()),
    };
    if !known(&field) {
        return Err(OpikError::invalid(format!("Invalid sorting field '{field}'")));
    }
    Ok(Order {
        field,
        key,
        descending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(field: &str) -> bool {
        field.starts_with("usage.") || ["name", "start_time", "feedback_scores", "metadata"].contains(&field)
    }

    #[test]
    fn filters_are_read_and_what_cannot_be_compared_is_refused() {
        for (text, good) in [
            (
                r#"[{"field":"name","operator":"=","key":"","value":"x","type":"string"}]"#,
                true,
            ),
            (
                r#"[{"field":"usage.total_tokens","operator":">","value":"5"}]"#,
                true,
            ),
            (
                r#"[{"field":"usage.total_tokens","operator":">","value":5}]"#,
                true,
            ),
            (
                r#"[{"field":"usage.total_tokens","operator":">","value":"x"}]"#,
                false,
            ),
            (
                r#"[{"field":"feedback_scores","operator":">","value":"1"}]"#,
                false,
            ),
            (
                r#"[{"field":"feedback_scores","operator":"is_empty","key":"a","value":""}]"#,
                true,
            ),
            (
                r#"[{"field":"start_time","operator":">=","value":"yesterday"}]"#,
                false,
            ),
            (r#"[{"field":"nothing","operator":"=","value":"1"}]"#, false),
            (r#"[{"field":"name","operator":"like","value":"1"}]"#, false),
            ("{}", false),
        ] {
            assert_eq!(filters(Some(text), known).is_ok(), good, "{text}");
        }
        assert!(filters(None, known).unwrap().is_empty());
    }

    #[test]
    fn sorting_names_a_field_and_a_key_in_it() {
        let orders = order(
            Some(r#"[{"field":"metadata.a.b","direction":"DESC"},{"field":"name","direction":"ASC"}]"#),
            known,
        )
        .unwrap();
        assert_eq!(
            (orders[0].field.as_str(), orders[0].key.as_str()),
            ("metadata", "a.b")
        );
        assert!(orders[0].descending && !orders[1].descending);
        assert!(order(Some(r#"[{"field":"x"}]"#), known).is_err());
    }
}
