//! Answers that are given again: to the same request, or to one that asks for the same in other words.
//!
//! *Invariant:* an answer never leaves its project, nor its key where the route says so.
//! *Invariant:* only complete answers without errors are kept, and nothing outlives the process.

mod gather;
mod identity;
mod lookup;
mod replay;
mod store;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stead_kernel::{Error, Result};

pub(crate) use lookup::{Asked, CacheControl, Found, Keep, look_up};
pub(crate) use replay::replay;
pub(crate) use store::{Kept, Store};

use crate::duration::Span;

/// The label of rows that tells what the cache did: `hit`, `semantic` or `miss`.
pub(crate) const LABEL: &str = "stead.dev/cache";

/// Whether answers of a route are given again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CacheSpec {
    /// To which requests.
    #[serde(default)]
    pub mode: Mode,
    /// How long an answer is given again.
    #[serde(default = "default_ttl")]
    pub ttl: Span,
    /// To whom.
    #[serde(default)]
    pub scope: Scope,
    /// How alike two questions must be, as the cosine of their vectors. Semantic only.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub threshold: f64,
    /// The route (or `provider/model`) of this project that makes the vectors. Semantic only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub embedding_route: Option<String>,
    /// The most answers that are kept for the project, or for each key; the oldest goes first.
    #[serde(default = "default_entries")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_entries: u32,
}

fn default_ttl() -> Span {
    Span(std::time::Duration::from_hours(1))
}

fn default_threshold() -> f64 {
    0.95
}

fn default_entries() -> u32 {
    1_000
}

/// To which requests an answer is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Mode {
    /// To those that ask the same in the same words.
    #[default]
    Exact,
    /// To those too whose last message means the same, and all else is the same.
    Semantic,
}

/// To whom an answer is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Scope {
    /// To the holder of the same API key (or the same user).
    #[default]
    Key,
    /// To everybody in the project.
    Project,
}

/// The rules on writes that the schema cannot say.
///
/// # Errors
/// Says what cannot work.
pub(crate) fn admit(spec: &CacheSpec) -> Result<()> {
    if spec.ttl.0.is_zero() || spec.ttl.0 > std::time::Duration::from_hours(24 * 30) {
        return Err(Error::invalid("spec.cache.ttl: more than nothing, at most 30d"));
    }
    if !(0.5..=1.0).contains(&spec.threshold) {
        return Err(Error::invalid("spec.cache.threshold: from 0.5 to 1"));
    }
    if spec.max_entries == 0 || spec.max_entries > 10_000 {
        return Err(Error::invalid("spec.cache.maxEntries: from 1 to 10000"));
    }
    if (spec.mode == Mode::Semantic) != spec.embedding_route.is_some() {
        return Err(Error::invalid(
            "spec.cache.embeddingRoute: is what mode Semantic needs, and no other",
        ));
    }
    Ok(())
}
