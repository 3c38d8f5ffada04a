//! The rules of names, keys and values, with what Kubernetes says to those who break them.

/// What is wrong with a lowercase RFC 1123 label.
pub fn faults_of_label(text: &str) -> Vec<String> {
    if text.contains('.') {
        return vec!["must not contain dots".to_owned()];
    }
    let mut faults = too_long(text, 63);
    if !is_lower_part(text) {
        faults.push(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with a lowercase RFC 1123 subdomain.
pub fn faults_of_subdomain(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 253);
    if !text.split('.').all(is_lower_part) {
        faults.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with a key as `domain/name`; `what` is what the key is called, as `label key`.
pub fn faults_of_key(text: &str, what: &str) -> Vec<String> {
    const RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                        alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                        validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut faults = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let inner = faults_of_subdomain(prefix).into_iter();
                faults.extend(inner.map(|why| format!("prefix part {why}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid {what} {RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )
            .replace("a valid qualified name", "a qualified name")];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else {
        let long = too_long(name, 63).into_iter();
        faults.extend(long.map(|why| format!("name part {why}")));
    }
    if !is_word(name) {
        faults.push(format!("name part {RULE}"));
    }
    faults
}

/// What is wrong with a label's value.
pub fn faults_of_label_value(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 63);
    if !text.is_empty() && !is_word(text) {
        faults.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with a key of a `ConfigMap` or Secret.
pub fn faults_of_data_key(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 253);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(allowed) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match text {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        text if text.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

fn too_long(text: &str, most: usize) -> Vec<String> {
    if text.len() > most {
        vec![format!("must be no more than {most} bytes")]
    } else {
        Vec::new()
    }
}

fn is_lower_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|byte| inner(*byte))
        && bytes.last().is_some_and(|byte| inner(*byte))
        && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_have_no_faults() {
        for name in ["a", "a-b", "0"] {
            assert!(
                faults_of_label(name).is_empty() && faults_of_subdomain(name).is_empty(),
                "{name}"
            );
        }
        assert!(faults_of_subdomain("a.b-c.d").is_empty());
        for key in ["a", "A.b_c-d", "stead.dev/Cleanup"] {
            assert!(faults_of_key(key, "label key").is_empty(), "{key}");
        }
        assert!(faults_of_label_value("").is_empty() && faults_of_label_value("A.b").is_empty());
        assert!(faults_of_data_key("a.b_C-d").is_empty());
    }

    #[test]
    fn faults_are_told_as_the_original_tells_them() {
        assert!(faults_of_label("A")[0].starts_with("a lowercase RFC 1123 label must consist of"));
        assert_eq!(
            faults_of_label(&"a".repeat(64)),
            ["must be no more than 63 bytes"]
        );
        assert!(faults_of_subdomain("a..b")[0].starts_with("a lowercase RFC 1123 subdomain"));
        assert!(faults_of_key("a/b/c", "label key")[0].starts_with("a valid label key must consist"));
        assert!(faults_of_key("a/b/c", "qualified name")[0].starts_with("a qualified name must consist"));
        assert_eq!(
            faults_of_key("/a", "label key"),
            ["prefix part must be non-empty"]
        );
        assert_eq!(
            faults_of_key("a/", "label key").first().map(String::as_str),
            Some("name part must be non-empty")
        );
        assert!(faults_of_label_value("-")[0].starts_with("a valid label must be an empty string"));
        assert_eq!(faults_of_data_key(".."), ["must not be '..'"]);
    }
}
