//! Encryption of secrets at rest: the `Vault` port over a key file.
//!
//! *Invariant:* a key leaves this crate only into its own file, which nobody else may read.
//!
//! *Invariant:* what was sealed stays readable: envelopes name their version and key, and later formats keep reading
//! earlier ones.

mod envelope;
mod key_file;
mod keyring;
mod vault;

pub use vault::FileVault;
