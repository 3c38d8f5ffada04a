//! Kubernetes' named formats.

use std::sync::Arc;

use super::{Function, global, member, url::Url};
use crate::{
    fault::Fault,
    time::Timestamp,
    value::{Opaque, Value},
};

/// What is wrong with a text; nothing when it has the format.
type Check = fn(&str) -> Vec<String>;

const FORMATS: &[(&str, Check)] = &[
    ("dns1123Label", |text| label(text, Start::Any)),
    ("dns1123Subdomain", subdomain),
    ("dns1035Label", |text| label(text, Start::Letter)),
    ("qualifiedName", qualified_name),
    ("dns1123LabelPrefix", |text| {
        label(&without_dash(text), Start::Any)
    }),
    ("dns1123SubdomainPrefix", |text| subdomain(&without_dash(text))),
    ("dns1035LabelPrefix", |text| {
        label(&without_dash(text), Start::Letter)
    }),
    ("labelValue", label_value),
    ("uri", |text| {
        told(
            Url::parse(text).is_some(),
            &format!("parse {text:?}: invalid URI for request"),
        )
    }),
    ("uuid", |text| {
        told(is_uuid(text), "does not match the UUID format")
    }),
    ("byte", |text| told(is_base64(text), "invalid base64")),
    ("date", |text| {
        told(Timestamp::parse_date(text).is_some(), "invalid date")
    }),
    ("datetime", |text| {
        told(Timestamp::parse(text).is_some(), "invalid datetime")
    }),
];

macro_rules! named {
    ($($name:literal => $function:literal),*) => {
        pub(super) const FUNCTIONS: &[Function] = &[
            $(global($function, &["-> format"], |args, _| match args {
                [] => Ok(Value::Opaque(Opaque::Format($name))),
                _ => Err(Fault::NoOverload),
            }),)*
            global("format.named", &["string -> optional<format>"], |args, _| match args {
                [Value::String(wanted)] => {
                    let found = FORMATS.iter().find(|(name, _)| *name == &**wanted);
                    Ok(Value::Optional(found.map(|(name, _)| Arc::new(Value::Opaque(Opaque::Format(name))))))
                }
                _ => Err(Fault::NoOverload),
            }),
            member("validate", &["format, string -> optional<list<string>>"], |args, budget| {
                let [Value::Opaque(Opaque::Format(wanted)), Value::String(text)] = args else {
                    return Err(Fault::NoOverload);
                };
                budget.charge_bytes(text.len().saturating_mul(4))?;
                let found = FORMATS.iter().find(|(name, _)| name == wanted);
                let faults = found.map(|(_, check)| check(text)).unwrap_or_default();
                let faults: Vec<Value> = faults.into_iter().map(Value::from).collect();
                Ok(Value::Optional((!faults.is_empty()).then(|| Arc::new(faults.into()))))
            }),
        ];
    };
}

named! {
    "dns1123Label" => "format.dns1123Label",
    "dns1123Subdomain" => "format.dns1123Subdomain",
    "dns1035Label" => "format.dns1035Label",
    "qualifiedName" => "format.qualifiedName",
    "dns1123LabelPrefix" => "format.dns1123LabelPrefix",
    "dns1123SubdomainPrefix" => "format.dns1123SubdomainPrefix",
    "dns1035LabelPrefix" => "format.dns1035LabelPrefix",
    "labelValue" => "format.labelValue",
    "uri" => "format.uri",
    "uuid" => "format.uuid",
    "byte" => "format.byte",
    "date" => "format.date",
    "datetime" => "format.datetime"
}

/// What a label may begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Any,
    Letter,
}

fn told(fits: bool, message: &str) -> Vec<String> {
    if fits {
        Vec::new()
    } else {
        vec![message.to_owned()]
    }
}

/// The name that a prefix would begin; a dash at the end is allowed then.
fn without_dash(text: &str) -> String {
    if text.len() > 1 && text.ends_with('-') {
        let cut = text.get(..text.len() - 1).unwrap_or_default();
        format!("{}a", cut.strip_suffix('-').unwrap_or(cut))
    } else {
        text.to_owned()
    }
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_label(text: &str) -> bool {
    let outer =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(|byte| is_inner(*byte))
}

fn too_long(text: &str, most: usize) -> Vec<String> {
    told(text.len() <= most, &format!("must be no more than {most} bytes"))
}

fn label(text: &str, start: Start) -> Vec<String> {
    let mut faults = too_long(text, 63);
    match start {
        Start::Any => faults.extend(told(
            is_label(text),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        )),
        Start::Letter => faults.extend(told(
            is_label(text) && text.starts_with(|letter: char| letter.is_ascii_lowercase()),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        )),
    }
    faults
}

fn subdomain(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 253);
    faults.extend(told(
        text.split('.').all(is_label),
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ));
    faults
}

fn is_name(text: &str) -> bool {
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(inner)
}

fn qualified_name(text: &str) -> Vec<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let mut faults = Vec::new();
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            faults.push("prefix part must be non-empty".to_owned());
        } else {
            faults.extend(
                subdomain(prefix)
                    .into_iter()
                    .map(|fault| format!("prefix part {fault}")),
            );
        }
    }
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name(name) {
        faults.push(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                .to_owned(),
        );
    }
    faults
}

fn label_value(text: &str) -> Vec<String> {
    let mut faults = too_long(text, 63);
    faults.extend(told(
        text.is_empty() || is_name(text),
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ));
    faults
}

fn is_uuid(text: &str) -> bool {
    let plain: String = text.chars().filter(|letter| *letter != '-').collect();
    plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_base64(text: &str) -> bool {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).is_ok()
}
