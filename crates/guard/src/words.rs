//! Lists of words and phrases, found in whatever way they are written.

use regex::{Regex, RegexBuilder};

use crate::fold::{Folded, fold};

/// The most bytes of a phrase, folded.
pub(crate) const LONGEST_PHRASE: usize = 200;
/// The most bytes that the expression of a list may take.
const SIZE_LIMIT: usize = 16 << 20;

/// A list of words and phrases.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    regex: Regex,
    /// In order.
    phrases: Vec<String>,
    longest: usize,
}

impl Words {
    /// Compiles a list; `None` when it holds nothing, or too much.
    pub(crate) fn new<S: AsRef<str>>(list: &[S]) -> Option<Self> {
        let mut phrases: Vec<String> = list
            .iter()
            .map(|phrase| fold(phrase.as_ref()).trim().to_owned())
            .collect();
        phrases.sort_unstable();
        phrases.dedup();
        let longest = phrases.iter().map(String::len).max()?;
        if phrases.iter().any(String::is_empty) || longest > LONGEST_PHRASE {
            return None;
        }
        // Of two that begin at one place, the longer one is meant.
        let mut ordered: Vec<&String> = phrases.iter().collect();
        ordered.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
        let parts: Vec<String> = ordered.iter().map(|phrase| expression(phrase)).collect();
        let regex = RegexBuilder::new(&parts.join("|"))
            .size_limit(SIZE_LIMIT)
            .build()
            .ok()?;
        Some(Self {
            regex,
            phrases,
            longest,
        })
    }

    /// The next phrase from a byte of the folded text on.
    pub(crate) fn find(&self, folded: &str, from: usize) -> Option<(usize, usize)> {
        let found = self.regex.find_at(folded, from)?;
        Some((found.start(), found.end()))
    }

    /// Where a phrase begins that the end of a text may have cut.
    pub(crate) fn open(&self, folded: &Folded) -> Option<usize> {
        let text = folded.text.as_str();
        let first = text.ceil_char_boundary(text.len().saturating_sub(self.longest));
        let tail = text.get(first..)?;
        tail.char_indices().map(|(at, _)| first + at).find(|at| {
            let begun = text.get(*at..).unwrap_or_default();
            let next = self.phrases.partition_point(|phrase| phrase.as_str() < begun);
            self.phrases
                .get(next)
                .is_some_and(|phrase| phrase.starts_with(begun))
        })
    }
}

/// A phrase as whole words. Scripts that are written without spaces have no word boundaries.
fn expression(phrase: &str) -> String {
    let bounded = |letter: Option<char>| {
        letter.is_some_and(|letter| (letter.is_alphanumeric() || letter == '_') && !is_unspaced(letter))
    };
    let edge = |letter| if bounded(letter) { r"\b" } else { "" };
    let (first, last) = (edge(phrase.chars().next()), edge(phrase.chars().next_back()));
    format!("{first}{}{last}", regex::escape(phrase))
}

fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words_and_the_longer_one_wins() {
        let words = Words::new(&["Project Falcon", "project", "日本"]).unwrap();
        let found = |text: &str| {
            words
                .find(&fold(text), 0)
                .map(|(start, end)| fold(text)[start..end].to_owned())
        };
        assert_eq!(
            found("about PROJECT   falcon!").as_deref(),
            Some("project falcon")
        );
        assert_eq!(found("about project falcons").as_deref(), Some("project"));
        assert_eq!(found("projects"), None);
        assert_eq!(found("今日本当").as_deref(), Some("日本"));
    }

    #[test]
    fn a_phrase_that_may_go_on_is_held() {
        let words = Words::new(&["project falcon", "ab"]).unwrap();
        let open = |text: &str| words.open(&Folded::of(text));
        assert_eq!(open("the proj"), Some(4));
        assert_eq!(open("the project falcon"), Some(4));
        assert_eq!(open("the project falcons"), None);
        assert_eq!(open("cab"), Some(1));
        assert_eq!(open(""), None);
    }

    #[test]
    fn lists_of_nothing_are_refused() {
        assert!(Words::new::<&str>(&[]).is_none());
        assert!(Words::new(&[" \u{200b}"]).is_none());
        assert!(Words::new(&["x".repeat(LONGEST_PHRASE + 1)]).is_none());
    }
}
