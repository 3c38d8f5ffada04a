//! G-Eval's score as the mean over the likely tokens of the score, weighted by their likelihood (Liu et al. 2023, section
//! 2, equation 1), from the `logprobs` of OpenAI's chat API.

use serde_json::Value;

use super::TEN;

/// The mean; `None` when the answer tells no likelihoods of the digits of its `score`.
pub(super) fn mean(choice: &Value) -> Option<f64> {
    let entries = choice.pointer("/logprobs/content")?.as_array()?;
    let texts: Vec<&str> = entries
        .iter()
        .map(|entry| text(entry).unwrap_or_default())
        .collect();
    let digits = digits(&texts.concat())?;
    let mut start = 0;
    let mut places = Vec::new();
    for (entry, text) in entries.iter().zip(&texts) {
        let end = start + text.len();
        if end > digits.start && start < digits.end {
            places.push(entry);
        }
        start = end;
    }
    let candidates = match places.as_slice() {
        [one] => candidates(one),
        // A score of two digits can be two tokens; another first token can be all of it.
        [first, second] => {
            let whole = text(first)?.trim().to_owned() + text(second)?.trim();
            let (first, second) = (candidates(first), candidates(second));
            let alone = first.iter().filter(|(token, _)| *token == whole).cloned();
            let pairs = first
                .iter()
                .flat_map(|(a, p)| second.iter().map(move |(b, q)| (format!("{a}{b}"), p * q)));
            alone.chain(pairs).collect()
        }
        _ => return None,
    };
    let scores = candidates.iter().filter_map(|(token, weight)| {
        let score: f64 = token.parse::<u32>().ok()?.into();
        (score <= TEN).then_some((score, *weight))
    });
    let (sum, mass) = scores.fold((0.0, 0.0), |(sum, mass), (score, weight)| {
        (sum + score * weight, mass + weight)
    });
    (mass > 0.0).then(|| sum / mass)
}

fn text(entry: &Value) -> Option<&str> {
    entry.get("token")?.as_str()
}

/// The likely tokens at a place that are whole numbers, with their likelihoods.
fn candidates(entry: &Value) -> Vec<(String, f64)> {
    let likely = entry
        .get("top_logprobs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    likely
        .filter_map(|candidate| {
            let token = text(candidate)?.trim();
            let whole = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
            let likelihood = candidate.get("logprob")?.as_f64()?.exp();
            whole.then(|| (token.to_owned(), likelihood))
        })
        .collect()
}

/// Where the digits of the value of `score` lie in the outermost object; of several the last one, as JSON reads it.
fn digits(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let (mut place, mut depth, mut found) = (0, 0_u32, None);
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            b'"' => {
                let end = string_end(bytes, place);
                if depth == 1 && bytes.get(place..end) == Some(b"\"score\"") {
                    found = value_digits(bytes, end).or(found);
                }
                place = end;
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    found
}

/// Behind the quotation mark that ends the string which begins here, or the end of the text.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut place = start + 1;
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'\\' => place += 2,
            b'"' => return place + 1,
            _ => place += 1,
        }
    }
    bytes.len()
}

/// The digits after a colon.
fn value_digits(bytes: &[u8], after_key: usize) -> Option<std::ops::Range<usize>> {
    let skip = |mut place: usize, wanted: fn(u8) -> bool| {
        while bytes.get(place).is_some_and(|byte| wanted(*byte)) {
            place += 1;
        }
        place
    };
    let colon = skip(after_key, |byte| byte.is_ascii_whitespace());
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    let start = skip(colon + 1, |byte| byte.is_ascii_whitespace());
    let end = skip(start, |byte| byte.is_ascii_digit());
    (end > start).then_some(start..end)
}
