//! Embedded CPU engine for GGUF chat models of the Llama and Qwen families.
mod engine;
mod error;
mod gguf;
mod kernels;
mod model;
mod sampling;
mod text;
mod weights;

pub use engine::{Engine, EngineOptions};
