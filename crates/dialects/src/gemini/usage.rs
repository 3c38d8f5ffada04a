//! Counts of tokens.
//! <https://ai.google.dev/api/generate-content#UsageMetadata>

use serde_json::{Value, json};

use super::insert;
use crate::Usage;

/// Reads `usageMetadata`. Thoughts are part of our output, and what Gemini's own tools put into the prompt of our
/// input.
pub(super) fn read(usage: &Value) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let reasoning = count("thoughtsTokenCount");
    Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        output: count("candidatesTokenCount").saturating_add(reasoning),
        cached_input: count("cachedContentTokenCount"),
        reasoning,
        audio_input: audio(usage.get("promptTokensDetails")),
        audio_output: audio(usage.get("candidatesTokensDetails")),
        ..Usage::default()
    }
}

fn audio(details: Option<&Value>) -> u64 {
    let details = details.and_then(Value::as_array).map(Vec::as_slice);
    details
        .unwrap_or_default()
        .iter()
        .filter(|detail| detail.get("modality").is_some_and(|kind| kind == "AUDIO"))
        .filter_map(|detail| detail.get("tokenCount")?.as_u64())
        .fold(0, u64::saturating_add)
}

/// Writes `usageMetadata`.
pub(super) fn write(usage: &Usage) -> Value {
    let mut out = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.input.saturating_add(usage.output),
    });
    for (name, count) in [
        ("cachedContentTokenCount", usage.cached_input),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        if count > 0 {
            insert(&mut out, name, count.into());
        }
    }
    for (name, audio, all) in [
        ("promptTokensDetails", usage.audio_input, usage.input),
        (
            "candidatesTokensDetails",
            usage.audio_output,
            usage.output.saturating_sub(usage.reasoning),
        ),
    ] {
        if audio > 0 {
            let details = json!([
                {"modality": "TEXT", "tokenCount": all.saturating_sub(audio)},
                {"modality": "AUDIO", "tokenCount": audio},
            ]);
            insert(&mut out, name, details);
        }
    }
    out
}
