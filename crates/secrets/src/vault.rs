//! Sealing and opening.

use std::{fmt, path::Path};

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use stead_kernel::{Error, Result, ports::Vault};
use zeroize::Zeroizing;

use crate::{
    envelope::{Envelope, FormatError, Layer, WRAPPED, associated},
    key_file,
    keyring::{Keyring, MasterKey},
};

/// The name of the key file in its folder.
const FILE: &str = "vault.key";

/// A [`Vault`] whose master keys lie in a file of mode 0600.
pub struct FileVault {
    keys: Keyring,
    new: bool,
}

impl FileVault {
    /// Reads `vault.key` from `folder`, or makes it with a random key.
    ///
    /// # Errors
    /// `Forbidden` when others may read the file; `Unavailable` when it cannot be read or written, or is damaged.
    pub fn load_or_create(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if let Some(keys) = key_file::read(&path)? {
            return Ok(Self { keys, new: false });
        }
        let key = Zeroizing::new(<[u8; 32]>::from(Key::generate()));
        key_file::create(&path, &key)?;
        let keys = Keyring::new(vec![MasterKey::new(key)]).expect("one key is enough");
        Ok(Self { keys, new: true })
    }

    /// Whether the key was made just now: what was sealed before, if anything, cannot be opened.
    pub fn is_new(&self) -> bool {
        self.new
    }
}

impl fmt::Debug for FileVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileVault")
            .field("new", &self.new)
            .finish_non_exhaustive()
    }
}

impl Vault for FileVault {
    fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let master = self.keys.current();
        let data_key = Zeroizing::new(<[u8; 32]>::from(Key::generate()));
        let (wrap_nonce, nonce) = (XNonce::generate(), XNonce::generate());
        let wrapped = encrypt(
            &master.cipher_key(),
            &wrap_nonce,
            data_key.as_slice(),
            &associated(Layer::Key, master.id, context),
        )?;
        let wrapped: [u8; WRAPPED] = wrapped.try_into().map_err(|_| too_large())?;
        let ciphertext = encrypt(
            &Key::from(*data_key),
            &nonce,
            plain,
            &associated(Layer::Secret, master.id, context),
        )?;
        let envelope = Envelope {
            key_id: master.id,
            wrap_nonce: wrap_nonce.as_ref(),
            wrapped: &wrapped,
            nonce: nonce.as_ref(),
            ciphertext: &ciphertext,
        };
        Ok(envelope.to_bytes())
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let envelope = Envelope::parse(sealed).map_err(unreadable)?;
        let Some(master) = self.keys.find(envelope.key_id) else {
            return Err(
                Error::internal("a stored secret was sealed with a key that is not here")
                    .hint("restore keys/vault.key from the backup that belongs to this data"),
            );
        };
        let wrapped = decrypt(
            &master.cipher_key(),
            envelope.wrap_nonce,
            envelope.wrapped,
            &associated(Layer::Key, master.id, context),
        )?;
        let wrapped = Zeroizing::new(wrapped);
        let data_key: Zeroizing<[u8; 32]> =
            Zeroizing::new(wrapped.as_slice().try_into().map_err(|_| damaged())?);
        decrypt(
            &Key::from(*data_key),
            envelope.nonce,
            envelope.ciphertext,
            &associated(Layer::Secret, master.id, context),
        )
    }
}

fn encrypt(key: &Key, nonce: &XNonce, msg: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
    XChaCha20Poly1305::new(key)
        .encrypt(nonce, Payload { msg, aad })
        .map_err(|_| too_large())
}

fn decrypt(key: &Key, nonce: &[u8; 24], msg: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
    XChaCha20Poly1305::new(key)
        .decrypt(&XNonce::from(*nonce), Payload { msg, aad })
        .map_err(|_| damaged())
}

/// The cipher refuses nothing else when it encrypts.
fn too_large() -> Error {
    Error::internal("a secret is too large to be encrypted")
}

fn damaged() -> Error {
    Error::internal("a stored secret was changed, or belongs to another object")
}

fn unreadable(error: FormatError) -> Error {
    Error::internal("a stored secret cannot be read").because(error)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use proptest::prelude::*;
    use stead_kernel::Reason;

    use super::*;

    fn vault() -> FileVault {
        let key = MasterKey::new(Zeroizing::new(Key::generate().into()));
        FileVault {
            keys: Keyring::new(vec![key]).expect("one is enough"),
            new: true,
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_its_context_and_in_no_other(
            context in ".{0,40}",
            other in ".{0,40}",
            plain in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let vault = vault();
            let sealed = vault.seal(&context, &plain).expect("sealed");
            prop_assert_eq!(&vault.open(&context, &sealed).expect("opened"), &plain);
            prop_assert_eq!(vault.open(&other, &sealed).is_ok(), context == other);
        }

        #[test]
        fn bytes_of_anyone_open_as_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let vault = vault();
            prop_assert!(vault.open("context", &bytes).is_err());
            let framed = [b"STDV\x01".as_slice(), &bytes].concat();
            prop_assert!(vault.open("context", &framed).is_err());
        }
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let vault = vault();
        let sealed = vault.seal("secrets/default/openai", b"sk-1234").expect("sealed");
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                let error = vault
                    .open("secrets/default/openai", &changed)
                    .expect_err("noticed");
                assert_eq!(error.reason(), Reason::Internal, "byte {index}");
            }
        }
        for length in 0..sealed.len() {
            vault
                .open("secrets/default/openai", &sealed[..length])
                .expect_err("noticed");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_to_the_same_bytes() {
        let vault = vault();
        let (one, two) = (
            vault.seal("c", b"secret").expect("sealed"),
            vault.seal("c", b"secret").expect("sealed"),
        );
        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn a_second_start_opens_what_the_first_sealed() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = FileVault::load_or_create(folder.path()).expect("made");
        let sealed = first.seal("c", b"secret").expect("sealed");
        let second = FileVault::load_or_create(folder.path()).expect("loaded");
        assert_eq!((first.is_new(), second.is_new()), (true, false));
        assert_eq!(second.open("c", &sealed).expect("opened"), b"secret");
        let mode = fs::metadata(folder.path().join(FILE))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn after_a_new_key_is_put_first_old_secrets_still_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let old = FileVault::load_or_create(folder.path()).expect("made");
        let sealed = old.seal("c", b"secret").expect("sealed");
        let text = fs::read_to_string(&path).expect("there");
        fs::write(&path, format!("{}\n{text}", "ab".repeat(32))).expect("written");
        let both = FileVault::load_or_create(folder.path()).expect("loaded");
        assert_eq!(both.open("c", &sealed).expect("opened"), b"secret");
        let newer = both.seal("c", b"secret").expect("sealed");
        let error = old.open("c", &newer).expect_err("sealed with the new key");
        assert!(error.message().contains("not here"), "{error}");
    }

    #[test]
    fn an_unusable_key_file_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        FileVault::load_or_create(folder.path()).expect("made");
        for (text, why) in [
            ("", "it holds no key"),
            ("# only a comment\n", "it holds no key"),
            ("abcd\n", "line 1 is no key of 64 hexadecimal digits"),
            (
                &format!("\n{}\n", "zz".repeat(32)),
                "line 2 is no key of 64 hexadecimal digits",
            ),
            (&"é".repeat(32), "line 1 is no key of 64 hexadecimal digits"),
        ] {
            fs::write(&path, text).expect("written");
            let error = FileVault::load_or_create(folder.path()).expect_err(why);
            assert!(error.message().ends_with(why), "{error}");
            assert!(!error.message().contains("abcd"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        let error = FileVault::load_or_create(folder.path()).expect_err("readable by all");
        assert_eq!(error.reason(), Reason::Forbidden);
        assert!(
            error
                .get_hint()
                .is_some_and(|hint| hint.starts_with("make it private: chmod 600 "))
        );
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let vault = vault();
        let mut sealed = vault.seal("c", b"secret").expect("sealed");
        sealed[4] = 2;
        let error = vault.open("c", &sealed).expect_err("newer");
        assert!(
            error.full_message().contains("newer Stead"),
            "{}",
            error.full_message()
        );
    }
}
