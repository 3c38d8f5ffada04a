//! Embedded CPU engine for GGUF chat models of the Llama and Qwen (2, 3) families, and for embedding models of the BERT
//! family (GGUF, safetensors), behind `kernel::ports::Chat`.
//!
//! - `gguf` reads files with distrust, `weights` lays their matrices out in tiles, `kernels` multiplies them,
//!   `model` is the transformer of chats, `encoder` the one of embeddings (whose safetensors files `safetensors` shows
//!   as if they were GGUF), `text` tokenises and renders chat templates, `sampling` chooses tokens, and
//!   `engine` queues requests and serves them in batches.
//! - Candle decodes the file's formats, and that is all it does: its products of quantised matrices are chosen when
//!   the program is compiled, which without flags for one processor means without vector instructions, and a tensor
//!   operation costs more than a small model's layer. The kernels here are chosen at run time.
//! - Formats of four bits stay four bits; the others become eight bits with a scale for each 32 weights.
//! - Answers do not depend on what else is asked at the same time: each row is computed in the same order of
//!   operations alone and in a batch.
//!
//! *Invariants:* nothing from a file is believed before it is checked; a panic in a worker ends its requests with an
//! error and never the worker; nothing here reads the environment or opens a connection.
mod encoder;
mod engine;
mod error;
mod gguf;
mod kernels;
mod model;
mod safetensors;
mod sampling;
#[cfg(test)]
mod testing;
mod text;
mod weights;

pub use engine::{Engine, EngineOptions};
