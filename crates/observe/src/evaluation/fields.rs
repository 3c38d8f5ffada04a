//! Parts of JSON documents by path, and templates that are filled in with them. Pure.

use serde_json::Value;

/// What lies at a path of names and numbers: `messages[0].content`, `answer`, `a.b`. A name with dots is found as such first.
/// An empty path is the document itself.
pub(crate) fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(document);
    }
    if let Some(found) = document.get(path) {
        return Some(found);
    }
    let mut place = document;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let part = part.trim_end_matches(']');
        place = match place {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(place)
}

/// A text with its variables (`{{name}}`) filled in from a document, each once: what one brings is not looked through again.
///
/// # Errors
/// The name of a variable that the document lacks.
pub(super) fn filled(template: &str, document: &Value) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        // Mustache's forms for what is not escaped; nothing is here.
        let (opened, closing) = match after.strip_prefix('{') {
            Some(opened) => (opened, "}}}"),
            None => (after, "}}"),
        };
        let Some((name, after)) = opened.split_once(closing) else {
            break;
        };
        let name = name.trim().trim_start_matches('&').trim();
        let value = at(document, name).ok_or_else(|| name.to_owned())?;
        text.push_str(before);
        text.push_str(&stead_scoring::text_of(value));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let document = json!({"a": {"b": [1, {"c": 2}]}, "x.y": 3, "messages": [{"content": "hi"}]});
        for (path, expected) in [
            ("a.b[1].c", Some(json!(2))),
            ("a.b.0", Some(json!(1))),
            ("x.y", Some(json!(3))),
            ("messages[0].content", Some(json!("hi"))),
            ("a.z", None),
            ("a.b[7]", None),
            ("", Some(document.clone())),
        ] {
            assert_eq!(at(&document, path).cloned(), expected, "{path}");
        }
    }

    #[test]
    fn variables_are_filled_in_once_or_named() {
        let document = json!({"city": "Rome", "user": {"name": "{{city}}"}});
        let fill = |template: &str| filled(template, &document);
        assert_eq!(
            fill("In {{ city }}, {{user.name}} {{{city}}}!"),
            Ok("In Rome, {{city}} Rome!".into())
        );
        assert_eq!(fill("{{nobody}}"), Err("nobody".into()));
        assert_eq!(fill("open {{ brace"), Ok("open {{ brace".into()));
    }
}
