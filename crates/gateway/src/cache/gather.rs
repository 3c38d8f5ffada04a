//! Puts the events of a streamed answer together, so that it can be given again as a whole or as a stream.

use stead_dialects::chat::{Answer, Choice, Content, Delta, Event, Part, Stop};

/// The most choices of an answer that is kept.
const CHOICES: usize = 16;
/// The most bytes of an answer that is kept.
const BYTES: usize = 1 << 20;

/// An answer that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    answer: Answer,
    bytes: usize,
    /// Whether it cannot be kept: too long, or it failed.
    spoiled: bool,
}

impl Gather {
    /// Takes in an event.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Start { id, model } => {
                self.answer.id = id;
                self.answer.model = model;
            }
            Event::Delta { choice, delta } => self.delta(choice, delta),
            Event::Stop { choice, stop } => {
                if let Some(choice) = self.choice(choice) {
                    choice.stop = Some(stop);
                }
            }
            Event::Usage(usage) => self.answer.usage = Some(usage),
            Event::Error(_) => self.spoiled = true,
            Event::End => {}
        }
    }

    fn choice(&mut self, choice: u32) -> Option<&mut Choice> {
        let place = usize::try_from(choice).ok().filter(|place| *place < CHOICES);
        let Some(place) = place.filter(|_| self.bytes <= BYTES) else {
            self.spoiled = true;
            return None;
        };
        if self.answer.choices.len() <= place {
            self.answer.choices.resize_with(place + 1, Choice::default);
        }
        self.answer.choices.get_mut(place)
    }

    fn delta(&mut self, choice: u32, delta: Delta) {
        self.bytes += size(&delta);
        let Some(choice) = self.choice(choice) else {
            return;
        };
        let parts = &mut choice.parts;
        let last = parts.last_mut().map(|part| &mut part.content);
        match (delta, last) {
            (Delta::Text(more), Some(Content::Text { text, .. }))
            | (Delta::Reasoning(more), Some(Content::Reasoning { text, .. }))
            | (Delta::Refusal(more), Some(Content::Refusal(text))) => text.push_str(&more),
            (Delta::Text(text), _) => parts.push(Part::text(text)),
            (Delta::Reasoning(text), _) => parts.push(Part::new(Content::Reasoning {
                text,
                signature: None,
            })),
            (Delta::Refusal(text), _) => parts.push(Part::new(Content::Refusal(text))),
            (Delta::Signature(token), Some(Content::Reasoning { signature, .. })) => *signature = Some(token),
            (Delta::Signature(token), _) => parts.push(Part::new(Content::Reasoning {
                text: String::new(),
                signature: Some(token),
            })),
            (Delta::Redacted(data), _) => parts.push(Part::new(Content::RedactedReasoning { data })),
            (
                Delta::ToolCall {
                    id, name, signature, ..
                },
                _,
            ) => parts.push(Part::new(Content::ToolCall {
                id,
                name,
                arguments: String::new(),
                signature,
            })),
            (Delta::Arguments { index, text }, _) => arguments(parts, index, &text),
            (Delta::Citation(citation), Some(Content::Text { citations, .. })) => citations.push(citation),
            (Delta::Citation(_), _) => {}
            (Delta::Logprobs(tokens), _) => choice.logprobs.extend(tokens),
            (Delta::Part(part), _) => parts.push(part),
        }
    }

    /// The answer, if it is complete and worth to be given again.
    pub(crate) fn finish(self) -> Option<Answer> {
        (!self.spoiled && is_complete(&self.answer)).then_some(self.answer)
    }
}

/// More of the arguments of the tool call of this number.
fn arguments(parts: &mut [Part], index: u32, text: &str) {
    let calls = parts.iter_mut().filter_map(|part| match &mut part.content {
        Content::ToolCall { arguments, .. } => Some(arguments),
        _ => None,
    });
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    if let Some(arguments) = calls.into_iter().nth(place) {
        arguments.push_str(text);
    }
}

fn size(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text) | Delta::Reasoning(text) | Delta::Refusal(text) | Delta::Arguments { text, .. } => {
            text.len()
        }
        Delta::Signature(text) | Delta::Redacted(text) => text.len(),
        Delta::ToolCall { .. } | Delta::Citation(_) => 256,
        Delta::Logprobs(tokens) => tokens.len() * 256,
        // Pictures and sound are too large to be kept.
        Delta::Part(_) => BYTES,
    }
}

/// Whether every choice ended of itself: one that was cut, filtered or refused is not given again.
pub(crate) fn is_complete(answer: &Answer) -> bool {
    !answer.choices.is_empty()
        && answer.choices.iter().all(|choice| {
            matches!(choice.stop, Some(Stop::End | Stop::Sequence(_) | Stop::ToolCalls))
                && !choice.parts.is_empty()
        })
}

/// The events of a kept answer.
pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut events = vec![Event::Start {
        id: answer.id.clone(),
        model: answer.model.clone(),
    }];
    for (number, choice) in answer.choices.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut calls = 0;
        for part in &choice.parts {
            let deltas = deltas(part, &mut calls).into_iter();
            events.extend(deltas.map(|delta| Event::Delta {
                choice: number,
                delta,
            }));
        }
        if !choice.logprobs.is_empty() {
            events.push(Event::Delta {
                choice: number,
                delta: Delta::Logprobs(choice.logprobs.clone()),
            });
        }
        if let Some(stop) = choice.stop.clone() {
            events.push(Event::Stop { choice: number, stop });
        }
    }
    events.extend(answer.usage.map(Event::Usage));
    events
}

fn deltas(part: &Part, calls: &mut u32) -> Vec<Delta> {
    match &part.content {
        Content::Text { text, citations } => {
            let mut deltas = vec![Delta::Text(text.clone())];
            deltas.extend(citations.iter().cloned().map(Delta::Citation));
            deltas
        }
        Content::Reasoning { text, signature } => {
            let text = (!text.is_empty()).then(|| Delta::Reasoning(text.clone()));
            text.into_iter()
                .chain(signature.clone().map(Delta::Signature))
                .collect()
        }
        Content::RedactedReasoning { data } => vec![Delta::Redacted(data.clone())],
        Content::Refusal(text) => vec![Delta::Refusal(text.clone())],
        Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } => {
            let index = *calls;
            *calls += 1;
            vec![
                Delta::ToolCall {
                    index,
                    id: id.clone(),
                    name: name.clone(),
                    signature: signature.clone(),
                },
                Delta::Arguments {
                    index,
                    text: arguments.clone(),
                },
            ]
        }
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::Video { .. }
        | Content::ToolResult { .. }
        | Content::Native { .. } => vec![Delta::Part(part.clone())],
    }
}

#[cfg(test)]
mod tests {
    use stead_dialects::Usage;

    use super::*;

    fn delta(delta: Delta) -> Event {
        Event::Delta { choice: 0, delta }
    }

    #[test]
    fn a_streamed_answer_is_put_together_and_taken_apart_again() {
        let call = |index, name: &str| {
            delta(Delta::ToolCall {
                index,
                id: format!("c{index}"),
                name: name.into(),
                signature: None,
            })
        };
        let more = |index, text: &str| {
            delta(Delta::Arguments {
                index,
                text: text.into(),
            })
        };
        let mut gather = Gather::default();
        for event in [
            Event::Start {
                id: "i".into(),
                model: "m".into(),
            },
            delta(Delta::Reasoning("th".into())),
            delta(Delta::Reasoning("ink".into())),
            delta(Delta::Signature("s".into())),
            delta(Delta::Text("Hel".into())),
            delta(Delta::Text("lo".into())),
            call(0, "f"),
            more(0, "{\"a\""),
            call(1, "g"),
            more(1, "{}"),
            more(0, ":1}"),
            Event::Stop {
                choice: 0,
                stop: Stop::ToolCalls,
            },
            Event::Usage(Usage::default()),
            Event::End,
        ] {
            gather.event(event);
        }
        let answer = gather.finish().unwrap();
        assert_eq!(answer.choices[0].parts.len(), 4);
        let mut again = Gather::default();
        for event in events(&answer) {
            again.event(event);
        }
        assert_eq!(again.finish().as_ref(), Some(&answer));
    }

    #[test]
    fn what_is_cut_empty_or_too_long_is_not_kept() {
        let finish = |events: Vec<Event>| {
            let mut gather = Gather::default();
            for event in events {
                gather.event(event);
            }
            gather.finish()
        };
        let stop = |stop| Event::Stop { choice: 0, stop };
        let text = |text: &str| delta(Delta::Text(text.into()));
        assert!(finish(vec![text("a"), stop(Stop::End)]).is_some());
        assert!(finish(vec![text("a"), stop(Stop::Length)]).is_none());
        assert!(finish(vec![text("a"), stop(Stop::ContentFilter)]).is_none());
        assert!(finish(vec![text("a")]).is_none());
        assert!(finish(vec![stop(Stop::End)]).is_none());
        assert!(finish(vec![text(&"a".repeat(BYTES + 1)), stop(Stop::End)]).is_none());
    }
}
