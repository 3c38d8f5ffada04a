//! Where the prompt lies in a body, without building it.

use std::ops::Range;

use super::{json::Scanner, text};

/// The members that a model reads, in the order in which chat templates write them: what comes first in the prompt
/// changes least between requests. OpenAI's dialects, Anthropic's, Gemini's and Ollama's.
const MEMBERS: [&str; 11] = [
    "tools",
    "system",
    "systemInstruction",
    "system_instruction",
    "instructions",
    "messages",
    "contents",
    "input",
    "prompt",
    "query",
    "documents",
];

/// The parts of a JSON body that are the prompt, as they lie in it, in the order in which a model reads them. Empty when
/// the body is no JSON object, or has none.
pub fn prompt(body: &[u8]) -> Vec<&[u8]> {
    let mut found: [Option<Range<usize>>; MEMBERS.len()] = [const { None }; MEMBERS.len()];
    let read = Scanner::new(body).and_then(|scanner| {
        scanner.whole_object(|key, value| {
            let key = text(body, key)?;
            let place = MEMBERS.iter().position(|member| *member == key);
            if let Some(place) = place.and_then(|place| found.get_mut(place)) {
                *place = Some(value);
            }
            Ok(())
        })
    });
    if read.is_err() {
        return Vec::new();
    }
    let ranges = found.into_iter().flatten();
    ranges.filter_map(|range| body.get(range)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_found_in_the_order_of_reading() {
        let cases: [(&str, &[&str]); 6] = [
            (
                r#"{"model":"m","messages":[{"role":"user"}],"tools":[1]}"#,
                &["[1]", r#"[{"role":"user"}]"#],
            ),
            (
                r#"{"messages":[2],"system":"be brief","max_tokens":5}"#,
                &[r#""be brief""#, "[2]"],
            ),
            (r#"{"contents":[],"systemInstruction":{}}"#, &["{}", "[]"]),
            (r#"{"model":"m"}"#, &[]),
            ("[1]", &[]),
            ("--boundary", &[]),
        ];
        for (body, expected) in cases {
            let found = prompt(body.as_bytes());
            let found: Vec<&str> = found
                .iter()
                .map(|part| std::str::from_utf8(part).unwrap())
                .collect();
            assert_eq!(found, expected, "{body}");
        }
    }
}
