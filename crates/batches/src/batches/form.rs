//! In whose API a batch was made, and what differs between the two. Nothing here performs I/O.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::{self, Answer};
use crate::files::{MESSAGES, OUTPUT};

/// In whose API a batch was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// OpenAI's batches (<https://platform.openai.com/docs/api-reference/batch>).
    #[default]
    OpenAi,
    /// Anthropic's message batches (<https://docs.anthropic.com/en/api/creating-message-batches>).
    Anthropic,
}

/// Why a line was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// The time was over.
    Expired,
    /// The batch was cancelled.
    Cancelled,
    /// The batch could not be worked on; why.
    Failed(String),
}

impl Form {
    /// What ids begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::OpenAi => "batch_",
            Self::Anthropic => "msgbatch_",
        }
    }

    /// The largest file, in bytes, and the most lines (<https://platform.openai.com/docs/guides/batch>,
    /// <https://docs.anthropic.com/en/docs/build-with-claude/batch-processing#batch-limitations>).
    pub(super) const fn limits(self) -> (u64, u64) {
        match self {
            Self::OpenAi => (200 << 20, 50_000),
            // What is added to each request is not the client's.
            Self::Anthropic => (320 << 20, 100_000),
        }
    }

    /// What the files of its results are for.
    pub(super) const fn purpose_of_results(self) -> &'static str {
        match self {
            Self::OpenAi => OUTPUT,
            Self::Anthropic => MESSAGES,
        }
    }

    /// The result of a line that was answered.
    pub(super) fn result(self, id: &str, custom_id: &str, answer: &Answer) -> Value {
        match self {
            Self::OpenAi => plan::result(id, custom_id, answer),
            Self::Anthropic if answer.status.is_success() => {
                json!({"custom_id": custom_id, "result": {"type": "succeeded", "message": answer.body}})
            }
            // The gateway tells errors of this address in Anthropic's way.
            Self::Anthropic => {
                json!({"custom_id": custom_id, "result": {"type": "errored", "error": answer.body}})
            }
        }
    }

    /// Whether lines without an answer are told.
    pub(super) const fn tells(self, why: &Missing) -> bool {
        match self {
            Self::OpenAi => matches!(why, Missing::Expired),
            Self::Anthropic => true,
        }
    }

    /// The result of a line that was not asked.
    pub(super) fn missing(self, id: &str, custom_id: &str, why: &Missing) -> Value {
        let result = match (self, why) {
            (Self::OpenAi, _) => return plan::expired(id, custom_id),
            (Self::Anthropic, Missing::Expired) => json!({"type": "expired"}),
            (Self::Anthropic, Missing::Cancelled) => json!({"type": "canceled"}),
            (Self::Anthropic, Missing::Failed(message)) => json!({"type": "errored", "error": {
                "type": "error", "error": {"type": "api_error", "message": message},
            }}),
        };
        json!({"custom_id": custom_id, "result": result})
    }
}
