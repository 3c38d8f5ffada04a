//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::NAME;
use crate::chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse};

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        None | Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_)) => {
            None
        }
    };
    let mut tools = Vec::new();
    for (index, each) in request.tools.iter().enumerate() {
        match each {
            Tool::Function(function) => {
                if allowed.is_none_or(|names| names.contains(&function.name)) {
                    tools.push(tool(function));
                }
            }
            Tool::Native {
                wire: Wire::Mistral,
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
    if allowed.is_some() {
        notes.push(format!(
            "tools that tool_choice does not allow were left out: {NAME} has no list of allowed tools"
        ));
    }
    if request.functions().any(|function| function.cache.is_some()) {
        notes.push("marks of what to cache at tools were left out: Mistral caches by itself".to_owned());
    }
    let choice = request.tool_choice.as_ref().map(choice);
    if tools.is_empty() {
        return match request.tool_choice {
            Some(
                ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. },
            ) => refuse("tool_choice", "needs tools that are declared"),
            _ => Ok(()),
        };
    }
    body.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(parallel) = request.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    Ok(())
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => "any".into(),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// Mistral wants a schema, be it empty.
fn tool(function: &Function) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = &function.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    let parameters = function.parameters.clone();
    let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    out.insert("parameters".to_owned(), parameters);
    if let Some(strict) = function.strict {
        out.insert("strict".to_owned(), strict.into());
    }
    json!({"type": "function", "function": out})
}
