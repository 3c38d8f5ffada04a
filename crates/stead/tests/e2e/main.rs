//! The release binary against the real world: kubectl, kube-rs, the OpenAI SDKs, a real model, and faults.

mod answers;
mod faults;
mod kill;
mod kubernetes;
mod provider;
mod support;
mod tour;
