//! The tokenizer that a model's file describes.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::BPE;

use super::{bytes::byte_of, pieces::Pieces, pretokens};
use crate::{
    error::{Error, Result},
    gguf::{Gguf, List, Value},
};

/// Token types of the file format.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// Texts of control tokens that end an answer, beside the ones that the file names.
const ENDS: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
    "<end_of_turn>",
    "<|end_of_sentence|>",
];

/// Turns text into tokens and tokens into bytes of text.
pub(crate) struct Tokenizer {
    encoder: Encoder,
    special: Special,
    /// The bytes of each token; none for those that are not text.
    texts: Vec<Box<[u8]>>,
    start: Option<u32>,
    adds_start: bool,
    ends: HashSet<u32>,
    start_text: String,
    end_text: String,
}

enum Encoder {
    /// Byte-level byte pairs.
    Pairs(Box<tokenizers::Tokenizer>),
    /// `SentencePiece`'s pieces, and whether a text gets a leading space.
    Pieces(Pieces, bool),
}

impl Tokenizer {
    /// Builds the tokenizer of a file whose embedding has `vocabulary` rows.
    pub(crate) fn read(file: &Gguf, vocabulary: usize) -> Result<Self> {
        let Some(Value::List(List::Texts(tokens))) = file.value("tokenizer.ggml.tokens") else {
            return Err(Error::damaged("it has no vocabulary"));
        };
        if tokens.is_empty() || tokens.len() > vocabulary {
            return Err(Error::damaged("its vocabulary and its embedding differ in size"));
        }
        let kinds = integers(file, "tokenizer.ggml.token_type");
        let kind = |token: usize| kinds.get(token).copied().unwrap_or(1);
        let (encoder, adds_start, texts) = match file.text("tokenizer.ggml.model") {
            Some("gpt2") => {
                let rule = pretokens::rule(file.text("tokenizer.ggml.pre").unwrap_or("default"))?;
                (
                    pairs(file, tokens, rule)?,
                    rule.adds_start,
                    texts_of_pairs(tokens, &kind),
                )
            }
            Some("llama") => (pieces(file, tokens, &kind), true, texts_of_pieces(tokens, &kind)),
            other => {
                return Err(Error::unsupported(format!(
                    "its tokenizer is of the kind `{}`",
                    other.unwrap_or("none")
                )));
            }
        };
        let special = Special::new(tokens, |token| matches!(kind(token), CONTROL | USER_DEFINED));
        let token_of = |key: &str| token(file, key, tokens.len());
        let start = token_of("tokenizer.ggml.bos_token_id")?;
        let mut ends: HashSet<u32> = special.tokens_of(&ENDS).collect();
        let end = token_of("tokenizer.ggml.eos_token_id")?;
        ends.extend(end);
        ends.extend(token_of("tokenizer.ggml.eot_token_id")?);
        let text_of = |token: Option<u32>| {
            token
                .and_then(|token| tokens.get(token as usize))
                .cloned()
                .unwrap_or_default()
        };
        let adds_start = file
            .value("tokenizer.ggml.add_bos_token")
            .and_then(Value::as_bool)
            .unwrap_or(adds_start);
        Ok(Self {
            encoder,
            special,
            texts,
            start,
            adds_start,
            ends,
            start_text: text_of(start),
            end_text: text_of(end),
        })
    }

    /// The tokens of a text; texts of special tokens in it become those tokens.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        let mut first = true;
        for part in self.special.split(text) {
            match part {
                Part::Token(token) => tokens.push(token),
                Part::Text(text) => self.encode_plain(text, first, &mut tokens)?,
            }
            first = false;
        }
        if self.adds_start
            && let Some(start) = self.start
            && tokens.first() != Some(&start)
        {
            tokens.insert(0, start);
        }
        Ok(tokens)
    }

    fn encode_plain(&self, text: &str, first: bool, tokens: &mut Vec<u32>) -> Result<()> {
        match &self.encoder {
            Encoder::Pairs(pairs) => {
                let encoding = pairs
                    .encode_fast(text, false)
                    .map_err(|error| Error::Request(format!("the prompt cannot be tokenised: {error}")))?;
                tokens.extend_from_slice(encoding.get_ids());
            }
            Encoder::Pieces(pieces, leading_space) => {
                let space = if first && *leading_space { "▁" } else { "" };
                pieces.encode(&format!("{space}{}", text.replace(' ', "▁")), tokens);
            }
        }
        Ok(())
    }

    /// The bytes that a token stands for; none for control tokens.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.texts.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Whether a token ends an answer.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of the token that starts a text; empty when there is none.
    pub(crate) fn start_text(&self) -> &str {
        &self.start_text
    }

    /// The text of the token that ends a text; empty when there is none.
    pub(crate) fn end_text(&self) -> &str {
        &self.end_text
    }

    /// Whether a text is that of a special token.
    pub(crate) fn has_special(&self, text: &str) -> bool {
        self.special.tokens_of(&[text]).next().is_some()
    }
}

fn integers<'a>(file: &'a Gguf, key: &str) -> &'a [i64] {
    match file.value(key) {
        Some(Value::List(List::Integers(integers))) => integers,
        _ => &[],
    }
}

fn token(file: &Gguf, key: &str, vocabulary: usize) -> Result<Option<u32>> {
    match file.integer(key)? {
        Some(token) if token >= vocabulary => Err(Error::damaged(format!("its `{key}` is no token"))),
        token => Ok(token.and_then(|token| u32::try_from(token).ok())),
    }
}

fn pairs(file: &Gguf, tokens: &[String], rule: pretokens::Rule) -> Result<Encoder> {
    let Some(Value::List(List::Texts(merges))) = file.value("tokenizer.ggml.merges") else {
        return Err(Error::damaged("it has no merges"));
    };
    let merges: Option<Vec<(String, String)>> = merges
        .iter()
        .map(|merge| {
            let (left, right) = merge.split_once(' ')?;
            Some((left.to_owned(), right.to_owned()))
        })
        .collect();
    let merges = merges.ok_or_else(|| Error::damaged("a merge is not of two parts"))?;
    let vocabulary: ahash::AHashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(rule.whole_pieces)
        .build()
        .map_err(|error| Error::damaged(format!("its merges do not fit its vocabulary: {error}")))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(rule.cut.build()?));
    Ok(Encoder::Pairs(Box::new(tokenizer)))
}

fn texts_of_pairs(tokens: &[String], kind: &impl Fn(usize) -> i64) -> Vec<Box<[u8]>> {
    let alphabet: HashMap<char, u8> = (0..0x200)
        .filter_map(char::from_u32)
        .filter_map(|character| Some((character, byte_of(character)?)))
        .collect();
    let text = |(token, text): (usize, &String)| -> Box<[u8]> {
        match kind(token) {
            CONTROL => Box::default(),
            USER_DEFINED => text.as_bytes().into(),
            _ => text
                .chars()
                .filter_map(|character| alphabet.get(&character).copied())
                .collect(),
        }
    };
    tokens.iter().enumerate().map(text).collect()
}

fn pieces(file: &Gguf, tokens: &[String], kind: &impl Fn(usize) -> i64) -> Encoder {
    let scores = match file.value("tokenizer.ggml.scores") {
        Some(Value::List(List::Numbers(scores))) => scores.as_slice(),
        _ => &[],
    };
    let mut bytes = vec![None; 256];
    let mut unknown = None;
    let mut pieces = HashMap::new();
    for ((index, text), token) in tokens.iter().enumerate().zip(0..) {
        match kind(index) {
            BYTE => {
                if let Some(slot) = byte_token(text).and_then(|byte| bytes.get_mut(usize::from(byte))) {
                    *slot = Some(token);
                }
            }
            UNKNOWN => unknown = Some(token),
            CONTROL => {}
            _ => {
                pieces.insert(
                    text.clone(),
                    (token, scores.get(index).copied().unwrap_or_default()),
                );
            }
        }
    }
    let space = file
        .value("tokenizer.ggml.add_space_prefix")
        .and_then(Value::as_bool);
    Encoder::Pieces(Pieces::new(pieces, bytes, unknown), space.unwrap_or(true))
}

fn texts_of_pieces(tokens: &[String], kind: &impl Fn(usize) -> i64) -> Vec<Box<[u8]>> {
    let text = |(token, text): (usize, &String)| -> Box<[u8]> {
        match kind(token) {
            CONTROL | UNKNOWN => Box::default(),
            BYTE => byte_token(text).into_iter().collect(),
            _ => text.replace('▁', " ").into_bytes().into(),
        }
    };
    tokens.iter().enumerate().map(text).collect()
}

/// The byte of a token such as `<0x0A>`.
fn byte_token(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok()
}

/// Texts of special tokens, by their first byte, the longest first.
#[derive(Debug, Default)]
struct Special(HashMap<u8, Vec<(String, u32)>>);

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Token(u32),
}

impl Special {
    fn new(tokens: &[String], is_special: impl Fn(usize) -> bool) -> Self {
        let mut by_start: HashMap<u8, Vec<(String, u32)>> = HashMap::new();
        for ((index, text), token) in tokens.iter().enumerate().zip(0..) {
            if let (true, Some(first)) = (is_special(index), text.bytes().next()) {
                by_start.entry(first).or_default().push((text.clone(), token));
            }
        }
        for list in by_start.values_mut() {
            list.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
        Self(by_start)
    }

    fn tokens_of<'a>(&'a self, texts: &'a [&str]) -> impl Iterator<Item = u32> + 'a {
        let all = self.0.values().flatten();
        all.filter(|(text, _)| texts.contains(&text.as_str()))
            .map(|(_, token)| *token)
    }

    /// The text at the start of `text` that is a special token.
    fn at_start(&self, text: &str) -> Option<(usize, u32)> {
        let candidates = self.0.get(&text.bytes().next()?)?;
        let found = candidates
            .iter()
            .find(|(special, _)| text.starts_with(special.as_str()));
        found.map(|(special, token)| (special.len(), *token))
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let mut plain = 0;
        let mut skip = 0;
        for (index, _) in text.char_indices() {
            if index < skip {
                continue;
            }
            let (before, rest) = text.split_at(index);
            if let Some((length, token)) = self.at_start(rest) {
                parts.extend(
                    before
                        .get(plain..)
                        .filter(|text| !text.is_empty())
                        .map(Part::Text),
                );
                parts.push(Part::Token(token));
                skip = index + length;
                plain = skip;
            }
        }
        parts.extend(text.get(plain..).filter(|text| !text.is_empty()).map(Part::Text));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_are_found_longest_first() {
        let tokens: Vec<String> = ["<s>", "<s>>", "x", "<é>"].map(str::to_owned).to_vec();
        let special = Special::new(&tokens, |token| token != 2);
        assert_eq!(
            special.split("a<s>>b<s>é<é>"),
            [
                Part::Text("a"),
                Part::Token(1),
                Part::Text("b"),
                Part::Token(0),
                Part::Text("é"),
                Part::Token(3),
            ]
        );
        assert_eq!(special.split("x"), [Part::Text("x")]);
        assert_eq!(special.split(""), []);
    }

    #[test]
    fn byte_tokens_are_read() {
        for (text, byte) in [
            ("<0x0A>", Some(10)),
            ("<0xff>", Some(255)),
            ("<0x>", None),
            ("a", None),
        ] {
            assert_eq!(byte_token(text), byte, "{text}");
        }
    }
}
