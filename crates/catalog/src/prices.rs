//! Prices of models: a table of list prices, and what runs on own machines, which costs nothing by the token.

use std::collections::HashMap;

use serde::Deserialize;
use stead_kernel::ports::{Price, Prices};

use crate::names::candidates;

const DATA: &str = include_str!("prices.json");
/// Types of providers whose models run on the user's own machines.
const OWN: [&str; 2] = ["embedded", "ollama"];

/// The facts that are part of the binary.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Prices by vendor, then by model.
    vendors: HashMap<String, HashMap<String, Price>>,
    /// The vendor that answers at a host.
    hosts: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Data {
    vendors: Vec<Vendor>,
}

#[derive(Deserialize)]
struct Vendor {
    name: String,
    hosts: Vec<String>,
    models: Vec<Row>,
}

/// Model, and nano-dollars per token of input, cached input and output.
#[derive(Deserialize)]
struct Row(String, i64, Option<i64>, i64);

impl Catalog {
    /// The catalogue that this version of Stead carries.
    pub fn embedded() -> Self {
        let data: Data = serde_json::from_str(DATA).expect("a test reads the same text");
        Self::from_data(data)
    }

    fn from_data(data: Data) -> Self {
        let mut catalog = Self {
            vendors: HashMap::new(),
            hosts: HashMap::new(),
        };
        for vendor in data.vendors {
            let hosts = vendor.hosts.into_iter().map(|host| (host, vendor.name.clone()));
            catalog.hosts.extend(hosts);
            let prices = vendor
                .models
                .into_iter()
                .map(|Row(model, input, cached_input, output)| {
                    let price = Price {
                        input,
                        output,
                        cached_input,
                    };
                    (model, price)
                });
            catalog.vendors.insert(vendor.name, prices.collect());
        }
        catalog
    }
}

impl Prices for Catalog {
    /// `provider_type` is a provider's type (`openai`, `anthropic`, `ollama`), a vendor of the table (`groq`), or,
    /// for types that do not tell the vendor, the host of the provider's address (`api.groq.com`).
    fn price(&self, provider_type: &str, model: &str) -> Option<Price> {
        if OWN.contains(&provider_type) {
            return Some(Price::default());
        }
        let vendor = self
            .hosts
            .get(provider_type)
            .map_or(provider_type, String::as_str);
        let prices = self.vendors.get(vendor)?;
        candidates(vendor, model)
            .into_iter()
            .find_map(|name| prices.get(name).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        serde_json::from_str(DATA).unwrap()
    }

    #[test]
    fn the_table_is_sorted_without_repeats_and_its_prices_make_sense() {
        let data = data();
        assert!(data.vendors.windows(2).all(|pair| pair[0].name < pair[1].name));
        let mut count = 0;
        for vendor in &data.vendors {
            assert!(!vendor.hosts.is_empty(), "{}", vendor.name);
            for pair in vendor.models.windows(2) {
                assert!(
                    pair[0].0 < pair[1].0,
                    "{}: {} comes before {}",
                    vendor.name,
                    pair[1].0,
                    pair[0].0
                );
            }
            for Row(model, input, cached, output) in &vendor.models {
                // From a hundredth of a cent to a thousand dollars per million tokens.
                let plausible = |price: i64| (1..1_000_000).contains(&price);
                assert!(plausible(*input), "{model}");
                assert!(*output == 0 || plausible(*output), "{model}");
                assert!(
                    cached.is_none_or(|cached| plausible(cached) && cached <= *input),
                    "{model}"
                );
                assert!(
                    *output >= *input || *output == 0,
                    "{model}: output is cheaper than input"
                );
                assert_eq!(
                    *output == 0,
                    model.contains("embed"),
                    "{model}: only embeddings have no output"
                );
                count += 1;
            }
        }
        assert!(count >= 150, "only {count} models");
    }

    #[test]
    fn every_host_belongs_to_one_vendor() {
        let hosts: Vec<String> = data()
            .vendors
            .into_iter()
            .flat_map(|vendor| vendor.hosts)
            .collect();
        assert_eq!(Catalog::embedded().hosts.len(), hosts.len());
    }

    #[test]
    fn prices_are_found_by_version_by_host_and_not_by_resemblance() {
        let catalog = Catalog::embedded();
        let input = |provider: &str, model: &str| catalog.price(provider, model).map(|price| price.input);
        let cases = [
            ("openai", "gpt-4o", Some(2_500)),
            ("openai", "gpt-4o-2024-08-06", Some(2_500)),
            ("openai", "gpt-4o-2024-05-13", Some(5_000)),
            ("openai", "gpt-4o-realtime-preview", None),
            ("openai", "gpt-5-2025-08-07", Some(1_250)),
            ("openai", "text-embedding-ada-002", Some(100)),
            ("anthropic", "claude-opus-4-20250514", Some(15_000)),
            ("anthropic", "claude-sonnet-4-5-20250929", Some(3_000)),
            ("gemini", "models/gemini-2.5-flash", Some(300)),
            ("api.groq.com", "llama-3.3-70b-versatile", Some(590)),
            ("groq", "openai/gpt-oss-120b", Some(150)),
            ("gemini", "gemini-2.5-flash-preview-05-20", Some(150)),
            ("gemini", "gemini-2.5-flash-preview-09-2025", Some(300)),
            ("mistral", "mistral-large-latest", Some(500)),
            ("mistral", "mistral-small-latest", None),
            ("mistral", "magistral-medium-2509", Some(2_000)),
            ("openai-compatible", "gpt-4o", None),
            ("openai", "", None),
            ("", "gpt-4o", None),
            ("ollama", "anything", Some(0)),
            ("embedded", "smollm2-135m", Some(0)),
        ];
        for (provider, model, expected) in cases {
            assert_eq!(input(provider, model), expected, "{provider} {model}");
        }
    }
}
