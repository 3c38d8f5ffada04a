//! From tokens' bytes to text that may be shown: whole characters, and never a part of a stop text.

/// The text of an answer on its way out.
#[derive(Debug, Default)]
pub(crate) struct TextStream {
    stops: Vec<String>,
    /// Bytes that are no whole character yet.
    bytes: Vec<u8>,
    /// Text that could be the start of a stop text.
    held: String,
    stopped: bool,
}

impl TextStream {
    /// A stream that ends before the first of these texts; empty ones are ignored.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self {
            stops,
            ..Self::default()
        }
    }

    /// Takes a token's bytes and returns what may be shown now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.bytes.extend_from_slice(bytes);
        let whole = whole_characters(&mut self.bytes);
        self.held.push_str(&whole);
        self.release()
    }

    /// Whether a stop text has come.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, once no more tokens come.
    pub(crate) fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        let rest = String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned();
        let mut text = std::mem::take(&mut self.held);
        text.push_str(&rest);
        text
    }

    fn release(&mut self) -> String {
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min();
        if let Some(end) = first {
            self.stopped = true;
            self.held.truncate(end);
            return std::mem::take(&mut self.held);
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }
}

/// The length of the longest end of `text` that is a start of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(index, _)| index).skip(1);
    starts
        .filter(|length| stop.get(..*length).is_some_and(|start| text.ends_with(start)))
        .max()
        .unwrap_or(0)
}

/// Takes the whole characters off the front of some bytes; bytes that can never be a character become U+FFFD.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        let at_end = used + invalid.len() == bytes.len();
        if invalid.is_empty() || (at_end && is_start_of_character(invalid)) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        used += invalid.len();
    }
    bytes.drain(..used);
    text
}

/// Whether more bytes could complete these to a character.
fn is_start_of_character(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Stop texts, tokens, what is shown after each token and at the end, and whether a stop text came.
    type Case = (
        &'static [&'static str],
        &'static [&'static [u8]],
        &'static [&'static str],
        bool,
    );

    fn run(stops: &[&str], tokens: &[&[u8]]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::new(&stops);
        let mut shown: Vec<String> = tokens.iter().map(|token| stream.push(token)).collect();
        shown.push(stream.finish());
        (shown, stream.stopped())
    }

    #[test]
    fn texts_come_out_whole_and_stop_texts_never() {
        let cases: [Case; 8] = [
            (&[], &[b"a", b"b"], &["a", "b", ""], false),
            (&["END"], &[b"aE", b"N", b"Dx"], &["a", "", "", ""], true),
            (&["END"], &[b"aE", b"x"], &["a", "Ex", ""], false),
            (&["END"], &[b"aEN"], &["a", "EN"], false),
            (&["b", "ab"], &[b"xab"], &["x", ""], true),
            (
                &["\n\n", ""],
                &[b"a\n", b"b\n", b"\nc"],
                &["a", "\nb", "", ""],
                true,
            ),
            (
                &[],
                &[&[0xc3], &[0xa9], &[0xff, b'a'], &[0xe2, 0x82]],
                &["", "é", "\u{fffd}a", "", "\u{fffd}"],
                false,
            ),
            (&["é"], &[b"a\xc3", b"\xa9b"], &["a", "", ""], true),
        ];
        for (stops, tokens, shown, stopped) in cases {
            let shown: Vec<String> = shown.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(run(stops, tokens), (shown, stopped), "{stops:?} {tokens:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_the_text_up_to_the_first_stop(
            text in "[abc é]{0,20}",
            stops in proptest::collection::vec("[abc]{1,3}", 0..3),
            size in 1_usize..4,
        ) {
            let mut stream = TextStream::new(&stops);
            let mut shown = String::new();
            for token in text.as_bytes().chunks(size) {
                shown.push_str(&stream.push(token));
                if stream.stopped() {
                    break;
                }
            }
            shown.push_str(&stream.finish());
            if stream.stopped() {
                prop_assert!(text.starts_with(&shown));
                prop_assert!(stops.iter().any(|stop| text[shown.len()..].starts_with(stop.as_str())));
            } else {
                prop_assert_eq!(&shown, &text);
            }
            for stop in &stops {
                prop_assert!(!shown.contains(stop.as_str()));
            }
        }
    }
}
