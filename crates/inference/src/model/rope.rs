//! Rotary position embedding.
//!
//! Su et al. 2021, <https://arxiv.org/abs/2104.09864>: pair i of a head at position p is turned by p · base^(-2i/n).

use super::config::{Config, Pairing};

/// The angles' speeds, one for each pair.
#[derive(Debug)]
pub(crate) struct Rope {
    pairing: Pairing,
    speeds: Vec<f32>,
}

impl Rope {
    /// The speeds for a model; `divisors` are the ones that Llama 3 files carry, one for each pair.
    #[expect(
        clippy::cast_precision_loss,
        reason = "heads have at most some hundred numbers"
    )]
    pub(crate) fn new(config: &Config, divisors: Option<&[f32]>) -> Self {
        let pairs = config.rotated / 2;
        let speeds = (0..pairs).map(|pair| {
            let exponent = -2.0 * pair as f32 / config.rotated as f32;
            let divisor = divisors
                .and_then(|divisors| divisors.get(pair))
                .copied()
                .unwrap_or(1.0);
            config.rope_base.powf(exponent) / (divisor * config.rope_factor)
        });
        Self {
            pairing: config.pairing,
            speeds: speeds.collect(),
        }
    }

    /// Sine and cosine of each pair at a position.
    #[expect(clippy::cast_precision_loss, reason = "contexts are far shorter than 2^24")]
    pub(crate) fn turns(&self, position: usize) -> impl Iterator<Item = (f32, f32)> {
        self.speeds
            .iter()
            .map(move |speed| (speed * position as f32).sin_cos())
    }

    /// Turns a head by what [`turns`](Self::turns) gave for its position.
    pub(crate) fn rotate(&self, head: &mut [f32], turns: &[(f32, f32)]) {
        match self.pairing {
            Pairing::Neighbours => {
                for ([a, b], (sine, cosine)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                }
            }
            Pairing::Halves => {
                let (first, second) = head.split_at_mut(self.speeds.len());
                for ((a, b), (sine, cosine)) in first.iter_mut().zip(second).zip(turns) {
                    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                }
            }
        }
    }
}
