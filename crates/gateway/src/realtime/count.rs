//! What a session has used, as the provider's events tell it
//! (<https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>). Pure.
//!
//! *Invariant:* of a message that tells nothing, no more is looked at than whether it could.

use std::{borrow::Cow, collections::BTreeMap};

use memchr::memmem;
use serde::Deserialize;
use stead_kernel::ports::TokenUsage;

use crate::tally::or_zero;

/// What begins and ends a response, and what is said meanwhile.
const CREATED: &str = "response.created";
const DONE: &str = "response.done";
const TRANSCRIBED: &str = "conversation.item.input_audio_transcription.completed";
/// How the types of events that carry pieces of an answer end, with what follows a type.
const DELTA: &[u8] = b".delta\"";
/// Where the type of an event is expected, in bytes from its beginning.
const HEAD: usize = 256;
/// A token of spoken sound is 50 ms
/// (<https://platform.openai.com/docs/guides/realtime-costs>): that many bytes of an event in the usual form of sound,
/// 24,000 samples of 16 bits a second in base64.
const SOUND: usize = 3_200;

/// What a message of the provider was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing that counts.
    Nothing,
    /// A piece of an answer.
    Piece,
    /// More was used than before.
    Used,
}

/// What a session has used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// As the provider counted it.
    pub(super) usage: TokenUsage,
    /// Responses that ended.
    pub(super) responses: u64,
    /// Responses that began and did not end.
    pub(super) open: u64,
    /// About how many tokens of them came so far.
    unfinished: u64,
    /// Tokens and milliseconds of transcripts of what was heard, which models of their own make.
    transcribed: (u64, u64),
}

impl Count {
    /// Takes in a message of the provider.
    pub(super) fn hear(&mut self, text: &[u8]) -> Told {
        let tells = [CREATED, DONE, TRANSCRIBED];
        if tells
            .iter()
            .any(|kind| memmem::find(text, kind.as_bytes()).is_some())
            && let Ok(event) = serde_json::from_slice::<Event<'_>>(text)
            && let Some(told) = self.take(event)
        {
            return told;
        }
        let head = text.get(..text.len().min(HEAD)).unwrap_or_default();
        if memmem::find(head, DELTA).is_none() {
            return Told::Nothing;
        }
        self.unfinished += u64::try_from(text.len().div_ceil(SOUND)).unwrap_or(1);
        Told::Piece
    }

    fn take(&mut self, event: Event<'_>) -> Option<Told> {
        match &*event.kind {
            CREATED => {
                self.open += 1;
                Some(Told::Nothing)
            }
            DONE => {
                self.open = self.open.saturating_sub(1);
                self.responses += 1;
                if self.open == 0 {
                    self.unfinished = 0;
                }
                let usage = event.response.and_then(|response| response.usage);
                add(&mut self.usage, usage.unwrap_or_default());
                Some(Told::Used)
            }
            TRANSCRIBED => {
                let spent = event.usage.unwrap_or_default();
                self.transcribed.0 = self.transcribed.0.saturating_add(spent.total_tokens);
                let milliseconds = (spent.seconds * 1_000.0).clamp(0.0, 1e12).round();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it was clamped"
                )]
                let milliseconds = milliseconds as u64;
                self.transcribed.1 = self.transcribed.1.saturating_add(milliseconds);
                Some(Told::Nothing)
            }
            // It spoke of such an event.
            _ => None,
        }
    }

    /// About how many tokens came of responses whose end was not heard.
    pub(super) fn unfinished(&self) -> u64 {
        if self.open == 0 { 0 } else { self.unfinished }
    }

    /// What the record says beside the usage.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        labels.insert(
            "stead.dev/realtime-responses".to_owned(),
            self.responses.to_string(),
        );
        let (tokens, milliseconds) = self.transcribed;
        let table = [
            ("stead.dev/transcription-tokens", tokens),
            ("stead.dev/transcription-ms", milliseconds),
        ];
        let known = table.into_iter().filter(|(_, count)| *count > 0);
        labels.extend(known.map(|(name, count)| (name.to_owned(), count.to_string())));
        labels
    }
}

/// Adds a response. Of sound and pictures those count as such that came from no cache: what did has one price.
fn add(sum: &mut TokenUsage, more: Usage) {
    let input = more.input_token_details.unwrap_or_default();
    let output = more.output_token_details.unwrap_or_default();
    let cached = input.cached_tokens_details.unwrap_or_default();
    let pairs = [
        (&mut sum.input, more.input_tokens),
        (&mut sum.output, more.output_tokens),
        (&mut sum.cached_input, input.cached_tokens),
        (
            &mut sum.audio_input,
            input.audio_tokens.saturating_sub(cached.audio_tokens),
        ),
        (
            &mut sum.image_input,
            input.image_tokens.saturating_sub(cached.image_tokens),
        ),
        (&mut sum.audio_output, output.audio_tokens),
        (&mut sum.reasoning, output.reasoning_tokens),
    ];
    for (sum, more) in pairs {
        *sum = sum.saturating_add(more);
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    usage: Option<Spent>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Usage {
    #[serde(deserialize_with = "or_zero")]
    input_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    output_tokens: u64,
    input_token_details: Option<InputDetails>,
    output_token_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    #[serde(deserialize_with = "or_zero")]
    audio_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    image_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    cached_tokens: u64,
    cached_tokens_details: Option<CachedDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CachedDetails {
    #[serde(deserialize_with = "or_zero")]
    audio_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    image_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    #[serde(deserialize_with = "or_zero")]
    audio_tokens: u64,
    #[serde(deserialize_with = "or_zero")]
    reasoning_tokens: u64,
}

/// What a transcript took: tokens, or seconds of sound.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spent {
    #[serde(deserialize_with = "or_zero")]
    total_tokens: u64,
    seconds: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hear(count: &mut Count, event: &serde_json::Value) -> Told {
        count.hear(event.to_string().as_bytes())
    }

    #[test]
    fn the_usage_of_responses_adds_up_with_sound_text_and_cache_apart() {
        let mut count = Count::default();
        assert_eq!(
            hear(
                &mut count,
                &json!({"type": "response.created", "response": {"usage": null}})
            ),
            Told::Nothing
        );
        assert_eq!(count.open, 1);
        // The example of the documentation, with a cache that held sound too.
        let done = json!({"event_id": "e", "type": "response.done", "response": {"id": "r", "status": "completed",
            "usage": {"total_tokens": 275, "input_tokens": 127, "output_tokens": 148,
                "input_token_details": {"cached_tokens": 70, "text_tokens": 100, "audio_tokens": 27,
                    "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 6}},
                "output_token_details": {"text_tokens": 36, "audio_tokens": 112}}}});
        assert_eq!(hear(&mut count, &done), Told::Used);
        assert_eq!(hear(&mut count, &done), Told::Used);
        assert_eq!((count.responses, count.open), (2, 0));
        let usage = TokenUsage {
            input: 254,
            output: 296,
            cached_input: 140,
            audio_input: 42,
            audio_output: 224,
            ..TokenUsage::default()
        };
        assert_eq!(count.usage, usage);
    }

    #[test]
    fn pieces_of_a_response_count_until_its_end_is_heard() {
        let mut count = Count::default();
        hear(&mut count, &json!({"type": "response.created"}));
        let text = json!({"type": "response.output_text.delta", "delta": "he said response.done"});
        assert_eq!(hear(&mut count, &text), Told::Piece);
        let sound = json!({"type": "response.output_audio.delta", "delta": "A".repeat(6_500)});
        assert_eq!(hear(&mut count, &sound), Told::Piece);
        assert_eq!(count.unfinished(), 4);
        assert_eq!(
            hear(
                &mut count,
                &json!({"type": "response.done", "response": {"status": "failed"}})
            ),
            Told::Used
        );
        assert_eq!((count.unfinished(), count.usage), (0, TokenUsage::default()));
    }

    #[test]
    fn what_only_speaks_of_an_event_is_none() {
        let mut count = Count::default();
        for text in ["response.done", "{\"type\":\"response.done\"", "\u{0}", ""] {
            assert_eq!(count.hear(text.as_bytes()), Told::Nothing, "{text}");
        }
        let item = json!({"type": "conversation.item.added", "item": {"text": "\"type\":\"response.done\""}});
        assert_eq!(hear(&mut count, &item), Told::Nothing);
        assert_eq!(count, Count::default());
    }

    #[test]
    fn transcripts_are_told_apart() {
        let mut count = Count::default();
        for usage in [
            json!({"type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9}),
            json!({"type": "duration", "seconds": 1.5}),
        ] {
            hear(
                &mut count,
                &json!({"type": TRANSCRIBED, "transcript": "hi", "usage": usage}),
            );
        }
        assert_eq!(count.usage, TokenUsage::default());
        let labels = count.labels();
        assert_eq!(labels["stead.dev/transcription-tokens"], "22");
        assert_eq!(labels["stead.dev/transcription-ms"], "1500");
        assert_eq!(labels["stead.dev/realtime-responses"], "0");
    }
}
