//! YAML in and out, as JSON values.

use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};
use stead_kernel::{Error, Result};

/// What is wrong with a YAML text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line, from 1.
    pub(crate) line: u64,
    /// The column, from 1.
    pub(crate) column: u64,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads one YAML document.
pub(crate) fn parse(text: &str) -> Result<Value, Fault> {
    serde_saphyr::from_str::<Value>(text).map_err(|error| {
        let plain = error.without_snippet();
        let location = plain.location();
        Fault {
            line: location.map_or(1, |location| location.line()),
            column: location.map_or(1, |location| location.column()),
            message: DefaultMessageFormatter.format_message(plain).into_owned(),
        }
    })
}

/// Writes one YAML document, with a newline at the end.
pub(crate) fn print(value: &Value) -> Result<String> {
    let mut text = serde_saphyr::to_string(value)
        .map_err(|error| Error::internal("the data could not be written as YAML").because(error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
