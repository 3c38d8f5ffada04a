//! The gateway in a world of fakes: real routes, controllers and journal, scripted providers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    reason = "what fails here fails a test, and a scenario reads best in one piece"
)]

mod access;
mod background;
mod caching;
mod commands;
mod controllers;
mod conversations;
mod dialects;
mod embeddings;
mod faults;
mod forward;
mod guardrails;
mod hedging;
mod native;
mod operations;
mod prompts;
mod providers;
mod quotas;
mod realtime;
mod replicas;
mod reported;
mod routing;
mod stage;
mod stored;
