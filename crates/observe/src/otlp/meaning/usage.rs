//! How many tokens a span used, and what that cost. Pure.
//!
//! Counts have Opik's names: `prompt_tokens`, of which `cache_read_input_tokens`, `cache_creation_input_tokens` and
//! `prompt_tokens_details.audio_tokens` are parts, and `completion_tokens` with `reasoning_tokens` and
//! `completion_tokens_details.audio_tokens`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::otlp::attributes::{Attributes, parsed, real, whole};

/// Counts by name.
type Counts = BTreeMap<String, i64>;

const PROMPT: &str = "prompt_tokens";
const COMPLETION: &str = "completion_tokens";
const TOTAL: &str = "total_tokens";
const CACHE_READ: &str = "cache_read_input_tokens";
const CACHE_WRITE: &str = "cache_creation_input_tokens";
const REASONING: &str = "reasoning_tokens";
const AUDIO_IN: &str = "prompt_tokens_details.audio_tokens";
const AUDIO_OUT: &str = "completion_tokens_details.audio_tokens";

/// What each convention calls them; the first that tells a count wins.
const NAMES: [(&str, &str); 38] = [
    // https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ : input tokens hold the cached ones.
    ("gen_ai.usage.input_tokens", PROMPT),
    ("gen_ai.usage.output_tokens", COMPLETION),
    ("gen_ai.usage.cache_read.input_tokens", CACHE_READ),
    ("gen_ai.usage.cache_creation.input_tokens", CACHE_WRITE),
    ("gen_ai.usage.reasoning.output_tokens", REASONING),
    // The same, deprecated.
    ("gen_ai.usage.prompt_tokens", PROMPT),
    ("gen_ai.usage.completion_tokens", COMPLETION),
    ("gen_ai.usage.total_tokens", TOTAL),
    // https://github.com/traceloop/openllmetry (SpanAttributes)
    ("gen_ai.usage.cache_read_input_tokens", CACHE_READ),
    ("gen_ai.usage.cache_creation_input_tokens", CACHE_WRITE),
    ("gen_ai.usage.reasoning_tokens", REASONING),
    ("llm.usage.prompt_tokens", PROMPT),
    ("llm.usage.completion_tokens", COMPLETION),
    ("llm.usage.total_tokens", TOTAL),
    ("llm.usage.cache_read_input_tokens", CACHE_READ),
    ("llm.usage.cache_creation_input_tokens", CACHE_WRITE),
    ("llm.usage.reasoning_tokens", REASONING),
    // https://arize-ai.github.io/openinference/spec/semantic_conventions.html
    ("llm.token_count.prompt", PROMPT),
    ("llm.token_count.completion", COMPLETION),
    ("llm.token_count.total", TOTAL),
    ("llm.token_count.prompt_details.cache_read", CACHE_READ),
    ("llm.token_count.prompt_details.cache_write", CACHE_WRITE),
    ("llm.token_count.prompt_details.audio", AUDIO_IN),
    ("llm.token_count.completion_details.reasoning", REASONING),
    ("llm.token_count.completion_details.audio", AUDIO_OUT),
    // LiveKit's, Pydantic AI's and other instrumentations' own.
    ("gen_ai.usage.input_cached_tokens", CACHE_READ),
    ("gen_ai.usage.cached_tokens", CACHE_READ),
    ("gen_ai.usage.details.cache_read_tokens", CACHE_READ),
    ("gen_ai.usage.details.cached_tokens", CACHE_READ),
    ("gen_ai.usage.details.cache_write_tokens", CACHE_WRITE),
    ("gen_ai.usage.details.reasoning_tokens", REASONING),
    ("gen_ai.usage.prompt_tokens_details.cached_tokens", CACHE_READ),
    (
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        REASONING,
    ),
    // https://ai-sdk.dev/docs/ai-sdk-core/telemetry
    ("ai.usage.promptTokens", PROMPT),
    ("ai.usage.completionTokens", COMPLETION),
    ("ai.usage.cachedInputTokens", CACHE_READ),
    ("ai.usage.reasoningTokens", REASONING),
    ("ai.usage.totalTokens", TOTAL),
];

/// <https://langfuse.com/integrations/native/opentelemetry#property-mapping>: an object as text, whose counts exclude
/// each other, unless they are named as OpenAI's are.
const LANGFUSE: &str = "langfuse.observation.usage_details";
/// Where a span says what it cost, in US dollars.
const COSTS: [&str; 5] = [
    "gen_ai.usage.cost",
    "gen_ai.usage.total_cost",
    // https://docs.litellm.ai/docs/observability/opentelemetry_integration
    "gen_ai.cost.total_cost",
    // https://arize-ai.github.io/openinference/spec/semantic_conventions.html
    "llm.cost.total",
    // https://langfuse.com/integrations/native/opentelemetry#property-mapping: by sort of token, or the total.
    "langfuse.observation.cost_details",
];

/// What was counted; `None` without any.
pub(super) fn usage(told: &mut Attributes) -> Option<Counts> {
    let mut counts = Counts::new();
    for (name, own) in NAMES {
        let Some(count) = told.get(name).and_then(whole).filter(|count| *count >= 0) else {
            continue;
        };
        told.take(name);
        counts.entry(own.to_owned()).or_insert(count);
    }
    for (name, value) in told.take_below("gen_ai.usage.") {
        match whole(&value) {
            Some(count) if count >= 0 && !name.ends_with("cost") => {
                counts.entry(name).or_insert(count);
            }
            _ => told.put(format!("gen_ai.usage.{name}"), value),
        }
    }
    if let Some(details) = told.take(LANGFUSE).map(parsed) {
        match langfuse(&details) {
            Some(more) => more.into_iter().for_each(|(name, count)| {
                counts.entry(name).or_insert(count);
            }),
            None => told.put(LANGFUSE, details),
        }
    }
    if counts.is_empty() {
        return None;
    }
    complete(&mut counts);
    Some(counts)
}

/// Langfuse's counts: those that begin with `input` or tell of a cache are of the input, those with `output` of the
/// output.
fn langfuse(details: &Value) -> Option<Counts> {
    let told: Vec<(&str, i64)> = details
        .as_object()?
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), whole(value).filter(|count| *count >= 0)?)))
        .collect();
    let mut counts = Counts::new();
    let is_openai = told
        .iter()
        .any(|(name, _)| *name == PROMPT || *name == COMPLETION);
    for (name, count) in told {
        let (part, whole) = match name {
            "input" | "input_tokens" => (None, Some(PROMPT)),
            "output" | "output_tokens" => (None, Some(COMPLETION)),
            "total" | TOTAL => (Some(TOTAL), None),
            PROMPT | COMPLETION => (Some(name), None),
            _ if name.contains("cache") && (name.contains("creat") || name.contains("write")) => {
                (Some(CACHE_WRITE), Some(PROMPT))
            }
            _ if name.contains("cache") => (Some(CACHE_READ), Some(PROMPT)),
            _ if name.contains("reasoning") => (Some(REASONING), Some(COMPLETION)),
            _ if name.starts_with("input") => (Some(name), Some(PROMPT)),
            _ if name.starts_with("output") => (Some(name), Some(COMPLETION)),
            _ => (Some(name), None),
        };
        let mut add = |name: &str| {
            let own = counts.entry(name.to_owned()).or_default();
            *own = own.saturating_add(count);
        };
        part.into_iter().for_each(&mut add);
        whole.into_iter().filter(|_| !is_openai).for_each(&mut add);
    }
    (!counts.is_empty()).then_some(counts)
}

/// Adds the total that was not told, and to a whole the parts that it cannot hold: some providers count cached input
/// (Anthropic) and reasoning (Gemini) apart.
fn complete(counts: &mut Counts) {
    for (whole, parts) in [
        (PROMPT, &[CACHE_READ, CACHE_WRITE][..]),
        (COMPLETION, &[REASONING][..]),
    ] {
        let inside = parts
            .iter()
            .filter_map(|part| counts.get(*part))
            .fold(0_i64, |sum, count| sum.saturating_add(*count));
        if let Some(count) = counts.get_mut(whole).filter(|count| **count < inside) {
            *count = count.saturating_add(inside);
        }
    }
    if let (Some(prompt), Some(completion), None) = (
        counts.get(PROMPT).copied(),
        counts.get(COMPLETION).copied(),
        counts.get(TOTAL),
    ) {
        counts.insert(TOTAL.to_owned(), prompt.saturating_add(completion));
    }
}

/// What it cost in US dollars, where that is told; what is no price is left.
pub(super) fn cost(told: &mut Attributes) -> Option<f64> {
    for name in COSTS {
        let Some(value) = told.get(name) else { continue };
        if let Some(cost) = price(&parsed(value.clone())) {
            told.take(name);
            return Some(cost);
        }
    }
    None
}

fn price(value: &Value) -> Option<f64> {
    let amount = match value {
        Value::Object(parts) => match parts.get("total") {
            Some(total) => real(total)?,
            None if parts.is_empty() => return None,
            None => parts.values().filter_map(real).sum(),
        },
        other => real(other)?,
    };
    (amount >= 0.0).then_some(amount)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_convention_counts_tokens_under_the_same_names() {
        for (told, expected) in [
            (
                json!({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
                    "gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.usage.cache_creation.input_tokens": 10,
                    "gen_ai.usage.reasoning.output_tokens": 5}),
                json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                    "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "reasoning_tokens": 5}),
            ),
            (
                json!({"gen_ai.usage.prompt_tokens": 1, "gen_ai.usage.completion_tokens": "2",
                    "llm.usage.total_tokens": 4, "gen_ai.usage.own": 7, "gen_ai.usage.cost": 1}),
                json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 4, "own": 7}),
            ),
            (
                json!({"llm.token_count.prompt": 10, "llm.token_count.completion": 4, "llm.token_count.total": 14,
                    "llm.token_count.prompt_details.cache_read": 3,
                    "llm.token_count.completion_details.reasoning": 2,
                    "llm.token_count.prompt_details.audio": 1}),
                json!({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "cache_read_input_tokens": 3,
                    "reasoning_tokens": 2, "prompt_tokens_details.audio_tokens": 1}),
            ),
            (
                json!({"langfuse.observation.usage_details":
                    "{\"input\": 10, \"input_cache_read\": 5, \"output\": 3, \"output_reasoning_tokens\": 2, \"total\": 20}"}),
                json!({"prompt_tokens": 15, "cache_read_input_tokens": 5, "completion_tokens": 5,
                    "reasoning_tokens": 2, "total_tokens": 20}),
            ),
            (
                json!({"langfuse.observation.usage_details": "{\"prompt_tokens\": 10, \"completion_tokens\": 3}"}),
                json!({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}),
            ),
            // Parts that the whole cannot hold were counted apart.
            (
                json!({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cache_read_input_tokens": 1_000,
                    "gen_ai.usage.output_tokens": 1}),
                json!({"prompt_tokens": 1_003, "cache_read_input_tokens": 1_000, "completion_tokens": 1,
                    "total_tokens": 1_004}),
            ),
            (
                json!({"gen_ai.usage.prompt_tokens": 5}),
                json!({"prompt_tokens": 5}),
            ),
        ] {
            let counts = usage(&mut Attributes::of(told.clone())).unwrap();
            assert_eq!(json!(counts), expected, "{told}");
        }
    }

    #[test]
    fn what_is_no_count_is_left() {
        for told in [
            json!({}),
            json!({"gen_ai.usage.input_tokens": -1}),
            json!({"gen_ai.usage.input_tokens": "many"}),
            json!({"langfuse.observation.usage_details": "{}"}),
        ] {
            let mut attributes = Attributes::of(told.clone());
            assert_eq!(usage(&mut attributes), None);
            assert_eq!(attributes.rest().len(), told.as_object().unwrap().len());
        }
    }

    #[test]
    fn a_cost_that_is_told_is_taken_as_it_is() {
        for (told, expected) in [
            (json!({"gen_ai.usage.cost": 0.5}), Some(0.5)),
            (json!({"gen_ai.usage.cost": "0.25"}), Some(0.25)),
            (json!({"gen_ai.usage.cost": 0}), Some(0.0)),
            (json!({"gen_ai.usage.cost": -1, "llm.cost.total": 2}), Some(2.0)),
            (json!({"gen_ai.cost.total_cost": 1}), Some(1.0)),
            (
                json!({"langfuse.observation.cost_details": "{\"total\": 3}"}),
                Some(3.0),
            ),
            (
                json!({"langfuse.observation.cost_details": "{\"input\": 1, \"output\": 0.5}"}),
                Some(1.5),
            ),
            (json!({"gen_ai.usage.cost": "NaN"}), None),
            (json!({}), None),
        ] {
            assert_eq!(cost(&mut Attributes::of(told.clone())), expected, "{told}");
        }
    }
}
