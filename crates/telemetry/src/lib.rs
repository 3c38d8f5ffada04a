//! Stores for events and records
