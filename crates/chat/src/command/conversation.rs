//! A conversation: what was said, with whom, and its memory on the server.

use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Session, View},
};

use super::{
    DEFAULT_MODEL,
    answer::{self, Answer, Asked},
    history::{History, Past, encode},
    whole,
};
use crate::threads::{Role, Thread};

/// A conversation under way.
pub(super) struct Conversation {
    pub(super) session: Session,
    pub(super) history: History,
    pub(super) model: String,
    /// How much chance there is in answers; as the model has it, if nothing is said.
    pub(super) temperature: Option<f64>,
    system: String,
    thread: Option<Thread>,
    /// Role and content of what was said, as the model APIs take it.
    said: Vec<Value>,
    /// The message that the next one follows.
    leaf: Option<String>,
    /// Whether the server keeps it; it may not let us.
    kept: bool,
}

impl Conversation {
    pub(super) fn new(
        session: Session,
        history: History,
        past: Option<Past>,
        model: Option<String>,
        system: Option<String>,
    ) -> Self {
        let mut conversation = Self {
            session,
            history,
            model: DEFAULT_MODEL.into(),
            temperature: None,
            system: String::new(),
            thread: None,
            said: Vec::new(),
            leaf: None,
            kept: true,
        };
        if let Some(past) = past {
            conversation.go_on_with(past);
        }
        conversation.model = model.unwrap_or(conversation.model);
        conversation.system = system.unwrap_or(conversation.system);
        conversation
    }

    /// Goes on with an earlier conversation.
    pub(super) fn go_on_with(&mut self, past: Past) {
        if !past.thread.model.is_empty() {
            self.model.clone_from(&past.thread.model);
        }
        self.system.clone_from(&past.thread.system);
        self.said = past
            .messages
            .iter()
            .map(|message| json!({"role": message.said.role.as_str(), "content": message.said.content}))
            .collect();
        self.leaf.clone_from(&past.thread.leaf);
        self.thread = Some(past.thread);
    }

    /// Begins anew, with the same model and system prompt.
    pub(super) fn begin_anew(&mut self) {
        (self.thread, self.leaf) = (None, None);
        self.said.clear();
    }

    /// Talks with another model from now on.
    ///
    /// # Errors
    /// `NotFound` when there is no such model.
    pub(super) async fn set_model(&mut self, model: &str) -> Result<()> {
        answer::look_up(&self.session, &format!("/v1/models/{}", encode(model))).await?;
        model.clone_into(&mut self.model);
        if let Some(thread) = &self.thread {
            self.history.set_model(&thread.id, model).await?;
        }
        Ok(())
    }

    /// The id of the conversation, once something was said in it.
    pub(super) fn thread(&self) -> Option<&str> {
        self.thread.as_ref().map(|thread| thread.id.as_str())
    }

    /// Asks, shows the answer as it comes, and keeps both. Ctrl-C stops the answer and keeps what there is of it.
    ///
    /// # Errors
    /// What the server said. A question without any answer is forgotten here; on the server it is a branch that
    /// nothing follows, or gone with the conversation that it was to begin.
    pub(super) async fn ask(&mut self, question: &str) -> Result<()> {
        let before = (self.said.len(), self.leaf.clone());
        self.say(json!({"role": "user", "content": question})).await;
        let mut answer = Answer::default();
        let result = self.receive(&mut answer).await;
        if answer.text.is_empty() && result.is_err() {
            self.said.truncate(before.0);
            self.leaf = before.1;
            self.forget_beginning().await;
            return result.map(drop);
        }
        let finish = match &result {
            Ok(End::Whole) => answer.finish.clone().unwrap_or_else(|| "stop".into()),
            Ok(End::Interrupted) => "interrupted".into(),
            Err(_) => "error".into(),
        };
        let message = self
            .say(json!({
                "role": Role::Assistant.as_str(), "content": answer.text, "finish": finish,
                "model": answer.model.as_ref().unwrap_or(&self.model), "usage": answer.measured(),
            }))
            .await;
        self.show_end(&answer, matches!(result, Ok(End::Interrupted)), message)?;
        result.map(drop)
    }

    /// Removes a conversation in which nothing was said yet.
    async fn forget_beginning(&mut self) {
        if !self.said.is_empty() {
            return;
        }
        if let Some(thread) = self.thread.take() {
            // One that stays is an empty line in a list.
            let _ = self.history.remove(&thread.id).await;
        }
    }

    async fn receive(&self, answer: &mut Answer) -> Result<End> {
        let mut messages = Vec::with_capacity(self.said.len() + 1);
        if !self.system.is_empty() {
            messages.push(json!({"role": Role::System.as_str(), "content": self.system}));
        }
        messages.extend(self.said.iter().cloned());
        let terminal = self.session.terminal.as_ref();
        let silent = whole(self.session.format);
        let show = |text: &str| {
            if silent {
                Ok(())
            } else {
                terminal.write(&harmless(text))
            }
        };
        let asked = Asked {
            model: &self.model,
            messages: &messages,
            temperature: self.temperature,
        };
        tokio::select! {
            result = answer::stream(&self.session, &asked, answer, &show) => result.map(|()| End::Whole),
            // Dropping the request closes its connection, and the server stops generating.
            () = terminal.interrupted() => Ok(End::Interrupted),
        }
    }

    fn show_end(&self, answer: &Answer, interrupted: bool, message: Value) -> Result<()> {
        let terminal = self.session.terminal.as_ref();
        if whole(self.session.format) {
            terminal.print(&View {
                items: vec![message],
                ..View::default()
            })?;
        } else if !answer.text.ends_with('\n') {
            terminal.write("\n")?;
        }
        let stopped = if interrupted { "stopped · " } else { "" };
        terminal.aside(&format!("{stopped}{}", answer.summary()));
        Ok(())
    }

    /// Adds a message to the conversation, here and on the server. Returns it as the server keeps it, if it does.
    async fn say(&mut self, message: Value) -> Value {
        self.said
            .push(json!({"role": message.get("role"), "content": message.get("content")}));
        if !self.kept {
            return message;
        }
        match self.keep(message.clone()).await {
            Ok(stored) => stored,
            Err(error) => {
                self.kept = false;
                let why = error.full_message();
                self.session
                    .terminal
                    .note(&format!("this conversation is not kept: {why}"));
                message
            }
        }
    }

    async fn keep(&mut self, mut message: Value) -> Result<Value> {
        let thread = if let Some(thread) = &self.thread {
            thread.id.clone()
        } else {
            let thread = self.history.begin(&self.model, &self.system).await?;
            let id = thread.id.clone();
            self.thread = Some(thread);
            id
        };
        if let Some(message) = message.as_object_mut() {
            message.insert("parent".into(), json!(self.leaf));
        }
        let stored = self.history.append(&thread, message).await?;
        self.leaf = Some(stored.id.clone());
        serde_json::to_value(stored).map_err(|error| Error::internal("a message is JSON").because(error))
    }
}

/// How an answer ended without a fault.
enum End {
    Whole,
    Interrupted,
}

/// Text of a model without what would steer the terminal; line breaks and tabs stay.
fn harmless(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars()
        .map(|letter| {
            if steers(letter) {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        })
        .collect()
}
