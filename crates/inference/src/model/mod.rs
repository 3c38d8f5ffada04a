//! The transformer of the Llama and Qwen families: its shape, its weights and a forward pass over many sequences.

mod attention;
mod cache;
mod config;
mod forward;
mod load;
mod rope;
#[cfg(test)]
mod tests;

pub(crate) use cache::Cache;
pub(crate) use config::Config;
pub(crate) use forward::{Pass, Rows, Segment};
pub(crate) use load::{Network, Wanted, read_all, take};
