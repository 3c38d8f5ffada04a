//! How a text is cut before byte pairs are merged; a table by the name in `tokenizer.ggml.pre`.

use tokenizers::{
    PreTokenizerWrapper,
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    tokenizer::SplitDelimiterBehavior,
};

use crate::error::{Error, Result};

/// Words with their leading space, contractions, numbers of up to three digits, punctuation, line ends, space.
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// As GPT-2 does.
    Gpt2,
    /// Each digit for itself, then as GPT-2 does.
    DigitsThenGpt2,
    /// By an expression.
    Expression(&'static str),
}

/// What the name of a way to cut says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) cut: Cut,
    /// Whether a piece that is a token as a whole is not put together from parts.
    pub(super) whole_pieces: bool,
    /// Whether a text starts with the token for that, where the file does not say.
    pub(super) adds_start: bool,
}

const PLAIN: Rule = Rule {
    cut: Cut::Gpt2,
    whole_pieces: false,
    adds_start: false,
};
const DIGITS: Rule = Rule {
    cut: Cut::DigitsThenGpt2,
    ..PLAIN
};
const LLAMA: Rule = Rule {
    cut: Cut::Expression(LLAMA_3),
    whole_pieces: true,
    adds_start: true,
};
const QWEN: Rule = Rule {
    cut: Cut::Expression(QWEN_2),
    ..PLAIN
};

const RULES: [(&str, Rule); 16] = [
    ("default", PLAIN),
    ("gpt-2", PLAIN),
    ("phi-2", PLAIN),
    ("jina-en", PLAIN),
    ("smollm", DIGITS),
    ("starcoder", DIGITS),
    ("refact", DIGITS),
    ("command-r", DIGITS),
    ("codeshell", DIGITS),
    ("llama-bpe", LLAMA),
    ("llama3", LLAMA),
    ("llama-v3", LLAMA),
    ("smaug-bpe", LLAMA),
    ("qwen2", QWEN),
    ("deepseek-r1-qwen", QWEN),
    ("stablelm2", QWEN),
];

/// The rule of this name.
pub(super) fn rule(name: &str) -> Result<Rule> {
    RULES
        .into_iter()
        .find_map(|(known, rule)| (known == name).then_some(rule))
        .ok_or_else(|| Error::unsupported(format!("its tokenizer cuts texts by the rule `{name}`")))
}

impl Cut {
    /// The cut as the tokenizers library does it.
    pub(super) fn build(self) -> Result<PreTokenizerWrapper> {
        Ok(match self {
            Self::Gpt2 => ByteLevel::new(false, false, true).into(),
            Self::DigitsThenGpt2 => {
                let steps = vec![
                    Digits::new(true).into(),
                    ByteLevel::new(false, false, true).into(),
                ];
                Sequence::new(steps).into()
            }
            Self::Expression(expression) => {
                let pattern = SplitPattern::Regex(expression.to_owned());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                    .map_err(|error| Error::Defect(format!("an expression does not compile: {error}")))?;
                Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_builds_and_unknown_ones_are_refused() {
        for (name, _) in RULES {
            assert!(rule(name).and_then(|rule| rule.cut.build()).is_ok(), "{name}");
        }
        assert!(matches!(rule("tekken"), Err(Error::Unsupported(_))));
    }
}
