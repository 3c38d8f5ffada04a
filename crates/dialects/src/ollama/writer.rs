//! Writing requests.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>

use serde_json::{Map, Value, json};

use super::{insert, message_writer::MessageWriter, note, options};
use crate::{
    chat::{Function, Request, Sent, Target, Tool, ToolChoice, TranslateError, Wire, refuse},
    fields,
};

/// Writes the body of `chat`, which is appended to the address of Ollama's API (`http://127.0.0.1:11434/api`).
pub(super) fn request(request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
    let mut writer = MessageWriter::default();
    for (index, message) in request.messages.iter().enumerate() {
        writer.write(message, index)?;
    }
    let mut notes = writer.notes;
    let mut body = json!({"model": target.model, "stream": request.stream});
    insert(&mut body, "messages", writer.messages.into());
    tools(request, &mut body, &mut notes)?;
    if let Some(format) = request.output.as_ref().and_then(options::write_format) {
        insert(&mut body, "format", format);
    }
    let options = options::write(&request.sampling, &mut notes);
    if !options.is_empty() {
        insert(&mut body, "options", Value::Object(options));
    }
    if let Some(reasoning) = &request.reasoning
        && let Some(think) = options::write_think(reasoning, &mut notes)
    {
        insert(&mut body, "think", think);
    }
    if let Some(count) = request.logprobs {
        insert(&mut body, "logprobs", true.into());
        if count > 0 {
            insert(&mut body, "top_logprobs", count.into());
        }
    }
    rest(request, &mut notes)?;
    for (name, value) in request.extras_of(Wire::Ollama) {
        if !fields::set(&mut body, name, value.clone()) {
            notes.push(format!(
                "{name} was left out: it has no place in the translated request"
            ));
        }
    }
    Ok(Sent {
        path: "chat".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    })
}

/// Tools, narrowed to those that may be called: Ollama takes no choice among them.
fn tools(request: &Request, body: &mut Value, notes: &mut Vec<String>) -> Result<(), TranslateError> {
    let allowed: Option<&[String]> = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => None,
        Some(ToolChoice::None) => {
            if !request.tools.is_empty() {
                note(notes, "tools were left out, since none may be called");
            }
            return Ok(());
        }
        Some(ToolChoice::Allowed {
            names,
            required: false,
        }) => Some(names),
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { .. }) => {
            return refuse(
                "tool_choice",
                "must be auto or none: Ollama cannot be made to call a tool",
            );
        }
    };
    let mut out = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) if allowed.is_none_or(|names| names.contains(&function.name)) => {
                out.push(write_function(function, notes));
            }
            Tool::Function(_) => note(notes, "tools that may not be called were left out"),
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!(
                        "is a tool that only {} runs; give functions to Ollama",
                        wire.as_str()
                    ),
                );
            }
        }
    }
    if !out.is_empty() {
        insert(body, "tools", out.into());
        if request.parallel_tool_calls == Some(false) {
            note(
                notes,
                "parallel_tool_calls was left out: Ollama's models may call several tools at once",
            );
        }
    }
    Ok(())
}

fn write_function(function: &Function, notes: &mut Vec<String>) -> Value {
    if function.strict == Some(true) {
        note(
            notes,
            "strict was left out of functions: Ollama checks no arguments",
        );
    }
    if function.cache.is_some() {
        note(
            notes,
            "cache marks were left out: Ollama keeps prefixes by itself",
        );
    }
    let mut out = Map::new();
    out.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = &function.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    let none = || json!({"type": "object", "properties": {}});
    out.insert(
        "parameters".to_owned(),
        function.parameters.clone().unwrap_or_else(none),
    );
    json!({"type": "function", "function": out})
}

fn rest(request: &Request, notes: &mut Vec<String>) -> Result<(), TranslateError> {
    if request.sampling.choices.is_some_and(|count| count != 1) {
        return refuse("n", "must be 1: Ollama gives one answer a request");
    }
    for (name, is_given) in [
        ("user", request.user.is_some()),
        ("metadata", !request.metadata.is_empty()),
        (
            "service_tier",
            request
                .service_tier
                .as_ref()
                .is_some_and(|tier| tier != "auto" && tier != "default"),
        ),
    ] {
        if is_given {
            note(
                notes,
                &format!("{name} was left out: Ollama has no such parameter"),
            );
        }
    }
    request.note_foreign_extras(Wire::Ollama, "Ollama", notes)
}
