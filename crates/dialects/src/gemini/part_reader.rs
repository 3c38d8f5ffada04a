//! Reading the parts of a content, of requests and answers.
//! <https://ai.google.dev/api/caching#Part>

use serde_json::Value;

use super::{
    media,
    signature::{self, Signature},
};
use crate::{
    calls::Calls,
    chat::{Content, Extra, Part, TranslateError, Wire, refuse},
    fields::{Fields, camel},
};

/// Fields of a part that have a place in the form.
const KNOWN: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "thought",
    "thoughtSignature",
];
/// What Gemini's own tools leave in a conversation.
const NATIVE: [&str; 4] = [
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Reads parts one after another.
#[derive(Debug, Default)]
pub(super) struct PartReader {
    /// The calls so far.
    pub(super) calls: Calls,
    /// What the form has no place for.
    pub(super) extra: Vec<Extra>,
}

impl PartReader {
    /// Reads one part. A signature on anything but a call or a thought follows it as reasoning without text.
    pub(super) fn read(
        &mut self,
        value: &Value,
        path: String,
        out: &mut Vec<Part>,
    ) -> Result<(), TranslateError> {
        let fields = Fields::new(value, path)?;
        if let Some(name) = NATIVE.iter().find(|name| fields.get(name).is_some()) {
            return refuse(
                fields.param(name),
                "comes from a tool that only Gemini runs, and cannot be translated",
            );
        }
        let mut signature = match fields.text("thoughtSignature")?.map(signature::read) {
            Some(Signature::Redacted(data)) => {
                out.push(Part::new(Content::RedactedReasoning { data }));
                return Ok(());
            }
            Some(Signature::Token(token)) => Some(token),
            None => None,
        };
        let content = self.content(&fields, &mut signature)?;
        if content.is_none() && signature.is_none() {
            return refuse(
                fields.path(),
                "must hold text, inlineData, fileData, functionCall or functionResponse",
            );
        }
        out.extend(content.map(Part::new));
        if let Some(signature) = signature {
            out.push(Part::new(Content::Reasoning {
                text: String::new(),
                signature: Some(signature::of_text(signature)),
            }));
        }
        for (name, value) in fields.others(&KNOWN) {
            self.extra.push(Extra {
                wire: Wire::Gemini,
                name: fields.param(&camel(name)),
                value: value.clone(),
                essential: false,
            });
        }
        Ok(())
    }

    /// Takes the signature where the content has a place for it.
    fn content(
        &mut self,
        fields: &Fields<'_>,
        signature: &mut Option<String>,
    ) -> Result<Option<Content>, TranslateError> {
        if let Some(call) = fields.object("functionCall")? {
            return self.call(&call, signature.take()).map(Some);
        }
        if let Some(result) = fields.object("functionResponse")? {
            return self.result(&result).map(Some);
        }
        if let Some(blob) = fields.object("inlineData")? {
            return media::inline(&blob).map(Some);
        }
        if let Some(file) = fields.object("fileData")? {
            return media::file(&file).map(Some);
        }
        let text = fields.text("text")?.map(str::to_owned);
        if fields.flag("thought")? == Some(true) && (text.is_some() || signature.is_some()) {
            return Ok(Some(Content::Reasoning {
                text: text.unwrap_or_default(),
                signature: signature.take(),
            }));
        }
        Ok(text.map(|text| Content::Text {
            text,
            citations: Vec::new(),
        }))
    }

    fn call(&mut self, call: &Fields<'_>, signature: Option<String>) -> Result<Content, TranslateError> {
        let name = call.required("name")?;
        if call.get("partialArgs").is_some() || call.flag("willContinue")? == Some(true) {
            return refuse(
                call.path(),
                "must be complete: streamed arguments are not translated",
            );
        }
        let arguments = match call.get("args") {
            None => "{}".to_owned(),
            Some(arguments @ Value::Object(_)) => arguments.to_string(),
            Some(_) => return refuse(call.param("args"), "must be an object"),
        };
        Ok(Content::ToolCall {
            id: self.calls.call(call.text("id")?, name),
            name: name.to_owned(),
            arguments,
            signature,
        })
    }

    fn result(&mut self, result: &Fields<'_>) -> Result<Content, TranslateError> {
        let response = match result.get("response") {
            None => Response::default(),
            Some(response @ Value::Object(_)) => Response::read(response),
            Some(_) => return refuse(result.param("response"), "must be an object"),
        };
        let mut content = Vec::new();
        content.extend(response.text.map(Part::text));
        for part in result.objects("parts")? {
            let media = match (part.object("inlineData")?, part.object("fileData")?) {
                (Some(blob), _) => media::inline(&blob)?,
                (None, Some(file)) => media::file(&file)?,
                (None, None) => return refuse(part.path(), "must hold inlineData or fileData"),
            };
            content.push(Part::new(media));
        }
        let (id, name) = self.calls.result(result.text("id")?, result.text("name")?);
        for (name, value) in result.others(&["id", "name", "response", "parts"]) {
            self.extra.push(Extra {
                wire: Wire::Gemini,
                name: result.param(&camel(name)),
                value: value.clone(),
                essential: false,
            });
        }
        Ok(Content::ToolResult {
            id,
            name,
            content,
            is_error: response.is_error,
        })
    }
}

/// What a function returned: Google's documents give `output` for its value and `error` for what went wrong; any
/// other object is the value itself.
#[derive(Debug, Default)]
struct Response {
    text: Option<String>,
    is_error: bool,
}

impl Response {
    fn read(response: &Value) -> Self {
        let only = |key: &str| {
            let members = response.as_object().filter(|members| members.len() == 1)?;
            members
                .get(key)?
                .as_str()
                .filter(|text| as_object(text).is_none())
        };
        let is_error = response.get("error").is_some();
        let text = only("output").or_else(|| only("error")).map(str::to_owned);
        let is_empty = response.as_object().is_some_and(serde_json::Map::is_empty);
        Self {
            text: (!is_empty).then(|| text.unwrap_or_else(|| response.to_string())),
            is_error,
        }
    }
}

/// A text as the JSON object that it is.
pub(super) fn as_object(text: &str) -> Option<Value> {
    text.trim_start()
        .starts_with('{')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
        .filter(Value::is_object)
}
