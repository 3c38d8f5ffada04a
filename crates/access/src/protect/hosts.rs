//! Under which names this server may be called: the defence against DNS rebinding, by which a web page makes its own
//! name mean this machine. Pure.

use std::net::{IpAddr, SocketAddr};

use ::http::{header, request::Parts};
use stead_kernel::{Error, Result};

/// How much of a wrong name is repeated.
const SHOWN: usize = 100;

/// The names and addresses that are this server's.
#[derive(Debug)]
pub(super) struct Hosts {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    any_address: bool,
}

impl Hosts {
    /// Those that were configured, the address listened on, `stead.internal`, and loopback under every name.
    pub(super) fn new(configured: &[String], listen: SocketAddr) -> Self {
        let mut hosts = Self {
            names: vec!["stead.internal".into()],
            addresses: vec![listen.ip().to_canonical()],
            // A rebound name is a name, so no address can be one; which ones this machine has may change any time.
            any_address: listen.ip().is_unspecified(),
        };
        for host in configured {
            let host = name_of(host).unwrap_or(host);
            match host.parse::<IpAddr>() {
                Ok(address) => hosts.addresses.push(address.to_canonical()),
                Err(_) => hosts.names.push(host.to_ascii_lowercase()),
            }
        }
        hosts
    }

    /// Refuses a request for another name.
    pub(super) fn check(&self, parts: &Parts) -> Result<()> {
        let Some(authority) = authority_of(parts) else {
            return Err(Error::forbidden("the request names no host").hint("send a Host header"));
        };
        // Who looks at another one than we do would see a request for another server (RFC 9112, section 3.2).
        if parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(Error::forbidden("the request names several hosts").hint("send one Host header"));
        }
        if self.contains(authority) {
            return Ok(());
        }
        let shown: String = name_of(authority)
            .unwrap_or(authority)
            .chars()
            .take(SHOWN)
            .collect();
        Err(
            Error::forbidden(format!("{shown:?} is not a name of this server"))
                .hint("an admin can add it to `hosts` in the configuration"),
        )
    }

    /// Whether a name without a port was configured as this server's: a proxy before it answers on the usual port.
    pub(super) fn is_configured(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether `name` or `name:port` is this server.
    pub(super) fn contains(&self, authority: &str) -> bool {
        let Some(name) = name_of(authority) else {
            return false;
        };
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            return self.any_address || address.is_loopback() || self.addresses.contains(&address);
        }
        is_localhost(name) || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The host and port that a request is for: HTTP/2 and proxies' requests have them in the URI.
pub(super) fn authority_of(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => parts.headers.get(header::HOST)?.to_str().ok(),
    }
}

fn is_localhost(name: &str) -> bool {
    const LOCAL: &str = "localhost";
    let at = name.len().wrapping_sub(LOCAL.len());
    let Some((before, end)) = name.split_at_checked(at) else {
        return false;
    };
    end.eq_ignore_ascii_case(LOCAL) && (before.is_empty() || before.ends_with('.'))
}

/// The host without port, brackets and final dot; `None` when it is no host and port: what comes before a colon must
/// not hide what comes after it (`localhost:80@elsewhere`).
fn name_of(authority: &str) -> Option<&str> {
    let is_end = |text: &str| {
        let port = text.strip_prefix(':');
        text.is_empty() || port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (name, end) = rest.split_once(']')?;
        return is_end(end).then_some(name);
    }
    let (name, end) = match authority.find(':') {
        // More colons are an IPv6 address as it stands in a configuration.
        Some(at) if authority.rfind(':') == Some(at) => authority.split_at(at),
        _ => (authority, ""),
    };
    is_end(end).then(|| name.strip_suffix('.').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        let configured = [
            "AI.example.com",
            "ai2.example.com:443",
            "203.0.113.5",
            "2001:db8::5",
        ];
        Hosts::new(
            &configured.map(str::to_owned),
            listen.parse().expect("an address"),
        )
    }

    #[test]
    fn the_servers_names_are_known_with_every_port_and_spelling() {
        let local = hosts("127.0.0.1:7832");
        for (authority, own) in [
            ("localhost", true),
            ("localhost:7832", true),
            ("LOCALHOST:1", true),
            ("a.localhost", true),
            ("localhost.", true),
            ("127.0.0.1:7832", true),
            ("127.9.9.9", true),
            ("[::1]:7832", true),
            ("[::ffff:127.0.0.1]", true),
            ("stead.internal", true),
            ("ai.example.com", true),
            ("ai.EXAMPLE.com:8443", true),
            ("ai2.example.com", true),
            ("203.0.113.5:1", true),
            ("[2001:db8::5]:1", true),
            ("evil.example", false),
            ("evil.example:7832", false),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("xai.example.com", false),
            ("ai.example.com.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
            (":80", false),
            ("[", false),
            ("localhost:", true),
            ("localhost:80@evil.example", false),
            ("localhost@evil.example", false),
            ("localhost:80 evil.example", false),
            ("[::1].evil.example", false),
            ("[::1]evil.example", false),
            ("[::1]:80@evil.example", false),
            ("é", false),
        ] {
            assert_eq!(local.contains(authority), own, "{authority}");
        }
    }

    #[test]
    fn a_request_that_names_two_hosts_is_refused() {
        let request = ::http::Request::get("/")
            .header(header::HOST, "localhost")
            .header(header::HOST, "evil.example");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let error = hosts("127.0.0.1:7832").check(&parts).expect_err("two hosts");
        assert_eq!(error.message(), "the request names several hosts");
    }

    #[test]
    fn a_server_on_all_addresses_is_called_by_any_address_but_not_by_any_name() {
        for listen in ["0.0.0.0:7832", "[::]:7832"] {
            let everywhere = hosts(listen);
            assert!(everywhere.contains("10.0.0.1:7832"));
            assert!(everywhere.contains("[fd00::1]:7832"));
            assert!(!everywhere.contains("evil.example:7832"));
        }
        assert!(hosts("10.0.0.1:7832").contains("10.0.0.1:7832"));
    }
}
