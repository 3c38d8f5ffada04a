//! Tools and the choice among them, read and written.

use crate::{
    chat::{Function, Request, Tool, ToolChoice, Wire},
    json::{Fault, Json, Object},
};

/// Reads the tools: functions lie flat; all others are OpenAI's own.
pub(super) fn read(tools: &[Json<'_>]) -> Result<Vec<Tool>, Fault> {
    tools.iter().map(tool).collect()
}

fn tool(tool: &Json<'_>) -> Result<Tool, Fault> {
    if tool.text_in("type")? != "function" {
        return Ok(Tool::Native {
            wire: Wire::Responses,
            definition: tool.to_value(),
        });
    }
    let parameters = tool.get("parameters");
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_object()) {
        return Err(parameters.fault("must be a JSON schema"));
    }
    let name = tool.text_in("name")?;
    if name.is_empty() {
        return Err(Fault::member(tool, "name", "must not be empty"));
    }
    Ok(Tool::Function(Function {
        name: name.to_owned(),
        description: tool.text_of("description")?.map(ToOwned::to_owned),
        parameters: parameters.map(Json::to_value),
        strict: tool.flag_of("strict")?,
        cache: None,
    }))
}

/// Reads `tool_choice`; `None` for a choice of tools that only OpenAI has.
pub(super) fn choice(choice: &Json<'_>) -> Result<Option<ToolChoice>, Fault> {
    const WORDS: &str = "must be auto, none, required or an object";
    match choice {
        Json::Text(word) => match word.as_ref() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(choice.fault(WORDS)),
        },
        Json::Object(_) => match choice.text_in("type")? {
            "function" => Ok(Some(ToolChoice::Named(choice.text_in("name")?.to_owned()))),
            "allowed_tools" => allowed(choice),
            _ => Ok(None),
        },
        _ => Err(choice.fault(WORDS)),
    }
}

fn allowed(choice: &Json<'_>) -> Result<Option<ToolChoice>, Fault> {
    let tools = choice.items_of("tools");
    if tools.is_empty() {
        return Err(Fault::member(choice, "tools", "must list tools"));
    }
    let required = match choice.str_of("mode") {
        Some("auto") | None => false,
        Some("required") => true,
        Some(_) => return Err(Fault::member(choice, "mode", "must be auto or required")),
    };
    let functions = tools.iter().map(|tool| {
        let is_function = matches!(tool.str_of("type"), None | Some("function"));
        tool.str_of("name").filter(|_| is_function).map(ToOwned::to_owned)
    });
    let names: Option<Vec<String>> = functions.collect();
    Ok(names.map(|names| ToolChoice::Allowed { names, required }))
}

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`, which the response repeats.
pub(super) fn write(root: &mut Object<'_>, request: &Request) {
    let mut list = root.list("tools");
    for tool in &request.tools {
        match tool {
            Tool::Native { definition, .. } => {
                list.value(definition);
            }
            Tool::Function(function) => {
                let mut object = list.object();
                object
                    .text("type", "function")
                    .text("name", &function.name)
                    .text_if("description", function.description.as_deref());
                match &function.parameters {
                    Some(schema) => object.value("parameters", schema),
                    None => object.null("parameters"),
                };
                object.flag("strict", function.strict.unwrap_or_default());
            }
        }
    }
    drop(list);
    write_choice(root, request.tool_choice.as_ref());
    root.flag("parallel_tool_calls", request.parallel_tool_calls.unwrap_or(true));
}

pub(super) fn write_choice(root: &mut Object<'_>, choice: Option<&ToolChoice>) {
    const KEY: &str = "tool_choice";
    match choice {
        None | Some(ToolChoice::Auto) => {
            root.text(KEY, "auto");
        }
        Some(ToolChoice::None) => {
            root.text(KEY, "none");
        }
        Some(ToolChoice::Required) => {
            root.text(KEY, "required");
        }
        Some(ToolChoice::Named(name)) => {
            root.object(KEY).text("type", "function").text("name", name);
        }
        Some(ToolChoice::Allowed { names, required }) => {
            let mut object = root.object(KEY);
            object
                .text("type", "allowed_tools")
                .text("mode", if *required { "required" } else { "auto" });
            let mut list = object.list("tools");
            for name in names {
                list.object().text("type", "function").text("name", name);
            }
        }
    }
}
