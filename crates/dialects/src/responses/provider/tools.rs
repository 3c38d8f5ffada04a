//! Writing tools and the choice among them.

use super::{NAME, is_hosted};
use crate::{
    chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse},
    json::{List, Object},
    responses::tools::write_choice,
};

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(root: &mut Object<'_>, request: &Request) -> Result<(), TranslateError> {
    if request.tools.is_empty() {
        return match request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => refuse("tool_choice", "needs tools"),
            _ => Ok(()),
        };
    }
    let mut list = root.list("tools");
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(given) => function(&mut list, given),
            Tool::Native {
                wire: Wire::Responses,
                definition,
            } => {
                list.value(definition);
            }
            Tool::Native {
                wire: Wire::OpenAi,
                definition,
            } if is_hosted(definition) => {
                check_approval(index, definition)?;
                list.value(definition);
            }
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!("is a tool of {} alone; {NAME} does not have it", wire.as_str()),
                );
            }
        }
    }
    drop(list);
    if request.tool_choice.is_some() {
        write_choice(root, request.tool_choice.as_ref());
    }
    root.flag_if("parallel_tool_calls", request.parallel_tool_calls);
    Ok(())
}

/// A client of chat completions has no way to approve a call.
fn check_approval(index: usize, definition: &serde_json::Value) -> Result<(), TranslateError> {
    let is_server = definition.get("type").is_some_and(|kind| kind == "mcp");
    if is_server
        && definition
            .get("require_approval")
            .is_none_or(|required| required != "never")
    {
        return refuse(
            format!("tools[{index}].require_approval"),
            "must be never: only clients of /v1/responses can approve calls",
        );
    }
    Ok(())
}

/// Here a function is strict unless it says otherwise, elsewhere the other way round.
fn function(list: &mut List<'_>, function: &Function) {
    let mut tool = list.object();
    tool.text("type", "function")
        .text("name", &function.name)
        .text_if("description", function.description.as_deref());
    match &function.parameters {
        Some(schema) => tool.value("parameters", schema),
        None => tool.json("parameters", br#"{"type":"object","properties":{}}"#),
    };
    tool.flag("strict", function.strict.unwrap_or_default());
}
