//! Decoding server-sent events (the HTML standard, "Interpreting an event stream") as their bytes come.
//!
//! *Invariant:* nothing here performs I/O, and no input makes it keep more than one event.

/// The longest event that is accepted, in bytes.
const LONGEST: usize = 4 << 20;

/// Puts events together from pieces that may be cut anywhere, inside a character too.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    after_return: bool,
    begun: bool,
}

/// An event or line is longer than any sensible one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has an event of more than {LONGEST} bytes")]
pub(crate) struct TooLong;

impl Decoder {
    /// Takes a piece in, and returns the data of the events that it completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in piece {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let complete = std::mem::take(&mut self.has_data);
            let data = std::mem::take(&mut self.data);
            return complete.then_some(data);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            if self.has_data {
                self.data.push('\n');
            }
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
            self.has_data = true;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_are_what_the_standard_says() {
        let cases: [(&str, &[&str]); 8] = [
            ("data: a\n\n", &["a"]),
            ("data:a\r\n\r\ndata: b\r\r", &["a", "b"]),
            ("data: a\ndata:  b\n\n", &["a\n b"]),
            (": comment\nevent: x\nid: 1\ndata: a\n\n", &["a"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data\n\n", &[""]),
            ("\n\n\nretry: 5\n\n", &[]),
            ("data: unfinished\n", &[]),
        ];
        for (text, events) in cases {
            assert_eq!(
                Decoder::default().push(text.as_bytes()).unwrap(),
                events,
                "{text:?}"
            );
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = Decoder::default();
        let result = (0..8).try_for_each(|_| decoder.push(&vec![b'x'; 1 << 20]).map(drop));
        assert_eq!(result, Err(TooLong));
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_changes_nothing(text in "(data: ?[aä\\[]{0,5}(\r\n|\n|\r)|(\r\n|\n|\r)){0,12}", at in 0usize..80) {
            let bytes = text.as_bytes();
            let whole = Decoder::default().push(bytes).unwrap();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let mut decoder = Decoder::default();
            let mut parts = decoder.push(first).unwrap();
            parts.extend(decoder.push(second).unwrap());
            prop_assert_eq!(whole, parts);
        }
    }
}
