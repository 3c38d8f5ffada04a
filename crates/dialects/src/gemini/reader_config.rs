//! Reading `generationConfig`.
//! <https://ai.google.dev/api/generate-content#v1beta.GenerationConfig>

use super::{reader::keep, schema::to_json_schema};
use crate::{
    chat::{Effort, OutputFormat, Reasoning, Request, TranslateError, refuse},
    fields::Fields,
};

/// Members that have a place in the form.
const KNOWN: [&str; 17] = [
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "serviceTier",
];

pub(super) fn read(config: &Fields<'_>, request: &mut Request) -> Result<(), TranslateError> {
    let sampling = &mut request.sampling;
    sampling.temperature = config.number("temperature")?;
    sampling.top_p = config.number("topP")?;
    sampling.top_k = config.count("topK")?;
    sampling.choices = config.count("candidateCount")?;
    sampling.max_tokens = config.count("maxOutputTokens")?;
    sampling.stop = config.texts("stopSequences")?;
    sampling.seed = config.integer("seed")?;
    sampling.presence_penalty = config.number("presencePenalty")?;
    sampling.frequency_penalty = config.number("frequencyPenalty")?;
    request.logprobs = logprobs(config)?;
    let mut known = KNOWN.to_vec();
    match output(config)? {
        Some(format) => request.output = Some(format),
        // Enumerations (`text/x.enum`) are Gemini's alone.
        None => known.retain(|name| !name.starts_with("response") || *name == "responseLogprobs"),
    }
    keep(config, &known, &mut request.extra);
    if let Some(thinking) = config.object("thinkingConfig")? {
        request.reasoning = reasoning(&thinking, request)?;
    }
    Ok(())
}

fn logprobs(config: &Fields<'_>) -> Result<Option<u32>, TranslateError> {
    let wanted = config.flag("responseLogprobs")? == Some(true);
    let count = config.count("logprobs")?;
    match (wanted, count) {
        (true, count) => match u32::try_from(count.unwrap_or(0)) {
            Ok(count) => Ok(Some(count)),
            Err(_) => refuse(config.param("logprobs"), "is too large"),
        },
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => refuse(config.param("logprobs"), "needs responseLogprobs"),
    }
}

/// `None` for types that the form cannot name.
fn output(config: &Fields<'_>) -> Result<Option<OutputFormat>, TranslateError> {
    let json_schema = config
        .get("responseJsonSchema")
        .or_else(|| config.get("_responseJsonSchema"));
    let schema = match (config.get("responseSchema"), json_schema) {
        (Some(_), Some(_)) => {
            return refuse(
                config.param("responseSchema"),
                "must not be given together with responseJsonSchema",
            );
        }
        (Some(schema), None) => Some(to_json_schema(schema)),
        (None, schema) => schema.cloned(),
    };
    Ok(match (config.text("responseMimeType")?, schema) {
        (Some("application/json") | None, Some(schema)) => Some(OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: None,
        }),
        (Some("application/json"), None) => Some(OutputFormat::JsonObject),
        (Some("text/plain"), None) => Some(OutputFormat::Text),
        _ => None,
    })
}

fn reasoning(thinking: &Fields<'_>, request: &mut Request) -> Result<Option<Reasoning>, TranslateError> {
    let mut known = vec!["includeThoughts", "thinkingLevel", "thinkingBudget"];
    let budget = thinking.integer("thinkingBudget")?;
    let budget_tokens = budget.and_then(|budget| u64::try_from(budget).ok());
    if budget.is_some() && budget_tokens.is_none() {
        // -1 leaves it to the model.
        known.pop();
    }
    let effort = match thinking.text("thinkingLevel")? {
        None | Some("THINKING_LEVEL_UNSPECIFIED") => None,
        Some(level) => match Effort::parse(&level.to_ascii_lowercase()) {
            Some(effort) => Some(effort),
            None => {
                return refuse(
                    thinking.param("thinkingLevel"),
                    "must be MINIMAL, LOW, MEDIUM, HIGH or XHIGH",
                );
            }
        },
    };
    keep(thinking, &known, &mut request.extra);
    let reasoning = Reasoning {
        effort,
        budget_tokens,
        include: thinking.flag("includeThoughts")?,
    };
    Ok(Some(reasoning).filter(|reasoning| reasoning != &Reasoning::default()))
}
