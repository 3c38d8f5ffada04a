//! Writing the parts of a content, of requests and answers.
//! <https://ai.google.dev/api/caching#Part>

use serde_json::{Map, Value, json};

use super::{
    media,
    part_reader::as_object,
    signature::{self, Own},
};
use crate::{
    calls::is_made,
    chat::{Content, Part, TranslateError, refuse_native},
};

const SIGNATURE: &str = "thoughtSignature";

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
    /// A signature whose part is not known yet.
    waiting: Option<Waiting>,
    /// What was left out, one sentence each.
    pub(super) notes: Vec<String>,
}

/// A signature that stands alone: dialects without a place for signatures of texts and calls put it beside them.
#[derive(Debug)]
struct Waiting {
    signature: Own,
    /// The part before it, when that can carry it.
    after: Option<usize>,
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
                let own = signature.as_deref().and_then(|marked| self.sign(marked));
                let given = match own {
                    Some(_) => None,
                    None => self.waiting.take_if(|waiting| !waiting.signature.is_of_text),
                };
                self.flush();
                self.parts.push(json!({ "functionCall": call }));
                self.attach(own.or(given.map(|waiting| waiting.signature)));
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
            Content::Native { .. } if self.reader == Reader::Provider => {
                return refuse_native(param, "Gemini");
            }
            Content::ToolResult { .. } | Content::Native { .. } => {}
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

    /// Adds a text or media, which a signature before it may belong to.
    fn push(&mut self, part: Map<String, Value>) {
        let waiting = self.waiting.take_if(|waiting| waiting.after.is_none());
        self.flush();
        self.parts.push(Value::Object(part));
        self.attach(waiting.map(|waiting| waiting.signature));
    }

    /// A signature that nothing after it took belongs to the part before it, else stays where it was.
    fn flush(&mut self) {
        let Some(Waiting { signature, after }) = self.waiting.take() else {
            return;
        };
        match after.and_then(|index| self.parts.get_mut(index)) {
            Some(Value::Object(part)) => {
                part.insert(SIGNATURE.to_owned(), signature.token.into());
            }
            _ => self.parts.push(json!({"text": "", SIGNATURE: signature.token})),
        }
    }

    fn attach(&mut self, signature: Option<Own>) {
        if let (Some(signature), Some(Value::Object(part))) = (signature, self.parts.last_mut()) {
            part.insert(SIGNATURE.to_owned(), signature.token.into());
        }
    }

    fn reasoning(&mut self, text: &str, signature: Option<&str>) {
        let mut signature = signature.and_then(|marked| self.sign(marked));
        if !text.is_empty() {
            self.flush();
            self.parts.push(json!({"text": text, "thought": true}));
            let own = signature.take_if(|signature| !signature.is_of_text);
            self.attach(own);
        }
        let Some(signature) = signature else {
            return;
        };
        self.flush();
        let takes = |part: &Value| {
            [SIGNATURE, "thought", "functionCall"]
                .iter()
                .all(|key| part.get(key).is_none())
        };
        let last = self.parts.last().filter(|part| takes(part));
        if last.is_some() && signature.is_of_text {
            self.attach(Some(signature));
            return;
        }
        let after = last.and(self.parts.len().checked_sub(1));
        self.waiting = Some(Waiting { signature, after });
    }

    fn redacted(&mut self, data: &str) {
        match self.reader {
            Reader::Client => {
                let signature = signature::show_redacted(data);
                self.flush();
                self.parts
                    .push(json!({"text": "", "thought": true, SIGNATURE: signature}));
            }
            Reader::Provider => self.note("redacted reasoning of another provider was left out"),
        }
    }

    fn sign(&mut self, marked: &str) -> Option<Own> {
        match self.reader {
            Reader::Client => Some(signature::show(marked)),
            Reader::Provider => {
                let own = signature::own(marked);
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
