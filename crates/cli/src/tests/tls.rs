//! Speaking to a server over TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::world::{TOKEN, World, run};

/// Accepts connections with a certificate of an authority of its own.
pub(super) struct Listener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener {
    /// The listener and its authority's certificate, in PEM.
    pub(super) async fn bind() -> (Self, String) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".into()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![own.der().clone()],
                    rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
                )
                .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (
            Self {
                tcp,
                acceptor: TlsAcceptor::from(Arc::new(config)),
            },
            authority.pem(),
        )
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else {
                continue;
            };
            // A client that does not trust the certificate goes away again.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

#[test]
fn a_server_is_trusted_by_its_authority_and_not_without() {
    let world = World::new();
    let (address, pem) = world.server.over_tls();
    let authority = world.path("authority.pem");
    world.file("authority.pem", &pem);
    let asked = |ca: Option<std::path::PathBuf>| {
        let mut program = world.program();
        program.environment.server = Some(address.clone());
        program.environment.token = Some(TOKEN.into());
        program.environment.ca = ca;
        run(program, &["api", "GET", "/version"], "")
    };
    assert!(asked(Some(authority)).ok().contains("1.2.0"));
    let refused = asked(None);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(
        refused.stderr.contains("certificate") && refused.stderr.contains("STEAD_CA"),
        "{refused:?}"
    );
    let garbage = world.path("garbage.pem");
    world.file("garbage.pem", "not a certificate");
    assert_eq!(asked(Some(garbage)).code, 1);
}
