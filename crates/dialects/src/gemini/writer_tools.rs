//! Writing `tools` and `toolConfig`.
//! <https://ai.google.dev/api/caching#Tool>, <https://ai.google.dev/api/caching#ToolConfig>

use serde_json::{Map, Value, json};

use super::{insert, note};
use crate::chat::{Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse};

pub(super) fn write(
    request: &Request,
    body: &mut Value,
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut tools: Vec<Value> = Vec::new();
    let mut declarations: Vec<Value> = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => declarations.push(declaration(function, notes)),
            Tool::Native {
                wire: Wire::Gemini,
                definition,
            } => tools.push(definition.clone()),
            Tool::Native { wire, .. } => {
                return refuse(
                    format!("tools[{index}]"),
                    format!(
                        "is a tool that only {} runs; give functions to Gemini",
                        wire.as_str()
                    ),
                );
            }
        }
    }
    if !declarations.is_empty() {
        tools.insert(0, json!({"functionDeclarations": declarations}));
    }
    if !tools.is_empty() {
        insert(body, "tools", tools.into());
    }
    if let Some(config) = request.tool_choice.as_ref().map(calling) {
        insert(body, "toolConfig", json!({"functionCallingConfig": config}));
    }
    if request.parallel_tool_calls == Some(false) && request.functions().next().is_some() {
        note(
            notes,
            "parallel_tool_calls was left out: Gemini may always call several functions at once",
        );
    }
    Ok(())
}

fn declaration(function: &Function, notes: &mut Vec<String>) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), function.name.as_str().into());
    if let Some(description) = &function.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    // An object schema without properties is what no parameters look like elsewhere.
    if let Some(parameters) = &function.parameters {
        out.insert("parametersJsonSchema".to_owned(), parameters.clone());
    }
    if function.strict == Some(true) {
        note(
            notes,
            "strict was left out of functions: Gemini checks no single function's arguments",
        );
    }
    if function.cache.is_some() {
        note(
            notes,
            "cache marks were left out: Gemini caches repeated prefixes by itself",
        );
    }
    Value::Object(out)
}

fn calling(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        ToolChoice::Allowed {
            names,
            required: true,
        } => json!({"mode": "ANY", "allowedFunctionNames": names}),
        // AUTO takes no names.
        ToolChoice::Allowed {
            names,
            required: false,
        } => {
            json!({"mode": "VALIDATED", "allowedFunctionNames": names})
        }
    }
}
