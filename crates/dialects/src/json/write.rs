//! Writing JSON straight into a buffer.

use serde::Serialize;

/// Writes a value. Values of this crate always have a JSON form, and a buffer in memory takes every byte.
fn value(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// Writes a text with its quotes.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    value(out, text);
}

/// Whole numbers are written without a fraction, as clients send them.
#[allow(clippy::cast_possible_truncation, reason = "only numbers that fit are cast")]
fn number(out: &mut Vec<u8>, number: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        value(out, &(number as i64));
    } else {
        value(out, &number);
    }
}

/// An object that is being written; it is closed when it goes out of scope.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object at the end of `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Writes a key that has nothing to escape.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }

    pub(crate) fn text(&mut self, key: &'static str, text: &str) -> &mut Self {
        value(self.key(key), text);
        self
    }

    pub(crate) fn text_if(&mut self, key: &'static str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.text(key, text);
        }
        self
    }

    pub(crate) fn count(&mut self, key: &'static str, count: u64) -> &mut Self {
        value(self.key(key), &count);
        self
    }

    pub(crate) fn count_if(&mut self, key: &'static str, count: Option<u64>) -> &mut Self {
        if let Some(count) = count {
            self.count(key, count);
        }
        self
    }

    pub(crate) fn number(&mut self, key: &'static str, given: f64) -> &mut Self {
        number(self.key(key), given);
        self
    }

    pub(crate) fn number_if(&mut self, key: &'static str, number: Option<f64>) -> &mut Self {
        if let Some(number) = number {
            self.number(key, number);
        }
        self
    }

    pub(crate) fn flag(&mut self, key: &'static str, flag: bool) -> &mut Self {
        value(self.key(key), &flag);
        self
    }

    pub(crate) fn flag_if(&mut self, key: &'static str, flag: Option<bool>) -> &mut Self {
        if let Some(flag) = flag {
            self.flag(key, flag);
        }
        self
    }

    pub(crate) fn null(&mut self, key: &'static str) -> &mut Self {
        self.key(key).extend_from_slice(b"null");
        self
    }

    pub(crate) fn value(&mut self, key: &'static str, given: &(impl Serialize + ?Sized)) -> &mut Self {
        value(self.key(key), given);
        self
    }

    /// A member whose key comes from outside.
    pub(crate) fn entry(&mut self, key: &str, given: &(impl Serialize + ?Sized)) -> &mut Self {
        self.comma();
        value(self.out, key);
        self.out.push(b':');
        value(self.out, given);
        self
    }

    /// A number whose key comes from outside.
    pub(crate) fn entry_number(&mut self, key: &str, given: f64) -> &mut Self {
        self.comma();
        value(self.out, key);
        self.out.push(b':');
        number(self.out, given);
        self
    }

    /// A member that is JSON already.
    pub(crate) fn json(&mut self, key: &'static str, json: &[u8]) -> &mut Self {
        self.key(key).extend_from_slice(json);
        self
    }

    pub(crate) fn object(&mut self, key: &'static str) -> Object<'_> {
        Object::new(self.key(key))
    }

    pub(crate) fn list(&mut self, key: &'static str) -> List<'_> {
        List::new(self.key(key))
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// A list that is being written; it is closed when it goes out of scope.
pub(crate) struct List<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> List<'o> {
    /// Begins a list at the end of `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_empty: true }
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out
    }

    pub(crate) fn value(&mut self, given: &(impl Serialize + ?Sized)) -> &mut Self {
        value(self.next(), given);
        self
    }

    pub(crate) fn object(&mut self) -> Object<'_> {
        Object::new(self.next())
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}
