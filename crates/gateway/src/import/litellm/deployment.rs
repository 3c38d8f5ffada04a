//! One entry of `model_list`: a deployment of a model at a provider.

use serde_json::Value;

use super::{
    Scope, Source,
    providers::{self, Provider},
    reasons,
};
use crate::import::section::Section;

/// A deployment.
pub(super) struct Deployment {
    /// Where it stands.
    pub(super) path: String,
    /// The name that clients use.
    pub(super) group: String,
    pub(super) provider: Provider,
    /// The model as the provider names it.
    pub(super) model: String,
    pub(super) weight: Option<u32>,
    /// 1 is tried first.
    pub(super) order: Option<u32>,
    /// Requests and tokens a minute.
    pub(super) requests: Option<u64>,
    pub(super) tokens: Option<u64>,
    /// In seconds.
    pub(super) timeout: Option<f64>,
    pub(super) stream_timeout: Option<f64>,
    pub(super) retries: Option<u64>,
    pub(super) price: Option<Price>,
}

/// What a token costs, in US dollars.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Price {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cached: Option<f64>,
    /// Where it stands.
    pub(super) paths: Vec<String>,
}

impl Deployment {
    /// Reads an entry; one that leads nowhere is noted and left out.
    pub(super) fn read(index: usize, item: &Value, scope: &mut Scope<'_>) -> Option<Self> {
        let path = format!("model_list[{index}]");
        let mut entry = Section::of(path.clone(), Some(item), &mut scope.notes);
        let group = entry.text("model_name", &mut scope.notes);
        let parameters = entry.take("litellm_params");
        let information = entry.take("model_info");
        entry.rest(&reasons::ENTRY, reasons::UNKNOWN, &mut scope.notes);
        let mut parameters = Section::of(format!("{path}.litellm_params"), parameters, &mut scope.notes);
        let mut information = Section::of(format!("{path}.model_info"), information, &mut scope.notes);
        let model = parameters.text("model", &mut scope.notes);
        let (Some(group), Some(model)) = (group, model) else {
            scope.notes.missing(
                path,
                "an entry without model_name and litellm_params.model leads nowhere",
            );
            return None;
        };
        let found = providers::read(&mut parameters, &model, scope);
        let mut number = |name: &str| parameters.number(name, &mut scope.notes);
        let (weight, order, requests, tokens) =
            (number("weight"), number("order"), number("rpm"), number("tpm"));
        let (timeout, stream_timeout) = (number("timeout"), number("stream_timeout"));
        let retries = number("max_retries").or(number("num_retries"));
        let price = price(&mut parameters, &mut information, scope);
        parameters.rest(&reasons::PARAMS, reasons::UNKNOWN, &mut scope.notes);
        information.rest(
            &reasons::INFO,
            "what it says about the model is for people, or known to Stead",
            &mut scope.notes,
        );
        let (provider, model) = found?;
        Some(Self {
            path,
            group,
            provider,
            model,
            weight: weight.map(small),
            order: order.map(|order| small(order).max(1)),
            requests: requests.map(whole),
            tokens: tokens.map(whole),
            timeout,
            stream_timeout,
            retries: retries.map(whole),
            price,
        })
    }
}

/// A price may stand in either mapping.
fn price(
    parameters: &mut Section<'_>,
    information: &mut Section<'_>,
    scope: &mut Scope<'_>,
) -> Option<Price> {
    let mut paths = Vec::new();
    let mut either = |name: &str| {
        let first = parameters.number(name, &mut scope.notes);
        let second = information.number(name, &mut scope.notes);
        paths.extend(first.map(|_| parameters.at(name)));
        paths.extend(second.map(|_| information.at(name)));
        first.or(second)
    };
    let (input, output) = (either("input_cost_per_token"), either("output_cost_per_token"));
    let cached = either("cache_read_input_token_cost");
    (!paths.is_empty()).then(|| Price {
        input: input.unwrap_or_default(),
        output: output.unwrap_or_default(),
        cached,
        paths,
    })
}

/// A number of LiteLLM's as a count; a fraction is rounded, what is too large is cut.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sections give numbers that are finite and not negative, and the cast saturates"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn small(number: f64) -> u32 {
    u32::try_from(whole(number)).unwrap_or(u32::MAX)
}

/// The credential that a text names; `None` for the words that stand for none.
pub(super) fn credential(text: &str) -> Option<Source> {
    const NONE: [&str; 12] = [
        "",
        "none",
        "null",
        "na",
        "n/a",
        "empty",
        "dummy",
        "fake",
        "fake-key",
        "anything",
        "not-needed",
        "no-key",
    ];
    let known = NONE.contains(&text.trim().to_ascii_lowercase().as_str());
    (!known).then(|| Source::of(text.trim()))
}
