//! Prices of models: tables of list prices, and what runs on own machines, which costs nothing by the token.

use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;
use stead_kernel::ports::{ModelLimits, Price, Prices};

use crate::{names::candidates, table};

/// Types of providers whose models run on the user's own machines.
const OWN: [&str; 7] = [
    "embedded",
    "llama-cpp",
    "lm-studio",
    "ollama",
    "sglang",
    "tei",
    "vllm",
];

/// The facts that are part of the binary.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Facts by vendor, then by model.
    vendors: HashMap<String, HashMap<String, Facts>>,
    /// The vendor that answers at a host.
    hosts: HashMap<String, String>,
    /// The price of what runs on own machines.
    own: Arc<Price>,
}

/// What is known about a model.
#[derive(Debug, Clone)]
struct Facts {
    price: Arc<Price>,
    limits: ModelLimits,
}

/// One vendor's file.
#[derive(Deserialize)]
pub(crate) struct Vendor {
    pub(crate) name: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) models: Vec<(String, table::Row)>,
}

impl Catalog {
    /// The catalogue that this version of Stead carries.
    pub fn embedded() -> Self {
        let mut catalog = Self {
            vendors: HashMap::new(),
            hosts: HashMap::new(),
            own: Arc::default(),
        };
        for text in table::FILES {
            let vendor: Vendor = serde_json::from_str(text).expect("a test reads the same text");
            catalog.add(vendor);
        }
        catalog
    }

    fn add(&mut self, vendor: Vendor) {
        let hosts = vendor.hosts.into_iter().map(|host| (host, vendor.name.clone()));
        self.hosts.extend(hosts);
        let facts = vendor.models.into_iter().map(|(model, row)| {
            let facts = Facts {
                limits: row.limits(),
                price: Arc::new(row.price()),
            };
            (model, facts)
        });
        self.vendors.insert(vendor.name, facts.collect());
    }

    fn find(&self, provider_type: &str, model: &str) -> Option<&Facts> {
        let vendor = self
            .hosts
            .get(provider_type)
            .map_or(provider_type, String::as_str);
        let facts = self.vendors.get(vendor)?;
        let exact = facts.get(model);
        exact.or_else(|| {
            candidates(vendor, model)
                .into_iter()
                .find_map(|name| facts.get(name))
        })
    }
}

impl Prices for Catalog {
    /// `provider_type` is a provider's type (`openai`, `anthropic`, `ollama`), a vendor of the table (`groq`), or,
    /// for types that do not tell the vendor, the host of the provider's address (`api.groq.com`).
    fn price(&self, provider_type: &str, model: &str) -> Option<Arc<Price>> {
        if OWN.contains(&provider_type) {
            return Some(Arc::clone(&self.own));
        }
        self.find(provider_type, model)
            .map(|facts| Arc::clone(&facts.price))
    }

    fn limits(&self, provider_type: &str, model: &str) -> ModelLimits {
        self.find(provider_type, model)
            .map(|facts| facts.limits)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendors() -> Vec<Vendor> {
        let read = |text: &&str| serde_json::from_str(text).unwrap();
        table::FILES.iter().map(read).collect()
    }

    #[test]
    fn the_tables_are_sorted_without_repeats() {
        let vendors = vendors();
        assert!(vendors.windows(2).all(|pair| pair[0].name < pair[1].name));
        for vendor in &vendors {
            for pair in vendor.models.windows(2) {
                let (first, second) = (&pair[0].0, &pair[1].0);
                assert!(first < second, "{}: {second} comes before {first}", vendor.name);
            }
        }
        let count: usize = vendors.iter().map(|vendor| vendor.models.len()).sum();
        assert!(count >= 300, "only {count} models");
    }

    #[test]
    fn prices_and_limits_make_sense() {
        for (model, row) in vendors().into_iter().flat_map(|vendor| vendor.models) {
            let (limits, price) = (row.limits(), row.price());
            assert!(
                limits
                    .input
                    .is_none_or(|tokens| (64..=100_000_000).contains(&tokens)),
                "{model}"
            );
            assert!(limits.output.is_none_or(|tokens| tokens >= 16), "{model}");
            assert!(
                price
                    .batch_percent
                    .is_none_or(|percent| (10..100).contains(&percent)),
                "{model}"
            );
            assert!(
                price.tiers.windows(2).all(|pair| pair[0].above < pair[1].above),
                "{model}"
            );
            let tables = price.tiers.iter().map(|tier| &tier.tokens);
            for tokens in tables.chain([&price.tokens]) {
                // From a thousandth of a cent to two thousand dollars per million tokens.
                let plausible = |pico: i64| (10..2_000_000_000).contains(&pico);
                let prices = [tokens.input.0, tokens.output.0];
                assert!(
                    prices.into_iter().all(|pico| pico == 0 || plausible(pico)),
                    "{model}"
                );
                let cached = tokens.cached_input.is_none_or(|cached| cached <= tokens.input);
                assert!(
                    cached,
                    "{model}: reading from the cache is dearer than reading anew"
                );
            }
        }
    }

    #[test]
    fn every_host_belongs_to_one_vendor() {
        let hosts: Vec<String> = vendors().into_iter().flat_map(|vendor| vendor.hosts).collect();
        assert_eq!(Catalog::embedded().hosts.len(), hosts.len());
    }

    #[test]
    fn prices_are_found_by_version_by_host_and_not_by_resemblance() {
        let catalog = Catalog::embedded();
        let input = |provider: &str, model: &str| {
            let price = catalog.price(provider, model);
            price.map(|price| price.tokens.input.0)
        };
        let cases = [
            ("openai", "gpt-4o", Some(2_500_000)),
            ("openai", "gpt-4o-2024-08-06", Some(2_500_000)),
            ("openai", "gpt-4o-2024-05-13", Some(5_000_000)),
            ("openai", "gpt-4o-of-somebody", None),
            ("openai", "gpt-5-2025-08-07", Some(1_250_000)),
            ("openai", "text-embedding-3-small", Some(20_000)),
            ("anthropic", "claude-opus-4-20250514", Some(15_000_000)),
            ("anthropic", "claude-sonnet-4-5-20250929", Some(3_000_000)),
            (
                "bedrock",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Some(3_300_000),
            ),
            ("gemini", "models/gemini-2.5-flash", Some(300_000)),
            ("vertex", "claude-sonnet-4-5@20250929", Some(3_000_000)),
            ("azure-openai", "gpt-4o", Some(2_500_000)),
            ("api.groq.com", "llama-3.3-70b-versatile", Some(590_000)),
            ("groq", "openai/gpt-oss-120b", Some(150_000)),
            ("mistral", "mistral-large-latest", Some(500_000)),
            ("openai-compatible", "gpt-4o", None),
            ("openai", "", None),
            ("", "gpt-4o", None),
            ("ollama", "anything", Some(0)),
            ("vllm", "anything", Some(0)),
            ("embedded", "smollm2-135m", Some(0)),
        ];
        for (provider, model, expected) in cases {
            assert_eq!(input(provider, model), expected, "{provider} {model}");
        }
    }

    #[test]
    fn long_inputs_caches_batches_sound_and_images_have_their_prices() {
        let catalog = Catalog::embedded();
        let price = |provider: &str, model: &str| catalog.price(provider, model).unwrap();
        let gemini = price("gemini", "gemini-2.5-pro");
        assert_eq!(
            (gemini.tiers[0].above, gemini.tiers[0].tokens.input.0),
            (200_000, 2_500_000)
        );
        assert_eq!(gemini.batch_percent, Some(50));
        let claude = price("anthropic", "claude-haiku-4-5").tokens;
        assert_eq!(claude.cached_input.map(|price| price.0), Some(100_000));
        assert_eq!(claude.cache_write.map(|price| price.0), Some(1_250_000));
        let pico = |price: Option<stead_kernel::ports::PicoUsd>| price.unwrap().0;
        assert_eq!(pico(price("openai", "whisper-1").units.audio_second), 100_000_000);
        assert_eq!(pico(price("openai", "tts-1").units.character), 15_000_000);
        assert_eq!(
            pico(price("openai", "gpt-image-1").tokens.image_output),
            40_000_000
        );
        assert_eq!(pico(price("cohere", "rerank-v3.5").units.request), 2_000_000_000);
        let limits = catalog.limits("openai", "gpt-4o");
        assert_eq!((limits.input, limits.output), (Some(128_000), Some(16_384)));
    }
}
