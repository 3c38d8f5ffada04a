//! The release binary against the real world: kubectl, kube-rs, the OpenAI and Opik SDKs, a real model, and faults.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod answers;
mod drain;
mod faults;
mod files;
mod import;
mod kill;
mod kubernetes;
mod opik;
mod opik_records;
mod otlp;
mod provider;
mod proxies;
mod realtime;
mod replicas;
mod sdks;
mod support;
mod tour;
