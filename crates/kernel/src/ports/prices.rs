//! What models cost.

use serde::{Deserialize, Serialize};

use super::TokenUsage;

/// Money in billionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

impl NanoUsd {
    /// The amount in dollars, for display.
    #[expect(clippy::cast_precision_loss, reason = "display only")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// The price of a model, each in nano-dollars per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Price {
    /// Per input token.
    pub input: i64,
    /// Per output token.
    pub output: i64,
    /// Per input token read from a cache; the input price when absent.
    pub cached_input: Option<i64>,
}

impl Price {
    /// What this much usage costs.
    pub fn cost(&self, usage: &TokenUsage) -> NanoUsd {
        let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let cached = usage.cached_input.min(usage.input);
        NanoUsd(
            tokens(usage.input - cached)
                .saturating_mul(self.input)
                .saturating_add(tokens(cached).saturating_mul(self.cached_input.unwrap_or(self.input)))
                .saturating_add(tokens(usage.output).saturating_mul(self.output)),
        )
    }
}

/// Knows prices.
pub trait Prices: Send + Sync {
    /// The price of a model at a vendor: a type of provider (`openai`, `anthropic`), or for types that do not tell the
    /// vendor the host of the provider's address (`api.groq.com`). `None` when unknown, which is not free.
    fn price(&self, vendor: &str, model: &str) -> Option<Price>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_have_a_price_of_their_own() {
        let price = Price {
            input: 3_000,
            output: 15_000,
            cached_input: Some(300),
        };
        let usage = TokenUsage {
            input: 100,
            output: 10,
            cached_input: 40,
            reasoning: 0,
        };
        assert_eq!(price.cost(&usage), NanoUsd(60 * 3_000 + 40 * 300 + 10 * 15_000));
    }
}
