//! Reading streamed answers: server-sent events, each a `GenerateContentResponse` with more of the answer.
//!
//! *Invariant:* the stops come at the end of the stream, since a chunk with a `finishReason` need not be the last one
//! (sources and counts may follow, and some servers put a reason on every chunk).
//! <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    answer_reader::{blocked, index, is_call, parts, text},
    citations, error, logprobs,
    part_reader::PartReader,
    stop, usage,
};
use crate::{
    Usage,
    calls::Calls,
    chat::{Citation, Content, Decoder, Delta, Event, Part, Stop, StreamError},
    sse,
};

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct StreamReader {
    frames: sse::Decoder,
    is_started: bool,
    is_over: bool,
    /// The answer's id.
    id: String,
    candidates: BTreeMap<u32, Candidate>,
    /// The prompt was refused.
    is_blocked: bool,
    usage: Option<Usage>,
}

/// How far a candidate came.
#[derive(Debug, Default)]
struct Candidate {
    reader: PartReader,
    calls: u32,
    /// Its text so far, for the places of sources.
    text: String,
    cited: Vec<Citation>,
    reason: Option<String>,
}

impl Decoder for StreamReader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over {
            return Ok(());
        }
        let frames = self
            .frames
            .push(bytes)
            .map_err(|error| StreamError::Malformed(error.to_string()))?;
        for frame in frames {
            self.frame(&frame.data, events)?;
            if self.is_over {
                break;
            }
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over {
            return Ok(());
        }
        if let Some(frame) = self.frames.finish() {
            // A cut event is no JSON.
            self.frame(&frame.data, events).map_err(|_| StreamError::Cut)?;
        }
        if self.is_over {
            return Ok(());
        }
        let stops: Option<Vec<(u32, Stop)>> = self
            .candidates
            .iter()
            .map(|(index, candidate)| Some((*index, candidate.stop()?)))
            .collect();
        let mut stops = stops.ok_or(StreamError::Cut)?;
        if stops.is_empty() {
            if !self.is_blocked {
                return Err(StreamError::Cut);
            }
            stops.push((0, Stop::ContentFilter));
        }
        events.extend(
            stops
                .into_iter()
                .map(|(choice, stop)| Event::Stop { choice, stop }),
        );
        events.push(Event::End);
        self.is_over = true;
        Ok(())
    }
}

impl StreamReader {
    fn frame(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if data.is_empty() || data == sse::DONE {
            return Ok(());
        }
        let Ok(chunk @ Value::Object(_)) = serde_json::from_str::<Value>(data) else {
            return Err(StreamError::Malformed(
                "the provider sent an event that is no JSON object".to_owned(),
            ));
        };
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            events.push(Event::Error(error::in_stream(&chunk)));
            self.is_over = true;
            return Ok(());
        }
        self.start(&chunk, events);
        let candidates = chunk.get("candidates").and_then(Value::as_array);
        for candidate in candidates.into_iter().flatten() {
            if let Ok(choice) = u32::try_from(index(candidate)) {
                self.candidate(choice, candidate, events);
            }
        }
        if let Some(choice) = blocked(&chunk).filter(|_| self.candidates.is_empty()) {
            self.is_blocked = true;
            for part in choice.parts {
                push(part, 0, &mut 0, events);
            }
        }
        if let Some(usage) = chunk.get("usageMetadata").map(usage::read)
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            events.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Value, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        self.id = text(chunk, "responseId");
        events.push(Event::Start {
            id: self.id.clone(),
            model: text(chunk, "modelVersion"),
        });
    }

    fn candidate(&mut self, choice: u32, value: &Value, events: &mut Vec<Event>) {
        let id = &self.id;
        let candidate = self.candidates.entry(choice).or_insert_with(|| Candidate {
            reader: PartReader {
                calls: Calls::of_answer(id),
                ..PartReader::default()
            },
            ..Candidate::default()
        });
        for part in parts(value, &mut candidate.reader) {
            candidate.text.push_str(part.as_text().unwrap_or_default());
            push(part, choice, &mut candidate.calls, events);
        }
        for citation in citations::read(value, &candidate.text) {
            if !candidate.cited.contains(&citation) {
                candidate.cited.push(citation.clone());
                events.push(Event::Delta {
                    choice,
                    delta: Delta::Citation(citation),
                });
            }
        }
        let tokens = value
            .get("logprobsResult")
            .map(logprobs::read)
            .unwrap_or_default();
        if !tokens.is_empty() {
            events.push(Event::Delta {
                choice,
                delta: Delta::Logprobs(tokens),
            });
        }
        let reason = text(value, "finishReason");
        if stop::read(&reason, 0).is_some() {
            candidate.reason = Some(reason);
        }
    }
}

impl Candidate {
    fn stop(&self) -> Option<Stop> {
        let calls = usize::try_from(self.calls).unwrap_or(usize::MAX);
        stop::read(self.reason.as_deref()?, calls)
    }
}

/// Appends the events of one whole part; `calls` counts the calls of the choice.
fn push(part: Part, choice: u32, calls: &mut u32, events: &mut Vec<Event>) {
    let mut delta = |delta| events.push(Event::Delta { choice, delta });
    let is_call = is_call(&part);
    match part.content {
        Content::Text { text, .. } => {
            if !text.is_empty() {
                delta(Delta::Text(text));
            }
        }
        Content::Refusal(text) => delta(Delta::Refusal(text)),
        Content::Reasoning { text, signature } => {
            if !text.is_empty() {
                delta(Delta::Reasoning(text));
            }
            if let Some(signature) = signature {
                delta(Delta::Signature(signature));
            }
        }
        Content::RedactedReasoning { data } => delta(Delta::Redacted(data)),
        Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } => {
            let index = *calls;
            delta(Delta::ToolCall {
                index,
                id,
                name,
                signature,
            });
            delta(Delta::Arguments {
                index,
                text: arguments,
            });
        }
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::Video { .. }
        | Content::ToolResult { .. }
        | Content::Native { .. } => delta(Delta::Part(part)),
    }
    if is_call {
        *calls = calls.saturating_add(1);
    }
}
