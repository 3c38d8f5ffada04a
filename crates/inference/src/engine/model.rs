//! A loaded model: weights, tokenizer, chat template, and what the file says about sampling.

use std::{fs, num::NonZero, path::Path, sync::Arc, thread};

use super::{EngineOptions, embedding::Embedder, kept::Kept};
use crate::{
    encoder,
    error::{Error, Result},
    gguf::Gguf,
    kernels::Level,
    model::{Config, Network},
    safetensors,
    text::{ChatTemplate, Tokenizer},
};

/// How tokens are chosen where neither the request nor the file says: what the makers of the default model
/// recommend for it (its model card), since small models lose the thread at higher temperatures.
const TEMPERATURE: f64 = 0.2;
const TOP_P: f64 = 0.9;
const TOP_K: usize = 40;
/// Beyond these, threads wait for memory.
pub(super) const MAX_LOAD_THREADS: usize = 8;

/// A loaded model, by what it is for.
#[derive(Clone)]
pub(super) enum Loaded {
    /// Chats.
    Chat(Arc<Model>),
    /// Embeddings.
    Embedding(Arc<Embedder>),
}

impl Loaded {
    /// Loads a file, whose own header says which of the two it is.
    pub(super) fn load(path: &Path, options: &EngineOptions) -> Result<Self> {
        if safetensors::is_at(path)? {
            let file = safetensors::open(path)?;
            return Embedder::load(&file).map(|embedder| Self::Embedding(Arc::new(embedder)));
        }
        let file = Gguf::open(path)?;
        if encoder::Config::is_of(&file) {
            return Embedder::load(&file).map(|embedder| Self::Embedding(Arc::new(embedder)));
        }
        Model::of(&file, options).map(|model| Self::Chat(Arc::new(model)))
    }

    /// The model of chats; `name` is for the refusal of one of embeddings.
    pub(super) fn chat(self, name: &str) -> Result<Arc<Model>> {
        match self {
            Self::Chat(model) => Ok(model),
            Self::Embedding(_) => Err(Error::Request(format!(
                "the model {name} is an embedding model and cannot chat; ask it for embeddings"
            ))),
        }
    }

    /// The model of embeddings; `name` is for the refusal of one of chats.
    pub(super) fn embedding(self, name: &str) -> Result<Arc<Embedder>> {
        match self {
            Self::Embedding(model) => Ok(model),
            Self::Chat(_) => Err(Error::Request(format!(
                "the model {name} is a chat model and makes no embeddings; use an embedding model"
            ))),
        }
    }
}

/// A loaded chat model.
pub(super) struct Model {
    pub(super) level: Level,
    pub(super) network: Network,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: ChatTemplate,
    /// The longest context, in tokens.
    pub(super) context: usize,
    pub(super) defaults: Defaults,
    /// Keys and values of finished answers.
    pub(super) kept: Kept,
}

/// How tokens are chosen when a request does not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Defaults {
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) top_k: usize,
}

impl Model {
    /// Loads a file.
    fn of(file: &Gguf, options: &EngineOptions) -> Result<Self> {
        let config = Config::read(file)?;
        check_memory(Network::bytes(file, &config))?;
        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(MAX_LOAD_THREADS);
        let (tokenizer, network) = thread::scope(|scope| {
            let vocabulary = config.vocabulary;
            let tokenizer = scope.spawn(move || Tokenizer::read(file, vocabulary));
            let network = Network::load(file, config, threads);
            (tokenizer.join(), network)
        });
        let tokenizer =
            tokenizer.map_err(|_| Error::Defect("reading its vocabulary failed".to_owned()))??;
        let network = network?;
        Ok(Self {
            level: Level::best(),
            template: ChatTemplate::read(file, &tokenizer, options.clock.clone())?,
            context: network.config.context.min(options.context),
            defaults: Defaults::read(file)?,
            kept: Kept::default(),
            network,
            tokenizer,
        })
    }
}

impl Defaults {
    fn read(file: &Gguf) -> Result<Self> {
        Ok(Self {
            temperature: file.number("general.sampling.temp")?.unwrap_or(TEMPERATURE),
            top_p: file.number("general.sampling.top_p")?.unwrap_or(TOP_P),
            top_k: file.integer("general.sampling.top_k")?.unwrap_or(TOP_K),
        })
    }
}

/// Refuses a model that the machine has no memory for, where the machine says how much it has.
pub(super) fn check_memory(needed: u64) -> Result<()> {
    let Ok(text) = fs::read_to_string("/proc/meminfo") else {
        return Ok(());
    };
    match available_bytes(&text) {
        Some(available) if available < needed => Err(Error::Memory {
            needed: needed >> 20,
            available: available >> 20,
        }),
        _ => Ok(()),
    }
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_what_linux_says() {
        assert_eq!(
            available_bytes("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(available_bytes("MemTotal: 9 kB\n"), None);
        assert_eq!(available_bytes("MemAvailable: x kB\n"), None);
    }
}
