//! The arithmetic of a forward pass, once per instruction set, chosen when the process starts.
//!
//! The program is built for the plainest processor of its architecture and looks at run time for what this one
//! has, so that one binary is fast everywhere.
//!
//! *Invariant:* every function gives the same result for a row whatever other rows are computed with it, so an
//! answer does not depend on who else asks at the same time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod tile;
mod vector;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub(crate) use tile::{BLOCK, FourBit, Halves, Line, Packed, Row, TILE_ROWS, multiply};
pub(crate) use vector::{
    SmallProduct, Softmax, add, gelu, layer_norm, multiply_add, normalise, quantise, silu_multiply,
    softmax_page, widen,
};

/// The best instruction set that this processor has and the kernels know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best one that this processor has.
    pub(crate) fn best() -> Self {
        static BEST: LazyLock<Level> = LazyLock::new(|| {
            Level::available()
                .pop()
                .expect("the portable kernels are always there")
        });
        *BEST
    }

    /// All that this processor has, the best last.
    pub(crate) fn available() -> Vec<Self> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            expect(unused_mut, reason = "nothing to add elsewhere")
        )]
        let mut levels = vec![Self(Set::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if avx2 {
                levels.push(Self(Set::Avx2));
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                levels.push(Self(Set::Avx512));
            }
        }
        levels
    }

    /// Its name, for the log.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512-vnni",
        }
    }
}
