//! What guardrails do with a streamed answer, an event at a time.
//!
//! *Invariant:* the texts that it passes on do not depend on how the provider split them.

use std::{collections::BTreeMap, sync::Arc};

use stead_dialects::chat::{Delta, Event};
use stead_guard::{Encoding, Feed, Piece, Restorer, Scanner};

use super::{
    active::Blocked,
    answer::answer_blocked,
    request::{Direction, Watch, holds},
};

/// The most of an answer's text that is kept for rules that look at all of it, in bytes.
const KEPT: usize = 4 << 20;

/// What passes: each event for the record, where the client's values are not put back, and for the client.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) masked: Vec<Event>,
    pub(crate) restored: Vec<Event>,
}

impl Passed {
    fn both(&mut self, event: Event) {
        self.masked.push(event.clone());
        self.restored.push(event);
    }
}

/// Looks at the events of a streamed answer.
pub(crate) struct Filter {
    pub(crate) watch: Watch,
    /// What is being said, by choice.
    open: BTreeMap<u32, Open>,
    /// What each choice said as text, and whether it called a tool.
    said: BTreeMap<u32, Said>,
}

#[derive(Default)]
struct Said {
    text: String,
    calls: bool,
}

/// Sorts of texts in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Text,
    Reasoning,
    Refusal,
    Arguments(u32),
}

impl Channel {
    fn delta(self, text: String) -> Delta {
        match self {
            Self::Text => Delta::Text(text),
            Self::Reasoning => Delta::Reasoning(text),
            Self::Refusal => Delta::Refusal(text),
            Self::Arguments(index) => Delta::Arguments { index, text },
        }
    }

    const fn encoding(self) -> Encoding {
        match self {
            Self::Arguments(_) => Encoding::Json,
            Self::Text | Self::Reasoning | Self::Refusal => Encoding::Plain,
        }
    }
}

/// A text that may go on.
struct Open {
    channel: Channel,
    block: Option<Feed>,
    tell: Option<Feed>,
    redact: Option<Feed>,
    restorer: Restorer,
}

/// Whether more of a text follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Follows,
    Nothing,
}

fn feed(scanner: &Arc<Scanner>) -> Option<Feed> {
    (!scanner.is_empty()).then(|| scanner.feed())
}

/// Gives a text to a scanner, and to `sink` what is decided of it.
fn give(feed: &mut Feed, text: &str, more: More, sink: &mut dyn FnMut(Piece<'_>)) {
    feed.push(text, sink);
    if more == More::Nothing {
        feed.finish(sink);
    }
}

impl Filter {
    pub(crate) fn new(watch: Watch) -> Self {
        Self {
            watch,
            open: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    /// Takes in an event; what is decided passes.
    ///
    /// # Errors
    /// When a rule blocks the answer.
    pub(crate) fn event(&mut self, event: Event, passed: &mut Passed) -> Result<(), Blocked> {
        match event {
            Event::Delta { choice, delta } => self.delta(choice, delta, passed),
            Event::Stop { choice, stop } => {
                self.close(choice, passed)?;
                passed.both(Event::Stop { choice, stop });
                Ok(())
            }
            other @ (Event::Start { .. } | Event::Usage(_) | Event::Error(_) | Event::End) => {
                passed.both(other);
                Ok(())
            }
        }
    }

    fn delta(&mut self, choice: u32, delta: Delta, passed: &mut Passed) -> Result<(), Blocked> {
        let (channel, text) = match delta {
            Delta::Text(text) => (Channel::Text, text),
            Delta::Reasoning(text) => (Channel::Reasoning, text),
            Delta::Refusal(text) => (Channel::Refusal, text),
            Delta::Arguments { index, text } => (Channel::Arguments(index), text),
            // Tokens tell what was hidden, and what was put back was never one.
            Delta::Logprobs(_) if self.changes_texts() => return Ok(()),
            Delta::ToolCall { .. } => {
                self.said.entry(choice).or_default().calls = true;
                return self.pass(choice, delta, passed);
            }
            Delta::Signature(_) | Delta::Redacted(_) | Delta::Part(_) => {
                return self.pass(choice, delta, passed);
            }
            // They belong to the text so far, which must not end for them.
            Delta::Citation(_) | Delta::Logprobs(_) => {
                passed.both(Event::Delta { choice, delta });
                return Ok(());
            }
        };
        if self.open.get(&choice).is_some_and(|open| open.channel != channel) {
            self.close(choice, passed)?;
        }
        self.text(choice, channel, &text, More::Follows, passed)
    }

    fn pass(&mut self, choice: u32, delta: Delta, passed: &mut Passed) -> Result<(), Blocked> {
        self.close(choice, passed)?;
        passed.both(Event::Delta { choice, delta });
        Ok(())
    }

    fn changes_texts(&self) -> bool {
        !self.watch.vault.is_empty() || !self.watch.active.output.redact.is_empty()
    }

    /// Ends what a choice was saying.
    fn close(&mut self, choice: u32, passed: &mut Passed) -> Result<(), Blocked> {
        let Some(open) = self.open.get(&choice) else {
            return Ok(());
        };
        self.text(choice, open.channel, "", More::Nothing, passed)?;
        self.open.remove(&choice);
        Ok(())
    }

    /// Takes a text through the scanners, one after the other.
    fn text(
        &mut self,
        choice: u32,
        channel: Channel,
        text: &str,
        more: More,
        passed: &mut Passed,
    ) -> Result<(), Blocked> {
        let active = Arc::clone(&self.watch.active);
        let open = self.open.entry(choice).or_insert_with(|| Open {
            channel,
            block: feed(&active.output.block),
            tell: feed(&active.output.tell),
            redact: feed(&active.output.redact),
            restorer: Restorer::default(),
        });
        let (seen, vault) = (&mut self.watch.seen, &mut self.watch.vault);
        let mut text = text.to_owned();
        let mut blocked = None;
        for scanner in [&mut open.block, &mut open.tell].into_iter().flatten() {
            let mut looked = String::with_capacity(text.len());
            give(scanner, &text, more, &mut |piece| match piece {
                Piece::Text(text) => looked.push_str(text),
                Piece::Found(found) => {
                    let acts = seen.value(&active, &found);
                    let blocks = active.blocks(found.rule);
                    if acts && blocks && blocked.is_none() {
                        blocked = Some((found.rule, holds(found.label)));
                    }
                    looked.push_str(found.value);
                }
            });
            text = looked;
        }
        if let Some((rule, why)) = blocked {
            return Err(answer_blocked(rule, Some(why)));
        }
        if let Some(scanner) = &mut open.redact {
            let mut masked = String::with_capacity(text.len());
            give(scanner, &text, more, &mut |piece| match piece {
                Piece::Text(text) => masked.push_str(text),
                Piece::Found(found) => {
                    seen.acts(found.rule, found.label);
                    masked.push_str(&vault.mask(found.label, found.value));
                }
            });
            text = masked;
        }
        let mut restored = String::with_capacity(text.len());
        open.restorer
            .push(&text, vault, channel.encoding(), &mut restored);
        if more == More::Nothing {
            open.restorer.finish(&mut restored);
        }
        self.keep(choice, channel, &text);
        for (text, events) in [(text, &mut passed.masked), (restored, &mut passed.restored)] {
            if !text.is_empty() {
                events.push(Event::Delta {
                    choice,
                    delta: channel.delta(text),
                });
            }
        }
        Ok(())
    }

    fn keep(&mut self, choice: u32, channel: Channel, text: &str) {
        let said = self.said.entry(choice).or_default();
        if channel == Channel::Text && said.text.len() + text.len() <= KEPT {
            said.text.push_str(text);
        }
    }

    /// The answer is complete: looks at what only the whole tells. Returns what the model said, for judges.
    ///
    /// # Errors
    /// When a rule blocks it.
    pub(crate) fn finish(&mut self, passed: &mut Passed) -> Result<String, Blocked> {
        let choices: Vec<u32> = self.open.keys().copied().collect();
        for choice in choices {
            self.close(choice, passed)?;
        }
        let mut all = String::new();
        for (_, Said { text, calls }) in std::mem::take(&mut self.said) {
            if let Some((rule, why)) = self.watch.attempt(&text, Direction::Output) {
                return Err(answer_blocked(rule, Some(why)));
            }
            if !calls {
                self.watch.fits(&text)?;
            }
            all.push_str(&text);
            all.push('\n');
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use stead_dialects::chat::Stop;

    use super::*;
    use crate::guardrail::request::tests::watch;

    fn text(text: &str) -> Event {
        Event::Delta {
            choice: 0,
            delta: Delta::Text(text.to_owned()),
        }
    }

    /// The texts of what passes, put together.
    fn said(events: &[Event]) -> String {
        let texts = events.iter().map(|event| match event {
            Event::Delta { delta, .. } => match delta {
                Delta::Text(text) | Delta::Reasoning(text) | Delta::Arguments { text, .. } => text.clone(),
                Delta::ToolCall { name, .. } => format!("<{name}>"),
                _ => String::new(),
            },
            Event::Stop { .. } => "<stop>".to_owned(),
            _ => String::new(),
        });
        texts.collect()
    }

    fn run(filter: &mut Filter, events: Vec<Event>) -> Result<(String, String), Blocked> {
        let mut passed = Passed::default();
        for event in events {
            filter.event(event, &mut passed)?;
        }
        filter.finish(&mut passed)?;
        Ok((said(&passed.masked), said(&passed.restored)))
    }

    fn redacting() -> Filter {
        let mut watch = watch(json!({"rules": [{"name": "r", "action": "Redact", "detectors": ["email"]}]}));
        let mut body = json!({"messages": [{"role": "user", "content": "I am \"a\"@x.org b@x.org"}]});
        watch.input(&mut body).unwrap();
        Filter::new(watch)
    }

    #[test]
    fn values_come_back_to_the_client_and_not_to_the_record() {
        let events = vec![
            text("Hello [EMA"),
            text("IL_1], write to c@"),
            text("x.org"),
            Event::Delta {
                choice: 0,
                delta: Delta::ToolCall {
                    index: 0,
                    id: "c".into(),
                    name: "f".into(),
                    signature: None,
                },
            },
            Event::Delta {
                choice: 0,
                delta: Delta::Arguments {
                    index: 0,
                    text: "{\"to\":\"[EMAIL".into(),
                },
            },
            Event::Delta {
                choice: 0,
                delta: Delta::Arguments {
                    index: 0,
                    text: "_1]\"}".into(),
                },
            },
            Event::Stop {
                choice: 0,
                stop: Stop::ToolCalls,
            },
        ];
        let (masked, restored) = run(&mut redacting(), events).unwrap();
        assert_eq!(
            masked,
            "Hello [EMAIL_1], write to [EMAIL_2]<f>{\"to\":\"[EMAIL_1]\"}<stop>"
        );
        assert_eq!(
            restored,
            "Hello b@x.org, write to [EMAIL_2]<f>{\"to\":\"b@x.org\"}<stop>"
        );
    }

    #[test]
    fn an_answer_is_blocked_in_its_middle() {
        let mut filter = Filter::new(watch(
            json!({"rules": [{"name": "r", "action": "Block", "words": ["project falcon"]}]}),
        ));
        let mut passed = Passed::default();
        filter.event(text("about Project "), &mut passed).unwrap();
        assert_eq!(said(&passed.restored), "about ");
        let blocked = filter.event(text("FALCON, "), &mut passed).unwrap_err();
        assert_eq!((blocked.rule, blocked.what), (0, "answer"));
        assert_eq!(said(&passed.restored), "about ");
        assert_eq!(
            filter.watch.seen.label(&filter.watch.active).as_deref(),
            Some("g/r=block")
        );
    }

    #[test]
    fn what_only_the_whole_tells_is_looked_at_in_the_end() {
        let spec = json!({"rules": [{"name": "r", "action": "Block", "schema": {"type": "object", "required": ["a"]}}]});
        let run = |pieces: &[&str]| {
            let events = pieces.iter().map(|piece| text(piece)).collect();
            run(&mut Filter::new(watch(spec.clone())), events)
        };
        assert!(run(&["{\"a\"", ": 1}"]).is_ok());
        assert!(
            run(&["{\"b\"", ": 1}"])
                .unwrap_err()
                .why
                .unwrap()
                .contains("schema")
        );
    }

    proptest! {
        #[test]
        fn however_an_answer_is_split_the_same_passes(places in proptest::collection::vec(0_usize..60, 0..12)) {
            let whole = "ask [EMAIL_1] or d@x.org, [EMAIL_9] [x] c@x.org.";
            let mut places: Vec<usize> = places.into_iter().map(|at| at.min(whole.len())).collect();
            places.push(whole.len());
            places.sort_unstable();
            let mut from = 0;
            let mut events = Vec::new();
            for to in places {
                events.push(text(&whole[from..to]));
                from = to;
            }
            let (masked, restored) = run(&mut redacting(), events).unwrap();
            prop_assert_eq!(masked, "ask [EMAIL_1] or [EMAIL_2], [EMAIL_9] [x] [EMAIL_3].");
            prop_assert_eq!(restored, "ask b@x.org or [EMAIL_2], [EMAIL_9] [x] [EMAIL_3].");
        }
    }
}
