//! The tokenizer of embedding models: words in pieces, between a token that begins a text and one that ends it.

use std::str::FromStr;

use tokenizers::{
    Encoding, Token, Tokenizer, models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
};

use crate::{
    error::{Error, Result},
    gguf::{Gguf, List, Value},
};

/// Words that are longer, in characters, are unknown.
const LONGEST_WORD: usize = 100;
/// Texts are tokenised so many bytes at a time, until there are as many tokens as the model reads: what a tokenizer
/// keeps of a text is some hundred times as large.
const PORTION: usize = 64 << 10;
/// Stands for a text's own tokens where a tokenizer is asked what it puts around them.
const TEXT: u32 = u32::MAX;
/// How words begin in llama.cpp's vocabularies, where their later pieces have no mark.
const WORD: char = '▁';

/// Turns texts into tokens.
pub(crate) struct Words {
    tokenizer: Box<Tokenizer>,
    /// What is put before a text and after it.
    frame: [Vec<u32>; 2],
    vocabulary: usize,
}

/// A text's tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// At least one.
    pub(crate) tokens: Vec<u32>,
    /// Whether the text goes on after them.
    pub(crate) cut: bool,
}

impl Words {
    /// Builds the tokenizer of a file whose embedding has `vocabulary` rows.
    pub(crate) fn read(file: &Gguf, vocabulary: usize) -> Result<Self> {
        if let Some(text) = file.text("tokenizer.huggingface.json") {
            return Self::of_json(text, vocabulary);
        }
        match file.text("tokenizer.ggml.model") {
            Some("bert") => Self::of_metadata(file, vocabulary),
            other => Err(Error::unsupported(format!(
                "its tokenizer is of the kind `{}`",
                other.unwrap_or("none")
            ))),
        }
    }

    fn of_json(text: &str, vocabulary: usize) -> Result<Self> {
        let bad = |error: tokenizers::Error| Error::damaged(format!("its tokenizer cannot be read: {error}"));
        let mut tokenizer = Tokenizer::from_str(text).map_err(bad)?;
        // Texts are cut here, and nothing is filled up: rows of one length are no need of ours.
        tokenizer.with_truncation(None).map_err(bad)?;
        tokenizer.with_padding(None);
        let frame = frame(&tokenizer)?;
        Ok(Self {
            tokenizer: Box::new(tokenizer),
            frame,
            vocabulary,
        })
    }

    fn of_metadata(file: &Gguf, vocabulary: usize) -> Result<Self> {
        let Some(Value::List(List::Texts(tokens))) = file.value("tokenizer.ggml.tokens") else {
            return Err(Error::damaged("it has no vocabulary"));
        };
        if tokens.is_empty() || tokens.len() > vocabulary {
            return Err(Error::damaged("its vocabulary and its embedding differ in size"));
        }
        let frame = [
            vec![frame_token(file, tokens, ["cls", "bos"], "[CLS]")?],
            // The key is spelt so.
            vec![frame_token(file, tokens, ["seperator", "eos"], "[SEP]")?],
        ];
        let unknown = "[UNK]";
        let small = !tokens.iter().any(|token| {
            !is_special(token) && token.contains(|character: char| character.is_ascii_uppercase())
        });
        let pieces: ahash::AHashMap<String, u32> = tokens.iter().map(|token| piece(token)).zip(0..).collect();
        if !pieces.contains_key(unknown) {
            return Err(Error::damaged("its vocabulary has no `[UNK]`"));
        }
        let model = WordPiece::builder()
            .vocab(pieces)
            .unk_token(unknown.to_owned())
            .max_input_chars_per_word(LONGEST_WORD)
            .build()
            .map_err(|error| Error::damaged(format!("its vocabulary cannot be used: {error}")))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer
            .with_normalizer(Some(BertNormalizer::new(true, true, None, small)))
            .map_err(|error| Error::damaged(format!("its vocabulary cannot be used: {error}")))?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        Ok(Self {
            tokenizer: Box::new(tokenizer),
            frame,
            vocabulary,
        })
    }

    /// The tokens of a text, at most `limit` with those around it; what is longer loses its end.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Result<Encoded> {
        let [before, after] = &self.frame;
        let room = limit.saturating_sub(before.len() + after.len());
        let mut tokens = before.clone();
        let most = before.len() + room;
        let mut rest = text;
        while !rest.is_empty() && tokens.len() <= most {
            let (portion, others) = portion(rest);
            let encoding = self
                .tokenizer
                .encode_fast(portion, false)
                .map_err(|error| Error::Request(format!("a text cannot be tokenised: {error}")))?;
            tokens.extend_from_slice(encoding.get_ids());
            rest = others;
        }
        let cut = tokens.len() > most;
        tokens.truncate(most);
        tokens.extend_from_slice(after);
        if tokens.iter().any(|token| *token as usize >= self.vocabulary) {
            return Err(Error::damaged(
                "its tokenizer has tokens that its embedding has not",
            ));
        }
        if tokens.is_empty() || tokens.len() > limit {
            return Err(Error::Request("a text has no tokens, or none fit".to_owned()));
        }
        Ok(Encoded { tokens, cut })
    }
}

/// What a tokenizer puts before a text and after it.
fn frame(tokenizer: &Tokenizer) -> Result<[Vec<u32>; 2]> {
    let text = Encoding::from_tokens(vec![Token::new(TEXT, String::new(), (0, 0))], 0);
    let framed = tokenizer
        .post_process(text, None, true)
        .map_err(|error| Error::damaged(format!("its tokenizer cannot be used: {error}")))?;
    let mut parts = framed.get_ids().split(|token| *token == TEXT);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), None) => Ok([before.to_vec(), after.to_vec()]),
        _ => Err(Error::unsupported("its tokenizer does not put a text in once")),
    }
}

/// The next portion of a text and what follows it, parted before white space where there is some: the tokenizers of
/// BERT's family part words there, so that the tokens are those of the whole.
fn portion(text: &str) -> (&str, &str) {
    if text.len() <= PORTION {
        return (text, "");
    }
    let (most, _) = text.split_at(text.floor_char_boundary(PORTION));
    let end = most.rfind(char::is_whitespace).filter(|end| *end > 0);
    text.split_at(end.unwrap_or(most.len()))
}

/// A token that frames texts: by the first key that the file has, else by its usual text.
fn frame_token(file: &Gguf, tokens: &[String], keys: [&str; 2], usual: &str) -> Result<u32> {
    for key in keys {
        let key = format!("tokenizer.ggml.{key}_token_id");
        if let Some(token) = file.integer(&key)? {
            return u32::try_from(token)
                .ok()
                .filter(|_| token < tokens.len())
                .ok_or_else(|| Error::damaged(format!("its `{key}` is no token")));
        }
    }
    let place = tokens.iter().position(|token| token == usual);
    place
        .and_then(|place| u32::try_from(place).ok())
        .ok_or_else(|| Error::damaged(format!("its vocabulary has no `{usual}`")))
}

fn is_special(token: &str) -> bool {
    token.starts_with('[') && token.ends_with(']')
}

/// A token of llama.cpp's vocabulary as those of `WordPiece` have it: marked where it does *not* begin a word.
fn piece(token: &str) -> String {
    match token.strip_prefix(WORD) {
        Some(word) => word.to_owned(),
        None if is_special(token) => token.to_owned(),
        None => format!("##{token}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_words_become_marks_of_their_later_pieces() {
        for (token, expected) in [
            ("▁the", "the"),
            ("ing", "##ing"),
            ("[CLS]", "[CLS]"),
            ("▁[", "["),
            ("]", "##]"),
        ] {
            assert_eq!(piece(token), expected);
        }
    }

    #[test]
    fn portions_are_the_text_and_end_where_words_do() {
        let words = "word ".repeat(PORTION / 2);
        let one = "x".repeat(PORTION * 2 + 1);
        let wide = "€".repeat(PORTION);
        for text in ["", "a b", &words, &one, &wide] {
            let (mut whole, mut rest) = (String::new(), text);
            while !rest.is_empty() {
                let (part, others) = portion(rest);
                assert!(!part.is_empty() && part.len() <= PORTION);
                assert!(others.is_empty() || others.starts_with(' ') || !text.contains(' '));
                whole.push_str(part);
                rest = others;
            }
            assert_eq!(whole, text);
        }
    }
}
