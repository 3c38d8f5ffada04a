//! What goes wrong, in a form that every dialect can render.

/// An error of a provider or of the gateway, for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// The HTTP status that fits; of an error inside a stream, the one it would have had.
    pub status: u16,
    /// What sort of error.
    pub kind: ErrorKind,
    /// What is wrong, for people.
    pub message: String,
    /// The code that programs look at (`context_length_exceeded`), in OpenAI's words where it has one.
    pub code: Option<String>,
    /// The field of the request at fault.
    pub param: Option<String>,
}

/// A sort of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is malformed or asks for what is not possible.
    Invalid,
    /// The prompt does not fit into the model's context.
    ContextLength,
    /// A filter of the provider refused the prompt.
    ContentFilter,
    /// Who is it?
    Authentication,
    /// May not.
    Permission,
    /// No such model or object.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// Too many requests or tokens.
    RateLimit,
    /// Not enough money.
    Billing,
    /// The provider is overloaded.
    Overloaded,
    /// Took too long.
    Timeout,
    /// This dialect or provider cannot do it.
    Unsupported,
    /// The provider failed.
    Api,
}

impl ErrorKind {
    /// The kind that an HTTP status suggests.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            501 => Self::Unsupported,
            400..=499 => Self::Invalid,
            503 | 529 => Self::Overloaded,
            _ => Self::Api,
        }
    }

    /// The kind that an HTTP status and a message suggest: many servers have no code for a prompt that does not fit.
    pub fn of_message(status: u16, message: &str) -> Self {
        const CONTEXT: [&str; 8] = [
            "maximum context length",
            "context length exceeded",
            "context window",
            "exceeds the available context",
            "prompt is too long",
            "input is too long",
            "input token count",
            "longer than the model's context",
        ];
        let is_about_the_request = matches!(status, 200 | 400 | 413 | 422 | 500);
        let message = message.to_ascii_lowercase();
        if is_about_the_request && CONTEXT.iter().any(|words| message.contains(words)) {
            return Self::ContextLength;
        }
        Self::of_status(status)
    }

    /// The HTTP status that fits.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid | Self::ContextLength | Self::ContentFilter => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Unsupported => 501,
            Self::Overloaded => 503,
            Self::Timeout => 504,
            Self::Api => 502,
        }
    }
}

impl ErrorBody {
    /// What is said of an answer whose body is no error of the dialect (a proxy's page): it is not repeated.
    pub fn of_status(status: u16) -> Self {
        Self {
            status,
            kind: ErrorKind::of_status(status),
            message: format!("the provider answered with HTTP {status}"),
            code: None,
            param: None,
        }
    }
}

/// A request or answer that cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TranslateError {
    /// The field at fault, as `messages[2].content`.
    pub param: String,
    /// What is wrong, why, and what to do.
    pub message: String,
}

/// Refuses a field: the message begins with its name.
pub fn refuse<T>(param: impl Into<String>, message: impl Into<String>) -> Result<T, TranslateError> {
    let (param, message) = (param.into(), message.into());
    Err(TranslateError {
        message: format!("{param}: {message}"),
        param,
    })
}
