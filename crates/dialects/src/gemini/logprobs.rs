//! Log probabilities.
//! <https://ai.google.dev/api/generate-content#LogprobsResult>

use serde_json::{Value, json};

use crate::chat::TokenLogprob;

/// Reads `logprobsResult`.
pub(super) fn read(result: &Value) -> Vec<TokenLogprob> {
    let list = |name: &str| result.get(name).and_then(Value::as_array).map(Vec::as_slice);
    let top = list("topCandidates").unwrap_or_default();
    list("chosenCandidates")
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, chosen)| TokenLogprob {
            top: top
                .get(index)
                .and_then(|top| top.get("candidates")?.as_array())
                .into_iter()
                .flatten()
                .map(token)
                .collect(),
            ..token(chosen)
        })
        .collect()
}

fn token(candidate: &Value) -> TokenLogprob {
    TokenLogprob {
        token: candidate
            .get("token")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        logprob: candidate
            .get("logProbability")
            .and_then(Value::as_f64)
            .unwrap_or(0.0),
        bytes: None,
        top: Vec::new(),
    }
}

/// Writes `logprobsResult`; `None` without tokens.
pub(super) fn write(tokens: &[TokenLogprob]) -> Option<Value> {
    let candidate = |token: &TokenLogprob| json!({"token": token.token, "logProbability": token.logprob});
    let top = |token: &TokenLogprob| {
        let candidates: Vec<Value> = token.top.iter().map(candidate).collect();
        json!({ "candidates": candidates })
    };
    (!tokens.is_empty()).then(|| {
        json!({
            "topCandidates": tokens.iter().map(top).collect::<Vec<_>>(),
            "chosenCandidates": tokens.iter().map(candidate).collect::<Vec<_>>(),
        })
    })
}
