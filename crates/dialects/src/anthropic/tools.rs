//! Tools and the choice among them.

use serde_json::{Map, Value, json};

use super::{TranslateError, refuse};

/// Translates `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn translate(
    request: &Map<String, Value>,
    out: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut tools = match request.get("tools") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(tools)) => tools
            .iter()
            .enumerate()
            .map(|(index, each)| tool(index, each))
            .collect::<Result<_, _>>()?,
        Some(_) => return refuse("tools", "must be a list"),
    };
    let choice = choice(request.get("tool_choice"), &mut tools)?;
    if tools.is_empty() {
        return match choice.kind {
            Some("any" | "tool") => refuse("tool_choice", "needs tools"),
            _ => Ok(()),
        };
    }
    let serial = match request.get("parallel_tool_calls") {
        None | Some(Value::Null | Value::Bool(true)) => false,
        Some(Value::Bool(false)) => true,
        Some(_) => return refuse("parallel_tool_calls", "must be true or false"),
    };
    if let Some(object) = choice.into_object(serial) {
        out.insert("tool_choice".to_owned(), object);
    }
    let thinks = request
        .get("thinking")
        .is_some_and(|thinking| thinking.get("type").is_some_and(|kind| kind == "enabled"));
    if thinks && matches!(choice.kind, Some("any" | "tool")) {
        warnings.push("Anthropic's API refuses a required tool together with enabled thinking".to_owned());
    }
    out.insert("tools".to_owned(), Value::Array(tools));
    Ok(())
}

fn tool(index: usize, tool: &Value) -> Result<Value, TranslateError> {
    let param = format!("tools[{index}]");
    if tool.get("type").and_then(Value::as_str).unwrap_or("function") != "function" {
        return refuse(
            format!("{param}.type"),
            "must be function: Anthropic's API has no custom tools in this form",
        );
    }
    let Some(Value::Object(function)) = tool.get("function") else {
        return refuse(format!("{param}.function"), "must be an object");
    };
    let Some(name) = function
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
    else {
        return refuse(
            format!("{param}.function.name"),
            "must be a text that is not empty",
        );
    };
    let mut schema = match function.get("parameters") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(schema)) => schema.clone(),
        Some(_) => return refuse(format!("{param}.function.parameters"), "must be a JSON schema"),
    };
    schema.entry("type").or_insert_with(|| "object".into());
    let mut out = Map::new();
    out.insert("name".to_owned(), name.into());
    if let Some(description) = function.get("description").and_then(Value::as_str) {
        out.insert("description".to_owned(), description.into());
    }
    out.insert("input_schema".to_owned(), Value::Object(schema));
    if function.get("strict") == Some(&Value::Bool(true)) {
        out.insert("strict".to_owned(), Value::Bool(true));
    }
    Ok(Value::Object(out))
}

/// Anthropic's choice: `auto`, `any`, `tool` with a name, or `none`.
#[derive(Debug, Clone, Copy, Default)]
struct Choice<'a> {
    kind: Option<&'static str>,
    name: Option<&'a str>,
}

impl Choice<'_> {
    fn into_object(self, serial: bool) -> Option<Value> {
        let kind = self.kind.or(serial.then_some("auto"))?;
        let mut object = json!({"type": kind});
        if let Value::Object(members) = &mut object {
            members.extend(self.name.map(|name| ("name".to_owned(), name.into())));
            if serial && kind != "none" {
                members.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
            }
        }
        Some(object)
    }
}

fn choice<'a>(choice: Option<&'a Value>, tools: &mut Vec<Value>) -> Result<Choice<'a>, TranslateError> {
    const PARAM: &str = "tool_choice";
    let kind = |kind| {
        Ok(Choice {
            kind: Some(kind),
            name: None,
        })
    };
    match choice {
        None | Some(Value::Null) => Ok(Choice::default()),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => kind("auto"),
            "none" => kind("none"),
            "required" => kind("any"),
            _ => refuse(PARAM, "must be auto, none, required or an object"),
        },
        Some(Value::Object(given)) => match given.get("type").and_then(Value::as_str) {
            Some("function") => named(given),
            Some("allowed_tools") => kind(allowed(given, tools)?),
            _ => refuse(format!("{PARAM}.type"), "must be function or allowed_tools"),
        },
        Some(_) => refuse(PARAM, "must be auto, none, required or an object"),
    }
}

fn function_name(given: &Value) -> Option<&str> {
    given.get("function")?.get("name")?.as_str()
}

fn named(given: &Map<String, Value>) -> Result<Choice<'_>, TranslateError> {
    match given
        .get("function")
        .and_then(|function| function.get("name"))
        .and_then(Value::as_str)
    {
        Some(name) => Ok(Choice {
            kind: Some("tool"),
            name: Some(name),
        }),
        None => refuse("tool_choice.function.name", "must be a text"),
    }
}

/// Leaves only the allowed tools.
fn allowed(given: &Map<String, Value>, tools: &mut Vec<Value>) -> Result<&'static str, TranslateError> {
    let Some(allowed) = given.get("allowed_tools") else {
        return refuse("tool_choice.allowed_tools", "must be an object");
    };
    let names = allowed.get("tools").and_then(Value::as_array);
    let names: Option<Vec<&str>> = names.map(|names| names.iter().filter_map(function_name).collect());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return refuse("tool_choice.allowed_tools.tools", "must list functions by name");
    };
    tools.retain(|tool| {
        tool.get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| names.contains(&name))
    });
    match allowed.get("mode").and_then(Value::as_str) {
        Some("auto") | None => Ok("auto"),
        Some("required") => Ok("any"),
        Some(_) => refuse("tool_choice.allowed_tools.mode", "must be auto or required"),
    }
}
