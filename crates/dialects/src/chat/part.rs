//! Parts of messages: texts, media, tool calls and reasoning.

use serde_json::Value;

use super::{Citation, TranslateError, Wire, refuse};

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// A mark that the prompt up to here should be cached (Anthropic's `cache_control`, Bedrock's `cachePoint`).
    pub cache: Option<Cache>,
}

/// How long a provider should keep a prompt's prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// The time to live as the dialects spell it (`5m`, `1h`); the provider's default when absent.
    pub ttl: Option<String>,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text, with what it is based on when an answer says so.
    Text {
        /// The text.
        text: String,
        /// Sources of an answer's text.
        citations: Vec<Citation>,
    },
    /// A picture. `detail` is OpenAI's `auto`, `low` or `high`.
    Image {
        /// Where it is.
        source: Source,
        /// How closely to look.
        detail: Option<String>,
    },
    /// A document, a PDF most often.
    Document {
        /// Where it is.
        source: Source,
        /// Its file name or title.
        name: Option<String>,
        /// What it is, for the model, but not to be cited (Anthropic's and Bedrock's `context`).
        context: Option<String>,
        /// Whether the answer shall cite it (Anthropic's and Bedrock's `citations.enabled`).
        cite: bool,
    },
    /// Sound.
    Audio {
        /// Where it is; the media type is `audio/wav`, `audio/mp3`, …
        source: Source,
        /// What is said, when an answer tells.
        transcript: Option<String>,
    },
    /// A moving picture.
    Video {
        /// Where it is.
        source: Source,
    },
    /// A call of a tool by the model.
    ToolCall {
        /// The call's id. Dialects without ids get one made from the position (`call_0`).
        id: String,
        /// The function's name.
        name: String,
        /// The arguments as JSON text; models may produce broken JSON, which is kept as it is.
        arguments: String,
        /// An opaque token that the provider wants back with the call (Gemini's `thoughtSignature`), marked with its
        /// [`Vendor`](super::Vendor).
        signature: Option<String>,
    },
    /// What a tool returned.
    ToolResult {
        /// The id of its call.
        id: String,
        /// The function's name, where the dialect says it.
        name: Option<String>,
        /// Texts, images and documents.
        content: Vec<Part>,
        /// Whether the call failed.
        is_error: bool,
    },
    /// What the model thought before it answered.
    Reasoning {
        /// The text, empty when only the signature is there.
        text: String,
        /// An opaque token that the provider wants back (Anthropic's `signature`, OpenAI's `encrypted_content`),
        /// marked with its [`Vendor`](super::Vendor).
        signature: Option<String>,
    },
    /// Thinking that nobody but the provider can read (Anthropic's `redacted_thinking`).
    RedactedReasoning {
        /// The opaque data, marked with its [`Vendor`](super::Vendor).
        data: String,
    },
    /// A refusal in the model's own words.
    Refusal(String),
    /// A step of a tool that one vendor runs itself (a web search that the model made, what became of it), in its own
    /// words. Only that vendor's dialect can say it.
    Native {
        /// The dialect that it belongs to.
        wire: Wire,
        /// The item as that dialect has it.
        item: Value,
    },
}

/// Where media are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the request itself, base64 (RFC 4648, with padding).
    Base64 {
        /// The media type: `image/png`.
        media_type: String,
        /// The data.
        data: String,
    },
    /// At an address (`https://…`, `gs://…`, `s3://…`).
    Url {
        /// The address.
        url: String,
        /// The media type, where the dialect says it.
        media_type: Option<String>,
    },
    /// A file that was uploaded to the provider before.
    File {
        /// The provider's id of it.
        id: String,
    },
    /// Plain text (documents only).
    Text(String),
}

impl Part {
    /// A part without a cache mark.
    pub fn new(content: Content) -> Self {
        Self { content, cache: None }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text {
            text: text.into(),
            citations: Vec::new(),
        })
    }

    /// The text, when it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// Refuses what only another vendor's API knows: a step of one of its own tools, or a reference to what it keeps.
///
/// # Errors
/// Always.
pub(crate) fn refuse_native<T>(param: impl Into<String>, vendor: &str) -> Result<T, TranslateError> {
    refuse(
        param,
        format!("is known to another provider's API alone; {vendor} cannot be told it"),
    )
}

impl Source {
    /// Reads an address as OpenAI's dialect has it: a `data:` URL becomes its data (RFC 2397; base64 only).
    pub fn from_url(url: &str) -> Self {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
        match inline {
            Some((head, data)) if head.ends_with(";base64") => Self::Base64 {
                media_type: head
                    .split(';')
                    .next()
                    .filter(|media_type| !media_type.is_empty())
                    .unwrap_or("application/octet-stream")
                    .to_owned(),
                data: data.to_owned(),
            },
            _ => Self::Url {
                url: url.to_owned(),
                media_type: None,
            },
        }
    }

    /// The same as an address: data become a `data:` URL; `None` for files and plain text.
    pub fn to_url(&self) -> Option<String> {
        match self {
            Self::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
            Self::Url { url, .. } => Some(url.clone()),
            Self::File { .. } | Self::Text(_) => None,
        }
    }
}
