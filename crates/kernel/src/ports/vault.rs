//! Encryption at rest.

use crate::Result;

/// Seals and opens small secrets. Sealed bytes are a versioned envelope with a data key per object, so that the
/// master key can be rotated without a migration.
pub trait Vault: Send + Sync {
    /// Encrypts; `context` (what the secret is and where it lies) must be the same when it is opened.
    fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts what [`seal`](Self::seal) returned; `Internal` when the key, the context or the bytes are wrong.
    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>>;
}
