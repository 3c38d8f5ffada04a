//! `stead user`, `stead token`, `stead login-link` and `stead gateway token`.

mod gateway;
mod link;
mod token;
mod user;

#[cfg(test)]
mod tests;

use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Column, Command, View},
};

pub use gateway::gateway_token;

/// The commands of this domain.
pub(crate) fn all() -> Vec<Command> {
    vec![user::command(), token::command(), link::command()]
}

/// One item with one column for each of its fields that are named.
fn one(item: Value, name: &str, columns: &[(&str, &str)]) -> View {
    let cell = |field: &str| match item.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    View {
        columns: columns.iter().map(|(heading, _)| Column::new(heading)).collect(),
        rows: vec![columns.iter().map(|(_, field)| cell(field)).collect()],
        names: vec![name.to_owned()],
        items: vec![item],
        list: false,
    }
}

/// The text in a field of an answer of the server.
fn field(answer: &Value, name: &str) -> Result<String> {
    let text = answer.get(name).and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| Error::internal(format!("the server's answer has no {name}")))
}
