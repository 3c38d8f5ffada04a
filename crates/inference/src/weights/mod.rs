//! Weights in memory: quantised matrices in tiles, and plain vectors.

mod activations;
mod matrix;
mod pack;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use activations::Activations;
pub(crate) use matrix::Matrix;
pub(crate) use read::{read_matrix, read_vector, stored_bytes};
