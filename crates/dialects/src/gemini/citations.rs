//! What answers are based on.
//!
//! Gemini counts in bytes of UTF-8, the form in characters.
//! <https://ai.google.dev/api/generate-content#GroundingMetadata>,
//! <https://ai.google.dev/api/generate-content#CitationMetadata>

use serde_json::{Value, json};

use super::insert;
use crate::chat::Citation;

/// Reads the sources of a candidate whose text is `text`.
pub(super) fn read(candidate: &Value, text: &str) -> Vec<Citation> {
    let mut citations = Vec::new();
    if let Some(grounding) = candidate.get("groundingMetadata") {
        grounded(grounding, text, &mut citations);
    }
    let cited = candidate.get("citationMetadata").and_then(|metadata| {
        metadata
            .get("citations")
            .or_else(|| metadata.get("citationSources"))
    });
    for citation in list(cited) {
        citations.push(Citation {
            url: field(citation, "uri"),
            title: field(citation, "title"),
            quote: None,
            start: at(citation, "startIndex", text).or(Some(0)),
            end: at(citation, "endIndex", text),
        });
    }
    citations
}

fn list(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn field(value: &Value, name: &str) -> Option<String> {
    value
        .get(name)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// A byte offset as one in characters.
fn at(value: &Value, name: &str, text: &str) -> Option<u64> {
    let bytes = usize::try_from(value.get(name)?.as_u64()?).ok()?;
    let before = text.get(..text.floor_char_boundary(bytes))?;
    u64::try_from(before.chars().count()).ok()
}

/// Each source with the texts that it supports, or alone when it supports none in particular.
fn grounded(grounding: &Value, text: &str, citations: &mut Vec<Citation>) {
    let chunks: Vec<Citation> = list(grounding.get("groundingChunks"))
        .iter()
        .map(source)
        .collect();
    let mut is_used = vec![false; chunks.len()];
    for support in list(grounding.get("groundingSupports")) {
        let segment = support.get("segment").unwrap_or(&Value::Null);
        let indices = list(support.get("groundingChunkIndices"));
        for index in indices.iter().filter_map(Value::as_u64) {
            let Some(index) = usize::try_from(index).ok().filter(|index| *index < chunks.len()) else {
                continue;
            };
            if let (Some(chunk), Some(is_used)) = (chunks.get(index), is_used.get_mut(index)) {
                *is_used = true;
                citations.push(Citation {
                    // Zeros are left out on the wire.
                    start: at(segment, "startIndex", text).or(Some(0)),
                    end: at(segment, "endIndex", text),
                    ..chunk.clone()
                });
            }
        }
    }
    let unused = chunks.into_iter().zip(is_used).filter(|(_, is_used)| !is_used);
    citations.extend(unused.map(|(chunk, _)| chunk));
}

/// A source: of the web, of a map or of documents that were given.
fn source(chunk: &Value) -> Citation {
    let inner = ["web", "retrievedContext", "maps", "image"]
        .iter()
        .find_map(|kind| chunk.get(kind))
        .unwrap_or(&Value::Null);
    Citation {
        url: field(inner, "uri").or_else(|| field(inner, "sourceUri")),
        title: field(inner, "title"),
        quote: field(inner, "text"),
        start: None,
        end: None,
    }
}

/// Writes sources as `groundingMetadata`; `None` without any.
pub(super) fn write(citations: &[Citation], text: &str) -> Option<Value> {
    let mut chunks: Vec<Value> = Vec::new();
    let mut supports = Vec::new();
    for citation in citations {
        let chunk = chunk(citation);
        let index = chunks
            .iter()
            .position(|known| known == &chunk)
            .unwrap_or_else(|| {
                chunks.push(chunk);
                chunks.len() - 1
            });
        let Some(end) = citation.end.map(|end| bytes(text, end)) else {
            continue;
        };
        let start = citation.start.map_or(0, |start| bytes(text, start));
        let segment = json!({
            "startIndex": start,
            "endIndex": end,
            "text": text.get(start..end).unwrap_or_default(),
        });
        supports.push(json!({"segment": segment, "groundingChunkIndices": [index]}));
    }
    if chunks.is_empty() {
        return None;
    }
    let mut out = json!({"groundingChunks": chunks});
    if !supports.is_empty() {
        insert(&mut out, "groundingSupports", supports.into());
    }
    Some(out)
}

fn chunk(citation: &Citation) -> Value {
    let mut source = json!({});
    for (name, value) in [
        ("uri", &citation.url),
        ("title", &citation.title),
        ("text", &citation.quote),
    ] {
        if let Some(value) = value {
            insert(&mut source, name, value.as_str().into());
        }
    }
    if citation.quote.is_some() {
        json!({"retrievedContext": source})
    } else {
        json!({"web": source})
    }
}

/// An offset in characters as one in bytes.
fn bytes(text: &str, characters: u64) -> usize {
    let characters = usize::try_from(characters).unwrap_or(usize::MAX);
    text.char_indices()
        .nth(characters)
        .map_or(text.len(), |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{read, write};

    #[test]
    fn offsets_are_bytes_on_the_wire_and_characters_inside() {
        let text = "Größe: 5 m. Ende.";
        let candidate = json!({"groundingMetadata": {
            "groundingChunks": [
                {"web": {"uri": "https://a.example", "title": "a"}},
                {"web": {"uri": "https://b.example"}}
            ],
            "groundingSupports": [
                {"segment": {"endIndex": 13, "text": "Größe: 5 m."}, "groundingChunkIndices": [0, 9]}
            ]
        }});
        let citations = read(&candidate, text);
        assert_eq!(citations.len(), 2);
        assert_eq!((citations[0].start, citations[0].end), (Some(0), Some(11)));
        assert_eq!(citations[1].url.as_deref(), Some("https://b.example"));
        assert_eq!(citations[1].end, None);
        let written = write(&citations, text).expect("sources");
        assert_eq!(written["groundingSupports"][0]["segment"]["endIndex"], 13);
        assert_eq!(written["groundingSupports"][0]["segment"]["text"], "Größe: 5 m.");
        assert_eq!(read(&json!({"groundingMetadata": written}), text), citations);
    }
}
