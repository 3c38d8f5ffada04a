//! Reading `tools` and `toolConfig`.
//! <https://ai.google.dev/api/caching#Tool>, <https://ai.google.dev/api/caching#ToolConfig>

use serde_json::{Value, json};

use super::{reader::keep, schema::to_json_schema};
use crate::{
    chat::{Extra, Function, Request, Tool, ToolChoice, TranslateError, Wire, refuse},
    fields::{Fields, camel},
};

const DECLARATIONS: &str = "functionDeclarations";

pub(super) fn read(body: &Fields<'_>, request: &mut Request) -> Result<(), TranslateError> {
    for tool in body.objects("tools")? {
        for declaration in tool.objects(DECLARATIONS)? {
            let function = function(&declaration, &mut request.extra)?;
            request.tools.push(Tool::Function(function));
        }
        for (name, value) in tool.others(&[DECLARATIONS]) {
            request.tools.push(Tool::Native {
                wire: Wire::Gemini,
                definition: json!({ camel(name): value }),
            });
        }
    }
    let Some(config) = body.object("toolConfig")? else {
        return Ok(());
    };
    keep(&config, &["functionCallingConfig"], &mut request.extra);
    if let Some(calling) = config.object("functionCallingConfig")? {
        request.tool_choice = choice(&calling, &mut request.extra)?;
        keep(&calling, &["mode", "allowedFunctionNames"], &mut request.extra);
    }
    Ok(())
}

fn function(declaration: &Fields<'_>, extra: &mut Vec<Extra>) -> Result<Function, TranslateError> {
    let parameters = match (
        declaration.get("parameters"),
        declaration.get("parametersJsonSchema"),
    ) {
        (Some(_), Some(_)) => {
            return refuse(
                declaration.param("parameters"),
                "must not be given together with parametersJsonSchema",
            );
        }
        (Some(schema), None) => Some(to_json_schema(schema)),
        (None, schema) => schema.cloned(),
    };
    if parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
        return refuse(declaration.param("parameters"), "must be a schema");
    }
    keep(
        declaration,
        &["name", "description", "parameters", "parametersJsonSchema"],
        extra,
    );
    Ok(Function {
        name: declaration.required("name")?.to_owned(),
        description: declaration.text("description")?.map(str::to_owned),
        parameters,
        strict: None,
        cache: None,
    })
}

fn choice(calling: &Fields<'_>, extra: &mut Vec<Extra>) -> Result<Option<ToolChoice>, TranslateError> {
    let mut names = calling.texts("allowedFunctionNames")?;
    let mode = calling.text("mode")?.unwrap_or("AUTO").to_ascii_uppercase();
    Ok(match mode.as_str() {
        "MODE_UNSPECIFIED" if names.is_empty() => None,
        "AUTO" | "MODE_UNSPECIFIED" if names.is_empty() => Some(ToolChoice::Auto),
        "VALIDATED" if names.is_empty() => {
            extra.push(Extra {
                wire: Wire::Gemini,
                name: calling.param("mode"),
                value: Value::from("VALIDATED"),
                essential: false,
            });
            Some(ToolChoice::Auto)
        }
        "AUTO" | "MODE_UNSPECIFIED" | "VALIDATED" => Some(ToolChoice::Allowed {
            names,
            required: false,
        }),
        "NONE" => Some(ToolChoice::None),
        "ANY" if names.is_empty() => Some(ToolChoice::Required),
        "ANY" if names.len() == 1 => names.pop().map(ToolChoice::Named),
        "ANY" => Some(ToolChoice::Allowed {
            names,
            required: true,
        }),
        _ => return refuse(calling.param("mode"), "must be AUTO, ANY, NONE or VALIDATED"),
    })
}
