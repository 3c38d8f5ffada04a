//! The certificate authority of this installation and the server's certificate.
//!
//! The authority's key is kept; the server's key and certificate live in memory, are made anew at each start, and
//! are replaced before they expire.
//!
//! *Invariant:* the authority is good for local names, private addresses and the host names it was made for, and for
//! nothing else, whoever gets hold of its key.

mod files;
mod issue;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Once, PoisonError, RwLock},
};

use rcgen::KeyPair;
use rustls::{
    ServerConfig,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use stead_kernel::{Clock, Error, Result, Timestamp};

use self::issue::Name;

/// Makes ring the process's provider of TLS cryptography; called again, it does nothing.
pub fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that there is one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// The certificate authority of this installation.
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    path: PathBuf,
    leaves: Arc<Leaves>,
}

impl Authority {
    /// Reads `ca.key` and `ca.crt` from `folder`, or makes them. The certificate is made again, with the same key,
    /// when it nears its end or does not permit one of `names` (host names and IP addresses of this server, besides
    /// `localhost`, `stead.internal` and loopback).
    ///
    /// # Errors
    /// `Invalid` when a name is no host name; `Forbidden` when others may read the key; `Unavailable` when the files
    /// cannot be read or written, or hold something else.
    pub fn load_or_create(folder: &Path, names: &[String], clock: Arc<dyn Clock>) -> Result<Self> {
        install_crypto_provider();
        let names = Name::all(names)?;
        files::make_folder(folder)?;
        let key = load_or_create_key(&folder.join("ca.key"))?;
        let path = folder.join("ca.crt");
        let now = clock.now();
        let pem = match files::read(&path)? {
            Some(pem)
                if issue::still_good(&pem, &key, &names, now).map_err(|error| garbled(&path, error))? =>
            {
                pem
            }
            old => {
                let pem = issue::authority(&key, &names, now).map_err(defect)?;
                files::write(&path, pem.as_bytes(), files::PUBLIC)?;
                if old.is_some() {
                    tracing::warn!(
                        "the CA certificate was made again for other names: clients elsewhere need the new one"
                    );
                }
                pem
            }
        };
        let der = issue::der(&pem).map_err(|error| garbled(&path, error))?;
        let first = issue::leaf(&der, &key, &names, now).map_err(defect)?;
        let leaves = Leaves {
            authority: der.clone(),
            key,
            names,
            clock,
            current: RwLock::new(first),
        };
        Ok(Self {
            pem,
            der,
            path,
            leaves: Arc::new(leaves),
        })
    }

    /// How this server speaks TLS: 1.2 and 1.3, HTTP/2 preferred. The certificate is renewed while it is used.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Leaves>::clone(&self.leaves);
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has every protocol version")
                .with_no_client_auth()
                .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// The authority's certificate, which clients trust, as PEM text.
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// Where [`ca_pem`](Self::ca_pem) lies as a file.
    pub fn ca_path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of the authority's certificate in DER form: `sha256:<64 hex digits>`.
    pub fn fingerprint(&self) -> String {
        use fmt::Write as _;
        let mut text = String::from("sha256:");
        for byte in Sha256::digest(self.der.as_ref()) {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        text
    }
}

fn load_or_create_key(path: &Path) -> Result<KeyPair> {
    if let Some(pem) = files::read_private(path)? {
        return KeyPair::from_pem(&pem).map_err(|error| garbled(path, error));
    }
    let key = issue::new_key().map_err(defect)?;
    files::write(path, key.serialize_pem().as_bytes(), files::PRIVATE)?;
    Ok(key)
}

/// A server certificate with its key.
#[derive(Debug)]
pub(crate) struct Leaf {
    key: Arc<CertifiedKey>,
    renew_after: Timestamp,
}

/// Hands out the server's certificate, and makes the next one in time.
struct Leaves {
    authority: CertificateDer<'static>,
    key: KeyPair,
    names: Vec<Name>,
    clock: Arc<dyn Clock>,
    current: RwLock<Leaf>,
}

impl Leaves {
    fn current(&self) -> Arc<CertifiedKey> {
        let now = self.clock.now();
        {
            let leaf = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if now < leaf.renew_after {
                return Arc::clone(&leaf.key);
            }
        }
        let mut leaf = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if now >= leaf.renew_after {
            // Making one takes less than a millisecond, so the handshake can wait for it.
            match issue::leaf(&self.authority, &self.key, &self.names, now) {
                Ok(next) => *leaf = next,
                Err(error) => tracing::error!(%error, "the server's certificate could not be renewed"),
            }
        }
        Arc::clone(&leaf.key)
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Leaves")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn garbled(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable(format!("the file {} is damaged", path.display()))
        .hint(
            "restore it from a backup; or remove ca.key and ca.crt beside it, and clients must trust the new CA that \
             the next start makes",
        )
        .because(error)
}

fn defect(error: issue::IssueError) -> Error {
    Error::internal("a certificate could not be made").because(error)
}
