//! The one error type that crosses crate boundaries.
//!
//! *Invariant:* it knows no transport: HTTP status codes and exit codes are decided at the surfaces.

use std::{fmt, time::Duration};

/// A result with the kernel's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done, in the few words that every surface can render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is malformed or breaks a rule of its schema.
    Invalid,
    /// The request body is larger than the limit.
    TooLarge,
    /// There is no credential, or it is wrong.
    Unauthenticated,
    /// The principal may not do this.
    Forbidden,
    /// The thing does not exist.
    NotFound,
    /// The thing exists already, or was changed by someone else meanwhile.
    Conflict,
    /// The thing existed, and cannot be had any more (an expired watch window).
    Gone,
    /// A limit, quota or queue is full; trying later can help.
    Exhausted,
    /// Something that is needed does not answer.
    Unavailable,
    /// It took longer than it may.
    Timeout,
    /// Stead cannot do this (yet).
    Unsupported,
    /// A defect of Stead.
    Internal,
}

impl Reason {
    /// Every reason, for tables and conformance tests.
    pub const ALL: [Self; 12] = [
        Self::Invalid,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Gone,
        Self::Exhausted,
        Self::Unavailable,
        Self::Timeout,
        Self::Unsupported,
        Self::Internal,
    ];

    /// The reason as one snake-case word, stable on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }

    /// The reason that [`as_str`](Self::as_str) printed.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What went wrong, why, and what to do about it.
///
/// The message is lowercase, never repeats its source and never holds a secret.
#[derive(Debug)]
pub struct Error {
    reason: Reason,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a reason and a message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            hint: None,
            retry_after: None,
            source: None,
        }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause, which the message must not repeat.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds after which time another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Why, in one word.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn get_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// After which time another try makes sense.
    pub fn get_retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The message with the messages of all causes, on one line.
    pub fn full_message(&self) -> String {
        let mut text = self.message.clone();
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Shorthands, one per reason: `Error::invalid("…")`.
macro_rules! constructors {
    ($($name:ident => $reason:ident),* $(,)?) => {
        impl Error {
            $(#[doc = concat!("An error with [`Reason::", stringify!($reason), "`].")]
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Reason::$reason, message)
            })*
        }
    };
}
constructors! {
    invalid => Invalid, too_large => TooLarge, unauthenticated => Unauthenticated, forbidden => Forbidden,
    not_found => NotFound, conflict => Conflict, gone => Gone, exhausted => Exhausted,
    unavailable => Unavailable, timeout => Timeout, unsupported => Unsupported, internal => Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        let error = match error {
            // The transport's own error says more than that there was none.
            kube::Error::Service(inner) => match inner.downcast::<Self>() {
                Ok(own) => return *own,
                Err(inner) => kube::Error::Service(inner),
            },
            other => other,
        };
        let kube::Error::Api(status) = &error else {
            return Self::unavailable("the resource API did not answer").because(error);
        };
        let reason = match (status.code, status.reason.as_str()) {
            (401, _) => Reason::Unauthenticated,
            (403, _) => Reason::Forbidden,
            (404, _) => Reason::NotFound,
            (409, _) => Reason::Conflict,
            (410, _) => Reason::Gone,
            (413, _) => Reason::TooLarge,
            (429, _) => Reason::Exhausted,
            (501, _) => Reason::Unsupported,
            (503, _) => Reason::Unavailable,
            (504, _) => Reason::Timeout,
            (500.., _) => Reason::Internal,
            _ => Reason::Invalid,
        };
        Self::new(reason, status.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_text_form() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
    }

    #[test]
    fn the_full_message_lists_causes_once() {
        let error = Error::unavailable("provider x did not answer").because(Error::timeout("no byte in 5 s"));
        assert_eq!(error.to_string(), "provider x did not answer");
        assert_eq!(error.full_message(), "provider x did not answer: no byte in 5 s");
    }
}
