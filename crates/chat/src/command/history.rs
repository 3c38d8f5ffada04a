//! The server's memory of conversations, as the command uses it.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Server, Session},
    ports::Page,
};

use crate::threads::{Message, Thread};

/// How many messages are read at once.
const PAGE: usize = 500;

/// Reads and writes threads over `/api/threads`.
#[derive(Clone)]
pub(super) struct History {
    server: Arc<dyn Server>,
    project: String,
}

/// A thread with the messages that lead to its newest one.
pub(super) struct Past {
    pub(super) thread: Thread,
    pub(super) messages: Vec<Message>,
}

impl History {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            server: Arc::clone(&session.server),
            project: session.project.clone(),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Option<Value>,
    ) -> Result<T> {
        let path = format!("/api/threads{path}?project={}{query}", encode(&self.project));
        let answer = self.server.json(method, &path, body).await?;
        serde_json::from_value(answer).map_err(|error| {
            Error::internal("the server's answer about conversations is not understood").because(error)
        })
    }

    /// The last used threads.
    pub(super) async fn last(&self, count: usize) -> Result<Vec<Thread>> {
        let page: Page<Thread> = self
            .call(Method::GET, "", &format!("&limit={count}"), None)
            .await?;
        Ok(page.items)
    }

    /// The last used thread with its messages.
    pub(super) async fn load_last(&self) -> Result<Past> {
        let thread = self.last(1).await?.into_iter().next();
        let thread = thread.ok_or_else(|| {
            Error::not_found("there is no conversation to go on with").hint("begin one: stead chat")
        })?;
        self.with_messages(thread).await
    }

    /// A thread with its messages.
    pub(super) async fn load(&self, id: &str) -> Result<Past> {
        let thread = self
            .call(Method::GET, &format!("/{}", encode(id)), "", None)
            .await?;
        self.with_messages(thread).await
    }

    async fn with_messages(&self, thread: Thread) -> Result<Past> {
        let path = format!("/{}/messages", encode(&thread.id));
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page: Page<Message> = self
                .call(Method::GET, &path, &format!("&limit={PAGE}{after}"), None)
                .await?;
            all.extend(page.items);
            let Some(next) = page.next else {
                break;
            };
            after = format!("&after={}", encode(&next));
        }
        let messages = chain(all, thread.leaf.as_deref());
        Ok(Past { thread, messages })
    }

    /// Begins a thread.
    pub(super) async fn begin(&self, model: &str, system: &str) -> Result<Thread> {
        self.call(
            Method::POST,
            "",
            "",
            Some(json!({"model": model, "system": system})),
        )
        .await
    }

    /// Appends a message.
    pub(super) async fn append(&self, thread: &str, message: Value) -> Result<Message> {
        self.call(
            Method::POST,
            &format!("/{}/messages", encode(thread)),
            "",
            Some(message),
        )
        .await
    }

    /// Removes a thread with its messages.
    pub(super) async fn remove(&self, thread: &str) -> Result<()> {
        let path = format!(
            "/api/threads/{}?project={}",
            encode(thread),
            encode(&self.project)
        );
        self.server.json(Method::DELETE, &path, None).await.map(drop)
    }

    /// Notes which model the thread is held with.
    pub(super) async fn set_model(&self, thread: &str, model: &str) -> Result<Thread> {
        self.call(
            Method::PATCH,
            &format!("/{}", encode(thread)),
            "",
            Some(json!({"model": model})),
        )
        .await
    }
}

/// The messages from the beginning to the leaf, branches left out.
fn chain(all: Vec<Message>, leaf: Option<&str>) -> Vec<Message> {
    let mut by_id: HashMap<String, Message> = all
        .into_iter()
        .map(|message| (message.id.clone(), message))
        .collect();
    let mut chain = Vec::new();
    let mut next = leaf.map(str::to_owned);
    // Taking each message out of the map ends even a chain that bites its tail.
    while let Some(message) = next.as_ref().and_then(|id| by_id.remove(id)) {
        next.clone_from(&message.said.parent);
        chain.push(message);
    }
    chain.reverse();
    chain
}

/// Text as a part of a path or query: everything but unreserved characters percent-encoded (RFC 3986, 2.3).
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
