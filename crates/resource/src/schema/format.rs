//! The formats of texts and numbers that are checked; others are accepted, as Kubernetes does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the text has the format.
pub(super) fn text_fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => crate::time::parse(text).is_some(),
        "date" => crate::time::parse_date(text).is_some(),
        "duration" => is_duration(text),
        "byte" => is_base64(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => text.split([':', '-']).count() == 6 && text.split([':', '-']).all(is_octet),
        "uuid" => is_uuid(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "uri" => is_uri(text),
        _ => true,
    }
}

/// Whether the number is in the range of its format.
pub(super) fn integer_fits(format: &str, value: &serde_json::Number) -> bool {
    let within = |low: i64, high: i64| value.as_i64().is_some_and(|value| (low..=high).contains(&value));
    match format {
        "int32" => within(i32::MIN.into(), i32::MAX.into()),
        "int64" => value.as_i64().is_some() || value.is_f64(),
        _ => true,
    }
}

/// A Go duration, as `1h30m` or `200ms`: the form that Kubernetes objects use.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits =
            rest.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
        let number = rest.strip_suffix(digits).unwrap_or_default();
        let unit_end = digits.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, next) = digits.split_at(unit_end.unwrap_or(digits.len()));
        let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
        if !is_number || !UNITS.contains(&unit) {
            return false;
        }
        rest = next;
    }
    true
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    text.len().is_multiple_of(4)
        && padding <= 2
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.bytes().all(|byte| byte.is_ascii_digit())
        && length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_octet(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.split('-').count() == lengths.len()
        && text
            .split('-')
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |character: char| !character.is_whitespace() && !character.is_control();
    !local.is_empty() && local.len() <= 64 && local.chars().all(plain) && is_hostname(domain)
}

fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(is_host_label)
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An absolute address or path, as Go's request URIs are.
fn is_uri(text: &str) -> bool {
    if text
        .chars()
        .any(|character| character.is_whitespace() || character.is_control())
    {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    scheme.starts_with(|character: char| character.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
}
