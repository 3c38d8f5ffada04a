//! Messages: roles, content parts, tool calls and their results.

use serde_json::{Map, Value, json};

use super::{TranslateError, refuse};

/// A conversation in Anthropic's form.
pub(super) struct Conversation {
    /// All system and developer prompts.
    pub(super) system: String,
    /// Turns of `user` and `assistant`, alternating.
    pub(super) messages: Vec<Value>,
}

/// Translates the messages.
pub(super) fn translate(
    messages: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Conversation, TranslateError> {
    let Some(Value::Array(messages)) = messages else {
        return refuse("messages", "must be a list");
    };
    let mut builder = Builder {
        system: Vec::new(),
        turns: Vec::new(),
        moved: false,
        warnings,
    };
    for (index, message) in messages.iter().enumerate() {
        builder.message(&format!("messages[{index}]"), message)?;
    }
    builder.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

struct Builder<'a> {
    system: Vec<String>,
    turns: Vec<(Role, Vec<Value>)>,
    /// A system prompt stood after the first turn.
    moved: bool,
    warnings: &'a mut Vec<String>,
}

impl Builder<'_> {
    fn message(&mut self, param: &str, message: &Value) -> Result<(), TranslateError> {
        let Value::Object(fields) = message else {
            return refuse(param, "must be an object");
        };
        if fields.get("name").is_some_and(|name| !name.is_null()) {
            self.warnings.push(format!(
                "{param}.name was left out: Anthropic's API names no participants"
            ));
        }
        match fields.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => self.system(param, fields),
            Some("user") => {
                let blocks = self.parts(&format!("{param}.content"), fields.get("content"))?;
                if blocks.is_empty() {
                    return refuse(format!("{param}.content"), "must not be empty");
                }
                self.turn(Role::User, blocks);
                Ok(())
            }
            Some("assistant") => self.assistant(param, fields),
            Some("tool") => self.tool_result(param, fields),
            Some("function") => refuse(
                format!("{param}.role"),
                "function messages are deprecated; use tool",
            ),
            _ => refuse(
                format!("{param}.role"),
                "must be system, developer, user, assistant or tool",
            ),
        }
    }

    fn system(&mut self, param: &str, fields: &Map<String, Value>) -> Result<(), TranslateError> {
        let content = texts(&format!("{param}.content"), fields.get("content"))?;
        self.moved |= !self.turns.is_empty();
        self.system
            .extend(Some(content).filter(|content| !content.is_empty()));
        Ok(())
    }

    fn assistant(&mut self, param: &str, fields: &Map<String, Value>) -> Result<(), TranslateError> {
        for name in ["function_call", "audio"] {
            if fields.get(name).is_some_and(|value| !value.is_null()) {
                return refuse(
                    format!("{param}.{name}"),
                    "cannot be expressed in Anthropic's API",
                );
            }
        }
        if fields
            .get("reasoning_content")
            .is_some_and(|reasoning| reasoning.as_str() != Some(""))
        {
            self.warnings.push(format!(
                "{param}.reasoning_content was left out: Anthropic's API takes back signed thinking only"
            ));
        }
        let content = fields.get("content").filter(|content| !content.is_null());
        let mut blocks = match content {
            Some(content) => self.parts(&format!("{param}.content"), Some(content))?,
            None => Vec::new(),
        };
        if let Some(refusal) = fields.get("refusal").and_then(Value::as_str) {
            blocks.extend(text_block(refusal));
        }
        match fields.get("tool_calls") {
            None | Some(Value::Null) => {}
            Some(Value::Array(calls)) => {
                for (index, call) in calls.iter().enumerate() {
                    blocks.push(tool_use(&format!("{param}.tool_calls[{index}]"), call)?);
                }
            }
            Some(_) => return refuse(format!("{param}.tool_calls"), "must be a list"),
        }
        if blocks.is_empty() {
            self.warnings.push(format!("{param} was left out: it is empty"));
        } else {
            self.turn(Role::Assistant, blocks);
        }
        Ok(())
    }

    /// Results of one turn's tool calls belong into one user turn, before anything else in it.
    fn tool_result(&mut self, param: &str, fields: &Map<String, Value>) -> Result<(), TranslateError> {
        let id = tool_id(&format!("{param}.tool_call_id"), fields.get("tool_call_id"))?;
        let content = self.parts(&format!("{param}.content"), fields.get("content"))?;
        let mut block = json!({"type": "tool_result", "tool_use_id": id});
        if let (Value::Object(members), false) = (&mut block, content.is_empty()) {
            members.insert("content".to_owned(), Value::Array(content));
        }
        match self.turns.last_mut() {
            Some((Role::User, blocks)) => {
                let results = blocks
                    .iter()
                    .take_while(|block| block.get("type").is_some_and(|kind| kind == "tool_result"));
                let position = results.count();
                blocks.insert(position, block);
            }
            _ => self.turns.push((Role::User, vec![block])),
        }
        Ok(())
    }

    fn turn(&mut self, role: Role, blocks: Vec<Value>) {
        match self.turns.last_mut() {
            Some((last, known)) if *last == role => known.extend(blocks),
            _ => self.turns.push((role, blocks)),
        }
    }

    fn parts(&mut self, param: &str, content: Option<&Value>) -> Result<Vec<Value>, TranslateError> {
        match content {
            Some(Value::String(text)) => Ok(text_block(text).into_iter().collect()),
            Some(Value::Array(parts)) => {
                let mut blocks = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    blocks.extend(self.part(&format!("{param}[{index}]"), part)?);
                }
                Ok(blocks)
            }
            _ => refuse(param, "must be a text or a list of parts"),
        }
    }

    fn part(&mut self, param: &str, part: &Value) -> Result<Option<Value>, TranslateError> {
        let text = |field: &str| part.get(field).and_then(Value::as_str);
        match text("type") {
            Some(kind @ ("text" | "refusal")) => match text(kind) {
                Some(text) => Ok(text_block(text)),
                None => refuse(format!("{param}.{kind}"), "must be a text"),
            },
            Some("image_url") => self
                .image(&format!("{param}.image_url"), part.get("image_url"))
                .map(Some),
            Some("file") => file(&format!("{param}.file"), part.get("file")).map(Some),
            Some("input_audio") => refuse(param, "Anthropic's API takes no audio"),
            _ => refuse(format!("{param}.type"), "must be text, image_url or file"),
        }
    }

    fn image(&mut self, param: &str, image: Option<&Value>) -> Result<Value, TranslateError> {
        // Some clients send the address without an object around it.
        let url = image.and_then(|image| image.as_str().or_else(|| image.get("url")?.as_str()));
        let Some(url) = url else {
            return refuse(format!("{param}.url"), "must be a text");
        };
        let detail = image.and_then(|image| image.get("detail")?.as_str());
        if let Some(detail) = detail.filter(|detail| *detail != "auto") {
            self.warnings.push(format!(
                "{param}.detail {detail} was left out: Anthropic's API has no image detail"
            ));
        }
        if let Some(data) = url.strip_prefix("data:") {
            const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
            let (media_type, data) = base64(&format!("{param}.url"), data)?;
            let media_type = if media_type == "image/jpg" {
                "image/jpeg"
            } else {
                media_type
            };
            if !TYPES.contains(&media_type) {
                return refuse(
                    format!("{param}.url"),
                    format!("must be one of {}, not {media_type:?}", TYPES.join(", ")),
                );
            }
            let source = json!({"type": "base64", "media_type": media_type, "data": data});
            return Ok(json!({"type": "image", "source": source}));
        }
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(json!({"type": "image", "source": {"type": "url", "url": url}}));
        }
        refuse(
            format!("{param}.url"),
            "must be an http or https address or a data: address",
        )
    }

    fn finish(mut self) -> Result<Conversation, TranslateError> {
        if self.moved {
            self.warnings
                .push("system messages inside the conversation were moved to its start, as Anthropic's API wants it".to_owned());
        }
        if self.turns.is_empty() {
            return refuse(
                "messages",
                "must have at least one message that is not a system prompt",
            );
        }
        if let Some((Role::Assistant, blocks)) = self.turns.last_mut()
            && let Some(Value::Object(last)) = blocks.last_mut()
            && let Some(Value::String(text)) = last.get_mut("text")
        {
            // The answer continues this text, which Anthropic's API refuses to end in white space.
            text.truncate(text.trim_end().len());
        }
        let role = |role: Role| if role == Role::User { "user" } else { "assistant" };
        let messages = self
            .turns
            .into_iter()
            .map(|(who, blocks)| json!({"role": role(who), "content": blocks}));
        Ok(Conversation {
            system: self.system.join("\n\n"),
            messages: messages.collect(),
        })
    }
}

/// Anthropic's API refuses empty texts.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn texts(param: &str, content: Option<&Value>) -> Result<String, TranslateError> {
    match content {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts: Option<Vec<&str>> = parts.iter().map(|part| part.get("text")?.as_str()).collect();
            texts.map_or_else(
                || refuse(param, "must have parts of text only"),
                |texts| Ok(texts.join("\n")),
            )
        }
        _ => refuse(param, "must be a text or a list of parts"),
    }
}

fn file(param: &str, file: Option<&Value>) -> Result<Value, TranslateError> {
    let text = |field: &str| file.and_then(|file| file.get(field)?.as_str());
    let Some(data) = text("file_data") else {
        return refuse(
            format!("{param}.file_data"),
            "must be given: files of OpenAI's API are not known to Anthropic's",
        );
    };
    let Some(data) = data.strip_prefix("data:") else {
        return refuse(format!("{param}.file_data"), "must be a data: address");
    };
    let (media_type, data) = base64(&format!("{param}.file_data"), data)?;
    if media_type != "application/pdf" {
        return refuse(
            format!("{param}.file_data"),
            format!("must be application/pdf, not {media_type:?}"),
        );
    }
    let source = json!({"type": "base64", "media_type": media_type, "data": data});
    let mut block = json!({"type": "document", "source": source});
    if let (Value::Object(members), Some(name)) = (&mut block, text("filename")) {
        members.insert("title".to_owned(), name.into());
    }
    Ok(block)
}

/// The media type and the data of what follows `data:`.
fn base64<'a>(param: &str, data: &'a str) -> Result<(&'a str, &'a str), TranslateError> {
    let parts = data
        .split_once(',')
        .and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    match parts {
        Some((head, data)) => Ok((head.split(';').next().unwrap_or_default(), data)),
        None => refuse(
            param,
            "must be a data: address with base64, as data:image/png;base64,…",
        ),
    }
}

fn tool_use(param: &str, call: &Value) -> Result<Value, TranslateError> {
    let id = tool_id(&format!("{param}.id"), call.get("id"))?;
    let Some(Value::Object(function)) = call.get("function") else {
        return refuse(
            format!("{param}.function"),
            "must be an object; other calls cannot be expressed in Anthropic's API",
        );
    };
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        return refuse(format!("{param}.function.name"), "must be a text");
    };
    let input = match function.get("arguments") {
        None | Some(Value::Null) => Some(Value::Object(Map::new())),
        Some(Value::String(text)) if text.trim().is_empty() => Some(Value::Object(Map::new())),
        Some(Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
        Some(_) => None,
    };
    match input {
        Some(input) => Ok(json!({"type": "tool_use", "id": id, "name": name, "input": input})),
        None => refuse(
            format!("{param}.function.arguments"),
            "must be a JSON object as text",
        ),
    }
}

/// Anthropic's API takes letters, digits, `_` and `-` in ids; others become `_`, in calls and results alike.
fn tool_id(param: &str, id: Option<&Value>) -> Result<String, TranslateError> {
    let Some(id) = id.and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return refuse(param, "must be a text that is not empty");
    };
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    Ok(id
        .chars()
        .map(|character| if is_plain(character) { character } else { '_' })
        .collect())
}
