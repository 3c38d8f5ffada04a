//! How the price tables are written: a file per vendor, a line per model.
//!
//! Money is in US dollars as vendors publish it: tokens and characters by the million, the rest by the piece. `source`
//! is where the vendor publishes its prices, `asOf` the month in which they were read. Of several prices the usual one
//! is listed: no priority, no flex, the dearer hours where there are two. A price that cannot be told for sure is left
//! out: unknown is not free.

use serde::Deserialize;
use stead_kernel::ports::{ModelLimits, PicoUsd, Price, Tier, TokenPrices, UnitPrices};

/// The tables, sorted by vendor.
pub(crate) const FILES: [&str; 24] = [
    include_str!("prices/ai21.json"),
    include_str!("prices/anthropic.json"),
    include_str!("prices/azure-openai.json"),
    include_str!("prices/bedrock.json"),
    include_str!("prices/cerebras.json"),
    include_str!("prices/cohere.json"),
    include_str!("prices/dashscope.json"),
    include_str!("prices/deepinfra.json"),
    include_str!("prices/deepseek.json"),
    include_str!("prices/fireworks.json"),
    include_str!("prices/gemini.json"),
    include_str!("prices/groq.json"),
    include_str!("prices/minimax.json"),
    include_str!("prices/mistral.json"),
    include_str!("prices/moonshot.json"),
    include_str!("prices/nebius.json"),
    include_str!("prices/openai.json"),
    include_str!("prices/perplexity.json"),
    include_str!("prices/sambanova.json"),
    include_str!("prices/together.json"),
    include_str!("prices/vertex.json"),
    include_str!("prices/voyage.json"),
    include_str!("prices/xai.json"),
    include_str!("prices/zai.json"),
];

/// What a line says about a model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Row {
    #[serde(flatten)]
    tokens: Tokens,
    tiers: Vec<Longer>,
    /// Dollars per request.
    per_request: Option<f64>,
    /// Dollars per image that is made.
    per_image: Option<f64>,
    /// Dollars per second of sound.
    per_second: Option<f64>,
    /// Dollars per million characters that are spoken.
    per_million_characters: Option<f64>,
    batch_percent: Option<u8>,
    /// The longest input, in tokens.
    context: Option<u64>,
    /// The longest output, in tokens.
    max_output: Option<u64>,
}

/// Dollars per million tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    input: f64,
    output: f64,
    cached: Option<f64>,
    cache_write: Option<f64>,
    cache_write_hour: Option<f64>,
    reasoning: Option<f64>,
    audio_input: Option<f64>,
    audio_output: Option<f64>,
    image_input: Option<f64>,
    image_output: Option<f64>,
}

/// What tokens cost when the input has more than so many.
#[derive(Debug, Clone, Deserialize)]
struct Longer {
    above: u64,
    #[serde(flatten)]
    tokens: Tokens,
}

impl Row {
    pub(crate) fn price(&self) -> Price {
        let each = |dollars: Option<f64>| dollars.map(|dollars| per_million(dollars * 1e6));
        let tiers = self.tiers.iter().map(|tier| Tier {
            above: tier.above,
            tokens: tier.tokens.prices(),
        });
        Price {
            tokens: self.tokens.prices(),
            tiers: tiers.collect(),
            units: UnitPrices {
                request: each(self.per_request),
                image: each(self.per_image),
                audio_second: each(self.per_second),
                character: self.per_million_characters.map(per_million),
                gpu_second: None,
            },
            batch_percent: self.batch_percent,
        }
    }

    pub(crate) fn limits(&self) -> ModelLimits {
        ModelLimits {
            input: self.context,
            output: self.max_output,
        }
    }
}

impl Tokens {
    fn prices(&self) -> TokenPrices {
        TokenPrices {
            input: per_million(self.input),
            output: per_million(self.output),
            cached_input: self.cached.map(per_million),
            cache_write: self.cache_write.map(per_million),
            cache_write_hour: self.cache_write_hour.map(per_million),
            reasoning: self.reasoning.map(per_million),
            audio_input: self.audio_input.map(per_million),
            audio_output: self.audio_output.map(per_million),
            image_input: self.image_input.map(per_million),
            image_output: self.image_output.map(per_million),
        }
    }
}

/// A price by the million as one by the piece.
#[expect(clippy::cast_possible_truncation, reason = "a test bounds the prices")]
fn per_million(dollars: f64) -> PicoUsd {
    PicoUsd((dollars * 1e6).round() as i64)
}
