//! Why a model cannot be used.

use std::io;

/// Why a model file cannot be loaded or a prompt not be read. Clones, because all who wait for one load get it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such file.
    #[error("its file is not there")]
    Missing,
    /// The operating system refused.
    #[error("its file cannot be read: {0}")]
    Read(String),
    /// The file contradicts itself or the format.
    #[error("its file is damaged: {0}")]
    Damaged(String),
    /// The file is right, but for another engine.
    #[error("{0}, which the embedded engine does not support")]
    Unsupported(String),
    /// The request does not suit the model.
    #[error("{0}")]
    Request(String),
    /// There is not enough memory for the model.
    #[error("it needs {needed} MB of memory, and {available} MB are free")]
    Memory {
        /// Megabytes that the model takes.
        needed: u64,
        /// Megabytes that are there.
        available: u64,
    },
    /// A defect.
    #[error("{0}")]
    Defect(String),
}

/// A result with this crate's error.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A contradiction in the file.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Something that the engine cannot do.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    /// The error as the rest of Stead speaks, for the model of this name.
    pub(crate) fn of_model(self, name: &str) -> stead_kernel::Error {
        let message = format!("the model {name} cannot be used: {self}");
        match self {
            Self::Missing => stead_kernel::Error::not_found(message).hint("fetch it with `stead model pull`"),
            Self::Read(_) => stead_kernel::Error::unavailable(message),
            Self::Damaged(_) => {
                stead_kernel::Error::invalid(message).hint("remove the model and fetch it again")
            }
            Self::Unsupported(_) => stead_kernel::Error::unsupported(message)
                .hint("choose a GGUF file of a Llama or Qwen chat model, a BERT embedding model, or another provider"),
            Self::Request(message) => stead_kernel::Error::invalid(message),
            Self::Memory { .. } => stead_kernel::Error::exhausted(message)
                .hint("choose a smaller model or quantisation, or free some memory"),
            Self::Defect(_) => stead_kernel::Error::internal(message),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::damaged("it ends too early"),
            _ => Self::Read(error.to_string()),
        }
    }
}
