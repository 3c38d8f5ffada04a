//! Names of models without what only tells which of its versions is meant.

/// The names under which a model may be listed, the most exact one first.
///
/// Only endings that are dates, version numbers or `latest` are taken off: `gpt-4o-audio-preview` is not `gpt-4o`.
pub(crate) fn candidates<'a>(vendor: &str, model: &'a str) -> Vec<&'a str> {
    let mut names = vec![model];
    let bare = model.strip_prefix("models/").unwrap_or(model);
    let bare = bare
        .split_once('/')
        .filter(|(prefix, _)| *prefix == vendor)
        .map_or(bare, |(_, rest)| rest);
    let mut name = bare;
    loop {
        if !names.contains(&name) {
            names.push(name);
        }
        match without_version(name) {
            Some(shorter) => name = shorter,
            None => return names,
        }
    }
}

fn without_version(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix("-latest") {
        return Some(rest);
    }
    if let Some((rest, version)) = name.split_once('@') {
        return (version == "latest" || digits(version, 3..=8)).then_some(rest);
    }
    iso_date(name)
        .or_else(|| preview_date(name))
        .or_else(|| {
            ending(name, |part| {
                part.len() == 8 && part.starts_with("20") && digits(part, 8..=8)
            })
        })
        .or_else(|| ending(name, |part| digits(part, 3..=4)))
}

/// `-2024-08-06`
fn iso_date(name: &str) -> Option<&str> {
    let rest = ending(name, |part| digits(part, 2..=2))?;
    let rest = ending(rest, |part| digits(part, 2..=2))?;
    ending(rest, |part| part.starts_with("20") && digits(part, 4..=4))
}

/// `-preview-05-20`, `-preview-09-2025`
fn preview_date(name: &str) -> Option<&str> {
    let rest = ending(name, |part| digits(part, 2..=2) || digits(part, 4..=4))?;
    let rest = ending(rest, |part| digits(part, 2..=2))?;
    ending(rest, |part| part == "preview")
}

/// The name before its last `-`, if what follows is as wanted.
fn ending(name: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let (rest, last) = name.rsplit_once('-')?;
    wanted(last).then_some(rest)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_are_taken_off() {
        let cases = [
            ("openai", "gpt-4o-2024-08-06", Some("gpt-4o")),
            ("openai", "gpt-4-0613", Some("gpt-4")),
            ("openai", "openai/gpt-4o", Some("gpt-4o")),
            ("openai", "gpt-4o-audio-preview", None),
            ("openai", "gpt-4o-mini", None),
            ("openai", "o1", None),
            (
                "anthropic",
                "claude-sonnet-4-5-20250929",
                Some("claude-sonnet-4-5"),
            ),
            (
                "anthropic",
                "claude-sonnet-4-5@20250929",
                Some("claude-sonnet-4-5"),
            ),
            ("anthropic", "claude-3-5-haiku-latest", Some("claude-3-5-haiku")),
            ("anthropic", "claude-opus-4-1", None),
            ("gemini", "models/gemini-2.0-flash-001", Some("gemini-2.0-flash")),
            (
                "gemini",
                "gemini-2.5-flash-preview-09-2025",
                Some("gemini-2.5-flash"),
            ),
            ("mistral", "codestral-2508", Some("codestral")),
            ("groq", "openai/gpt-oss-120b", None),
            ("groq", "", None),
            ("groq", "-", None),
        ];
        for (vendor, model, expected) in cases {
            let names = candidates(vendor, model);
            assert_eq!(names.first(), Some(&model));
            assert_eq!(names.get(1..).and_then(<[_]>::last).copied(), expected, "{model}");
        }
    }
}
