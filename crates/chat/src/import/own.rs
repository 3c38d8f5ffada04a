//! This server's own export: `{"stead": "chat", "version": 1, "threads": [{"thread", "messages"}]}`, each as
//! `/api/threads` shows them.

use serde_json::Value;

use super::in_order;
use crate::threads::{Imported, Message, Thread, ThreadChange};

/// Whether a file is one.
pub(super) fn is(file: &Value) -> bool {
    file.get("stead").and_then(Value::as_str) == Some("chat")
}

/// Its conversations; what makes no sense is passed over.
pub(super) fn read(file: &Value) -> Vec<Imported> {
    let threads = file.get("threads").and_then(Value::as_array);
    threads.into_iter().flatten().filter_map(conversation).collect()
}

fn conversation(item: &Value) -> Option<Imported> {
    let thread: Thread = serde_json::from_value(item.get("thread")?.clone()).ok()?;
    let messages = item.get("messages")?.as_array()?.iter();
    let messages: Vec<Message> = messages
        .filter_map(|message| serde_json::from_value(message.clone()).ok())
        .collect();
    let tree = messages
        .into_iter()
        .map(|message| (message.id, message.said.parent.clone(), message.said));
    Some(Imported {
        change: ThreadChange {
            title: Some(thread.title),
            model: Some(thread.model),
            system: Some(thread.system),
            folder: Some(thread.folder),
            pinned: Some(thread.pinned),
            options: Some(thread.options).filter(Value::is_object),
            ..ThreadChange::default()
        },
        messages: in_order(tree.collect())
            .into_iter()
            .map(|(id, _, said)| (id, said))
            .collect(),
        leaf: thread.leaf,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_own_export_is_read_back_with_its_branches() {
        let time = "2026-01-01T00:00:00Z";
        let message = |id: &str, parent: Value, role: &str| json!({"id": id, "thread": "t", "created": time, "parent": parent, "role": role, "content": id});
        let file = json!({"stead": "chat", "version": 1, "threads": [{
            "thread": {"id": "t", "title": "T", "model": "m", "system": "s", "leaf": "b", "owner": "x", "project": "p",
                "version": 3, "created": time, "updated": time, "folder": "Work", "pinned": true, "options": {"temperature": 1}},
            "messages": [message("b", json!("a"), "assistant"), message("c", json!("a"), "assistant"), message("a", json!(null), "user")],
        }, {"thread": 1}]});
        assert!(is(&file));
        let read = read(&file);
        let [conversation] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(conversation.leaf.as_deref(), Some("b"));
        assert_eq!(conversation.change.folder.as_deref(), Some("Work"));
        let ids: Vec<&str> = conversation.messages.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }
}
