//! Facts as data: model prices and limits
