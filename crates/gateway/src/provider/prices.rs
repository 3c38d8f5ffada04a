//! Prices that a provider's object names itself: they win over the catalogue's.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Result,
    ports::{ModelLimits, PicoUsd, Price, Prices, Tier, TokenPrices, UnitPrices},
};

/// What some of a provider's models cost, in US dollars. It is the whole price: what is not named costs nothing, or as
/// much as plain input and output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelPrice {
    /// The models, by the provider's own names; `*` stands for any letters. The first entry that fits counts.
    #[schemars(length(min = 1, max = 500))]
    pub model: String,
    /// What a million tokens cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million_tokens: Option<TokenDollars>,
    /// What a million tokens cost when the input is long; the shortest limit first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub tiers: Vec<TierDollars>,
    /// What a request costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub per_request: Option<f64>,
    /// What an image costs that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub per_image: Option<f64>,
    /// What a second of sound costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub per_audio_second: Option<f64>,
    /// What a million characters cost that are spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub per_million_characters: Option<f64>,
    /// What a second costs that one's own GPUs work on a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub per_gpu_second: Option<f64>,
    /// What a request in a batch costs, in percent of one outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub batch_percent: Option<u8>,
    /// The longest input, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context: Option<u64>,
    /// The longest output, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_output: Option<u64>,
}

/// What a million tokens of each sort cost, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenDollars {
    /// Input.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub input: f64,
    /// Output.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub output: f64,
    /// Input that is read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cached: Option<f64>,
    /// Input that is written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cache_write: Option<f64>,
    /// Input that is written to a cache which keeps it for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cache_write_hour: Option<f64>,
    /// Output that is reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub reasoning: Option<f64>,
    /// Input that is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub audio_input: Option<f64>,
    /// Output that is sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub audio_output: Option<f64>,
    /// Input that is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub image_input: Option<f64>,
    /// Output that is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub image_output: Option<f64>,
}

/// What a million tokens cost when the input is longer than a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierDollars {
    /// More input tokens than this.
    pub above: u64,
    /// What a million tokens cost then; the whole table.
    pub per_million_tokens: TokenDollars,
}

/// The prices of a provider's models, ready for use.
#[derive(Debug, Clone, Default)]
pub(crate) struct PriceList(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    pattern: Box<str>,
    price: Arc<Price>,
    limits: ModelLimits,
}

impl PriceList {
    pub(crate) fn of(prices: &[ModelPrice]) -> Self {
        let entries = prices.iter().map(|given| Entry {
            pattern: given.model.as_str().into(),
            price: Arc::new(given.price()),
            limits: ModelLimits {
                input: given.context,
                output: given.max_output,
            },
        });
        Self(entries.collect())
    }

    fn entry(&self, model: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| fits(&entry.pattern, model))
    }

    /// The price of a model: this list's, else the catalogue's.
    pub(crate) fn price(&self, vendor: &str, model: &str, catalog: &dyn Prices) -> Option<Arc<Price>> {
        let own = self.entry(model).map(|entry| Arc::clone(&entry.price));
        own.or_else(|| catalog.price(vendor, model))
    }

    /// How long a model's input and output can be: as this list says, else as the catalogue does.
    pub(crate) fn limits(&self, vendor: &str, model: &str, catalog: &dyn Prices) -> ModelLimits {
        let own = self.entry(model).map(|entry| entry.limits).unwrap_or_default();
        if own.input.is_some() && own.output.is_some() {
            return own;
        }
        let known = catalog.limits(vendor, model);
        ModelLimits {
            input: own.input.or(known.input),
            output: own.output.or(known.output),
        }
    }
}

impl ModelPrice {
    fn price(&self) -> Price {
        let tiers = self.tiers.iter().map(|tier| Tier {
            above: tier.above,
            tokens: tier.per_million_tokens.prices(),
        });
        let each = |dollars: Option<f64>| dollars.map(|dollars| per_million(dollars * 1e6));
        Price {
            tokens: self.per_million_tokens.unwrap_or_default().prices(),
            tiers: tiers.collect(),
            units: UnitPrices {
                request: each(self.per_request),
                image: each(self.per_image),
                audio_second: each(self.per_audio_second),
                character: self.per_million_characters.map(per_million),
                gpu_second: each(self.per_gpu_second),
            },
            batch_percent: self.batch_percent,
        }
    }
}

impl TokenDollars {
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

/// The rules on prices that the schema cannot say.
pub(crate) fn check(prices: &[ModelPrice]) -> Result<()> {
    for price in prices {
        if !price
            .tiers
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.above < b.above))
        {
            return Err(Error::invalid(format!(
                "spec.prices: the tiers of {:?} must be in the order of their limits",
                price.model
            )));
        }
    }
    Ok(())
}

/// Dollars per million as a price by the piece.
#[expect(clippy::cast_possible_truncation, reason = "the schema bounds the dollars")]
fn per_million(dollars: f64) -> PicoUsd {
    PicoUsd((dollars * 1e6).round() as i64)
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(found) = rest.find(part) else {
            return false;
        };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use stead_kernel::ports::{NanoUsd, TokenUsage};

    use super::*;

    struct Nothing;

    impl Prices for Nothing {
        fn price(&self, _: &str, model: &str) -> Option<Arc<Price>> {
            (model == "known").then(Arc::default)
        }

        fn limits(&self, _: &str, _: &str) -> ModelLimits {
            ModelLimits {
                input: Some(8),
                output: Some(4),
            }
        }
    }

    #[test]
    fn a_pattern_fits_whole_names() {
        let table = [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "mini", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("", "x", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_providers_own_prices_win_over_the_catalogues() {
        let spec = serde_json::json!([
            {"model": "own", "perMillionTokens": {"input": 0.0004, "output": 2.5}, "context": 100},
            {"model": "gpu-*", "perGpuSecond": 0.001},
        ]);
        let given: Vec<ModelPrice> = serde_json::from_value(spec).unwrap();
        let list = PriceList::of(&given);
        let cost = |model: &str, usage: TokenUsage| Some(list.price("v", model, &Nothing)?.cost(&usage));
        let usage = TokenUsage {
            input: 10,
            output: 2,
            gpu_ms: 1_500,
            ..TokenUsage::default()
        };
        assert_eq!(cost("own", usage), Some(NanoUsd(5_004)));
        assert_eq!(cost("gpu-1", usage), Some(NanoUsd(1_500_000)));
        assert_eq!(cost("known", usage), Some(NanoUsd(0)));
        assert_eq!(cost("unknown", usage), None);
        let limits = list.limits("v", "own", &Nothing);
        assert_eq!((limits.input, limits.output), (Some(100), Some(4)));
    }

    #[test]
    fn tiers_are_in_order() {
        let tiers = |limits: [u64; 2]| {
            let tier = |above| TierDollars {
                above,
                per_million_tokens: TokenDollars::default(),
            };
            [ModelPrice {
                tiers: limits.map(tier).into(),
                ..ModelPrice::default()
            }]
        };
        assert!(check(&tiers([1, 2])).is_ok());
        assert!(check(&tiers([2, 2])).is_err());
    }
}
