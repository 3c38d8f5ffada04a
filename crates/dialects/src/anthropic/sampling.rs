//! Temperature and top-p: what a model takes.
//!
//! Anthropic's migration guides say: from Opus 4.7 and the fifth generation on, sampling parameters are refused; from
//! Opus 4.1 and the 4.5 models on, temperature and `top_p` exclude each other.

use serde_json::{Map, Value};

use super::{TranslateError, refuse};

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

/// Translates `temperature`, `top_p` and `top_k` (which is not OpenAI's, but often sent).
pub(super) fn translate(
    request: &Map<String, Value>,
    model: &str,
    body: &mut Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let accepts = accepts(model);
    let mut has_temperature = false;
    for name in ["temperature", "top_p", "top_k"] {
        let Some(value) = request.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let Some(number) = value.as_f64().filter(|number| *number >= 0.0) else {
            return refuse(name, "must be a number that is not negative");
        };
        if accepts == Accepts::Nothing {
            warnings.push(format!(
                "{name} was left out: {model} does not take sampling parameters"
            ));
            continue;
        }
        if name == "top_p" && has_temperature && accepts == Accepts::One {
            warnings.push(format!(
                "top_p was left out: {model} takes either temperature or top_p"
            ));
            continue;
        }
        let value = if name != "top_k" && number > 1.0 {
            warnings.push(format!(
                "{name} {number} was lowered to 1, the highest of Anthropic's API"
            ));
            Value::from(1)
        } else {
            value.clone()
        };
        has_temperature |= name == "temperature";
        body.insert(name.to_owned(), value);
    }
    Ok(())
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
