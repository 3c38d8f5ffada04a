//! Writing streamed answers.
//!
//! Calls of functions come whole, so their arguments are held until the call is complete. Stops, sources and counts
//! come with the last chunk, as Gemini sends them. No comments are ever written: Google's SDK fails on them.
//! <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    answer_writer, citations, error, insert, logprobs,
    part_writer::{PartWriter, Reader},
    signature, stop, usage,
};
use crate::{
    Usage,
    chat::{Citation, Content, Delta, Encoder, ErrorBody, Event, Framing, Part, Stop, TokenLogprob, View},
    lines,
};

/// Writes a stream.
#[derive(Debug)]
pub(super) struct StreamWriter {
    view: View,
    framing: Framing,
    id: String,
    is_begun: bool,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
}

/// How far a choice came.
#[derive(Debug, Default)]
struct Choice {
    /// Calls whose arguments are still coming.
    calls: BTreeMap<u32, Call>,
    /// The text so far, for the places of sources.
    text: String,
    citations: Vec<Citation>,
    /// Tokens that no chunk carried yet.
    logprobs: Vec<TokenLogprob>,
    is_thinking: bool,
    stop: Option<Stop>,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

impl StreamWriter {
    pub(super) fn new(view: View, framing: Framing) -> Self {
        Self {
            view,
            framing,
            id: String::new(),
            is_begun: false,
            choices: BTreeMap::new(),
            usage: None,
        }
    }

    fn delta(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        let choice = self.choices.entry(index).or_default();
        let mut parts = Vec::new();
        if !matches!(
            delta,
            Delta::ToolCall { .. } | Delta::Arguments { .. } | Delta::Citation(_) | Delta::Logprobs(_)
        ) {
            parts = choice.take_calls();
        }
        choice.apply(delta, &mut parts);
        if !parts.is_empty() {
            let tokens = std::mem::take(&mut choice.logprobs);
            let mut candidate = candidate(index, parts);
            if let Some(result) = logprobs::write(&tokens) {
                insert(&mut candidate, "logprobsResult", result);
            }
            let chunk = self.chunk(vec![candidate]);
            self.write(&chunk, out);
        }
    }

    fn chunk(&self, candidates: Vec<Value>) -> Value {
        let mut chunk = json!({
            "modelVersion": self.view.model,
            "responseId": answer_writer::id(&self.id, &self.view),
        });
        insert(&mut chunk, "candidates", candidates.into());
        chunk
    }

    fn write(&mut self, chunk: &Value, out: &mut Vec<u8>) {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        match self.framing {
            Framing::Events => {
                out.extend_from_slice(b"data: ");
                lines::write(chunk, out);
                out.extend_from_slice(b"\n\n");
            }
            Framing::Array => {
                out.extend_from_slice(if is_first { b"[" } else { b",\r\n" });
                lines::write(chunk, out);
            }
            Framing::Lines => {
                lines::write(chunk, out);
                out.push(b'\n');
            }
        }
    }

    fn close(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Array {
            out.extend_from_slice(b"]");
        }
    }
}

impl Encoder for StreamWriter {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => self.id.clone_from(id),
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            Event::Stop { choice, stop } => {
                self.choices.entry(*choice).or_default().stop = Some(stop.clone());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(_) | Event::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut choices = std::mem::take(&mut self.choices);
        if choices.is_empty() {
            choices.insert(0, Choice::default());
        }
        let candidates = choices
            .into_iter()
            .map(|(index, choice)| choice.last(index))
            .collect();
        let mut chunk = self.chunk(candidates);
        if let Some(usage) = &self.usage {
            insert(&mut chunk, "usageMetadata", usage::write(usage));
        }
        self.write(&chunk, out);
        self.close(out);
    }

    fn fail(&mut self, failure: &ErrorBody, out: &mut Vec<u8>) {
        let body = error::write(failure);
        self.write(&body, out);
        self.close(out);
    }
}

impl Choice {
    /// Takes a delta; what can be sent at once is appended to `parts`.
    fn apply(&mut self, delta: &Delta, parts: &mut Vec<Value>) {
        match delta {
            Delta::Text(text) => {
                self.is_thinking = false;
                self.text.push_str(text);
                parts.push(json!({ "text": text }));
            }
            Delta::Refusal(text) => {
                self.is_thinking = false;
                parts.push(json!({ "text": text }));
            }
            Delta::Reasoning(text) => {
                self.is_thinking = true;
                parts.push(json!({"text": text, "thought": true}));
            }
            Delta::Signature(marked) => {
                let signature = signature::show(marked);
                let mut part = json!({"text": "", "thoughtSignature": signature.token});
                if self.is_thinking && !signature.is_of_text {
                    insert(&mut part, "thought", true.into());
                }
                parts.push(part);
            }
            Delta::Redacted(data) => parts.push(json!({
                "text": "",
                "thought": true,
                "thoughtSignature": signature::show_redacted(data),
            })),
            Delta::ToolCall {
                index,
                id,
                name,
                signature,
            } => {
                self.is_thinking = false;
                let call = Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    signature: signature.clone(),
                };
                self.calls.insert(*index, call);
            }
            Delta::Arguments { index, text } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments.push_str(text);
                }
            }
            Delta::Citation(citation) => self.citations.push(citation.clone()),
            Delta::Logprobs(tokens) => self.logprobs.extend_from_slice(tokens),
            Delta::Part(part) => parts.extend(written(part)),
        }
    }

    /// The calls that are complete now that something else follows.
    fn take_calls(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.calls)
            .into_values()
            .flat_map(|call| {
                written(&Part::new(Content::ToolCall {
                    id: call.id,
                    name: call.name,
                    arguments: call.arguments,
                    signature: call.signature,
                }))
            })
            .collect()
    }

    /// What the last chunk says of it.
    fn last(mut self, index: u32) -> Value {
        let mut parts = self.take_calls();
        if parts.is_empty() {
            parts.push(json!({"text": ""}));
        }
        let mut candidate = candidate(index, parts);
        let stop = self.stop.unwrap_or(Stop::End);
        insert(&mut candidate, "finishReason", stop::write(&stop).into());
        if let Some(grounding) = citations::write(&self.citations, &self.text) {
            insert(&mut candidate, "groundingMetadata", grounding);
        }
        if let Some(result) = logprobs::write(&self.logprobs) {
            insert(&mut candidate, "logprobsResult", result);
        }
        candidate
    }
}

fn written(part: &Part) -> Vec<Value> {
    let mut writer = PartWriter::new(Reader::Client);
    let _ = writer.write(part, "answer");
    writer.finish().0
}

fn candidate(index: u32, parts: Vec<Value>) -> Value {
    let mut content = json!({"role": "model"});
    insert(&mut content, "parts", parts.into());
    let mut candidate = json!({"index": index});
    insert(&mut candidate, "content", content);
    candidate
}
