//! Making and checking certificates. Pure but for randomness.

use std::{net::IpAddr, sync::Arc};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use stead_kernel::{Error, Result};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Leaf;

/// How long the authority's certificate is good for, in days.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a server's certificate is good for, in days.
const LEAF_DAYS: i64 = 90;
/// After how many days a server's certificate is replaced.
const RENEW_DAYS: i64 = 60;

/// Names that this server always has.
const OWN_NAMES: [&str; 4] = ["localhost", "stead.internal", "127.0.0.1", "::1"];
/// Networks that are never someone else's: loopback, private use (RFC 1918, RFC 4193) and carrier-grade NAT
/// (RFC 6598), which overlay networks use.
const OWN_NETWORKS: [(&str, u8); 6] = [
    ("127.0.0.0", 8),
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("100.64.0.0", 10),
    ("fc00::", 7),
];

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("it cannot be put together")]
    Make(#[from] rcgen::Error),
    #[error("it is no certificate in PEM form")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("it is no certificate")]
    Parse(#[from] x509_parser::nom::Err<x509_parser::error::X509Error>),
    #[error("it belongs to another key")]
    OtherKey,
    #[error("its key cannot be used")]
    Key(#[from] rustls::Error),
    #[error("its dates are out of range")]
    Date(#[from] jiff::Error),
    #[error("its date is no date")]
    Day(#[from] std::num::TryFromIntError),
}

/// A name of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Host(String),
    Address(IpAddr),
}

impl Name {
    /// The names that every installation has, and those given.
    pub(super) fn all(given: &[String]) -> Result<Vec<Self>> {
        let mut names = Vec::new();
        for text in OWN_NAMES.into_iter().chain(given.iter().map(String::as_str)) {
            let name = Self::parse(text)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn parse(text: &str) -> Result<Self> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        match ServerName::try_from(bare) {
            Ok(ServerName::IpAddress(address)) => Ok(Self::Address(IpAddr::from(address))),
            Ok(ServerName::DnsName(name)) => Ok(Self::Host(
                name.as_ref().trim_end_matches('.').to_ascii_lowercase(),
            )),
            _ => Err(
                Error::invalid(format!("{text:?} is neither a host name nor an IP address"))
                    .hint("give host names without scheme and port: ai.example.com"),
            ),
        }
    }

    fn alternative(&self) -> Result<SanType, IssueError> {
        Ok(match self {
            Self::Host(name) => SanType::DnsName(name.as_str().try_into()?),
            Self::Address(address) => SanType::IpAddress(*address),
        })
    }

    fn permitted(&self) -> GeneralSubtree {
        match self {
            Self::Host(name) => GeneralSubtree::DnsName(name.clone()),
            Self::Address(IpAddr::V4(address)) => {
                GeneralSubtree::IpAddress(CidrSubnet::V4(address.octets(), [255; 4]))
            }
            Self::Address(IpAddr::V6(address)) => {
                GeneralSubtree::IpAddress(CidrSubnet::V6(address.octets(), [255; 16]))
            }
        }
    }

    fn as_server(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Host(name) => ServerName::try_from(name.clone()).ok(),
            Self::Address(address) => Some(ServerName::from(*address)),
        }
    }
}

pub(super) fn new_key() -> Result<KeyPair, IssueError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// The authority's own certificate, as PEM text.
pub(super) fn authority(key: &KeyPair, names: &[Name], now: Timestamp) -> Result<String, IssueError> {
    let mut params = valid_from(now, AUTHORITY_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "Stead CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut permitted: Vec<_> = names.iter().map(Name::permitted).collect();
    for (network, prefix) in OWN_NETWORKS {
        let address: IpAddr = network.parse().expect("the table holds addresses");
        permitted.push(GeneralSubtree::IpAddress(subnet(address, prefix)));
    }
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    });
    Ok(params.self_signed(key)?.pem())
}

/// Rcgen's own conversion leaves the mask of a full prefix empty.
fn subnet(address: IpAddr, prefix: u8) -> CidrSubnet {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => CidrSubnet::V4(
            address.octets(),
            u32::MAX.checked_shl(32 - prefix).unwrap_or(0).to_be_bytes(),
        ),
        IpAddr::V6(address) => CidrSubnet::V6(
            address.octets(),
            u128::MAX.checked_shl(128 - prefix).unwrap_or(0).to_be_bytes(),
        ),
    }
}

/// A new key with a certificate for the names.
pub(super) fn leaf(
    authority: &CertificateDer<'_>,
    key: &KeyPair,
    names: &[Name],
    now: Timestamp,
) -> Result<Leaf, IssueError> {
    let issuer = Issuer::from_ca_cert_der(authority, key)?;
    let mut params = valid_from(now, LEAF_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, "Stead server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    for name in names {
        params.subject_alt_names.push(name.alternative()?);
    }
    let own = new_key()?;
    let certificate = params.signed_by(&own, &issuer)?;
    let signer =
        rustls::crypto::ring::sign::any_ecdsa_type(&PrivatePkcs8KeyDer::from(own.serialize_der()).into())?;
    Ok(Leaf {
        key: Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer)),
        renew_after: days_after(now, RENEW_DAYS)?,
    })
}

/// Whether the authority's certificate belongs to the key, outlives the next server certificate and permits all names.
pub(super) fn still_good(
    pem: &str,
    key: &KeyPair,
    names: &[Name],
    now: Timestamp,
) -> Result<bool, IssueError> {
    let der = der(pem)?;
    let (_, parsed) = X509Certificate::from_der(&der)?;
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(IssueError::OtherKey);
    }
    let end = days_after(now, LEAF_DAYS)?;
    if parsed.validity().not_after.timestamp() <= end.as_second() {
        return Ok(false);
    }
    let leaf = leaf(&der, key, names, now)?;
    Ok(permits(&der, &leaf, names, now))
}

/// Asks the verifier that clients use, rather than reading the constraints in a way of our own.
fn permits(authority: &CertificateDer<'static>, leaf: &Leaf, names: &[Name], now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    let Ok(()) = roots.add(authority.clone()) else {
        return false;
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Some(certificate) = leaf.key.cert.first() else {
        return false;
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    names.iter().all(|name| {
        name.as_server().is_some_and(|name| {
            verifier
                .verify_server_cert(certificate, &[], &name, &[], now)
                .is_ok()
        })
    })
}

pub(super) fn der(pem: &str) -> Result<CertificateDer<'static>, IssueError> {
    Ok(CertificateDer::from_pem_slice(pem.as_bytes())?)
}

/// Parameters that are valid from the day before, for clocks that are behind.
fn valid_from(now: Timestamp, days: i64) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    let day = |at: Timestamp| -> Result<_, IssueError> {
        let date = at.to_zoned(TimeZone::UTC).date();
        Ok(rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month())?,
            u8::try_from(date.day())?,
        ))
    };
    params.not_before = day(days_after(now, -1)?)?;
    params.not_after = day(days_after(now, days + 1)?)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn days_after(time: Timestamp, days: i64) -> Result<Timestamp, jiff::Error> {
    time.checked_add(Span::new().hours(days * 24))
}
