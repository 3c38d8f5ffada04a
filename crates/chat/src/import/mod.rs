//! Conversations that were exported somewhere, as this server's own. Pure.

mod open_webui;
mod own;

use serde_json::Value;
use stead_kernel::{Error, Result};

use crate::threads::Imported;

/// Reads a file of conversations: this server's own export, or Open WebUI's.
///
/// # Errors
/// `Invalid` when it is neither, or holds nothing.
pub(crate) fn read(file: &Value) -> Result<Vec<Imported>> {
    let found = if own::is(file) {
        own::read(file)
    } else {
        open_webui::read(file)
    };
    if found.is_empty() {
        return Err(Error::invalid("the file holds no conversation")
            .hint("export them in Open WebUI (Settings, Chats, Export) or here, and give that file"));
    }
    Ok(found)
}

/// Puts parents before what follows them. What names itself, a circle or nothing that is there begins anew.
fn in_order<T>(mut messages: Vec<(String, Option<String>, T)>) -> Vec<(String, Option<String>, T)> {
    let mut known = std::collections::HashSet::new();
    let all: std::collections::HashSet<String> = messages.iter().map(|(id, ..)| id.clone()).collect();
    let mut sorted = Vec::with_capacity(messages.len());
    while !messages.is_empty() {
        let (mut ready, waiting): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(id, parent, _)| {
            parent
                .as_ref()
                .is_none_or(|parent| parent == id || known.contains(parent) || !all.contains(parent))
        });
        messages = waiting;
        if ready.is_empty() {
            // A circle: it is cut at its first message.
            let (id, _, rest) = messages.remove(0);
            ready.push((id, None, rest));
        }
        known.extend(ready.iter().map(|(id, ..)| id.clone()));
        sorted.append(&mut ready);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_circles_are_cut() {
        let message = |id: &str, parent: Option<&str>| (id.to_owned(), parent.map(str::to_owned), ());
        let sorted = in_order(vec![
            message("c", Some("b")),
            message("b", Some("a")),
            message("a", None),
            message("x", Some("y")),
            message("y", Some("x")),
            message("lost", Some("gone")),
        ]);
        let ids: Vec<&str> = sorted.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, ["a", "lost", "b", "c", "x", "y"]);
    }

    #[test]
    fn what_holds_no_conversation_is_refused() {
        for file in [Value::Null, serde_json::json!([]), serde_json::json!({"a": 1})] {
            assert!(read(&file).is_err(), "{file}");
        }
    }
}
