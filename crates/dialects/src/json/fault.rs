//! Complaints about a field, whose name is looked up only when there is one.

use std::{borrow::Cow, fmt::Write as _};

use super::Json;
use crate::chat::{StreamError, TranslateError};

/// A complaint about a value of a body. It remembers where the value lies, so that reading needs no names.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where the value lies in memory.
    address: usize,
    /// The member of it that is meant, there or not.
    member: Option<&'static str>,
    message: Cow<'static, str>,
}

impl Fault {
    pub(super) fn value(value: &Json<'_>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            address: address(value),
            member: None,
            message: message.into(),
        }
    }

    /// About a member of a value, there or not.
    pub(crate) fn member(
        value: &Json<'_>,
        member: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            address: address(value),
            member: Some(member),
            message: message.into(),
        }
    }

    fn resolve(self, root: &Json<'_>) -> TranslateError {
        let mut param = String::new();
        find(root, self.address, &mut param);
        if let Some(member) = self.member {
            step(&mut param, member);
        }
        let param = if param.is_empty() {
            "body".to_owned()
        } else {
            param
        };
        TranslateError {
            message: format!("{param}: {}", self.message),
            param,
        }
    }
}

fn address(value: &Json<'_>) -> usize {
    std::ptr::from_ref(value).addr()
}

fn step(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Walks to the value at an address; the path is what it was before when the value is not below `value`.
fn find(value: &Json<'_>, wanted: usize, path: &mut String) -> bool {
    if address(value) == wanted {
        return true;
    }
    let length = path.len();
    match value {
        Json::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                if find(item, wanted, path) {
                    return true;
                }
                path.truncate(length);
            }
        }
        Json::Object(members) => {
            for (key, member) in members {
                step(path, key);
                if find(member, wanted, path) {
                    return true;
                }
                path.truncate(length);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
    }
    false
}

/// Reads a body; a complaint becomes an error with the field's name.
///
/// # Errors
/// When the body is no JSON object, or `reader` complains.
pub(crate) fn read<'a, T>(
    body: &'a [u8],
    reader: impl FnOnce(&Json<'a>) -> Result<T, Fault>,
) -> Result<T, TranslateError> {
    let root: Json<'a> = serde_json::from_slice(body).map_err(|error| TranslateError {
        param: "body".to_owned(),
        message: format!("body: must be JSON: {error}"),
    })?;
    if !root.is_object() {
        return Err(root.fault("must be a JSON object").resolve(&root));
    }
    reader(&root).map_err(|fault| fault.resolve(&root))
}

/// Reads the JSON object of one event of a stream.
///
/// # Errors
/// When it is none.
pub(crate) fn read_event(data: &str) -> Result<Json<'_>, StreamError> {
    serde_json::from_str(data)
        .ok()
        .filter(Json::is_object)
        .ok_or_else(|| StreamError::Malformed("the provider sent an event that is not JSON".to_owned()))
}
