//! Times: RFC 3339 in UTC with microseconds.

use stead_kernel::Timestamp;

use super::OpikError;

/// A time as it is answered.
pub(crate) fn text(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A time as it is sent; without a zone it is UTC.
pub(crate) fn from_text(text: &str) -> Result<Timestamp, OpikError> {
    let zoned = text.parse().or_else(|_| format!("{text}Z").parse());
    zoned.map_err(|_| OpikError::invalid(format!("{text:?} is no time")))
}
