//! What can be asked of a model.
//!
//! *Invariant:* what differs between two operations that are forwarded is a column of one table.

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// A chat, in any dialect.
    Chat,
    /// How many tokens a chat's prompt has: `POST /v1/messages/count_tokens`, Gemini's `countTokens`.
    CountTokens,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/rerank`
    Rerank,
    /// `POST /v1/moderations`
    Moderations,
    /// `POST /v1/images/generations`
    Images,
    /// `POST /v1/images/edits`
    ImageEdits,
    /// `POST /v1/images/variations`
    ImageVariations,
    /// `POST /v1/audio/transcriptions`
    Transcriptions,
    /// `POST /v1/audio/translations`
    Translations,
    /// `POST /v1/audio/speech`
    Speech,
    /// `GET /v1/realtime`, a WebSocket
    Realtime,
}

/// What an operation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// Tokens.
    Text,
    /// Numbers, which cost input only.
    Numbers,
    /// Pictures.
    Images,
    /// Sound.
    Sound,
    /// Text from sound.
    Transcript,
    /// A conversation, whose length nobody knows before.
    Talk,
}

/// What is true of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// In records and metrics.
    pub(crate) name: &'static str,
    /// After `/v1/`.
    pub(crate) path: &'static str,
    /// What providers say about it.
    pub(crate) describe: &'static str,
    pub(crate) makes: Makes,
    /// The member that every whole JSON answer has.
    pub(crate) member: &'static str,
    /// Whether `stream: true` asks for a stream.
    pub(crate) streams: bool,
}

/// A row for an operation that makes text.
const fn text(name: &'static str, path: &'static str, describe: &'static str) -> Facts {
    Facts {
        name,
        path,
        describe,
        makes: Makes::Text,
        member: "choices",
        streams: true,
    }
}

/// A row for an operation without a stream.
const fn plain(name: &'static str, path: &'static str, makes: Makes, member: &'static str) -> Facts {
    Facts {
        makes,
        member,
        streams: false,
        ..text(name, path, path)
    }
}

impl Operation {
    /// Every operation, for tests over all of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::Chat,
        Self::CountTokens,
        Self::Completions,
        Self::Embeddings,
        Self::Rerank,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::Realtime,
    ];

    /// What is true of it.
    pub(crate) const fn facts(self) -> Facts {
        match self {
            Self::Chat => text("chat", "chat/completions", "chat"),
            Self::CountTokens => plain(
                "count-tokens",
                "messages/count_tokens",
                Makes::Numbers,
                "input_tokens",
            ),
            Self::Completions => text("completions", "completions", "completions of raw prompts"),
            Self::Embeddings => plain("embeddings", "embeddings", Makes::Numbers, "data"),
            Self::Rerank => plain("rerank", "rerank", Makes::Numbers, "results"),
            Self::Moderations => plain("moderations", "moderations", Makes::Numbers, "results"),
            Self::Images => Facts {
                streams: true,
                ..plain("images", "images/generations", Makes::Images, "data")
            },
            Self::ImageEdits => Facts {
                streams: true,
                ..plain("image-edits", "images/edits", Makes::Images, "data")
            },
            Self::ImageVariations => plain("image-variations", "images/variations", Makes::Images, "data"),
            Self::Transcriptions => Facts {
                streams: true,
                ..plain(
                    "transcriptions",
                    "audio/transcriptions",
                    Makes::Transcript,
                    "text",
                )
            },
            Self::Translations => plain("translations", "audio/translations", Makes::Transcript, "text"),
            Self::Speech => Facts {
                streams: true,
                ..plain("speech", "audio/speech", Makes::Sound, "")
            },
            Self::Realtime => Facts {
                describe: "realtime conversations over WebSocket",
                ..plain("realtime", "realtime", Makes::Talk, "")
            },
        }
    }

    /// The operation in records and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// What providers say about it.
    pub(crate) const fn describe(self) -> &'static str {
        self.facts().describe
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_paths_are_unique() {
        let names: BTreeSet<&str> = Operation::ALL.map(Operation::as_str).into();
        let paths: BTreeSet<&str> = Operation::ALL.map(|operation| operation.facts().path).into();
        assert_eq!((names.len(), paths.len()), (13, 13));
    }
}
