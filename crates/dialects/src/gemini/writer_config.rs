//! Writing `generationConfig` and what stands beside it.
//! <https://ai.google.dev/api/generate-content#v1beta.GenerationConfig>,
//! <https://ai.google.dev/gemini-api/docs/thinking>

use serde_json::{Map, Value, json};

use super::{generation::Generation, insert, note};
use crate::{
    chat::{Effort, OutputFormat, Reasoning, Request, Target},
    fields::number,
};

pub(super) fn write(request: &Request, target: Target<'_>, body: &mut Value, notes: &mut Vec<String>) {
    let mut config = Map::new();
    sampling(request, &mut config, notes);
    if let Some(count) = request.logprobs {
        config.insert("responseLogprobs".to_owned(), true.into());
        if count > 0 {
            config.insert("logprobs".to_owned(), count.into());
        }
    }
    if let Some(output) = &request.output {
        format(output, &mut config);
    }
    if let Some(reasoning) = &request.reasoning
        && let Some(thinking) = thinking(reasoning, target.model, notes)
    {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    if !config.is_empty() {
        insert(body, "generationConfig", Value::Object(config));
    }
    if let Some(tier) = &request.service_tier {
        service_tier(tier, target, body, notes);
    }
    if request.user.is_some() {
        note(notes, "user was left out: Gemini takes no name of the end user");
    }
    if !request.metadata.is_empty() {
        note(notes, "metadata was left out: Gemini keeps none");
    }
}

fn sampling(request: &Request, config: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let sampling = &request.sampling;
    let numbers = [
        ("temperature", sampling.temperature),
        ("topP", sampling.top_p),
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
    ];
    for (name, value) in numbers {
        config.extend(value.map(|value| (name.to_owned(), number(value))));
    }
    let counts = [
        ("topK", sampling.top_k),
        ("candidateCount", sampling.choices),
        ("maxOutputTokens", sampling.max_tokens),
    ];
    for (name, value) in counts {
        config.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    config.extend(sampling.seed.map(|seed| ("seed".to_owned(), seed.into())));
    if !sampling.stop.is_empty() {
        config.insert("stopSequences".to_owned(), json!(sampling.stop));
    }
    let absent = [
        ("min_p", sampling.min_p.is_some_and(|value| value != 0.0)),
        (
            "repetition_penalty",
            sampling
                .repetition_penalty
                .is_some_and(|value| (value - 1.0).abs() > f64::EPSILON),
        ),
        ("logit_bias", !sampling.logit_bias.is_empty()),
    ];
    for (name, _) in absent.into_iter().filter(|(_, is_given)| *is_given) {
        note(
            notes,
            &format!("{name} was left out: Gemini has no such parameter"),
        );
    }
}

fn format(output: &OutputFormat, config: &mut Map<String, Value>) {
    const TYPE: &str = "responseMimeType";
    match output {
        OutputFormat::Text => {
            config.insert(TYPE.to_owned(), "text/plain".into());
        }
        OutputFormat::JsonObject => {
            config.insert(TYPE.to_owned(), "application/json".into());
        }
        OutputFormat::JsonSchema {
            schema, description, ..
        } => {
            let mut schema = schema.clone();
            if let (Value::Object(members), Some(description)) = (&mut schema, description) {
                members
                    .entry("description")
                    .or_insert_with(|| description.as_str().into());
            }
            config.insert(TYPE.to_owned(), "application/json".into());
            config.insert("responseJsonSchema".to_owned(), schema);
        }
    }
}

fn thinking(reasoning: &Reasoning, model: &str, notes: &mut Vec<String>) -> Option<Value> {
    let mut config = Map::new();
    if let Some(include) = reasoning.include {
        config.insert("includeThoughts".to_owned(), include.into());
    }
    let generation = Generation::of(model);
    match (generation, reasoning.budget_tokens, reasoning.effort) {
        (Generation::Plain, _, effort) => {
            if effort != Some(Effort::None) && reasoning.budget_tokens != Some(0) {
                note(notes, "reasoning was left out: this model does not think");
            }
            return None;
        }
        (_, Some(budget), effort) => {
            if effort.is_some() {
                note(
                    notes,
                    "the effort of reasoning was left out: its budget is more exact",
                );
            }
            config.insert("thinkingBudget".to_owned(), budget.into());
        }
        (Generation::Budget, None, Some(effort)) => {
            let budget = budget(effort, model, notes);
            config.insert("thinkingBudget".to_owned(), budget.into());
        }
        (Generation::Level, None, Some(effort)) => {
            config.insert("thinkingLevel".to_owned(), level(effort, notes).into());
        }
        (_, None, None) => {}
    }
    Some(Value::Object(config)).filter(|config| config != &json!({}))
}

/// Budgets as Google's OpenAI-compatible endpoint has them.
/// <https://ai.google.dev/gemini-api/docs/openai#thinking>
fn budget(effort: Effort, model: &str, notes: &mut Vec<String>) -> u64 {
    /// The least that 2.5 Pro takes: it cannot be told not to think.
    const LEAST: u64 = 128;
    match effort {
        Effort::None if model.contains("-pro") => {
            note(
                notes,
                "reasoning effort none became the least budget: this model always thinks",
            );
            LEAST
        }
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::XHigh | Effort::Max => 24_576,
    }
}

fn level(effort: Effort, notes: &mut Vec<String>) -> &'static str {
    match effort {
        Effort::None => {
            note(
                notes,
                "reasoning effort none became minimal: this model always thinks",
            );
            "MINIMAL"
        }
        Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High => "HIGH",
        Effort::XHigh => "XHIGH",
        Effort::Max => {
            note(
                notes,
                "reasoning effort max became high, the highest that every model has",
            );
            "HIGH"
        }
    }
}

fn service_tier(tier: &str, target: Target<'_>, body: &mut Value, notes: &mut Vec<String>) {
    let own = match tier {
        "auto" => return,
        "default" => "standard",
        "flex" | "priority" => tier,
        _ => {
            note(
                notes,
                &format!("service_tier {tier} was left out: Gemini has standard, flex and priority"),
            );
            return;
        }
    };
    if target.flavor == "vertex" {
        if own != "standard" {
            note(notes, "service_tier was left out: Vertex AI takes none in a body");
        }
        return;
    }
    insert(body, "serviceTier", own.into());
}
