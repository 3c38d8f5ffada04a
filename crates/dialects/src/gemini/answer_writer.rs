//! Writing whole answers.
//! <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>

use serde_json::{Value, json};

use super::{
    citations, insert, logprobs,
    part_writer::{PartWriter, Reader},
    stop, usage,
};
use crate::chat::{Answer, Choice, Citation, Content, Part, View};

/// Writes the body of a 200.
pub(super) fn write(answer: &Answer, view: &View) -> Value {
    let candidates: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| candidate(index, choice))
        .collect();
    let mut out = json!({ "candidates": candidates });
    if let Some(usage) = &answer.usage {
        insert(&mut out, "usageMetadata", usage::write(usage));
    }
    insert(&mut out, "modelVersion", view.model.as_str().into());
    insert(&mut out, "responseId", id(&answer.id, view).into());
    out
}

/// The answer's id.
pub(super) fn id<'a>(given: &'a str, view: &'a View) -> &'a str {
    if given.is_empty() { &view.id } else { given }
}

fn candidate(index: usize, choice: &Choice) -> Value {
    let mut out = json!({
        "content": {"parts": parts(&choice.parts), "role": "model"},
        "index": index,
    });
    if let Some(stop) = &choice.stop {
        insert(&mut out, "finishReason", stop::write(stop).into());
    }
    let text: String = choice.parts.iter().filter_map(Part::as_text).collect();
    let sources: Vec<Citation> = choice
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Text { citations, .. } => Some(citations.as_slice()),
            _ => None,
        })
        .flatten()
        .cloned()
        .collect();
    if let Some(grounding) = citations::write(&sources, &text) {
        insert(&mut out, "groundingMetadata", grounding);
    }
    if let Some(result) = logprobs::write(&choice.logprobs) {
        insert(&mut out, "logprobsResult", result);
    }
    out
}

/// Parts as clients see them; those that have no form on the wire are left out.
fn parts(parts: &[Part]) -> Vec<Value> {
    let mut writer = PartWriter::new(Reader::Client);
    for part in parts {
        let _ = writer.write(part, "answer");
    }
    writer.finish().0
}
