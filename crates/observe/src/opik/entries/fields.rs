//! The fields that filters and sorting may name
//! (<https://www.comet.com/docs/opik/reference/rest-api/traces/search-traces>). Pure.

use stead_kernel::ports::traces::Kind;

/// Of both traces and spans.
const COMMON: [&str; 24] = [
    "id",
    "name",
    "start_time",
    "end_time",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "input",
    "input_json",
    "output",
    "output_json",
    "metadata",
    "custom",
    "tags",
    "total_estimated_cost",
    "duration",
    "ttft",
    "feedback_scores",
    "error_info",
    "error_type",
    "source",
    "environment",
    "usage",
];
const OF_TRACES: [&str; 8] = [
    "thread_id",
    "span_count",
    "llm_span_count",
    "has_tool_spans",
    "providers",
    "span_feedback_scores",
    "visibility_mode",
    "provider",
];
const OF_SPANS: [&str; 5] = ["trace_id", "parent_span_id", "type", "model", "provider"];

/// By what lists can be sorted.
pub(super) const SORTABLE_TRACES: [&str; 20] = [
    "id",
    "name",
    "start_time",
    "end_time",
    "duration",
    "ttft",
    "input",
    "output",
    "metadata.*",
    "tags",
    "usage.*",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "thread_id",
    "span_count",
    "llm_span_count",
    "total_estimated_cost",
    "feedback_scores.*",
];
pub(super) const SORTABLE_SPANS: [&str; 20] = [
    "id",
    "name",
    "trace_id",
    "parent_span_id",
    "type",
    "start_time",
    "end_time",
    "duration",
    "ttft",
    "input",
    "output",
    "metadata.*",
    "tags",
    "usage.*",
    "model",
    "provider",
    "created_at",
    "last_updated_at",
    "total_estimated_cost",
    "feedback_scores.*",
];

/// Whether traces have such a field.
fn of_traces(field: &str) -> bool {
    common(field) || OF_TRACES.contains(&field) || field == crate::opik::annotation_queues::FIELD
}

/// Whether spans have such a field.
fn of_spans(field: &str) -> bool {
    common(field) || OF_SPANS.contains(&field)
}

fn common(field: &str) -> bool {
    COMMON.contains(&field) || field.starts_with("usage.")
}

/// What says whether entries of a kind have a field.
pub(super) fn known(kind: Kind) -> fn(&str) -> bool {
    match kind {
        Kind::Trace => of_traces,
        Kind::Span => of_spans,
    }
}

/// By what a list of a kind can be sorted.
pub(super) fn sortable(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Trace => &SORTABLE_TRACES,
        Kind::Span => &SORTABLE_SPANS,
    }
}
