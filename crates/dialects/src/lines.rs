//! JSON documents in streams that clients cut into lines.

use serde_json::Value;

/// Characters that end a line for Unicode, but not for JSON, lines of JSON or server-sent events. SDKs that cut
/// streams with the line iterator of Python's `httpx` break documents at them (ollama, google-genai before 3).
const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Appends a document that is one line for everybody.
pub(crate) fn write(document: &Value, out: &mut Vec<u8>) {
    let text = document.to_string();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(BREAKS) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let mut characters = after.chars();
        // They can stand in texts only.
        if let Some(character) = characters.next() {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::write;

    #[test]
    fn no_document_has_a_line_break_of_any_sort() {
        let document = json!({"a\u{2028}": "\u{85}ü\u{2029}\n\r\u{b}\u{c}\u{1c}"});
        let mut out = Vec::new();
        write(&document, &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(
            !text
                .contains(|character: char| character.is_control() || "\u{2028}\u{2029}".contains(character))
        );
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
    }
}
