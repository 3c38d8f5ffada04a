//! Writing the parts of a content, of requests and answers.
//! <https://ai.google.dev/api/caching#Part>

use serde_json::{Map, Value, json};

use super::{media, part_reader::as_object, signature};
use crate::{
    calls::is_made,
    chat::{Content, Part, TranslateError, Vendor},
};

/// Who reads the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Gemini, which refuses signatures that are not its own.
    Provider,
    /// A client, which sends everything back.
    Client,
}

/// Writes parts one after another.
#[derive(Debug)]
pub(super) struct PartWriter {
    reader: Reader,
    /// The parts so far.
    pub(super) parts: Vec<Value>,
    /// A signature that stood before everything that could carry it: dialects without a place for signatures of
    /// texts and calls put it in front of them.
    waiting: Option<String>,
    /// What was left out, one sentence each.
    pub(super) notes: Vec<String>,
}

impl PartWriter {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            parts: Vec::new(),
            waiting: None,
            notes: Vec::new(),
        }
    }

    /// Writes one part; results of functions are written elsewhere.
    pub(super) fn write(&mut self, part: &Part, param: &str) -> Result<(), TranslateError> {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => {
                self.push_object("text", text.as_str().into());
            }
            Content::Reasoning { text, signature } => self.reasoning(text, signature.as_deref()),
            Content::RedactedReasoning { data } => self.redacted(data),
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let call = self.call(id, name, arguments);
                let signature = signature.as_deref().and_then(|marked| self.sign(marked));
                if signature.is_some() {
                    self.flush();
                }
                self.push_object("functionCall", call);
                self.attach(signature);
            }
            Content::Image { source, detail } => {
                if matches!(detail.as_deref(), Some("low" | "high")) {
                    self.note("the detail of images was left out: Gemini takes none here");
                }
                self.media(source, "image/jpeg", param)?;
            }
            Content::Document {
                source,
                context,
                cite,
                name,
            } => {
                if *cite {
                    self.note("citations of documents were left out: Gemini cites what it finds only");
                }
                if self.reader == Reader::Provider && (context.is_some() || name.is_some()) {
                    self.note("names and contexts of documents were left out: Gemini takes none");
                }
                self.media(source, "application/pdf", param)?;
            }
            Content::Audio { source, .. } => self.media(source, "audio/mpeg", param)?,
            Content::Video { source } => self.media(source, "video/mp4", param)?,
            Content::ToolResult { .. } => {}
        }
        Ok(())
    }

    /// The parts, when all are written.
    pub(super) fn finish(mut self) -> (Vec<Value>, Vec<String>) {
        self.flush();
        // Gemini refuses parts without content.
        if self.reader == Reader::Provider {
            self.parts.retain(|part| !is_empty(part));
        }
        (self.parts, self.notes)
    }

    fn media(
        &mut self,
        source: &crate::chat::Source,
        fallback: &'static str,
        param: &str,
    ) -> Result<(), TranslateError> {
        let part = media::write(source, fallback, param, &mut self.notes)?;
        self.push(part);
        Ok(())
    }

    fn push_object(&mut self, key: &str, value: Value) {
        let mut part = Map::new();
        part.insert(key.to_owned(), value);
        self.push(part);
    }

    fn push(&mut self, part: Map<String, Value>) {
        self.parts.push(Value::Object(part));
        let waiting = self.waiting.take();
        self.attach(waiting);
    }

    /// A signature that nothing took stays where it was.
    fn flush(&mut self) {
        if let Some(signature) = self.waiting.take() {
            self.parts
                .push(json!({"text": "", "thoughtSignature": signature}));
        }
    }

    fn attach(&mut self, signature: Option<String>) {
        if let (Some(signature), Some(Value::Object(part))) = (signature, self.parts.last_mut()) {
            part.insert("thoughtSignature".to_owned(), signature.into());
        }
    }

    fn reasoning(&mut self, text: &str, signature: Option<&str>) {
        let signature = signature.and_then(|marked| self.sign(marked));
        if !text.is_empty() {
            self.flush();
            self.parts.push(json!({"text": text, "thought": true}));
            self.attach(signature);
            return;
        }
        let Some(signature) = signature else {
            return;
        };
        let takes = |part: &Value| part.get("thoughtSignature").is_none() && part.get("thought").is_none();
        if self.waiting.is_none() && self.parts.last().is_some_and(takes) {
            self.attach(Some(signature));
        } else {
            self.flush();
            self.waiting = Some(signature);
        }
    }

    fn redacted(&mut self, data: &str) {
        match self.reader {
            Reader::Client => {
                let signature = signature::show_redacted(data);
                self.flush();
                self.parts
                    .push(json!({"text": "", "thought": true, "thoughtSignature": signature}));
            }
            Reader::Provider => self.note("redacted reasoning of another provider was left out"),
        }
    }

    fn sign(&mut self, marked: &str) -> Option<String> {
        match self.reader {
            Reader::Client => Some(signature::show(marked)),
            Reader::Provider => {
                let own = Vendor::Gemini.own(marked).map(str::to_owned);
                if own.is_none() {
                    self.note("signatures of another provider's reasoning were left out");
                }
                own
            }
        }
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str) -> Value {
        let mut call = json!({"name": name});
        if !(self.reader == Reader::Provider && is_made(id)) {
            super::insert(&mut call, "id", id.into());
        }
        let arguments = match as_object(arguments) {
            Some(arguments) => arguments,
            None if arguments.trim().is_empty() => json!({}),
            None => {
                self.note("arguments that are no JSON object were sent as the field `arguments` of one");
                json!({"arguments": arguments})
            }
        };
        super::insert(&mut call, "args", arguments);
        call
    }

    fn note(&mut self, note: &str) {
        super::note(&mut self.notes, note);
    }
}

/// Whether a part holds an empty text and nothing else.
fn is_empty(part: &Value) -> bool {
    part.as_object()
        .is_some_and(|part| part.len() == 1 && part.get("text").is_some_and(|text| text == ""))
}
