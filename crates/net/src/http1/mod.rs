//! What both ends of a connection of HTTP/1.1 share (RFC 9112): fields of a head, and messages on their way out.

pub(crate) mod fields;
pub(crate) mod writing;

use std::io;

/// The error for bytes that are no HTTP/1.1.
pub(crate) fn broken(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
