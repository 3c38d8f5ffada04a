//! The encoder of BERT's family (Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>): its shape, its weights, and the
//! way from tokens to a vector.
//!
//! *Invariant:* a text's vector does not depend on the texts that are computed with it.

mod attention;
mod config;
mod load;
mod pass;
#[cfg(test)]
mod tests;

pub(crate) use config::Config;
pub(crate) use load::Encoder;
pub(crate) use pass::Batch;
