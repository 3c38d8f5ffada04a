//! The form of completed raw prompts: the prompt as text or tokens, `echo`, and `logprobs`
//! (<https://platform.openai.com/docs/api-reference/completions>, which harnesses of benchmarks score choices by).

use serde_json::{Map, Value, json};
use stead_kernel::ports::{Likelihoods, LikelihoodsOf, LikelyToken};

use crate::api::error::ApiError;

/// The most likely tokens that are told at each place.
const MOST: u32 = 20;

/// A raw prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    /// A text.
    Text(String),
    /// The model's own tokens.
    Tokens(Vec<u32>),
}

/// What of the prompt and of likelihoods the answer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Repeats {
    /// Whether the prompt comes first.
    pub(super) echo: bool,
    /// How many of the likeliest tokens are told at each place; none are told without it.
    pub(super) logprobs: Option<u32>,
}

impl Repeats {
    /// What a request asks for.
    ///
    /// # Errors
    /// When it is too much.
    pub(super) fn of(echo: Option<bool>, logprobs: Option<u32>) -> Result<Self, ApiError> {
        if logprobs.is_some_and(|top| top > MOST) {
            let message = format!("the embedded engine tells at most {MOST} tokens at each place");
            return Err(ApiError::invalid("unsupported_value", message).param("logprobs"));
        }
        Ok(Self {
            echo: echo.unwrap_or_default(),
            logprobs,
        })
    }

    /// Whether it is an answer as others are.
    pub(super) fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// What the engine is asked for. A prompt of tokens is told by the engine, which knows what they say.
    pub(super) fn likelihoods(self, prompt: &Prompt) -> Option<Likelihoods> {
        let tells_prompt = self.echo && (self.logprobs.is_some() || matches!(prompt, Prompt::Tokens(_)));
        let wanted = Likelihoods {
            top: self
                .logprobs
                .and_then(|top| usize::try_from(top).ok())
                .unwrap_or_default(),
            of: if tells_prompt {
                LikelihoodsOf::PromptAndAnswer
            } else {
                LikelihoodsOf::Answer
            },
        };
        (tells_prompt || self.logprobs.is_some()).then_some(wanted)
    }

    /// Makes the choice of a completion say it. `read` are the tokens that the engine told, those of the prompt first where
    /// they were asked for.
    pub(super) fn apply(self, answer: &mut Value, prompt: &Prompt, read: &[LikelyToken]) {
        let Some(choice) = answer.pointer_mut("/choices/0").and_then(Value::as_object_mut) else {
            return;
        };
        if self.echo {
            let told = match prompt {
                Prompt::Text(text) => text.clone(),
                Prompt::Tokens(tokens) => read
                    .iter()
                    .take(tokens.len())
                    .map(|token| token.text.as_str())
                    .collect(),
            };
            let text = choice.get("text").and_then(Value::as_str).unwrap_or_default();
            let text = format!("{told}{text}");
            choice.insert("text".into(), text.into());
        }
        if let Some(top) = self.logprobs {
            choice.insert("logprobs".into(), logprobs(read, top));
        }
    }
}

/// Token by token: what it says, the logarithm of its probability, the likeliest at its place, and where its text begins, in
/// characters.
fn logprobs(read: &[LikelyToken], top: u32) -> Value {
    let mut offset = 0;
    let (mut tokens, mut own, mut likeliest, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in read {
        tokens.push(Value::from(&*token.text));
        own.push(token.log_probability.map_or(Value::Null, Value::from));
        let mut told = Map::new();
        for (text, probability) in &token.top {
            // Of tokens that read alike, the likelier.
            told.entry(&**text).or_insert_with(|| (*probability).into());
        }
        likeliest.push(if top == 0 || told.is_empty() {
            Value::Null
        } else {
            Value::Object(told)
        });
        offsets.push(Value::from(offset));
        offset += token.text.chars().count();
    }
    json!({"tokens": tokens, "token_logprobs": own, "top_logprobs": likeliest, "text_offset": offsets})
}

/// The one prompt of a request: a text, tokens, or a list with one of them.
///
/// # Errors
/// When there is none, or several.
pub(super) fn prompt(given: Option<Value>) -> Result<Prompt, ApiError> {
    let refused = || {
        let message = "the embedded engine takes one prompt, as a text or as tokens";
        ApiError::invalid("unsupported_value", message).param("prompt")
    };
    let one = match given {
        Some(Value::Array(mut list)) if list.len() == 1 && !list.iter().all(Value::is_number) => list.pop(),
        other => other,
    };
    match one {
        Some(Value::String(text)) => Ok(Prompt::Text(text)),
        Some(Value::Array(tokens)) if !tokens.is_empty() => {
            let tokens = tokens
                .iter()
                .map(|token| token.as_u64().and_then(|token| u32::try_from(token).ok()));
            tokens
                .collect::<Option<_>>()
                .map(Prompt::Tokens)
                .ok_or_else(refused)
        }
        Some(_) => Err(refused()),
        None => Err(ApiError::invalid("missing_prompt", "the request has no prompt").param("prompt")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_text_or_tokens_alone_or_in_a_list() {
        for (given, expected) in [
            (json!("a"), Some(Prompt::Text("a".into()))),
            (json!(["a"]), Some(Prompt::Text("a".into()))),
            (json!([1, 2]), Some(Prompt::Tokens(vec![1, 2]))),
            (json!([7]), Some(Prompt::Tokens(vec![7]))),
            (json!([[1, 2]]), Some(Prompt::Tokens(vec![1, 2]))),
            (json!(["a", "b"]), None),
            (json!([[1], [2]]), None),
            (json!([[]]), None),
            (json!([-1]), None),
            (json!(5), None),
        ] {
            assert_eq!(prompt(Some(given.clone())).ok(), expected, "{given}");
        }
        assert!(prompt(None).is_err());
    }

    #[test]
    fn likelihoods_of_a_prompt_are_asked_for_where_the_answer_tells_them() {
        let text = Prompt::Text("a".into());
        let tokens = Prompt::Tokens(vec![1]);
        let of = |echo, logprobs| Repeats::of(Some(echo), logprobs).unwrap();
        assert_eq!(of(false, None).likelihoods(&text), None);
        assert_eq!(of(true, None).likelihoods(&text), None);
        let told = of(true, None).likelihoods(&tokens).unwrap();
        assert_eq!((told.top, told.of), (0, LikelihoodsOf::PromptAndAnswer));
        assert_eq!(
            of(false, Some(3)).likelihoods(&text).unwrap().of,
            LikelihoodsOf::Answer
        );
        assert_eq!(
            of(true, Some(1)).likelihoods(&text).unwrap().of,
            LikelihoodsOf::PromptAndAnswer
        );
        assert!(Repeats::of(None, Some(21)).is_err());
    }

    #[test]
    fn a_choice_repeats_the_prompt_and_tells_each_token() {
        let token = |text: &str, own: Option<f64>| LikelyToken {
            text: text.into(),
            log_probability: own,
            top: own.map(|own| (text.to_owned(), own)).into_iter().collect(),
        };
        let read = [token("ä", None), token("b", Some(-1.0)), token("c", Some(-0.5))];
        let mut answer = json!({"choices": [{"index": 0, "text": "c", "logprobs": null}]});
        let repeats = Repeats::of(Some(true), Some(1)).unwrap();
        repeats.apply(&mut answer, &Prompt::Tokens(vec![1, 2]), &read);
        assert_eq!(
            answer["choices"][0],
            json!({"index": 0, "text": "äbc", "logprobs": {
                "tokens": ["ä", "b", "c"], "token_logprobs": [null, -1.0, -0.5],
                "top_logprobs": [null, {"b": -1.0}, {"c": -0.5}], "text_offset": [0, 1, 2]}})
        );
    }
}
