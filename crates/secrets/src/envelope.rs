//! The bytes of a sealed secret.
//!
//! Version 1, lengths in bytes:
//!
//! | magic | version | key id | nonce | wrapped data key | nonce | ciphertext |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 4, `STDV` | 1 | 8 | 24 | 32 + 16 | 24 | plain text + 16 |
//!
//! Both layers are XChaCha20-Poly1305. What they authenticate besides their own bytes: a label of the layer, the key id
//! and the context. Rotating the master key writes only the middle of an envelope again.
//!
//! *Invariant:* nothing here knows a master key.

/// What every envelope begins with.
const MAGIC: &[u8; 4] = b"STDV";
/// The version that is written.
const VERSION: u8 = 1;
/// Length of a key's id.
pub(crate) const KEY_ID: usize = 8;
/// Length of a nonce.
pub(crate) const NONCE: usize = 24;
/// Length of a data key with its authentication tag.
pub(crate) const WRAPPED: usize = 32 + 16;

/// The parts of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) key_id: [u8; KEY_ID],
    pub(crate) wrap_nonce: &'a [u8; NONCE],
    pub(crate) wrapped: &'a [u8; WRAPPED],
    pub(crate) nonce: &'a [u8; NONCE],
    pub(crate) ciphertext: &'a [u8],
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("the bytes are no sealed secret")]
    NotSealed,
    #[error("it has format version {0}, which a newer Stead wrote")]
    Newer(u8),
    #[error("it is cut short")]
    Short,
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(FormatError::NotSealed)?;
        let (version, rest) = rest.split_first().ok_or(FormatError::Short)?;
        if *version != VERSION {
            return Err(FormatError::Newer(*version));
        }
        let (&key_id, rest) = rest.split_first_chunk().ok_or(FormatError::Short)?;
        let (wrap_nonce, rest) = rest.split_first_chunk().ok_or(FormatError::Short)?;
        let (wrapped, rest) = rest.split_first_chunk().ok_or(FormatError::Short)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(FormatError::Short)?;
        Ok(Self {
            key_id,
            wrap_nonce,
            wrapped,
            nonce,
            ciphertext,
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [
            &MAGIC[..],
            &[VERSION],
            &self.key_id,
            self.wrap_nonce,
            self.wrapped,
            self.nonce,
            self.ciphertext,
        ]
        .concat()
    }
}

/// Which of the two ciphers of an envelope.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    /// The data key under the master key.
    Key,
    /// The secret under the data key.
    Secret,
}

/// What a layer authenticates besides its own bytes. The context comes last, so that no two inputs are the same.
pub(crate) fn associated(layer: Layer, key_id: [u8; KEY_ID], context: &str) -> Vec<u8> {
    let label: &[u8] = match layer {
        Layer::Key => b"stead vault 1 key\0",
        Layer::Secret => b"stead vault 1 secret\0",
    };
    [label, &key_id, context.as_bytes()].concat()
}
