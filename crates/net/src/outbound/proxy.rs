//! Proxies, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name them.

use std::{fmt, net::IpAddr};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use stead_kernel::{Error, Result};

/// The proxies to use; what is absent or empty is not used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http:` URLs: `http://[user:password@]host:port`.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// For both, where the other two are absent.
    pub all: Option<String>,
    /// Hosts, domains and networks that are reached without a proxy, separated by commas; `*` for all.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for ProxySettings {
    /// Leaves out the addresses, which may hold passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProxySettings")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("all", &self.all.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// Chooses the proxy for a URL.
pub(super) struct Proxies(Option<Matcher>);

impl Proxies {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        let (http, https, all) = (
            given(&settings.http),
            given(&settings.https),
            given(&settings.all),
        );
        for (what, value) in [("HTTP", &http), ("HTTPS", &https), ("all", &all)] {
            if let Some(value) = value {
                understood(what, value)?;
            }
        }
        if http.is_none() && https.is_none() && all.is_none() {
            return Ok(Self(None));
        }
        let matcher = Matcher::builder()
            .http(http.unwrap_or_default())
            .https(https.unwrap_or_default())
            .all(all.unwrap_or_default())
            .no(settings.no_proxy.clone().unwrap_or_default())
            .build();
        Ok(Self(Some(matcher)))
    }

    /// The proxy for this URL. This machine itself is never asked of a proxy, whose localhost is another.
    pub(super) fn choose(&self, uri: &Uri) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        if uri.host().is_some_and(is_this_machine) {
            return None;
        }
        matcher.intercept(uri)
    }

    /// The proxy's credential for a request that is sent to it whole, rather than through a tunnel.
    pub(super) fn credential_for_plain(&self, uri: &Uri) -> Option<HeaderValue> {
        if self.0.is_none() || uri.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.choose(uri)?.basic_auth().cloned()
    }
}

/// Says what is wrong with a proxy's address, without repeating it: it may hold a password.
fn understood(what: &str, value: &str) -> Result<()> {
    let matcher = Matcher::builder().all(value).build();
    let any = Uri::from_static("https://stead.invalid/");
    let scheme = matcher
        .intercept(&any)
        .and_then(|proxy| proxy.uri().scheme().cloned());
    if scheme == Some(Scheme::HTTP) || scheme == Some(Scheme::HTTPS) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the address of the proxy for {what} requests cannot be used"
    ))
    .hint("it must look like http://proxy.example.com:3128; SOCKS proxies are not supported"))
}

/// Whether a host of a URL is this machine by name or address.
pub(super) fn is_this_machine(host: &str) -> bool {
    match url::Host::parse(host) {
        Ok(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
        }
        Ok(url::Host::Ipv4(address)) => address.is_loopback(),
        Ok(url::Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(settings: &ProxySettings) -> Proxies {
        Proxies::new(settings).expect("usable")
    }

    #[test]
    fn the_proxy_is_chosen_by_scheme_and_exceptions() {
        let proxies = proxies(&ProxySettings {
            http: Some("http://plain:3128".into()),
            https: Some("http://ada:secret@tunnel:3129".into()),
            all: None,
            no_proxy: Some("internal.example, 10.0.0.0/8".into()),
        });
        for (url, proxy) in [
            ("http://example.com/", Some("plain")),
            ("https://example.com/", Some("tunnel")),
            ("https://internal.example/", None),
            ("https://a.internal.example/", None),
            ("https://10.1.2.3/", None),
            ("https://localhost/", None),
            ("http://127.0.0.1:1234/", None),
            ("http://[::1]:1234/", None),
        ] {
            let chosen = proxies.choose(&Uri::from_static(url));
            assert_eq!(
                chosen.as_ref().and_then(|chosen| chosen.uri().host()),
                proxy,
                "{url}"
            );
        }
    }

    #[test]
    fn credentials_go_to_the_proxy_with_plain_requests_only() {
        let proxies = proxies(&ProxySettings {
            all: Some("http://ada:secret@proxy:3128".into()),
            ..ProxySettings::default()
        });
        let credential = proxies.credential_for_plain(&Uri::from_static("http://example.com/"));
        assert_eq!(
            credential.as_ref().map(HeaderValue::as_bytes),
            Some(&b"Basic YWRhOnNlY3JldA=="[..])
        );
        assert_eq!(
            proxies.credential_for_plain(&Uri::from_static("https://example.com/")),
            None
        );
    }

    #[test]
    fn an_unusable_proxy_is_refused_without_its_password() {
        for value in [
            "socks5://ada:secret@proxy:1080",
            "ftp://ada:secret@proxy",
            "http://ada:secret@",
            "::",
        ] {
            let settings = ProxySettings {
                https: Some(value.into()),
                ..ProxySettings::default()
            };
            let error = Proxies::new(&settings).err().expect(value);
            assert!(!format!("{error:?} {settings:?}").contains("secret"), "{value}");
        }
    }

    #[test]
    fn this_machine_is_recognised_in_every_spelling() {
        for (host, own) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("127.0.0.1", true),
            ("127.1", true),
            ("2130706433", true),
            ("0x7f.0.0.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_this_machine(host), own, "{host}");
        }
    }
}
