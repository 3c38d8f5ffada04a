//! `options`, `format` and `think`.
//! <https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx#valid-parameters-and-values>,
//! <https://github.com/ollama/ollama/blob/main/docs/capabilities/thinking.mdx>

use serde_json::{Map, Value};

use super::note;
use crate::{
    chat::{Effort, Extra, OutputFormat, Reasoning, Request, Sampling, TranslateError, Wire, refuse},
    fields::{Fields, number},
};

/// Options that have a place in the form.
const KNOWN: [&str; 10] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
    "num_predict",
];

/// Reads `options`. A negative `num_predict` (no limit, or as much as fits) has no place in the form.
pub(super) fn read(options: &Fields<'_>, request: &mut Request) -> Result<(), TranslateError> {
    let limit = options.integer("num_predict")?;
    let max_tokens = limit.and_then(|limit| u64::try_from(limit).ok());
    request.sampling = Sampling {
        temperature: options.number("temperature")?,
        top_p: options.number("top_p")?,
        top_k: options.count("top_k")?,
        min_p: options.number("min_p")?,
        seed: options.integer("seed")?,
        stop: options.texts("stop")?,
        frequency_penalty: options.number("frequency_penalty")?,
        presence_penalty: options.number("presence_penalty")?,
        repetition_penalty: options.number("repeat_penalty")?,
        max_tokens,
        ..Sampling::default()
    };
    let is_open = limit.is_some() && max_tokens.is_none();
    let known: Vec<&str> = KNOWN
        .into_iter()
        .filter(|name| !(is_open && *name == "num_predict"))
        .collect();
    keep(options, &known, &mut request.extra);
    Ok(())
}

/// Keeps members that the form has no place for.
pub(super) fn keep(fields: &Fields<'_>, known: &[&str], extra: &mut Vec<Extra>) {
    for (name, value) in fields.others(known) {
        extra.push(Extra {
            wire: Wire::Ollama,
            name: fields.param(name),
            value: value.clone(),
            essential: false,
        });
    }
}

/// Writes `options`.
pub(super) fn write(sampling: &Sampling, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut out = Map::new();
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repeat_penalty", sampling.repetition_penalty),
    ];
    for (name, value) in numbers {
        out.extend(value.map(|value| (name.to_owned(), number(value))));
    }
    for (name, value) in [("top_k", sampling.top_k), ("num_predict", sampling.max_tokens)] {
        out.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    out.extend(sampling.seed.map(|seed| ("seed".to_owned(), seed.into())));
    if !sampling.stop.is_empty() {
        out.insert("stop".to_owned(), sampling.stop.clone().into());
    }
    if !sampling.logit_bias.is_empty() {
        note(notes, "logit_bias was left out: Ollama has no such parameter");
    }
    out
}

/// Reads `format`: `json` or a schema.
pub(super) fn read_format(body: &Fields<'_>) -> Result<Option<OutputFormat>, TranslateError> {
    match body.get("format") {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "json" => Ok(Some(OutputFormat::JsonObject)),
        Some(schema @ Value::Object(_)) => Ok(Some(OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: schema.clone(),
            strict: None,
        })),
        Some(_) => refuse("format", "must be json or a JSON schema"),
    }
}

/// Writes `format`.
pub(super) fn write_format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some("json".into()),
        OutputFormat::JsonSchema {
            schema, description, ..
        } => {
            let mut schema = schema.clone();
            if let (Value::Object(members), Some(description)) = (&mut schema, description) {
                members
                    .entry("description")
                    .or_insert_with(|| description.as_str().into());
            }
            Some(schema)
        }
    }
}

/// Reads `think`: whether, or how much.
pub(super) fn read_think(body: &Fields<'_>) -> Result<Option<Reasoning>, TranslateError> {
    const MESSAGE: &str = "must be true, false, low, medium, high or max";
    let effort = match body.get("think") {
        None => return Ok(None),
        Some(Value::Bool(true)) => None,
        Some(Value::Bool(false)) => Some(Effort::None),
        Some(Value::String(level)) => match Effort::parse(level) {
            Some(effort) => Some(effort),
            None => return refuse("think", MESSAGE),
        },
        Some(_) => return refuse("think", MESSAGE),
    };
    Ok(Some(Reasoning {
        effort,
        budget_tokens: None,
        include: Some(effort != Some(Effort::None)),
    }))
}

/// Writes `think`.
pub(super) fn write_think(reasoning: &Reasoning, notes: &mut Vec<String>) -> Option<Value> {
    if reasoning.budget_tokens.is_some_and(|budget| budget > 0) {
        note(
            notes,
            "the budget of reasoning was left out: Ollama knows levels only",
        );
    }
    match (reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::None), _) | (None, Some(0)) => Some(false.into()),
        (Some(Effort::Minimal), _) => {
            note(notes, "reasoning effort minimal became low, the lowest of Ollama");
            Some("low".into())
        }
        (Some(Effort::XHigh), _) => {
            note(
                notes,
                "reasoning effort xhigh became high, which is the next of Ollama",
            );
            Some("high".into())
        }
        (Some(effort), _) => Some(effort.as_str().into()),
        (None, Some(_)) => Some(true.into()),
        (None, None) => reasoning.include.map(Value::from),
    }
}
