//! Embedded CPU engine for GGUF chat models
