//! Reading tools and the choice among them.

use super::message::cache;
use crate::{
    chat::{Function, Tool, ToolChoice, Wire},
    json::{Fault, Json},
};

/// Reads the tools.
pub(super) fn read(tools: &[Json<'_>]) -> Result<Vec<Tool>, Fault> {
    tools.iter().map(tool).collect()
}

fn tool(tool: &Json<'_>) -> Result<Tool, Fault> {
    tool.members()?;
    if tool.text_of("type")?.unwrap_or("function") != "function" {
        return Ok(Tool::Native {
            wire: Wire::OpenAi,
            definition: tool.to_value(),
        });
    }
    let function = tool.require("function")?;
    let name = function.str_of("name").filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Fault::member(
            function,
            "name",
            "must be a text that is not empty",
        ));
    };
    let parameters = function.get("parameters");
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_object()) {
        return Err(parameters.fault("must be a JSON schema"));
    }
    Ok(Tool::Function(Function {
        name: name.to_owned(),
        description: function.text_of("description")?.map(ToOwned::to_owned),
        parameters: parameters.map(Json::to_value),
        strict: function.flag_of("strict")?,
        cache: match cache(tool)? {
            Some(mark) => Some(mark),
            None => cache(function)?,
        },
    }))
}

/// Reads `tool_choice`.
pub(super) fn choice(choice: &Json<'_>) -> Result<ToolChoice, Fault> {
    const WORDS: &str = "must be auto, none, required or an object";
    match choice {
        Json::Text(word) => match word.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(choice.fault(WORDS)),
        },
        Json::Object(_) => match choice.str_of("type") {
            Some("function") => Ok(ToolChoice::Named(
                choice.require("function")?.text_in("name")?.to_owned(),
            )),
            Some("allowed_tools") => allowed(choice.require("allowed_tools")?),
            _ => Err(Fault::member(choice, "type", "must be function or allowed_tools")),
        },
        _ => Err(choice.fault(WORDS)),
    }
}

fn allowed(allowed: &Json<'_>) -> Result<ToolChoice, Fault> {
    let names: Vec<String> = allowed
        .items_of("tools")
        .iter()
        .filter_map(|tool| Some(tool.get("function")?.str_of("name")?.to_owned()))
        .collect();
    if names.is_empty() || names.len() < allowed.items_of("tools").len() {
        return Err(Fault::member(allowed, "tools", "must list functions by name"));
    }
    let required = match allowed.str_of("mode") {
        Some("auto") | None => false,
        Some("required") => true,
        Some(_) => return Err(Fault::member(allowed, "mode", "must be auto or required")),
    };
    Ok(ToolChoice::Allowed { names, required })
}
