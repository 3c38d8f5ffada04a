//! Writing tools and the choice among them.

use serde_json::Value;

use super::{VENDOR, block::cache};
use crate::{
    chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse},
    json::{List, Object},
};

/// Writes `tools` and `tool_choice`.
pub(super) fn write(
    root: &mut Object<'_>,
    request: &Request,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    if request.tools.is_empty() {
        return match request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => refuse("tool_choice", "needs tools"),
            _ => Ok(()),
        };
    }
    choice(root, request);
    let is_forced = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
    );
    let budget = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.budget_tokens);
    if is_forced && budget.is_some_and(|budget| budget > 0) {
        notes.push(format!(
            "{VENDOR} refuses a required tool together with enabled thinking"
        ));
    }
    // It has no choice among some, so that it gets only those.
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let mut list = root.list("tools");
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(given) => {
                if allowed.is_none_or(|names| names.contains(&given.name)) {
                    function(&mut list, given);
                }
            }
            Tool::Native {
                wire: Wire::Anthropic,
                definition,
            } => {
                list.value(definition);
            }
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}].type"),
                    format!("is a tool of {} alone; {VENDOR} does not have it", wire.as_str()),
                );
            }
        }
    }
    Ok(())
}

fn function(list: &mut List<'_>, function: &Function) {
    let mut tool = list.object();
    tool.text("name", &function.name)
        .text_if("description", function.description.as_deref());
    match &function.parameters {
        Some(Value::Object(schema)) if schema.contains_key("type") => {
            tool.value("input_schema", schema);
        }
        schema => {
            let mut object = tool.object("input_schema");
            object.text("type", "object");
            for (key, value) in schema.as_ref().and_then(Value::as_object).into_iter().flatten() {
                object.entry(key, value);
            }
        }
    }
    if function.strict == Some(true) {
        tool.flag("strict", true);
    }
    cache(&mut tool, function.cache.as_ref());
}

/// `auto`, `any`, `tool` with a name, or `none`.
fn choice(root: &mut Object<'_>, request: &Request) {
    let is_serial = request.parallel_tool_calls == Some(false);
    let (kind, name) = match &request.tool_choice {
        None if !is_serial => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_str())),
        Some(ToolChoice::None) => ("none", None),
    };
    let mut object = root.object("tool_choice");
    object.text("type", kind).text_if("name", name);
    if is_serial && kind != "none" {
        object.flag("disable_parallel_tool_use", true);
    }
}
