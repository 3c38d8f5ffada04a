//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::NAME;
use crate::chat::{Function, Request, Tool, ToolChoice, TranslateError, refuse};

/// Writes `tools`, `strict_tools` and `tool_choice`.
pub(super) fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let functions = functions(request, notes)?;
    let choice = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }) => {
            Some("REQUIRED")
        }
        Some(ToolChoice::None) => Some("NONE"),
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => None,
    };
    if functions.is_empty() {
        return match choice {
            Some("REQUIRED") => refuse("tool_choice", "needs tools that are declared"),
            _ => Ok(()),
        };
    }
    if request.parallel_tool_calls == Some(false) {
        notes.push(format!(
            "parallel_tool_calls false was left out: nothing keeps models of {NAME} from several calls at once"
        ));
    }
    strict(&functions, body, notes);
    let tools: Vec<Value> = functions.into_iter().map(tool).collect();
    body.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice.into());
    }
    Ok(())
}

/// The functions that may be called: Cohere's choice knows no names, so that those not chosen are not declared.
fn functions<'a>(request: &'a Request, notes: &mut Vec<String>) -> Result<Vec<&'a Function>, TranslateError> {
    let only: Option<&[String]> = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(std::slice::from_ref(name)),
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        None | Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Required) => None,
    };
    let mut functions = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => functions.push(function),
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!("{NAME} has no tools of the dialect {}", wire.as_str()),
                );
            }
        }
    }
    let declared = functions.len();
    functions.retain(|function| only.is_none_or(|names| names.contains(&function.name)));
    if functions.len() < declared {
        notes.push(format!(
            "tools that tool_choice does not allow were left out: {NAME} cannot choose among tools by name"
        ));
    }
    if functions.iter().any(|function| function.cache.is_some()) {
        notes.push("marks of what to cache at tools were left out: Cohere caches by itself".to_owned());
    }
    Ok(functions)
}

/// Whether arguments fit schemas exactly is said for all tools at once.
fn strict(functions: &[&Function], body: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let count = functions
        .iter()
        .filter(|function| function.strict == Some(true))
        .count();
    if count == 0 {
        return;
    }
    if count < functions.len() {
        notes.push("every tool became strict, since some are: Cohere's strict_tools is for all".to_owned());
    }
    body.insert("strict_tools".to_owned(), true.into());
}

fn tool(function: &Function) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = &function.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    let parameters = function.parameters.clone();
    let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    out.insert("parameters".to_owned(), parameters);
    json!({"type": "function", "function": out})
}
