//! Reading whole answers.
//! <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>

use serde_json::Value;

use super::{citations, logprobs, part_reader::PartReader, reader::parse, stop, usage};
use crate::{
    calls::Calls,
    chat::{Answer, Choice, Content, Part, Stop, TranslateError, refuse},
};

/// Reads the body of a 200.
pub(super) fn read(body: &[u8]) -> Result<Answer, TranslateError> {
    let body = parse(body)?;
    if let Some(error) = body.get("error") {
        let message = error.get("message").and_then(Value::as_str);
        return refuse("error", message.unwrap_or("the provider failed"));
    }
    let candidates = body.get("candidates").and_then(Value::as_array);
    if candidates.is_none() && body.get("promptFeedback").is_none() && body.get("usageMetadata").is_none() {
        return refuse("candidates", "must be a list: this is no answer of Gemini");
    }
    let id = text(&body, "responseId");
    let mut choices: Vec<(u64, Choice)> = candidates
        .into_iter()
        .flatten()
        .map(|candidate| (index(candidate), choice(candidate, &id)))
        .collect();
    choices.sort_by_key(|(index, _)| *index);
    let mut choices: Vec<Choice> = choices.into_iter().map(|(_, choice)| choice).collect();
    if choices.is_empty()
        && let Some(choice) = blocked(&body)
    {
        choices.push(choice);
    }
    Ok(Answer {
        id,
        model: text(&body, "modelVersion"),
        choices,
        usage: body.get("usageMetadata").map(usage::read),
        service_tier: tier(&body),
    })
}

pub(super) fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The place of a candidate; zeros are left out on the wire.
pub(super) fn index(candidate: &Value) -> u64 {
    candidate.get("index").and_then(Value::as_u64).unwrap_or(0)
}

/// How soon Vertex AI served it.
fn tier(body: &Value) -> Option<String> {
    match body.get("usageMetadata")?.get("trafficType")?.as_str()? {
        "ON_DEMAND_FLEX" => Some("flex".to_owned()),
        "ON_DEMAND_PRIORITY" => Some("priority".to_owned()),
        _ => None,
    }
}

/// A prompt that was refused has no candidates.
pub(super) fn blocked(body: &Value) -> Option<Choice> {
    let feedback = body.get("promptFeedback")?;
    feedback.get("blockReason")?;
    let message = feedback.get("blockReasonMessage").and_then(Value::as_str);
    Some(Choice {
        parts: message
            .map(|message| Part::new(Content::Refusal(message.to_owned())))
            .into_iter()
            .collect(),
        stop: Some(Stop::ContentFilter),
        logprobs: Vec::new(),
    })
}

fn choice(candidate: &Value, answer: &str) -> Choice {
    let mut reader = PartReader {
        calls: Calls::of_answer(answer),
        ..PartReader::default()
    };
    let mut parts = parts(candidate, &mut reader);
    let calls = parts.iter().filter(|part| is_call(part)).count();
    cite(candidate, &mut parts);
    Choice {
        stop: stop::read(&text(candidate, "finishReason"), calls),
        logprobs: candidate
            .get("logprobsResult")
            .map(logprobs::read)
            .unwrap_or_default(),
        parts,
    }
}

pub(super) fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall { .. })
}

/// The parts of a candidate. Those that cannot be read are left out: an answer is better than none.
pub(super) fn parts(candidate: &Value, reader: &mut PartReader) -> Vec<Part> {
    let mut parts = Vec::new();
    let list = candidate
        .get("content")
        .and_then(|content| content.get("parts")?.as_array());
    for part in list.into_iter().flatten() {
        match code(part) {
            Some(text) => parts.push(Part::text(text)),
            None => {
                let _ = reader.read(part, String::new(), &mut parts);
            }
        }
        reader.extra.clear();
    }
    parts
}

/// Code that Gemini ran itself, and what came out, as text that other dialects' clients can show.
fn code(part: &Value) -> Option<String> {
    let inner = |name: &str, field: &str| Some(part.get(name)?.get(field)?.as_str().unwrap_or_default());
    if let Some(code) = inner("executableCode", "code") {
        let language = inner("executableCode", "language").unwrap_or_default();
        let language = match language {
            "LANGUAGE_UNSPECIFIED" => String::new(),
            other => other.to_ascii_lowercase(),
        };
        return Some(format!("\n```{language}\n{}\n```\n", code.trim_end()));
    }
    inner("codeExecutionResult", "output").map(|output| format!("\n```\n{}\n```\n", output.trim_end()))
}

/// Puts each source at the text that holds the place it supports, else at the last one.
fn cite(candidate: &Value, parts: &mut [Part]) {
    let whole: String = parts.iter().filter_map(Part::as_text).collect();
    for citation in citations::read(candidate, &whole) {
        let start = citation.start.and_then(|start| usize::try_from(start).ok());
        let mut before = 0;
        let mut place = None;
        for (index, part) in parts.iter().enumerate() {
            let Some(text) = part.as_text() else { continue };
            place = Some(index);
            before += text.chars().count();
            if start.is_some_and(|start| start < before) {
                break;
            }
        }
        if let Some(Content::Text { citations, .. }) = place
            .and_then(|index| parts.get_mut(index))
            .map(|part| &mut part.content)
        {
            citations.push(citation);
        }
    }
}
