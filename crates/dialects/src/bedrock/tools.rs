//! Tools and the choice among them: `toolConfig`.

use serde_json::{Map, Value, json};

use super::{NAME, messages::cache_point, model::Family};
use crate::chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse};

/// Writes `toolConfig`; none when there is nothing to say. `called` are the tools that the conversation calls: Converse
/// refuses a conversation with calls that declares no tools.
pub(super) fn write(
    request: &Request,
    family: Family,
    called: &[String],
    notes: &mut Vec<String>,
) -> Result<Option<Value>, TranslateError> {
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let mut tools = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => {
                if allowed.is_none_or(|names| names.contains(&function.name)) {
                    tools.push(function_tool(function));
                    let mark = function.cache.as_ref().map(|cache| cache_point(cache, notes));
                    tools.extend(mark);
                }
            }
            Tool::Native {
                wire: Wire::Bedrock,
                definition,
            } => tools.push(definition.clone()),
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!("{NAME} has no tools of the dialect {}", wire.as_str()),
                );
            }
        }
    }
    let choice = choice(request, tools.is_empty(), notes)?;
    if choice == Choice::Nothing && called.is_empty() {
        return Ok(None);
    }
    if tools.is_empty() {
        if called.is_empty() {
            return Ok(None);
        }
        tools = called.iter().map(|name| declared(name)).collect();
        notes.push(
            "the tools that the conversation calls were declared: Bedrock refuses calls of tools without their declaration"
                .to_owned(),
        );
    } else if choice == Choice::Nothing {
        notes.push(
            "tool_choice none was left out: on Bedrock, tools of the conversation can be called again"
                .to_owned(),
        );
    }
    if request.parallel_tool_calls == Some(false) {
        parallel(family, notes);
    }
    let mut config = Map::new();
    config.insert("tools".to_owned(), Value::Array(tools));
    if let Choice::Say(choice) = choice {
        config.insert("toolChoice".to_owned(), choice);
    }
    Ok(Some(Value::Object(config)))
}

fn parallel(family: Family, notes: &mut Vec<String>) {
    let model = if family.is_claude() { "Claude" } else { "the model" };
    notes.push(format!(
        "parallel_tool_calls false was left out: in {NAME} nothing keeps {model} from several calls at once"
    ));
}

fn function_tool(function: &Function) -> Value {
    let mut spec = Map::new();
    spec.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = function.description.as_deref().filter(|text| !text.is_empty()) {
        spec.insert("description".to_owned(), description.into());
    }
    let mut schema = function.parameters.clone().unwrap_or_else(|| json!({}));
    if let Value::Object(members) = &mut schema {
        members.entry("type").or_insert_with(|| "object".into());
    }
    spec.insert("inputSchema".to_owned(), json!({"json": schema}));
    if function.strict == Some(true) {
        spec.insert("strict".to_owned(), true.into());
    }
    json!({"toolSpec": spec})
}

fn declared(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}})
}

#[derive(Debug, PartialEq)]
enum Choice {
    /// As the API does without a word.
    Default,
    /// `toolChoice`.
    Say(Value),
    /// No tool may be called.
    Nothing,
}

fn choice(request: &Request, no_tools: bool, notes: &mut Vec<String>) -> Result<Choice, TranslateError> {
    let must = |choice: Value| {
        if no_tools {
            refuse("tool_choice", "needs tools")
        } else {
            Ok(Choice::Say(choice))
        }
    };
    match &request.tool_choice {
        None => Ok(Choice::Default),
        Some(ToolChoice::Auto) if no_tools => Ok(Choice::Default),
        Some(ToolChoice::Auto) => Ok(Choice::Say(json!({"auto": {}}))),
        Some(ToolChoice::None) => Ok(Choice::Nothing),
        Some(ToolChoice::Required) => must(json!({"any": {}})),
        Some(ToolChoice::Named(name)) => must(json!({"tool": {"name": name}})),
        Some(ToolChoice::Allowed { required, .. }) => {
            if no_tools {
                return refuse("tool_choice", "allows no tool that is declared");
            }
            notes.push(format!(
                "tools that tool_choice does not allow were left out: {NAME} has no list of allowed tools"
            ));
            Ok(Choice::Say(if *required {
                json!({"any": {}})
            } else {
                json!({"auto": {}})
            }))
        }
    }
}
