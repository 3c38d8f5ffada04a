//! Which servers are trusted: the system's certificate store, read once and late.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use stead_kernel::{Error, Result};
use tokio::sync::OnceCell;

/// Certificates to trust, and what follows from them.
pub(super) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) fn new(extra: Option<&str>) -> Result<Self> {
        let extra = CertificateDer::pem_slice_iter(extra.unwrap_or_default().as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                Error::invalid("the additional CA certificates are no PEM text").because(error)
            })?;
        Ok(Self {
            extra,
            config: OnceCell::new(),
        })
    }

    /// How to speak TLS to servers; the first caller waits some milliseconds for the store.
    pub(super) async fn config(&self) -> Arc<ClientConfig> {
        let made = self.config.get_or_init(|| async {
            let extra = self.extra.clone();
            let loading = tokio::task::spawn_blocking(move || client_config(roots(extra)));
            // Only a panic in the loading can fail here; nothing is trusted then, and every handshake says so.
            loading
                .await
                .unwrap_or_else(|_| client_config(RootCertStore::empty()))
        });
        Arc::clone(made.await)
    }
}

fn roots(extra: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a part of the system's certificate store cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra);
    if roots.is_empty() {
        warn_of_nothing(&found.errors);
    }
    roots
}

fn warn_of_nothing(errors: &[rustls_native_certs::Error]) {
    tracing::warn!(
        ?errors,
        "this system has no CA certificates, so no server is trusted: install ca-certificates"
    );
}

/// How to speak TLS to a database: the system's certificate store is trusted. It is read here, which takes some milliseconds.
pub fn database_tls() -> ClientConfig {
    plain_config(roots(Vec::new()))
}

fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = plain_config(roots);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn plain_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has every protocol version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
