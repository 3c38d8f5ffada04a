//! What applications' spans cost, as sums.

use uuid::Uuid;

use crate::{Timestamp, ports::NanoUsd};

/// Which spans are summed up: those that have a cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CostQuery {
    /// Of these projects of Stead.
    pub workspaces: Vec<String>,
    /// Begun at or after.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// Spans, each with its trace, that made a request whose cost is counted elsewhere: neither they nor what they are in
    /// are counted.
    pub counted: Vec<(Uuid, Uuid)>,
}

/// A sum over spans that have these in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CostRow {
    /// The project of Stead.
    pub workspace: String,
    /// The model, or nothing.
    pub model: String,
    /// Its provider, or nothing.
    pub provider: String,
    /// Who told of them.
    pub user: String,
    /// The hour in which they began.
    pub hour: Timestamp,
    /// How many spans.
    pub spans: u64,
    /// Tokens that went in.
    pub input: u64,
    /// Tokens that came out.
    pub output: u64,
    /// What they cost: each span's cost in whole billionths of a dollar.
    pub cost: NanoUsd,
}
