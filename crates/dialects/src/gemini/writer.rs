//! Writing requests.
//! <https://ai.google.dev/api/generate-content#method:-models.generatecontent>

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value, json};

use super::{
    generation::Generation,
    note,
    part_reader::as_object,
    part_writer::{PartWriter, Reader},
    signature::FOREIGN_CALL,
    writer_config, writer_tools,
};
use crate::{
    calls::is_made,
    chat::{Content, Message, Part, Request, Role, Sent, Target, TranslateError, Wire, refuse},
    fields,
};

/// Writes a request and its path.
pub(super) fn request(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let mut writer = Writer {
        model: target.model,
        calls: BTreeMap::new(),
        system: Vec::new(),
        contents: Vec::new(),
        notes: Vec::new(),
    };
    for (index, message) in request.messages.iter().enumerate() {
        writer.message(message, index)?;
    }
    let mut notes = std::mem::take(&mut writer.notes);
    let mut body = Value::Object(writer.body());
    writer_tools::write(request, &mut body, &mut notes)?;
    writer_config::write(request, target, &mut body, &mut notes);
    request.note_foreign_extras(Wire::Gemini, "Gemini", &mut notes)?;
    for (name, value) in request.extras_of(Wire::Gemini) {
        let is_placed = !name.starts_with("tools[") && !name.ends_with("streamFunctionCallArguments");
        if !is_placed || !fields::set(&mut body, name, value.clone()) {
            notes.push(format!(
                "{name} was left out: it has no place in the translated request"
            ));
        }
    }
    Ok(Sent {
        path: path(request, target),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

/// `models/M:generateContent`; at Vertex AI, whose base address names project and location,
/// `publishers/google/models/M:generateContent`.
fn path(request: &Request, target: Target<'_>) -> String {
    let method = if request.stream {
        ":streamGenerateContent?alt=sse"
    } else {
        ":generateContent"
    };
    format!("{}{method}", model_path(target))
}

/// The model's resource name, percent-encoded: what stands before `:generateContent` after the base address.
pub fn model_path(target: Target<'_>) -> String {
    const KINDS: [&str; 5] = [
        "models/",
        "tunedModels/",
        "publishers/",
        "endpoints/",
        "projects/",
    ];
    let is_named = KINDS.iter().any(|kind| target.model.starts_with(kind));
    let prefix = match (is_named, target.flavor) {
        (true, _) => "",
        (false, "vertex") => "publishers/google/models/",
        (false, _) => "models/",
    };
    let mut out = prefix.to_owned();
    for byte in target.model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if is_named => out.push('/'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

struct Writer<'a> {
    model: &'a str,
    /// Calls by id: their place among the calls so far, and their function's name.
    calls: BTreeMap<&'a str, (usize, &'a str)>,
    system: Vec<Value>,
    contents: Vec<Turn>,
    notes: Vec<String>,
}

/// A content that is being written.
struct Turn {
    role: &'static str,
    parts: Vec<Value>,
    /// Holds results of functions only.
    is_results: bool,
}

impl<'a> Writer<'a> {
    fn message(&mut self, message: &'a Message, index: usize) -> Result<(), TranslateError> {
        let param = format!("messages[{index}]");
        if message.name.is_some() {
            note(
                &mut self.notes,
                "names of participants were left out: Gemini takes none",
            );
        }
        if message.parts.iter().any(|part| part.cache.is_some()) {
            note(
                &mut self.notes,
                "cache marks were left out: Gemini caches repeated prefixes by itself",
            );
        }
        if message.role.is_system() {
            return self.instructions(message, &param);
        }
        let mut writer = PartWriter::new(Reader::Provider);
        for (at, part) in message.parts.iter().enumerate() {
            let param = format!("{param}.content[{at}]");
            match &part.content {
                Content::ToolResult { .. } => self.result(part, &mut writer, &param)?,
                _ => writer.write(part, &param)?,
            }
            if let Content::ToolCall { id, name, .. } = &part.content {
                let place = self.calls.len();
                self.calls.insert(id, (place, name));
            }
        }
        let (parts, notes) = writer.finish();
        for text in notes {
            note(&mut self.notes, &text);
        }
        self.push(message.role, parts);
        Ok(())
    }

    fn instructions(&mut self, message: &Message, param: &str) -> Result<(), TranslateError> {
        if !self.contents.is_empty() {
            note(
                &mut self.notes,
                "instructions in the middle of the conversation were moved to its front",
            );
        }
        for part in &message.parts {
            match part.as_text() {
                Some("") => {}
                Some(text) => self.system.push(json!({"text": text})),
                None => return refuse(param, "must be text: Gemini's instructions have no other parts"),
            }
        }
        Ok(())
    }

    /// Results of functions that stand in several messages become one content, as Gemini wants those of one turn.
    fn push(&mut self, role: Role, mut parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        if role == Role::Assistant {
            self.sign_foreign_call(&mut parts);
            self.contents.push(Turn {
                role: "model",
                parts,
                is_results: false,
            });
            return;
        }
        let is_results = parts.iter().all(|part| part.get("functionResponse").is_some());
        match self.contents.last_mut() {
            Some(last) if is_results && last.is_results => last.parts.append(&mut parts),
            _ => self.contents.push(Turn {
                role: "user",
                parts,
                is_results,
            }),
        }
    }

    /// Gemini 3 refuses a first call of a step without a signature; for calls of another model its document gives a
    /// text to put there.
    fn sign_foreign_call(&mut self, parts: &mut [Value]) {
        let first = parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(Value::Object(part)) = first
            && !part.contains_key("thoughtSignature")
            && Generation::checks_signatures(self.model)
        {
            part.insert("thoughtSignature".to_owned(), FOREIGN_CALL.into());
            note(
                &mut self.notes,
                "tool calls without a thought signature were marked as another model's",
            );
        }
    }

    fn result(&mut self, part: &Part, writer: &mut PartWriter, param: &str) -> Result<(), TranslateError> {
        let Content::ToolResult {
            id,
            name,
            content,
            is_error,
        } = &part.content
        else {
            return Ok(());
        };
        let known = self.calls.get(id.as_str()).map(|(_, name)| *name);
        let Some(name) = name.as_deref().or(known) else {
            return refuse(
                param,
                "answers no call before it, so that its function's name is not known",
            );
        };
        let response = if *is_error {
            failure(content)
        } else {
            output(content)
        };
        let mut response = json!({"id": id, "name": name, "response": response});
        let mut media = PartWriter::new(Reader::Provider);
        for (at, part) in content.iter().enumerate() {
            if part.as_text().is_none() {
                media.write(part, &format!("{param}.content[{at}]"))?;
            }
        }
        let (media, notes) = media.finish();
        writer.notes.extend(notes);
        let nests = Generation::of(self.model) == Generation::Level;
        if nests && !media.is_empty() {
            super::insert(&mut response, "parts", media.into());
            writer.parts.push(json!({"functionResponse": response}));
            return Ok(());
        }
        writer.parts.push(json!({"functionResponse": response}));
        if !media.is_empty() {
            note(
                &mut writer.notes,
                "media of tool results were put beside them: this Gemini takes none inside",
            );
            writer.parts.extend(media);
        }
        Ok(())
    }

    fn body(mut self) -> Map<String, Value> {
        let calls = std::mem::take(&mut self.calls);
        let mut body = Map::new();
        if self.contents.is_empty() && !self.system.is_empty() {
            // Gemini wants at least one content.
            self.contents.push(Turn {
                role: "user",
                parts: std::mem::take(&mut self.system),
                is_results: false,
            });
        }
        if !self.system.is_empty() {
            body.insert("systemInstruction".to_owned(), json!({"parts": self.system}));
        }
        let contents = self.contents.into_iter().map(|mut content| {
            if content.is_results {
                content.parts.sort_by_key(|part| place(part, &calls));
            }
            content.parts.iter_mut().for_each(strip_made_id);
            json!({"role": content.role, "parts": content.parts})
        });
        body.insert("contents".to_owned(), contents.collect());
        body
    }
}

/// The place of a result's call: Gemini matches results without ids by their order.
fn place(part: &Value, calls: &BTreeMap<&str, (usize, &str)>) -> usize {
    part.get("functionResponse")
        .and_then(|response| calls.get(response.get("id")?.as_str()?))
        .map_or(0, |(place, _)| *place)
}

/// Leaves out an id that says nothing but the call's place.
fn strip_made_id(part: &mut Value) {
    if let Some(Value::Object(response)) = part.get_mut("functionResponse")
        && response.get("id").and_then(Value::as_str).is_some_and(is_made)
    {
        response.shift_remove("id");
    }
}

fn joined(content: &[Part]) -> String {
    let texts: Vec<&str> = content.iter().filter_map(Part::as_text).collect();
    texts.join("\n")
}

/// What a function returned, as the object that Gemini wants.
fn output(content: &[Part]) -> Value {
    let text = joined(content);
    match as_object(&text) {
        Some(object) => object,
        None if content.iter().all(|part| part.as_text().is_none()) => json!({}),
        None => json!({"output": text}),
    }
}

/// What went wrong in a function.
fn failure(content: &[Part]) -> Value {
    let text = joined(content);
    match as_object(&text) {
        Some(object) if object.get("error").is_some() => object,
        Some(object) => json!({"error": object}),
        None => json!({"error": text}),
    }
}
