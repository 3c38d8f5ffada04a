//! Source text to tokens, by the grammar of the language definition (cel-spec, `doc/langdef.md`, Syntax).

use crate::source::Issue;

/// A token and where it begins, in characters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// A name in backquotes, which may stand after a dot only.
    Quoted(String),
    Symbol(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// All tokens of a source, with an end.
pub(crate) fn tokens(source: &[char]) -> Result<Vec<Token>, Issue> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let kind = lexer.next()?;
        let end = kind == Kind::End;
        tokens.push(Token { at, kind });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    fn fail<T>(&self, message: &str) -> Result<T, Issue> {
        Err(Issue::new(self.at, format!("Syntax error: {message}")))
    }

    fn skip_blank(&mut self) {
        while let Some(letter) = self.peek(0) {
            if letter == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|letter| letter != '\n') {
                    self.at += 1;
                }
            } else if matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Kind, Issue> {
        let Some(first) = self.peek(0) else {
            return Ok(Kind::End);
        };
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if let Some((raw, bytes, length)) = self.string_prefix() {
            self.at += length;
            return self.string(raw, bytes);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(Kind::Ident(word));
        }
        if first == '`' {
            self.at += 1;
            let name =
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
            if self.peek(0) != Some('`') || name.is_empty() {
                return self.fail("unterminated quoted identifier");
            }
            self.at += 1;
            return Ok(Kind::Quoted(name));
        }
        for symbol in SYMBOLS {
            if symbol
                .chars()
                .enumerate()
                .all(|(ahead, c)| self.peek(ahead) == Some(c))
            {
                self.at += symbol.len();
                return Ok(Kind::Symbol(symbol));
            }
        }
        self.fail(&format!("token recognition error at: '{first}'"))
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(letter) = self.peek(0).filter(|letter| fits(*letter)) {
            text.push(letter);
            self.at += 1;
        }
        text
    }

    fn number(&mut self) -> Result<Kind, Issue> {
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            return self.whole(&digits, 16);
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut whole = true;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            whole = false;
            self.at += 1;
            text.push('.');
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                whole = false;
                text.push('e');
                self.at += 1;
                text.extend(self.peek(0).filter(|_| sign == 1));
                self.at += sign;
                text.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        if whole {
            return self.whole(&text, 10);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Kind::Double(number)),
            _ => self.fail("invalid double literal"),
        }
    }

    fn whole(&mut self, digits: &str, radix: u32) -> Result<Kind, Issue> {
        let Ok(number) = u64::from_str_radix(digits, radix) else {
            return self.fail("invalid int literal");
        };
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Ok(Kind::Uint(number));
        }
        Ok(Kind::Int(number))
    }

    /// What stands before a quote: raw, bytes, and its length.
    fn string_prefix(&self) -> Option<(bool, bool, usize)> {
        let (mut raw, mut bytes, mut length) = (false, false, 0);
        while length < 2 {
            match self.peek(length)? {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                _ => break,
            }
            length += 1;
        }
        matches!(self.peek(length)?, '"' | '\'').then_some((raw, bytes, length))
    }

    fn string(&mut self, raw: bool, bytes: bool) -> Result<Kind, Issue> {
        let Some(quote) = self.peek(0) else {
            return self.fail("unterminated string");
        };
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let mut out = Vec::new();
        loop {
            let Some(letter) = self.peek(0) else {
                return self.fail("unterminated string");
            };
            if letter == quote && (0..width).all(|ahead| self.peek(ahead) == Some(quote)) {
                self.at += width;
                break;
            }
            if matches!(letter, '\n' | '\r') && !triple {
                return self.fail("unterminated string");
            }
            self.at += 1;
            if letter == '\\' && !raw {
                self.escape(bytes, &mut out)?;
            } else {
                out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
            }
        }
        if bytes {
            return Ok(Kind::Bytes(out));
        }
        match String::from_utf8(out) {
            Ok(text) => Ok(Kind::String(text)),
            Err(_) => self.fail("invalid string literal"),
        }
    }

    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), Issue> {
        let Some(letter) = self.peek(0) else {
            return self.fail("unterminated string");
        };
        self.at += 1;
        let plain = match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '"' | '\'' | '`' | '?' => letter,
            'x' | 'X' => return self.code(2, 16, bytes, out),
            'u' if !bytes => return self.code(4, 16, bytes, out),
            'U' if !bytes => return self.code(8, 16, bytes, out),
            '0'..='3' => {
                self.at -= 1;
                return self.code(3, 8, bytes, out);
            }
            _ => return self.fail("invalid escape in a string literal"),
        };
        out.extend(plain.encode_utf8(&mut [0; 4]).bytes());
        Ok(())
    }

    fn code(&mut self, digits: usize, radix: u32, bytes: bool, out: &mut Vec<u8>) -> Result<(), Issue> {
        let text: String = (0..digits).filter_map(|ahead| self.peek(ahead)).collect();
        let code = u32::from_str_radix(&text, radix)
            .ok()
            .filter(|_| text.len() == digits);
        let Some(code) = code else {
            return self.fail("invalid escape in a string literal");
        };
        self.at += digits;
        if bytes {
            match u8::try_from(code) {
                Ok(byte) => out.push(byte),
                Err(_) => return self.fail("invalid escape in a bytes literal"),
            }
            return Ok(());
        }
        match char::from_u32(code) {
            Some(letter) => out.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            None => return self.fail("invalid escape in a string literal"),
        }
        Ok(())
    }
}
