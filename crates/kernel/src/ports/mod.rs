//! What domains need from the world, as traits; `stead` wires one implementation of each.

mod chat;
mod control;
pub mod events;
mod exec;
mod feed;
mod models;
mod outbound;
mod prices;
mod records;
pub mod signals;
pub mod traces;
mod vault;

pub use chat::{
    Chat, Embedded, FinishReason, Generated, Generation, GenerationStream, Likelihoods, LikelihoodsOf,
    LikelyToken, ModelFile, PACKED_FILES, Sampling, TokenUsage,
};
pub use control::{Control, ControlProcess};
pub use events::Events;
pub use exec::{Exec, ProcessOutput, ProcessRequest};
pub use feed::{Feed, Follower, Told};
pub use models::{Answered, KeepAnswer, Keeper, Models};
pub use outbound::{Outbound, Reach, SendOptions};
pub use prices::{ModelLimits, NanoUsd, PicoUsd, Price, Prices, Tier, TokenPrices, UnitPrices};
pub use records::{Page, Record, RecordKey, RecordQuery, RecordWrite, Records, Within};
pub use signals::Signals;
pub use traces::Traces;
pub use vault::Vault;
