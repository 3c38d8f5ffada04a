//! Master keys.

use chacha20poly1305::Key;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::envelope::KEY_ID;

/// A master key and the id that envelopes name it by.
pub(crate) struct MasterKey {
    pub(crate) id: [u8; KEY_ID],
    pub(crate) key: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let digest = Sha256::new()
            .chain_update(b"stead vault key id\0")
            .chain_update(key.as_slice())
            .finalize();
        let id = digest
            .first_chunk()
            .copied()
            .expect("a digest is longer than an id");
        Self { id, key }
    }

    pub(crate) fn cipher_key(&self) -> Key {
        Key::from(*self.key)
    }
}

/// The master keys of an installation: the first seals, all open.
pub(crate) struct Keyring(Vec<MasterKey>);

impl Keyring {
    /// `None` when there is no key at all.
    pub(crate) fn new(keys: Vec<MasterKey>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(crate) fn current(&self) -> &MasterKey {
        self.0.first().expect("a keyring is made with at least one key")
    }

    pub(crate) fn find(&self, id: [u8; KEY_ID]) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }
}
