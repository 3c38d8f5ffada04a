//! The release binary against the real world: kubectl, kube-rs, the OpenAI and Opik SDKs, a real model, and faults.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod answers;
mod clickhouse;
mod drain;
mod faults;
mod files;
mod goclients;
mod import;
mod kill;
mod kill_traces;
mod kubernetes;
mod lm_eval;
mod opik;
mod opik_clients;
mod opik_records;
mod otlp;
mod postgres;
mod provider;
mod proxies;
mod realtime;
mod replicas;
mod sdks;
mod storm;
mod support;
mod tour;
mod transcripts;
