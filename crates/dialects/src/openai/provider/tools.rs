//! Writing tools and the choice among them.

use crate::{
    chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse},
    flavors::{Feature, Flavor},
    json::{List, Object},
};

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn write(
    root: &mut Object<'_>,
    request: &Request,
    flavor: &Flavor,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    if request.tools.is_empty() {
        return match request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => refuse("tool_choice", "needs tools"),
            _ => Ok(()),
        };
    }
    // Where the server cannot choose among the tools, it gets only those that are allowed.
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !flavor.has(Feature::AllowedTools) => Some(names),
        _ => None,
    };
    let mut list = root.list("tools");
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => {
                if allowed.is_none_or(|names| names.contains(&function.name)) {
                    write_function(&mut list, function, flavor);
                }
            }
            Tool::Native {
                wire: Wire::OpenAi,
                definition,
            } => {
                list.value(definition);
            }
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!(
                        "is a tool of {} alone; {} does not have it",
                        wire.as_str(),
                        flavor.vendor
                    ),
                );
            }
        }
    }
    drop(list);
    if !flavor.has(Feature::CacheMarks) && request.functions().any(|function| function.cache.is_some()) {
        notes.push(format!(
            "cache_control of tools was left out: {} caches by itself, or not at all",
            flavor.vendor
        ));
    }
    choice(root, request.tool_choice.as_ref(), flavor);
    root.flag_if("parallel_tool_calls", request.parallel_tool_calls);
    Ok(())
}

fn write_function(list: &mut List<'_>, function: &Function, flavor: &Flavor) {
    let mut tool = list.object();
    tool.text("type", "function");
    let mut object = tool.object("function");
    object
        .text("name", &function.name)
        .text_if("description", function.description.as_deref());
    if let Some(parameters) = &function.parameters {
        object.value("parameters", parameters);
    }
    object.flag_if("strict", function.strict);
    drop(object);
    if let Some(mark) = function
        .cache
        .as_ref()
        .filter(|_| flavor.has(Feature::CacheMarks))
    {
        tool.object("cache_control")
            .text("type", "ephemeral")
            .text_if("ttl", mark.ttl.as_deref());
    }
}

fn choice(root: &mut Object<'_>, choice: Option<&ToolChoice>, flavor: &Flavor) {
    const KEY: &str = "tool_choice";
    match choice {
        None => {}
        Some(ToolChoice::Auto) => {
            root.text(KEY, "auto");
        }
        Some(ToolChoice::None) => {
            root.text(KEY, "none");
        }
        Some(ToolChoice::Required) => {
            root.text(KEY, "required");
        }
        Some(ToolChoice::Named(name)) => named(root.object(KEY), name),
        Some(ToolChoice::Allowed { names, required }) => {
            let mode = if *required { "required" } else { "auto" };
            if !flavor.has(Feature::AllowedTools) {
                root.text(KEY, mode);
                return;
            }
            let mut object = root.object(KEY);
            object.text("type", "allowed_tools");
            let mut allowed = object.object("allowed_tools");
            allowed.text("mode", mode);
            let mut list = allowed.list("tools");
            for name in names {
                named(list.object(), name);
            }
        }
    }
}

fn named(mut object: Object<'_>, name: &str) {
    object
        .text("type", "function")
        .object("function")
        .text("name", name);
}
