//! Writing the system prompt and the conversation: turns of `user` and `assistant` that alternate.

use super::{
    VENDOR,
    block::{self, Place, cache},
};
use crate::{
    chat::{Content, Message, Part, Role, TranslateError, refuse},
    json::Object,
};

/// One part of a turn and where it stood.
#[derive(Clone, Copy)]
struct Block<'r> {
    part: &'r Part,
    place: Place,
}

struct Turn<'r> {
    is_user: bool,
    blocks: Vec<Block<'r>>,
}

#[derive(Default)]
struct Conversation<'r> {
    system: Vec<&'r Message>,
    turns: Vec<Turn<'r>>,
    /// A system prompt stood after the first turn.
    moved: bool,
}

/// Writes `system` and `messages`.
pub(super) fn write(
    root: &mut Object<'_>,
    messages: &[Message],
    notes: &mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut conversation = Conversation::default();
    for (index, message) in messages.iter().enumerate() {
        conversation.message(index, message, notes)?;
    }
    if conversation.moved {
        notes.push(format!(
            "system messages inside the conversation were moved to its start, as {VENDOR} wants it"
        ));
    }
    if conversation.turns.is_empty() {
        return refuse(
            "messages",
            "must have at least one message that is not a system prompt",
        );
    }
    system(root, &conversation.system);
    let last = conversation.turns.len().saturating_sub(1);
    let mut list = root.list("messages");
    for (index, turn) in conversation.turns.iter().enumerate() {
        let mut object = list.object();
        object.text("role", if turn.is_user { "user" } else { "assistant" });
        let mut blocks = object.list("content");
        let end = turn.blocks.len().saturating_sub(1);
        for (position, each) in turn.blocks.iter().enumerate() {
            // The answer continues this text, which must not end in white space.
            let is_prefill = index == last && !turn.is_user && position == end;
            match &each.part.content {
                Content::Text { text, .. } if is_prefill => {
                    let mut object = blocks.object();
                    object.text("type", "text").text("text", text.trim_end());
                    cache(&mut object, each.part.cache.as_ref());
                }
                _ => block::write(&mut blocks, each.part, each.place)?,
            }
        }
    }
    Ok(())
}

/// One text, or blocks where a part of it is marked for the cache.
fn system(root: &mut Object<'_>, messages: &[&Message]) {
    let is_marked = messages
        .iter()
        .flat_map(|message| &message.parts)
        .any(|part| part.cache.is_some());
    if is_marked {
        let mut list = root.list("system");
        for part in messages.iter().flat_map(|message| &message.parts) {
            if let Some(text) = part.as_text() {
                let mut object = list.object();
                object.text("type", "text").text("text", text);
                cache(&mut object, part.cache.as_ref());
            }
        }
        return;
    }
    let prompts: Vec<String> = messages
        .iter()
        .map(|message| {
            let texts: Vec<&str> = message.parts.iter().filter_map(Part::as_text).collect();
            texts.join("\n")
        })
        .filter(|prompt| !prompt.is_empty())
        .collect();
    if !prompts.is_empty() {
        root.text("system", &prompts.join("\n\n"));
    }
}

impl<'r> Conversation<'r> {
    fn message(
        &mut self,
        index: usize,
        message: &'r Message,
        notes: &mut Vec<String>,
    ) -> Result<(), TranslateError> {
        if message.name.is_some() {
            notes.push(format!(
                "messages[{index}].name was left out: {VENDOR} names no participants"
            ));
        }
        match message.role {
            Role::System | Role::Developer => {
                if message.parts.iter().any(|part| part.as_text().is_none()) {
                    return refuse(
                        format!("messages[{index}].content"),
                        "must have parts of text only",
                    );
                }
                self.moved |= !self.turns.is_empty();
                self.system.push(message);
                Ok(())
            }
            Role::User | Role::Tool => {
                note_details(index, message, notes);
                self.user(index, message)
            }
            Role::Assistant => {
                self.assistant(index, message, notes);
                Ok(())
            }
        }
    }

    fn user(&mut self, index: usize, message: &'r Message) -> Result<(), TranslateError> {
        let blocks = blocks(index, message);
        if blocks.is_empty() {
            return refuse(format!("messages[{index}].content"), "must not be empty");
        }
        self.extend(true, blocks);
        Ok(())
    }

    fn assistant(&mut self, index: usize, message: &'r Message, notes: &mut Vec<String>) {
        let mut lost = false;
        let blocks: Vec<Block<'r>> = blocks(index, message)
            .into_iter()
            .filter(|block| {
                let is_known = block::is_own(&block.part.content);
                lost |= !is_known;
                is_known
            })
            .collect();
        if lost {
            notes.push(format!(
                "messages[{index}].reasoning_content was left out: {VENDOR} takes back thinking with its own signature only"
            ));
        }
        if blocks.is_empty() {
            if !lost {
                notes.push(format!("messages[{index}] was left out: it is empty"));
            }
            return;
        }
        self.extend(false, blocks);
    }

    /// Adds to the last turn when it is this role's, else to a new one.
    fn extend(&mut self, is_user: bool, blocks: Vec<Block<'r>>) {
        match self.turns.last_mut() {
            Some(turn) if turn.is_user == is_user => turn.extend(blocks),
            _ => {
                let mut turn = Turn {
                    is_user,
                    blocks: Vec::with_capacity(blocks.len()),
                };
                turn.extend(blocks);
                self.turns.push(turn);
            }
        }
    }
}

impl<'r> Turn<'r> {
    /// Results of tools belong before anything else.
    fn extend(&mut self, blocks: Vec<Block<'r>>) {
        let is_result = |block: &Block<'_>| matches!(block.part.content, Content::ToolResult { .. });
        for block in blocks {
            let place = if is_result(&block) {
                self.blocks.iter().take_while(|known| is_result(known)).count()
            } else {
                self.blocks.len()
            };
            self.blocks.insert(place, block);
        }
    }
}

fn note_details(index: usize, message: &Message, notes: &mut Vec<String>) {
    for (position, part) in message.parts.iter().enumerate() {
        if let Content::Image {
            detail: Some(detail), ..
        } = &part.content
            && detail != "auto"
        {
            notes.push(format!(
                "messages[{index}].content[{position}].image_url.detail {detail} was left out: {VENDOR} has no image detail"
            ));
        }
    }
}

/// The parts of a message that say something: empty texts are refused.
fn blocks(index: usize, message: &Message) -> Vec<Block<'_>> {
    let mut calls = 0;
    let mut blocks = Vec::with_capacity(message.parts.len());
    for (position, part) in message.parts.iter().enumerate() {
        let is_call = matches!(part.content, Content::ToolCall { .. });
        let place = Place {
            message: index,
            part: if is_call { calls } else { position },
        };
        calls += usize::from(is_call);
        if part.as_text() != Some("") {
            blocks.push(Block { part, place });
        }
    }
    blocks
}
