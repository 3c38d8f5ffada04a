//! A JSON scanner that checks and skips values without building them.

use std::ops::Range;

use super::ScanError;

/// How deep values below the body's object may be nested: as deep as `serde_json` goes.
const DEEPEST: usize = 126;

/// Reads a JSON text from left to right.
pub(super) struct Scanner<'a> {
    body: &'a [u8],
    position: usize,
}

pub(super) fn error<T>(message: impl Into<String>, position: usize) -> Result<T, ScanError> {
    Err(ScanError {
        message: message.into(),
        position,
    })
}

impl<'a> Scanner<'a> {
    /// A scanner over a body, which must be UTF-8.
    pub(super) fn new(body: &'a [u8]) -> Result<Self, ScanError> {
        match std::str::from_utf8(body) {
            Ok(_) => Ok(Self { body, position: 0 }),
            Err(reason) => error("the body is not UTF-8", reason.valid_up_to()),
        }
    }

    /// Reads one object that is the whole body and calls `member` with each key (quotes included) and value.
    pub(super) fn whole_object(
        mut self,
        mut member: impl FnMut(Range<usize>, Range<usize>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return error("the body is not a JSON object", self.position);
        }
        self.object(DEEPEST, &mut member)?;
        self.skip_space();
        if self.position < self.body.len() {
            return error("something follows the JSON object", self.position);
        }
        Ok(())
    }

    /// Reads one list that is the whole text and calls `element` with each of its elements.
    pub(super) fn whole_list(mut self, mut element: impl FnMut(Range<usize>)) -> Result<(), ScanError> {
        self.skip_space();
        self.expect(b'[', "expected a list")?;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.position += 1;
        } else {
            loop {
                element(self.value(DEEPEST)?);
                if self.ends_with(b']', "expected a comma or the end of the list")? {
                    break;
                }
            }
        }
        self.skip_space();
        if self.position < self.body.len() {
            return error("something follows the list", self.position);
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.position).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.body.get(self.position..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Range<usize>, ScanError> {
        self.skip_space();
        let start = self.position;
        match self.peek() {
            Some(b'{') => self.object(deeper(depth, start)?, &mut |_, _| Ok(()))?,
            Some(b'[') => self.array(deeper(depth, start)?)?,
            Some(b'"') => {
                self.string()?;
            }
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return error("expected a JSON value", start),
            None => return error("the JSON ends too early", start),
        }
        Ok(start..self.position)
    }

    fn object(
        &mut self,
        depth: usize,
        member: &mut dyn FnMut(Range<usize>, Range<usize>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.position += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.position += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.skip_space();
            self.expect(b':', "expected a colon after the key")?;
            let value = self.value(depth)?;
            member(key, value)?;
            if self.ends_with(b'}', "expected a comma or the end of the object")? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), ScanError> {
        self.position += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.position += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if self.ends_with(b']', "expected a comma or the end of the list")? {
                return Ok(());
            }
        }
    }

    /// After an element: true at the end, false at a comma.
    fn ends_with(&mut self, end: u8, message: &str) -> Result<bool, ScanError> {
        self.skip_space();
        let found = self.peek();
        if found == Some(end) || found == Some(b',') {
            self.position += 1;
            return Ok(found == Some(end));
        }
        error(
            if found.is_none() {
                "the JSON ends too early"
            } else {
                message
            },
            self.position,
        )
    }

    fn expect(&mut self, byte: u8, message: &str) -> Result<(), ScanError> {
        if self.peek() == Some(byte) {
            self.position += 1;
            return Ok(());
        }
        error(message, self.position)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanError> {
        if self.rest().starts_with(word) {
            self.position += word.len();
            return Ok(());
        }
        error("expected a JSON value", self.position)
    }

    fn number(&mut self) -> Result<(), ScanError> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        let whole = self.digits();
        let is_padded = whole > 1 && self.body.get(self.position - whole) == Some(&b'0');
        let mut is_valid = whole > 0 && !is_padded;
        if self.peek() == Some(b'.') {
            self.position += 1;
            is_valid &= self.digits() > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            is_valid &= self.digits() > 0;
        }
        if is_valid {
            Ok(())
        } else {
            error("malformed number", start)
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        self.position - start
    }

    /// Reads a string; the span has its quotes.
    fn string(&mut self) -> Result<Range<usize>, ScanError> {
        let start = self.position;
        self.expect(b'"', "expected a text in quotes")?;
        loop {
            self.position += plain_length(self.rest());
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(start..self.position);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return error("control character in a text", self.position),
                None => return error("a text is not closed", start),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        let start = self.position;
        self.position += 2;
        match self.body.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => self.unicode_escape(start),
            _ => error("malformed escape", start),
        }
    }

    /// Surrogates must come in pairs.
    fn unicode_escape(&mut self, start: usize) -> Result<(), ScanError> {
        match self.hex(start)? {
            0xD800..=0xDBFF => {
                let is_pair = self.rest().starts_with(b"\\u");
                self.position += 2;
                if is_pair && matches!(self.hex(start)?, 0xDC00..=0xDFFF) {
                    return Ok(());
                }
                error("half of a surrogate pair", start)
            }
            0xDC00..=0xDFFF => error("half of a surrogate pair", start),
            _ => Ok(()),
        }
    }

    fn hex(&mut self, start: usize) -> Result<u32, ScanError> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(value) = value.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return error("malformed escape", start);
        };
        self.position += 4;
        Ok(value)
    }
}

fn deeper(depth: usize, position: usize) -> Result<usize, ScanError> {
    depth
        .checked_sub(1)
        .map_or_else(|| error("the JSON is nested too deeply", position), Ok)
}

/// How many bytes from the start are neither a quote, a backslash nor a control character; eight at a time, since
/// bodies carry whole images as texts.
fn plain_length(bytes: &[u8]) -> usize {
    let mut chunks = bytes.chunks_exact(8);
    let mut length = 0;
    for chunk in &mut chunks {
        let word = chunk
            .iter()
            .rev()
            .fold(0_u64, |word, &byte| (word << 8) | u64::from(byte));
        if has_special(word) {
            break;
        }
        length += 8;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length
        + rest
            .iter()
            .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
            .unwrap_or(rest.len())
}

/// Whether one of the eight bytes is special; after the well-known bit tricks for "has a zero byte" and "has a byte
/// below n".
fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let quote = has_zero(word ^ (ONES * u64::from(b'"')));
    let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    quote | backslash | control != 0
}
