//! Label and field selectors of lists and watches, with what Kubernetes says of those that it cannot read.

mod fields;
mod labels;

pub use fields::FieldSelector;
pub use labels::LabelSelector;

/// Why a selector could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

fn refuse<T>(message: impl Into<String>) -> Result<T, SelectorError> {
    Err(SelectorError(message.into()))
}
