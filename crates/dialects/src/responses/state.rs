//! Conversations that the gateway keeps: what a request refers to, and what is stored of it.
//!
//! A response is stored as its input items and its output items, all as the client would see them; the next request
//! that names it gets them before its own.

use serde_json::{Map, Value, json};

use crate::chat::{TranslateError, refuse};

/// What a request refers to, and whether it wants to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `previous_response_id`.
    pub previous: Option<String>,
    /// `conversation`, as an id or an object with one.
    pub conversation: Option<String>,
    /// Ids of `item_reference`s in the input.
    pub references: Vec<String>,
    /// `store`; true when the request does not say.
    pub store: bool,
}

/// Reads what a request refers to.
///
/// # Errors
/// When the body is no JSON object, or names both a previous response and a conversation, which exclude each other.
pub fn state(body: &[u8]) -> Result<State, TranslateError> {
    let body = object(body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let conversation = body
        .get("conversation")
        .and_then(|given| given.as_str().or_else(|| given.get("id")?.as_str()))
        .map(ToOwned::to_owned);
    let previous = text("previous_response_id");
    if previous.is_some() && conversation.is_some() {
        return refuse(
            "previous_response_id",
            "must not be given together with conversation",
        );
    }
    let items = body.get("input").and_then(Value::as_array);
    Ok(State {
        previous,
        conversation,
        references: items.into_iter().flatten().filter_map(reference).collect(),
        store: body.get("store") != Some(&Value::Bool(false)),
    })
}

/// The id that an `item_reference` names. Its type may be left out.
fn reference(item: &Value) -> Option<String> {
    let members = item.as_object()?;
    let is_reference = match members.get("type").and_then(Value::as_str) {
        Some(kind) => kind == "item_reference",
        None => !members.contains_key("role"),
    };
    let id = members.get("id").and_then(Value::as_str);
    id.filter(|_| is_reference).map(ToOwned::to_owned)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, TranslateError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => refuse("body", "must be a JSON object"),
        Err(error) => refuse("body", format!("must be JSON: {error}")),
    }
}

/// The input of a request as a list of items, each with an id: what is stored of it. `response` is the id of the
/// response, of which ids of items are made.
///
/// # Errors
/// When the body has no input.
pub fn input_items(body: &[u8], response: &str) -> Result<Vec<Value>, TranslateError> {
    let mut items = own_items(&object(body)?)?;
    let suffix = response.strip_prefix("resp_").unwrap_or(response);
    for (place, item) in items.iter_mut().enumerate() {
        if let Value::Object(members) = item
            && !members.get("id").is_some_and(Value::is_string)
        {
            members.insert("id".to_owned(), format!("in_{suffix}_{place}").into());
        }
    }
    Ok(items)
}

fn own_items(body: &Map<String, Value>) -> Result<Vec<Value>, TranslateError> {
    match body.get("input") {
        Some(Value::String(text)) => Ok(vec![json!({
            "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}],
        })]),
        Some(Value::Array(items)) => Ok(items.clone()),
        _ => refuse("input", "must be a text or a list of items"),
    }
}

/// The output items of a response: what is stored of it.
pub fn output_items(response: &Value) -> Vec<Value> {
    response
        .get("output")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The request with stored items before its own input, `earlier` in order, and its references replaced by what they
/// refer to (among `earlier` or `referred`). It names no previous response and no conversation any more. Stored items
/// come as whoever does not keep them takes them: see [`portable`].
///
/// # Errors
/// When the body has no input, or refers to an item that is not there.
pub fn merge(body: &[u8], earlier: &[Value], referred: &[Value]) -> Result<Vec<u8>, TranslateError> {
    let before = earlier.iter().filter_map(portable).collect();
    join(body, before, &[earlier, referred], portable)
}

/// The request's own input with its references replaced: what is stored of it.
///
/// # Errors
/// When the body has no input, or refers to an item that is not there.
pub fn own_input(body: &[u8], known: &[Value]) -> Result<Vec<u8>, TranslateError> {
    join(body, Vec::new(), &[known], |item| Some(item.clone()))
}

fn join(
    body: &[u8],
    mut items: Vec<Value>,
    known: &[&[Value]],
    written: fn(&Value) -> Option<Value>,
) -> Result<Vec<u8>, TranslateError> {
    let mut body = object(body)?;
    for (place, item) in own_items(&body)?.into_iter().enumerate() {
        let Some(id) = reference(&item) else {
            items.push(item);
            continue;
        };
        let found = known
            .iter()
            .copied()
            .flatten()
            .find(|known| known.get("id").and_then(Value::as_str) == Some(&id));
        match found {
            Some(item) => items.extend(written(item)),
            None => return refuse(format!("input[{place}].id"), format!("no such item: {id}")),
        }
    }
    body.insert("input".to_owned(), Value::Array(items));
    for name in ["previous_response_id", "conversation"] {
        body.shift_remove(name);
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// A stored item as it is sent to a provider that may not know it. OpenAI looks up messages and calls that have an id,
/// and wants the reasoning before them with its id too; without ids they are taken as they are. Reasoning that neither
/// says nor holds anything is left out, as only who keeps it could read it.
fn portable(item: &Value) -> Option<Value> {
    let has = |name: &str| match item.get(name) {
        Some(Value::Array(parts)) => !parts.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    };
    let is_plain = match item.get("type").and_then(Value::as_str).unwrap_or("message") {
        "message" | "function_call" | "function_call_output" => true,
        "reasoning" if !["summary", "content", "encrypted_content"].into_iter().any(has) => return None,
        "reasoning" => !has("encrypted_content"),
        _ => false,
    };
    let mut item = item.clone();
    if let Some(members) = item.as_object_mut().filter(|_| is_plain) {
        members.shift_remove("id");
    }
    Some(item)
}

/// The response that the end of a stream tells: what [`Encoder::end`](crate::chat::Encoder::end) wrote, or the whole
/// stream.
pub fn final_response(stream: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(stream).ok()?;
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data: "))?;
    let mut event: Value = serde_json::from_str(data).ok()?;
    let kind = event.get("type")?.as_str()?;
    matches!(
        kind,
        "response.completed" | "response.incomplete" | "response.failed"
    )
    .then(|| event.get_mut("response").map(Value::take))?
}
