//! Requests and usage, read back
