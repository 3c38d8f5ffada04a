//! One form for what looks the same: lower case, compatibility letters, no accents, no invisible letters, one space.
//!
//! *Invariant:* each letter is folded by itself, so that a text in pieces folds as the whole does.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Letters of other alphabets that look like Latin ones, and what they look like
/// (a part of <https://www.unicode.org/Public/security/latest/confusables.txt>).
const LOOKALIKES: &[(char, char)] = &[
    ('а', 'a'),
    ('в', 'b'),
    ('е', 'e'),
    ('ѕ', 's'),
    ('і', 'i'),
    ('ј', 'j'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('һ', 'h'),
    ('ԁ', 'd'),
    ('ԛ', 'q'),
    ('ԝ', 'w'),
    ('α', 'a'),
    ('ε', 'e'),
    ('ι', 'i'),
    ('κ', 'k'),
    ('ν', 'v'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('υ', 'u'),
    ('χ', 'x'),
    ('ı', 'i'),
    ('ɡ', 'g'),
    ('ł', 'l'),
    ('ø', 'o'),
    ('đ', 'd'),
];

/// A folded text, and where each of its bytes comes from.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) text: String,
    /// For each byte of the folded text, where its letter begins and ends in the text.
    spans: Vec<(u32, u32)>,
}

impl Folded {
    pub(crate) fn of(text: &str) -> Self {
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            spans: Vec::with_capacity(text.len()),
        };
        let mut blank = false;
        for (at, letter) in text.char_indices() {
            let span = (position(at), position(at + letter.len_utf8()));
            let before = folded.text.len();
            fold_letter(letter, &mut blank, &mut folded.text);
            let added = folded.text.len() - before;
            folded.spans.extend(std::iter::repeat_n(span, added));
        }
        folded
    }

    /// The first byte of the folded text that comes from a byte of the text or a later one.
    pub(crate) fn at(&self, byte: usize) -> usize {
        self.spans.partition_point(|(start, _)| (*start as usize) < byte)
    }

    /// Where the letter of a folded byte begins; the end of the text for the end.
    pub(crate) fn start(&self, folded: usize, text: &str) -> usize {
        self.spans
            .get(folded)
            .map_or(text.len(), |(start, _)| *start as usize)
    }

    /// Where the letter of the folded byte before this one ends.
    pub(crate) fn end(&self, folded: usize) -> usize {
        let last = folded.checked_sub(1).and_then(|last| self.spans.get(last));
        last.map_or(0, |(_, end)| *end as usize)
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Folds a text: lower case, compatibility forms (full width, ligatures, mathematical letters), no accents, lookalikes
/// of Latin letters, nothing invisible, and one space for any run of white space.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut blank = false;
    for letter in text.chars() {
        fold_letter(letter, &mut blank, &mut folded);
    }
    folded
}

fn fold_letter(letter: char, blank: &mut bool, folded: &mut String) {
    if letter.is_ascii() {
        return push(letter, blank, folded);
    }
    if is_invisible(letter) {
        return;
    }
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    for part in normalizer.normalize_iter(std::iter::once(letter)) {
        if is_mark(part) {
            continue;
        }
        for lower in part.to_lowercase().filter(|lower| !is_mark(*lower)) {
            let alike = LOOKALIKES.iter().find(|(other, _)| *other == lower);
            push(alike.map_or(lower, |(_, latin)| *latin), blank, folded);
        }
    }
}

fn push(letter: char, blank: &mut bool, folded: &mut String) {
    if letter.is_whitespace() {
        if !std::mem::replace(blank, true) {
            folded.push(' ');
        }
        return;
    }
    *blank = false;
    folded.push(letter.to_ascii_lowercase());
}

/// Zero-width letters, directions, variation selectors and tags
/// (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Accents that a decomposition leaves.
fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{3099}' | '\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_folds_to_the_same() {
        let cases = [
            ("Ignore", "ignore"),
            ("ＩＧＮＯＲＥ", "ignore"),
            ("i\u{200b}g\u{2060}nore", "ignore"),
            ("ignоre", "ignore"),
            ("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"),
            ("ïgnöré", "ignore"),
            ("e\u{301}", "e"),
            ("a \u{a0}\t\nb", "a b"),
            ("ﬁle", "file"),
            ("STRASSE", "strasse"),
            ("\u{e0041}x", "x"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(fold(text), expected, "{text:?}");
            assert_eq!(Folded::of(text).text, expected, "{text:?}");
        }
    }

    #[test]
    fn a_folded_byte_knows_its_letter() {
        let text = "x\u{200b}ﬁ É";
        let folded = Folded::of(text);
        assert_eq!(folded.text, "xfi e");
        let starts: Vec<usize> = (0..=5).map(|at| folded.start(at, text)).collect();
        assert_eq!(starts, [0, 4, 4, 7, 8, text.len()]);
        assert_eq!(folded.end(3), 7);
        assert_eq!(
            (folded.at(1), folded.at(4), folded.at(8), folded.at(99)),
            (1, 1, 4, 5)
        );
    }
}
