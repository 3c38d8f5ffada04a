//! What models cost.

use std::sync::Arc;

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

/// A price in trillionths of a US dollar per unit: a token at a dollar per million tokens costs a million of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(pub i64);

impl PicoUsd {
    /// What so many units cost, in trillionths of a dollar; more than 2^56 of them are as many, so that no sum of
    /// such products overflows.
    fn times(self, count: u64) -> i128 {
        i128::from(self.0.max(0)) * i128::from(count.min(1 << 56))
    }
}

/// What tokens cost. An absent price is that of plain input or output; a sort of token that is a part of another one
/// (cached input, reasoning) is taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenPrices {
    /// Per input token.
    pub input: PicoUsd,
    /// Per output token.
    pub output: PicoUsd,
    /// Per input token read from a cache.
    pub cached_input: Option<PicoUsd>,
    /// Per input token written to a cache.
    pub cache_write: Option<PicoUsd>,
    /// Per input token written to a cache that keeps it for an hour; as `cache_write` when absent.
    pub cache_write_hour: Option<PicoUsd>,
    /// Per output token that was reasoning.
    pub reasoning: Option<PicoUsd>,
    /// Per input token of sound.
    pub audio_input: Option<PicoUsd>,
    /// Per output token of sound.
    pub audio_output: Option<PicoUsd>,
    /// Per input token of an image.
    pub image_input: Option<PicoUsd>,
    /// Per output token of an image.
    pub image_output: Option<PicoUsd>,
}

/// Prices that hold for a whole request once its input is longer than a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// More input tokens than this, cached ones included.
    pub above: u64,
    /// What tokens cost then.
    pub tokens: TokenPrices,
}

/// What is paid by other units than tokens; each adds to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitPrices {
    /// Per request.
    pub request: Option<PicoUsd>,
    /// Per image that was made.
    pub image: Option<PicoUsd>,
    /// Per second of sound, heard or spoken.
    pub audio_second: Option<PicoUsd>,
    /// Per character of text that is spoken.
    pub character: Option<PicoUsd>,
    /// Per second that a GPU of one's own worked on the request.
    pub gpu_second: Option<PicoUsd>,
}

/// The price of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Price {
    /// What tokens cost.
    pub tokens: TokenPrices,
    /// What they cost with a long input; the shortest limit first.
    pub tiers: Vec<Tier>,
    /// What else is paid for.
    pub units: UnitPrices,
    /// What a request in a batch costs, in percent of one outside; no batches when absent.
    pub batch_percent: Option<u8>,
}

impl TokenPrices {
    /// Trillionths of a dollar.
    fn cost(&self, usage: &TokenUsage) -> i128 {
        let input = self.input_cost(usage);
        let mut left = usage.output;
        let mut part = |count: u64, price: Option<PicoUsd>| {
            let count = count.min(left);
            left -= count;
            price.unwrap_or(self.output).times(count)
        };
        let special = part(usage.reasoning, self.reasoning)
            + part(usage.audio_output, self.audio_output)
            + part(usage.image_output, self.image_output);
        input + special + self.output.times(left)
    }

    fn input_cost(&self, usage: &TokenUsage) -> i128 {
        let mut left = usage.input;
        let mut part = |count: u64, price: Option<PicoUsd>| {
            let count = count.min(left);
            left -= count;
            price.unwrap_or(self.input).times(count)
        };
        let hour = usage.cache_write_hour.min(usage.cache_write);
        let special = part(usage.cached_input, self.cached_input)
            + part(hour, self.cache_write_hour.or(self.cache_write))
            + part(usage.cache_write - hour, self.cache_write)
            + part(usage.audio_input, self.audio_input)
            + part(usage.image_input, self.image_input);
        special + self.input.times(left)
    }

    /// The dearest that an input token can be.
    fn dearest_input(&self) -> PicoUsd {
        let others = [
            self.cached_input,
            self.cache_write,
            self.cache_write_hour,
            self.audio_input,
            self.image_input,
        ];
        others.into_iter().flatten().fold(self.input, PicoUsd::max)
    }

    /// The dearest that an output token can be.
    fn dearest_output(&self) -> PicoUsd {
        let others = [self.reasoning, self.audio_output, self.image_output];
        others.into_iter().flatten().fold(self.output, PicoUsd::max)
    }
}

impl Price {
    /// A price of plain tokens.
    pub fn per_token(input: PicoUsd, output: PicoUsd) -> Self {
        Self {
            tokens: TokenPrices {
                input,
                output,
                ..TokenPrices::default()
            },
            ..Self::default()
        }
    }

    /// What this much usage costs, rounded once, half a nano-dollar up.
    pub fn cost(&self, usage: &TokenUsage) -> NanoUsd {
        let tokens = self
            .tiers
            .iter()
            .rev()
            .find(|tier| usage.input > tier.above)
            .map_or(&self.tokens, |tier| &tier.tokens);
        nano(tokens.cost(usage) + self.units_cost(usage), Rounding::Nearest)
    }

    /// The same for a request in a batch; the full price where there is none for batches.
    pub fn batch_cost(&self, usage: &TokenUsage) -> NanoUsd {
        let NanoUsd(full) = self.cost(usage);
        let percent = i64::from(self.batch_percent.unwrap_or(100).min(100));
        NanoUsd(full / 100 * percent + full % 100 * percent / 100)
    }

    /// The most that a request can cost whose usage is at most this: every token at the dearest price and in the
    /// dearest tier that could apply, rounded up.
    pub fn most(&self, bound: &TokenUsage) -> NanoUsd {
        let dearest = |prices: &TokenPrices| {
            prices.dearest_input().times(bound.input) + prices.dearest_output().times(bound.output)
        };
        let tiers = self.tiers.iter().filter(|tier| bound.input > tier.above);
        let tokens = tiers
            .map(|tier| dearest(&tier.tokens))
            .fold(dearest(&self.tokens), i128::max);
        nano(tokens + self.units_cost(bound), Rounding::Up)
    }

    /// Whether it depends on how long the request takes, which nothing bounds.
    pub fn is_by_time(&self) -> bool {
        self.units.gpu_second.is_some_and(|price| price.0 > 0)
    }

    fn units_cost(&self, usage: &TokenUsage) -> i128 {
        let units = &self.units;
        let of = |price: Option<PicoUsd>, count: u64| price.unwrap_or_default().times(count);
        let by_milliseconds = |price, milliseconds| (of(price, milliseconds) + 500) / 1_000;
        of(units.request, 1)
            + of(units.image, usage.images)
            + of(units.character, usage.characters)
            + by_milliseconds(units.audio_second, usage.audio_ms)
            + by_milliseconds(units.gpu_second, usage.gpu_ms)
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Nearest,
    Up,
}

fn nano(pico: i128, rounding: Rounding) -> NanoUsd {
    let more = match rounding {
        Rounding::Nearest => 500,
        Rounding::Up => 999,
    };
    NanoUsd(i64::try_from((pico + more) / 1_000).unwrap_or(i64::MAX))
}

/// How long a model's input and output can be, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelLimits {
    /// The longest input.
    pub input: Option<u64>,
    /// The longest output.
    pub output: Option<u64>,
}

/// Knows prices.
pub trait Prices: Send + Sync {
    /// The price of a model at a vendor: a type of provider (`openai`, `anthropic`), or for types that do not tell the
    /// vendor the host of the provider's address (`api.groq.com`). `None` when unknown, which is not free.
    fn price(&self, vendor: &str, model: &str) -> Option<Arc<Price>>;

    /// How long a model's input and output can be; unknown unless somebody knows.
    fn limits(&self, vendor: &str, model: &str) -> ModelLimits {
        let _ = (vendor, model);
        ModelLimits::default()
    }
}

#[cfg(test)]
#[path = "prices_tests.rs"]
mod tests;
