//! What guardrails do with a whole answer before its client gets it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use stead_dialects::chat::{Choice, Content, Wire};
use stead_guard::Encoding;

use super::{
    active::Blocked,
    request::{Direction, Watch},
    texts,
};

/// A whole answer after its guardrails.
pub(crate) struct Looked {
    /// For the client: with its own values put back.
    pub(crate) body: Bytes,
    /// For the record: without them.
    pub(crate) masked: Bytes,
    /// What the model says, for judges.
    pub(crate) said: String,
}

/// What was found in the texts of an answer so far.
#[derive(Default)]
struct Pass {
    blocked: Option<(usize, String)>,
    changed: bool,
    said: String,
}

impl Watch {
    /// Looks at a whole answer in a dialect.
    ///
    /// # Errors
    /// When a rule blocks it.
    pub(crate) fn output(&mut self, body: &Bytes, wire: Wire) -> Result<Looked, Blocked> {
        let parsed = serde_json::from_slice::<Value>(body).ok();
        // A text may be a number, and is a text all the same.
        let Some(mut answer) = parsed.filter(|answer| answer.is_object() || answer.is_array()) else {
            return self.plain(body);
        };
        let mut pass = Pass::default();
        texts::visit(&mut answer, &mut |text| self.answered(text.text, &mut pass));
        let Pass {
            blocked,
            changed,
            said,
        } = pass;
        if let Some((rule, why)) = blocked {
            return Err(answer_blocked(rule, Some(why)));
        }
        for text in choices(body, &answer, wire) {
            self.fits(&text)?;
        }
        let masked = if changed {
            Bytes::from(answer.to_string())
        } else {
            body.clone()
        };
        let body = self.restored(answer, &masked);
        Ok(Looked { body, masked, said })
    }

    /// Looks at an answer that is no JSON: a transcript as plain text or subtitles. Sound is no text.
    fn plain(&mut self, body: &Bytes) -> Result<Looked, Blocked> {
        let Ok(text) = std::str::from_utf8(body) else {
            return Ok(Looked {
                body: body.clone(),
                masked: body.clone(),
                said: String::new(),
            });
        };
        let mut masked = text.to_owned();
        let mut pass = Pass::default();
        self.answered(&mut masked, &mut pass);
        if let Some((rule, why)) = pass.blocked {
            return Err(answer_blocked(rule, Some(why)));
        }
        Ok(Looked {
            body: self.vault.restore(&masked, Encoding::Plain).into(),
            masked: masked.into(),
            said: pass.said,
        })
    }

    /// Looks at one text of an answer, and hides what has to be hidden.
    fn answered(&mut self, text: &mut String, pass: &mut Pass) {
        let active = Arc::clone(&self.active);
        let found = self.look(&active.output.block, &active.output.tell, text);
        let attempt = self.attempt(text, Direction::Output);
        if pass.blocked.is_none() {
            pass.blocked = found.or(attempt);
        }
        pass.said.push_str(text);
        pass.said.push('\n');
        if !active.output.redact.is_empty() {
            let masked = active.output.redact.rewrite(text, &mut |found| {
                self.seen.acts(found.rule, found.label);
                self.vault.mask(found.label, found.value)
            });
            pass.changed |= masked != *text;
            *text = masked;
        }
    }

    /// The same answer with the client's values in the place of their placeholders.
    fn restored(&self, mut answer: Value, masked: &Bytes) -> Bytes {
        if self.vault.is_empty() {
            return masked.clone();
        }
        let mut changed = false;
        texts::visit(&mut answer, &mut |text| {
            let restored = self.vault.restore(text.text, Encoding::Plain);
            changed |= restored != *text.text;
            *text.text = restored;
        });
        if changed {
            answer.to_string().into()
        } else {
            masked.clone()
        }
    }

    /// Whether a text of an answer fits the schemas that it must fit.
    pub(super) fn fits(&mut self, text: &str) -> Result<(), Blocked> {
        let active = Arc::clone(&self.active);
        for (rule, schema) in active.schemas() {
            if let Err(wrong) = schema.check(text) {
                let why = format!("it does not fit the schema: {}", wrong.join("; "));
                self.seen
                    .judged(&active, answer_blocked(rule, Some(why)), "SCHEMA")?;
            }
        }
        Ok(())
    }
}

/// A rule blocks an answer.
pub(super) fn answer_blocked(rule: usize, why: Option<String>) -> Blocked {
    Blocked {
        rule,
        what: "answer",
        why,
    }
}

/// The text of each choice that does not call tools.
fn choices(body: &[u8], answer: &Value, wire: Wire) -> Vec<String> {
    if let Some(Ok(answer)) = stead_dialects::provider(wire).map(|dialect| dialect.answer(body)) {
        return answer.choices.iter().filter_map(text_of).collect();
    }
    let choices = answer.get("choices").and_then(Value::as_array);
    let text = |choice: &Value| {
        let content = choice
            .pointer("/message/content")
            .or_else(|| choice.get("text"))?;
        content.as_str().map(str::to_owned)
    };
    choices.into_iter().flatten().filter_map(text).collect()
}

fn text_of(choice: &Choice) -> Option<String> {
    let calls = |content: &Content| matches!(content, Content::ToolCall { .. });
    if choice.parts.iter().any(|part| calls(&part.content)) {
        return None;
    }
    Some(choice.parts.iter().filter_map(|part| part.as_text()).collect())
}
