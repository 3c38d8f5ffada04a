//! Threads and messages: what they are, where they are kept, and their routes.

mod routes;
mod search;
mod store;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::Timestamp;

pub(crate) use self::{
    routes::routes,
    store::{Imported, Owner, Part, ThreadChange, Threads},
};

/// The collection of threads.
pub(crate) const THREADS: &str = "chat.threads";
/// The collection of messages.
pub(crate) const MESSAGES: &str = "chat.messages";

/// A conversation, as `/api/threads` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Thread {
    /// A UUID of version 7.
    pub(crate) id: String,
    /// What it is about; the beginning of its first question unless somebody says otherwise.
    pub(crate) title: String,
    /// The model that it is held with.
    pub(crate) model: String,
    /// What the model is told before everything else.
    pub(crate) system: String,
    /// The newest message, or the end of the branch that was looked at last; a reply without `parent` follows it.
    #[serde(default)]
    pub(crate) leaf: Option<String>,
    /// In which folder it lies; empty for none.
    #[serde(default)]
    pub(crate) folder: String,
    /// Whether it stands before all others.
    #[serde(default)]
    pub(crate) pinned: bool,
    /// What else the page knows of it: parameters, further models, collections. Anything.
    #[serde(default)]
    pub(crate) options: Value,
    /// Whose it is.
    pub(crate) owner: String,
    /// In which project.
    pub(crate) project: String,
    /// Counts its changes.
    pub(crate) version: u64,
    /// When it was begun.
    pub(crate) created: Timestamp,
    /// When something was last said or changed in it.
    pub(crate) updated: Timestamp,
}

/// Something that was said, as `/api/threads/{id}/messages` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// A UUID of version 7.
    pub(crate) id: String,
    /// The thread.
    pub(crate) thread: String,
    /// When.
    pub(crate) created: Timestamp,
    /// What.
    #[serde(flatten)]
    pub(crate) said: Said,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Said {
    /// The message that this one follows; several may follow one, which makes branches.
    #[serde(default)]
    pub(crate) parent: Option<String>,
    /// Who said it.
    pub(crate) role: Role,
    /// A text, or parts as the OpenAI chat API has them.
    pub(crate) content: Value,
    /// The model that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Why it ended: `stop`, `length`, `interrupted`, `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finish: Option<String>,
    /// What it took: tokens and times, as the client measured them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Value>,
    /// What belongs to it: the request's id, files, citations, thoughts. Anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Value>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The system prompt.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool.
    Tool,
}

impl Role {
    /// The role as the OpenAI chat API spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// The text of a message, its parts joined.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
