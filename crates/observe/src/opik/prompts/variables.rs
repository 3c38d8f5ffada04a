//! The variables of a template. Pure.

/// The names that a Mustache template asks for (<https://mustache.github.io/mustache.5.html>), each once, in the order
/// in which they appear. Sections ask for their name too; comments, partials and changes of delimiters for none.
pub(super) fn mustache(template: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once("{{") {
        let (inner, end) = match after.strip_prefix('{') {
            Some(inner) => (inner, "}}}"),
            None => (after, "}}"),
        };
        let Some((tag, following)) = inner.split_once(end) else {
            break;
        };
        rest = following;
        let tag = tag.trim();
        let name = match tag.chars().next() {
            None | Some('!' | '/' | '>' | '=') => continue,
            Some('#' | '^' | '&') => tag.trim_start_matches(['#', '^', '&']).trim(),
            Some(_) => tag,
        };
        // `.` is the present item of a section.
        if !name.is_empty() && name != "." && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_once_each_in_order() {
        for (template, expected) in [
            ("Hi {{name}}", vec!["name"]),
            (
                "{{ a }} {{b}} {{a}} {{{raw}}} {{& also }}",
                vec!["a", "b", "raw", "also"],
            ),
            (
                "{{#items}}{{.}} {{name.first}}{{/items}}{{^none}}x{{/none}}",
                vec!["items", "name.first", "none"],
            ),
            ("{{! a comment }}{{> partial}}{{=<% %>=}}", vec![]),
            ("{{open", vec![]),
            ("{{}} {{ }}", vec![]),
            ("[{\"role\": \"user\", \"content\": \"hi {{x}}\"}]", vec!["x"]),
            ("{\"a\": {\"b\": 1}}", vec![]),
        ] {
            assert_eq!(mustache(template), expected, "{template}");
        }
    }
}
