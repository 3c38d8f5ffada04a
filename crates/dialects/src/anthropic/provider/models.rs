//! Temperature and top-p: what a model takes.
//!
//! Anthropic's migration guides say: from Opus 4.7 and the fifth generation on, sampling parameters are refused; from
//! Opus 4.1 and the 4.5 models on, temperature and `top_p` exclude each other.

use super::VENDOR;
use crate::{
    chat::{Request, Wire},
    json::Object,
};

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Everything,
    /// Temperature or `top_p`.
    One,
    Nothing,
}

/// By the model's name: `claude-3-5-haiku-20241022`, `claude-opus-4-1-20250805`, `claude-sonnet-4-5`. Models that are
/// no Claude take everything; names of Claude that say no version take nothing, as the newest do.
fn accepts(model: &str) -> Accepts {
    let Some((_, name)) = model.split_once("claude-") else {
        return Accepts::Everything;
    };
    let parts = || name.split(['-', '.', '@', ':']);
    let family = ["opus", "sonnet", "haiku"]
        .into_iter()
        .find(|family| parts().any(|part| part == *family));
    // A date is no version.
    let mut numbers = parts()
        .filter(|part| part.len() <= 2)
        .filter_map(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(0));
    let last = if family == Some("haiku") { (4, 5) } else { (4, 6) };
    match version {
        version if version > last || (family.is_none() && version.0 > 3) => Accepts::Nothing,
        version if version >= (4, 1) => Accepts::One,
        _ => Accepts::Everything,
    }
}

/// Writes `temperature`, `top_p` and `top_k`, and notes what Anthropic's API has not.
pub(super) fn sampling(root: &mut Object<'_>, request: &Request, model: &str, notes: &mut Vec<String>) {
    let given = &request.sampling;
    let accepts = accepts(model);
    let thinks = thinks(request);
    let mut has_temperature = false;
    for (name, value) in [("temperature", given.temperature), ("top_p", given.top_p)] {
        let Some(value) = value else { continue };
        if accepts == Accepts::Nothing {
            notes.push(format!(
                "{name} was left out: {model} does not take sampling parameters"
            ));
        } else if name == "top_p" && has_temperature && accepts == Accepts::One {
            notes.push(format!(
                "top_p was left out: {model} takes either temperature or top_p"
            ));
        } else if name == "temperature" && thinks {
            if value < 1.0 {
                notes.push("temperature was left out: Anthropic's API takes none while thinking".to_owned());
            }
        } else {
            if value > 1.0 {
                notes.push(format!(
                    "{name} {value} was lowered to 1, the highest of {VENDOR}"
                ));
            }
            has_temperature |= name == "temperature";
            root.number(name, value.min(1.0));
        }
    }
    if let Some(value) = given.top_k {
        if accepts == Accepts::Nothing {
            notes.push(format!(
                "top_k was left out: {model} does not take sampling parameters"
            ));
        } else if thinks {
            notes.push(format!("top_k was left out: {VENDOR} takes none while thinking"));
        } else {
            root.count("top_k", value);
        }
    }
    note_unknown(request, notes);
}

/// Whether thinking is asked for ("Extended thinking": it excludes changes of temperature and `top_k`).
fn thinks(request: &Request) -> bool {
    let budget = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.budget_tokens);
    let asked = request
        .extras_of(Wire::Anthropic)
        .any(|(name, value)| name == "thinking" && value["type"] != "disabled");
    asked || budget.is_some_and(|budget| budget > 0)
}

fn note_unknown(request: &Request, notes: &mut Vec<String>) {
    let given = &request.sampling;
    let is_set = |number: Option<f64>| number.is_some_and(|number| number != 0.0);
    let unknown = [
        (
            "frequency_penalty",
            is_set(given.frequency_penalty),
            "has no penalties",
        ),
        (
            "presence_penalty",
            is_set(given.presence_penalty),
            "has no penalties",
        ),
        (
            "repetition_penalty",
            given
                .repetition_penalty
                .is_some_and(|penalty| (penalty - 1.0).abs() > f64::EPSILON),
            "has no penalties",
        ),
        ("min_p", is_set(given.min_p), "has no such parameter"),
        ("logit_bias", !given.logit_bias.is_empty(), "has no logit bias"),
        ("seed", given.seed.is_some(), "takes no seed"),
    ];
    for (name, _, reason) in unknown.into_iter().filter(|(_, is_set, _)| *is_set) {
        notes.push(format!("{name} was left out: {VENDOR} {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{Accepts, accepts};

    #[test]
    fn what_a_model_takes_follows_from_its_name() {
        let cases = [
            ("claude-3-haiku-20240307", Accepts::Everything),
            ("claude-3-5-sonnet-20241022", Accepts::Everything),
            ("claude-3-7-sonnet-latest", Accepts::Everything),
            ("claude-sonnet-4-20250514", Accepts::Everything),
            ("claude-opus-4-0", Accepts::Everything),
            ("claude-opus-4-1-20250805", Accepts::One),
            ("claude-sonnet-4-5", Accepts::One),
            ("claude-haiku-4-5@20251001", Accepts::One),
            ("us.anthropic.claude-opus-4-6-v1:0", Accepts::One),
            ("claude-opus-4-7", Accepts::Nothing),
            ("claude-haiku-4-6", Accepts::Nothing),
            ("claude-sonnet-5", Accepts::Nothing),
            ("claude-opus-5-5", Accepts::Nothing),
            ("claude-fable-5", Accepts::Nothing),
            ("claude-mythos-preview", Accepts::Nothing),
            ("claude-2.1", Accepts::Everything),
            ("glm-4.6", Accepts::Everything),
        ];
        for (model, wanted) in cases {
            assert_eq!(accepts(model), wanted, "{model}");
        }
    }
}
