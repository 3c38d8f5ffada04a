//! Open WebUI's export of chats: a list of `{"title", "pinned", "chat": {"title", "models", "system", "params",
//! "history": {"messages": {ID: {"parentId", "role", "content", "model", "timestamp"}}, "currentId"}}}`, or of the inner
//! objects alone, as its older versions wrote (<https://docs.openwebui.com/features/chat-features/import-export/>).

use serde_json::{Map, Value, json};

use super::in_order;
use crate::threads::{Imported, Role, Said, ThreadChange};

/// The longest title, in characters; longer ones are cut.
const TITLE: usize = 200;

/// Its conversations; what makes no sense is passed over.
pub(super) fn read(file: &Value) -> Vec<Imported> {
    let one = std::slice::from_ref(file);
    let items = file.as_array().map_or(one, Vec::as_slice);
    items.iter().filter_map(conversation).collect()
}

fn conversation(item: &Value) -> Option<Imported> {
    let chat = item.get("chat").unwrap_or(item);
    let history = chat.get("history")?;
    let nodes = history.get("messages")?.as_object()?;
    let tree = nodes.iter().filter_map(|(id, node)| {
        let said = said(node)?;
        Some((id.clone(), said.parent.clone(), said))
    });
    let messages: Vec<(String, Said)> = in_order(tree.collect())
        .into_iter()
        .map(|(id, _, said)| (id, said))
        .collect();
    if messages.is_empty() {
        return None;
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let title = text(item.get("title").or_else(|| chat.get("title")));
    let pinned = item.get("pinned").and_then(Value::as_bool);
    let model = text(chat.pointer("/models/0"));
    Some(Imported {
        change: ThreadChange {
            title: Some(title.trim().chars().take(TITLE).collect()),
            model: Some(model),
            system: Some(text(
                chat.pointer("/params/system").or_else(|| chat.get("system")),
            )),
            pinned: Some(pinned.unwrap_or(false)),
            options: Some(options(chat)),
            ..ThreadChange::default()
        },
        leaf: history
            .get("currentId")
            .and_then(Value::as_str)
            .map(str::to_owned),
        messages,
    })
}

/// Parameters that have the same name and meaning here.
fn options(chat: &Value) -> Value {
    let mut options = Map::new();
    for name in ["temperature", "top_p", "max_tokens", "seed"] {
        if let Some(value) = chat
            .pointer(&format!("/params/{name}"))
            .filter(|value| value.is_number())
        {
            options.insert(name.into(), value.clone());
        }
    }
    Value::Object(options)
}

fn said(node: &Value) -> Option<Said> {
    let text = |name: &str| node.get(name).and_then(Value::as_str);
    let role = match text("role")? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    Some(Said {
        parent: text("parentId").map(str::to_owned),
        role,
        content: content(node),
        model: text("model").map(str::to_owned),
        finish: (role == Role::Assistant).then(|| "stop".to_owned()),
        usage: None,
        details: node
            .get("timestamp")
            .filter(|time| time.is_number())
            .map(|time| json!({"timestamp": time})),
    })
}

/// The text, and pictures that the message holds itself; others lie on the server that it comes from.
fn content(node: &Value) -> Value {
    let text = node.get("content").and_then(Value::as_str).unwrap_or_default();
    let files = node.get("files").and_then(Value::as_array);
    let pictures: Vec<Value> = files
        .into_iter()
        .flatten()
        .filter_map(|file| file.get("url").and_then(Value::as_str))
        .filter(|url| url.starts_with("data:image/"))
        .map(|url| json!({"type": "image_url", "image_url": {"url": url}}))
        .collect();
    if pictures.is_empty() {
        return text.into();
    }
    let mut parts = vec![json!({"type": "text", "text": text})];
    parts.extend(pictures);
    Value::Array(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export() -> Value {
        json!([{
            "id": "1", "user_id": "u", "title": "Trees", "pinned": true, "archived": false,
            "chat": {
                "title": "Trees", "models": ["llama3.2:1b"], "params": {"temperature": 0.5, "stop": "x"}, "system": "Be brief.",
                "history": {"currentId": "c", "messages": {
                    "c": {"id": "c", "parentId": "a", "role": "assistant", "content": "Beech", "model": "llama3.2:1b", "timestamp": 1_700_000_001},
                    "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "Oak", "model": "llama3.2:1b"},
                    "a": {"id": "a", "parentId": null, "childrenIds": ["b", "c"], "role": "user", "content": "A tree?",
                        "files": [{"type": "image", "url": "data:image/png;base64,AA=="}, {"type": "file", "url": "/files/1"}]},
                }},
            },
        }])
    }

    #[test]
    fn a_chat_keeps_its_branches_pictures_and_the_branch_that_was_shown() {
        let read = read(&export());
        let [chat] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(chat.leaf.as_deref(), Some("c"));
        assert_eq!(chat.change.title.as_deref(), Some("Trees"));
        assert_eq!(chat.change.system.as_deref(), Some("Be brief."));
        assert_eq!(chat.change.pinned, Some(true));
        assert_eq!(chat.change.options, Some(json!({"temperature": 0.5})));
        let [(first, question), (_, one), (_, other)] = chat.messages.as_slice() else {
            panic!("three messages")
        };
        assert_eq!(first, "a");
        assert_eq!(
            question.content[1]["image_url"]["url"],
            "data:image/png;base64,AA=="
        );
        assert_eq!(question.content.as_array().unwrap().len(), 2);
        assert_eq!(
            [&one.parent, &other.parent],
            [&Some("a".to_owned()), &Some("a".to_owned())]
        );
    }

    #[test]
    fn the_inner_object_alone_is_read_too_and_nonsense_passed_over() {
        let inner = export()[0]["chat"].clone();
        assert_eq!(read(&json!([inner, {"chat": 1}, 3])).len(), 1);
        assert_eq!(read(&inner).len(), 1);
    }
}
