//! What families of models take beyond what Converse has for all: `additionalModelRequestFields`, after "Inference
//! request parameters and response fields for foundation models" in the Amazon Bedrock User Guide.

use serde_json::{Map, Value, json};

use crate::chat::{Effort, Request};

/// Whose model it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's Claude, with its version.
    Claude(Version),
    /// Amazon's Nova of the first generation.
    Nova,
    /// Amazon's Nova of the second.
    Nova2,
    /// OpenAI's open models.
    GptOss,
    Mistral,
    Cohere,
    /// Any other, or a name that does not say.
    Other,
}

/// A version of Claude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Family {
    /// Reads the family from an id, an inference profile or an ARN that holds one of them.
    pub(super) fn of(model: &str) -> Self {
        if let Some((_, name)) = model.split_once("anthropic.claude-") {
            return Self::Claude(Version::of(name));
        }
        let families = [
            ("amazon.nova-2", Self::Nova2),
            ("amazon.nova", Self::Nova),
            ("openai.gpt-oss", Self::GptOss),
            ("mistral.", Self::Mistral),
            ("cohere.", Self::Cohere),
        ];
        let known = families.into_iter().find(|(mark, _)| model.contains(mark));
        known.map_or(Self::Other, |(_, family)| family)
    }

    /// Whether results of tools may say that they failed.
    pub(super) fn takes_result_status(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova | Self::Nova2)
    }

    pub(super) fn is_claude(self) -> bool {
        matches!(self, Self::Claude(_))
    }
}

impl Version {
    /// By the name after `claude-`: `3-5-haiku-20241022-v1:0`, `opus-4-1-20250805-v1:0`, `v2:1`, `instant-v1`. A name
    /// that says no version is of the newest.
    fn of(name: &str) -> Self {
        if name.starts_with('v') || name.starts_with("instant") {
            return Self { major: 2, minor: 0 };
        }
        // A date is no version, nor is what follows the colon.
        let name = name.split(':').next().unwrap_or(name);
        let mut numbers = name
            .split('-')
            .filter(|part| part.len() <= 2)
            .filter_map(|part| part.parse().ok());
        Self {
            major: numbers.next().unwrap_or(u32::MAX),
            minor: numbers.next().unwrap_or(0),
        }
    }

    /// Whether it decides itself how long to think and takes words for it: from 4.6 on, which refuses budgets from 4.7
    /// on.
    fn is_adaptive(self) -> bool {
        self >= Self { major: 4, minor: 6 }
    }

    fn takes_budgets(self) -> bool {
        self < Self { major: 4, minor: 7 }
    }

    fn thinks(self) -> bool {
        self >= Self { major: 3, minor: 7 }
    }
}

/// Which sampling parameters a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    Everything,
    /// Temperature or `top_p`.
    One,
    /// While it thinks: `top_p` of 0.95 and more.
    Thinking,
    Nothing,
}

/// By Anthropic's migration guides and "Extended thinking": from 4.7 on (of Haiku: from 4.6 on), sampling parameters are
/// refused; from 4.1 on, temperature and `top_p` exclude each other; thinking goes with neither temperature nor `top_k`.
pub(super) fn accepts(model: &str, family: Family, thinks: bool) -> Accepts {
    let Family::Claude(version) = family else {
        return Accepts::Everything;
    };
    let last = Version {
        major: 4,
        minor: if model.contains("haiku") { 5 } else { 6 },
    };
    match version {
        version if version > last => Accepts::Nothing,
        _ if thinks => Accepts::Thinking,
        version if version >= (Version { major: 4, minor: 1 }) => Accepts::One,
        _ => Accepts::Everything,
    }
}

/// What is written into a request beyond `inferenceConfig`.
#[derive(Debug, Default)]
pub(super) struct Additional {
    /// `additionalModelRequestFields`.
    pub(super) fields: Map<String, Value>,
    /// `outputConfig.effort`.
    pub(super) effort: Option<&'static str>,
    /// Whether Claude thinks, which then takes no required tool.
    pub(super) claude_thinks: bool,
}

/// Writes `top_k` and how much to think.
pub(super) fn additional(request: &Request, family: Family, notes: &mut Vec<String>) -> Additional {
    let mut out = Additional::default();
    if let Some(top_k) = request.sampling.top_k {
        match family {
            Family::Claude(_) | Family::Mistral => {
                out.fields.insert("top_k".to_owned(), top_k.into());
            }
            Family::Nova | Family::Nova2 => {
                out.fields
                    .insert("inferenceConfig".to_owned(), json!({"topK": top_k}));
            }
            Family::Cohere => {
                out.fields.insert("k".to_owned(), top_k.into());
            }
            Family::GptOss | Family::Other => {
                notes.push("top_k was left out: this model is not known to take it on Bedrock".to_owned());
            }
        }
    }
    if request.reasoning.is_some() {
        match family {
            Family::Claude(version) => claude(request, version, &mut out, notes),
            Family::Nova2 => nova(request, &mut out),
            Family::GptOss => gpt_oss(request, &mut out, notes),
            Family::Nova | Family::Mistral | Family::Cohere | Family::Other => {
                notes
                    .push("reasoning was left out: this model is not known to take it on Bedrock".to_owned());
            }
        }
    }
    out
}

/// Tokens to think for an effort, where a model knows budgets only.
const fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 4_096,
        Effort::High => 16_384,
        Effort::XHigh | Effort::Max => 32_768,
    }
}

/// The words for efforts of Claude and `outputConfig`; the least is `low`.
const fn word(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium => Some("medium"),
        Effort::High => Some("high"),
        Effort::XHigh => Some("xhigh"),
        Effort::Max => Some("max"),
    }
}

/// Extended thinking: `thinking`, with a budget or adaptive, after "Extended thinking" and "Adaptive thinking" in the
/// Amazon Bedrock User Guide. A budget is at least 1,024 tokens and less than the answer's limit.
fn claude(request: &Request, version: Version, out: &mut Additional, notes: &mut Vec<String>) {
    let Some(reasoning) = &request.reasoning else {
        return;
    };
    if !version.thinks() {
        notes.push("reasoning was left out: this model does not think".to_owned());
        return;
    }
    let off = reasoning.budget_tokens == Some(0) || reasoning.effort == Some(Effort::None);
    if off {
        out.fields
            .insert("thinking".to_owned(), json!({"type": "disabled"}));
        return;
    }
    if version.is_adaptive() && (reasoning.budget_tokens.is_none() || !version.takes_budgets()) {
        if reasoning.budget_tokens.is_some() {
            notes.push(
                "the budget for thinking was left out: this model decides itself how long it thinks"
                    .to_owned(),
            );
        }
        out.effort = reasoning.effort.and_then(word);
        out.fields
            .insert("thinking".to_owned(), json!({"type": "adaptive"}));
        out.claude_thinks = true;
        return;
    }
    let wanted = reasoning.budget_tokens.or(reasoning.effort.map(budget));
    let Some(wanted) = wanted else {
        return;
    };
    let room = request.sampling.max_tokens.unwrap_or(u64::MAX).saturating_sub(1);
    let granted = wanted.max(1_024).min(room);
    if granted < 1_024 {
        notes.push(
            "thinking was left out: the answer's limit leaves less than 1,024 tokens for it".to_owned(),
        );
        return;
    }
    if reasoning.budget_tokens.is_some_and(|given| given != granted) {
        notes.push(format!(
            "the budget for thinking became {granted} tokens: it must be at least 1,024 and less than max_tokens"
        ));
    }
    out.fields.insert(
        "thinking".to_owned(),
        json!({"type": "enabled", "budget_tokens": granted}),
    );
    out.claude_thinks = true;
}

/// `reasoningConfig`, after "Extended thinking" in the Amazon Nova 2 User Guide: off unless enabled, low, medium or
/// high.
fn nova(request: &Request, out: &mut Additional) {
    let Some(reasoning) = &request.reasoning else {
        return;
    };
    let effort = reasoning.effort.or(reasoning.budget_tokens.map(nearest));
    let config = match effort {
        None => return,
        Some(Effort::None) => json!({"type": "disabled"}),
        Some(effort) => json!({"type": "enabled", "maxReasoningEffort": three(effort)}),
    };
    out.fields.insert("reasoningConfig".to_owned(), config);
}

/// `reasoning_effort`, after "OpenAI models" in the Amazon Bedrock User Guide: low, medium or high.
fn gpt_oss(request: &Request, out: &mut Additional, notes: &mut Vec<String>) {
    let Some(reasoning) = &request.reasoning else {
        return;
    };
    let effort = reasoning.effort.or(reasoning.budget_tokens.map(nearest));
    let Some(effort) = effort else {
        return;
    };
    if effort == Effort::None {
        notes.push("reasoning_effort none became low: this model always thinks".to_owned());
    }
    out.fields
        .insert("reasoning_effort".to_owned(), three(effort).into());
}

const fn three(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::XHigh | Effort::Max => "high",
    }
}

/// The effort that a budget stands for.
const fn nearest(budget_tokens: u64) -> Effort {
    match budget_tokens {
        0 => Effort::None,
        1..=2_048 => Effort::Low,
        2_049..=8_192 => Effort::Medium,
        _ => Effort::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Reasoning, Sampling};

    #[test]
    fn a_models_family_follows_from_its_id() {
        let claude = |major, minor| Family::Claude(Version { major, minor });
        let cases = [
            ("anthropic.claude-v2:1", claude(2, 0)),
            ("anthropic.claude-3-haiku-20240307-v1:0", claude(3, 0)),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", claude(3, 7)),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-1-20250805-v1:0",
                claude(4, 1),
            ),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", claude(4, 5)),
            ("eu.anthropic.claude-opus-4-6-v1", claude(4, 6)),
            ("amazon.nova-pro-v1:0", Family::Nova),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova2),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("cohere.command-r-plus-v1:0", Family::Cohere),
            ("meta.llama3-3-70b-instruct-v1:0", Family::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
                Family::Other,
            ),
        ];
        for (model, wanted) in cases {
            assert_eq!(Family::of(model), wanted, "{model}");
        }
    }

    fn fields(
        model: &str,
        reasoning: Reasoning,
        max_tokens: Option<u64>,
    ) -> (Value, Option<&'static str>, usize) {
        let request = Request {
            reasoning: Some(reasoning),
            sampling: Sampling {
                max_tokens,
                ..Sampling::default()
            },
            ..Request::default()
        };
        let mut notes = Vec::new();
        let out = additional(&request, Family::of(model), &mut notes);
        (Value::Object(out.fields), out.effort, notes.len())
    }

    #[test]
    fn which_sampling_parameters_claude_takes_follows_from_its_version() {
        let cases = [
            (
                "anthropic.claude-3-5-sonnet-20240620-v1:0",
                false,
                Accepts::Everything,
            ),
            (
                "anthropic.claude-3-7-sonnet-20250219-v1:0",
                true,
                Accepts::Thinking,
            ),
            ("anthropic.claude-opus-4-1-20250805-v1:0", false, Accepts::One),
            ("anthropic.claude-opus-4-6-v1", false, Accepts::One),
            ("anthropic.claude-haiku-4-6-v1", false, Accepts::Nothing),
            ("anthropic.claude-opus-4-7-v1", true, Accepts::Nothing),
            ("anthropic.claude-next", false, Accepts::Nothing),
            ("amazon.nova-pro-v1:0", true, Accepts::Everything),
        ];
        for (model, thinks, wanted) in cases {
            assert_eq!(accepts(model, Family::of(model), thinks), wanted, "{model}");
        }
    }

    #[test]
    fn each_family_is_told_in_its_own_words_how_much_to_think() {
        let effort = |effort| Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        };
        let budget = |tokens| Reasoning {
            budget_tokens: Some(tokens),
            ..Reasoning::default()
        };
        let old = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        let new = "anthropic.claude-opus-4-7-v1";
        let enabled = |tokens| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
        let adaptive = json!({"thinking": {"type": "adaptive"}});
        let off = json!({"thinking": {"type": "disabled"}});
        let cases = [
            (old, budget(2_000), Some(4_000), (enabled(2_000), None, 0)),
            (old, budget(10), None, (enabled(1_024), None, 1)),
            (old, budget(9_000), Some(4_000), (enabled(3_999), None, 1)),
            (old, budget(9_000), Some(1_000), (json!({}), None, 1)),
            (old, effort(Effort::Medium), None, (enabled(4_096), None, 0)),
            (old, effort(Effort::None), None, (off.clone(), None, 0)),
            (new, effort(Effort::Max), None, (adaptive.clone(), Some("max"), 0)),
            (new, budget(5_000), None, (adaptive, None, 1)),
            (new, budget(0), None, (off, None, 0)),
            (
                "amazon.nova-2-lite-v1:0",
                effort(Effort::Minimal),
                None,
                (
                    json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
                    None,
                    0,
                ),
            ),
            (
                "openai.gpt-oss-20b-1:0",
                budget(4_000),
                None,
                (json!({"reasoning_effort": "medium"}), None, 0),
            ),
            (
                "meta.llama3-3-70b-instruct-v1:0",
                effort(Effort::High),
                None,
                (json!({}), None, 1),
            ),
        ];
        for (model, reasoning, limit, wanted) in cases {
            assert_eq!(
                fields(model, reasoning.clone(), limit),
                wanted,
                "{model} {reasoning:?}"
            );
        }
    }
}
