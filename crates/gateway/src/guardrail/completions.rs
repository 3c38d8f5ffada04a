//! Streams of `/v1/completions`, for guardrails: chunks become events of the form of chat, and chunks again
//! (<https://platform.openai.com/docs/api-reference/completions/object>).

use serde::Deserialize;
use serde_json::{Value, json};
use stead_dialects::{
    Usage,
    chat::{Decoder, Delta, Event, Stop, StreamError},
    sse,
};

/// Reads chunks.
#[derive(Default)]
pub(super) struct Reader {
    frames: sse::Decoder,
    started: bool,
    /// Whether a choice has ended.
    stopped: bool,
    over: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
}

impl Reader {
    fn chunk(&mut self, chunk: Chunk, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start {
                id: chunk.id,
                model: chunk.model,
            });
        }
        for Choice {
            index: choice,
            text,
            finish_reason,
        } in chunk.choices
        {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                events.push(Event::Delta {
                    choice,
                    delta: Delta::Text(text),
                });
            }
            if let Some(reason) = finish_reason {
                self.stopped = true;
                events.push(Event::Stop {
                    choice,
                    stop: stop(&reason),
                });
            }
        }
        let usage = chunk.usage.as_ref().and_then(Usage::from_openai);
        events.extend(usage.map(Event::Usage));
    }
}

impl Decoder for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        let malformed = |error: &dyn std::fmt::Display| StreamError::Malformed(error.to_string());
        let frames = self.frames.push(bytes).map_err(|error| malformed(&error))?;
        for frame in frames {
            let data = frame.data.trim();
            if self.over || data.is_empty() {
                continue;
            }
            if data == "[DONE]" {
                self.over = true;
                events.push(Event::End);
                continue;
            }
            let chunk = serde_json::from_str(data).map_err(|error| malformed(&error))?;
            self.chunk(chunk, events);
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.over {
            return Ok(());
        }
        if !self.stopped {
            return Err(StreamError::Cut);
        }
        self.over = true;
        events.push(Event::End);
        Ok(())
    }
}

fn stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::Length,
        "content_filter" => Stop::ContentFilter,
        _ => Stop::End,
    }
}

/// Writes chunks.
pub(super) struct Writer {
    id: String,
    model: String,
    created: i64,
    /// The latest, for the last chunk but one.
    usage: Option<Usage>,
}

impl Writer {
    /// For an answer that began at a time in seconds of Unix; its own id counts, where the provider gave one.
    pub(super) fn new(id: &str, created: i64) -> Self {
        Self {
            id: format!("cmpl-{id}"),
            model: String::new(),
            created,
            usage: None,
        }
    }

    /// Writes what an event says.
    pub(super) fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                self.model.clone_from(model);
            }
            Event::Delta {
                choice,
                delta: Delta::Text(text),
            } => self.choice(*choice, text, None, out),
            Event::Stop { choice, stop } => self.choice(*choice, "", Some(reason(stop)), out),
            Event::Usage(usage) => self.usage = Some(*usage),
            // A completion has text only.
            Event::Delta { .. } | Event::Error(_) | Event::End => {}
        }
    }

    fn choice(&self, index: u32, text: &str, reason: Option<&str>, out: &mut Vec<u8>) {
        let choice = json!({"text": text, "index": index, "logprobs": null, "finish_reason": reason});
        self.chunk(&json!([choice]), None, out);
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let mut chunk = json!({"id": self.id, "object": "text_completion", "created": self.created,
            "model": self.model, "choices": choices});
        if let (Some(chunk), Some(usage)) = (chunk.as_object_mut(), usage) {
            chunk.insert("usage".to_owned(), usage);
        }
        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }

    /// Ends an answer that is complete.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take() {
            let usage = json!({
                "prompt_tokens": usage.input,
                "completion_tokens": usage.output,
                "total_tokens": usage.input.saturating_add(usage.output),
                "prompt_tokens_details": {"cached_tokens": usage.cached_input},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
            });
            self.chunk(&json!([]), Some(usage), out);
        }
        out.extend_from_slice(crate::stream::DONE);
    }
}

const fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::Length | Stop::ContextWindow => "length",
        Stop::ContentFilter | Stop::Refusal => "content_filter",
        Stop::End | Stop::Sequence(_) | Stop::ToolCalls | Stop::Pause | Stop::MalformedToolCall => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_written_again_says_the_same() {
        let chunk = |choices: Value| json!({"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": choices});
        let mut last = chunk(json!([]));
        last["usage"] = json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8});
        let chunks = [
            chunk(json!([{"text": "a", "index": 0, "finish_reason": null}, {"text": "b", "index": 1}])),
            chunk(json!([{"text": "", "index": 0, "finish_reason": "length"}])),
            chunk(json!([{"text": "c", "index": 1, "finish_reason": "stop"}])),
            last,
        ];
        let whole = chunks.map(|chunk| format!("data: {chunk}\n\n")).concat();
        let mut events = Vec::new();
        let mut reader = Reader::default();
        for byte in whole.as_bytes().chunks(7) {
            reader.push(byte, &mut events).unwrap();
        }
        reader.close(&mut events).unwrap();
        assert_eq!(events.last(), Some(&Event::End));
        let mut writer = Writer::new("x", 9);
        let mut out = Vec::new();
        for event in &events {
            writer.event(event, &mut out);
        }
        writer.end(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"));
        let mut again = Vec::new();
        Reader::default().push(text.as_bytes(), &mut again).unwrap();
        let told = |events: &[Event]| {
            let mut said: Vec<Event> = events.to_vec();
            said.sort_by_key(|event| match event {
                Event::Start { .. } => 0,
                Event::Delta { .. } | Event::Stop { .. } => 1,
                Event::Usage(_) => 2,
                Event::Error(_) | Event::End => 3,
            });
            said
        };
        assert_eq!(told(&again), told(&events));
    }

    #[test]
    fn what_breaks_off_is_not_complete() {
        let mut events = Vec::new();
        let mut reader = Reader::default();
        reader
            .push(b"data: {\"choices\":[{\"text\":\"a\"}]}\n\n", &mut events)
            .unwrap();
        assert_eq!(reader.close(&mut events), Err(StreamError::Cut));
        assert!(reader.push(b"data: <html>\n\n", &mut events).is_err());
    }
}
