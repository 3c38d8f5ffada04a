//! The two handshakes of a WebSocket (<https://www.rfc-editor.org/rfc/rfc6455#section-4>), the client's with us and ours
//! with a provider. Nothing here performs I/O.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use rand::Rng;
use serde_json::json;
use stead_kernel::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{api::error::ApiError, key::text::KEY_PROTOCOL};

/// The version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// What both sides of an upgrade say.
const UPGRADE: HeaderValue = HeaderValue::from_static("websocket");
const CONNECTION: HeaderValue = HeaderValue::from_static("Upgrade");
/// The subprotocol that browsers ask for, and that they want confirmed.
const REALTIME: &str = "realtime";
/// Subprotocols that are about the client's account and not for another one's provider, by their beginnings
/// (<https://platform.openai.com/docs/guides/realtime-websocket>).
const ACCOUNT: [&str; 3] = [KEY_PROTOCOL, "openai-organization.", "openai-project."];
/// Which of a client's headers goes on: it says in which form events are.
const PASSED: HeaderName = HeaderName::from_static("openai-beta");

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The model, as the address names it.
    pub(crate) model: String,
    accept: HeaderValue,
    /// The subprotocols that it offers, but for those about its account.
    offered: Vec<String>,
    beta: Vec<HeaderValue>,
}

/// What an address says beside the model.
const ELSEWHERE: [(&str, &str); 2] = [
    ("call_id", "a call is controlled at the provider that has it"),
    (
        "intent",
        "a session that only transcribes names no model that could be routed",
    ),
];

impl Asked {
    /// Reads the head of a client's request.
    ///
    /// # Errors
    /// What the client is answered: `426` where it asks for no WebSocket.
    pub(crate) fn of(parts: &Parts) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let upgrades = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && has_token(headers, &header::CONNECTION, "upgrade")
            && has_token(headers, &header::UPGRADE, "websocket")
            && headers.get(header::SEC_WEBSOCKET_VERSION) == Some(&VERSION);
        if !upgrades {
            return Err(ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "invalid_request_error",
                "websocket_required",
                "this address is for WebSockets: connect to it with ws:// or wss://, version 13, over HTTP/1.1",
            ));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let nonce = key.filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
        let accept = nonce.and_then(|key| HeaderValue::try_from(derive_accept_key(key)).ok());
        let accept = accept.ok_or_else(|| {
            ApiError::invalid(
                "invalid_header",
                "sec-websocket-key: it must be 16 bytes in base64",
            )
        })?;
        Ok(Self {
            model: model(parts.uri.query().unwrap_or_default())?,
            accept,
            offered: offered(headers)
                .filter(|name| !ACCOUNT.iter().any(|prefix| name.starts_with(prefix)))
                .map(str::to_owned)
                .collect(),
            beta: headers.get_all(PASSED).iter().cloned().collect(),
        })
    }

    /// The request as a body that names the model, for those who read bodies.
    pub(crate) fn body(&self) -> bytes::Bytes {
        json!({"model": self.model}).to_string().into()
    }

    /// What of its headers goes to a provider.
    pub(crate) fn passed(&self) -> Vec<(HeaderName, HeaderValue)> {
        let beta = self.beta.iter().map(|value| (PASSED, value.clone()));
        let offered = HeaderValue::try_from(self.offered.join(", ")).ok();
        let offered = offered.filter(|offered| !offered.is_empty());
        beta.chain(offered.map(|offered| (header::SEC_WEBSOCKET_PROTOCOL, offered)))
            .collect()
    }

    /// The subprotocol that the client is told: the provider's choice, else the one that browsers insist on.
    fn chosen(&self, provider: Option<&HeaderValue>) -> Option<HeaderValue> {
        let among = |name: &HeaderValue| self.offered.iter().any(|offered| name == offered.as_str());
        let usual = HeaderValue::from_static(REALTIME);
        provider
            .filter(|name| among(name))
            .cloned()
            .or_else(|| Some(usual).filter(among))
    }
}

/// The head of the answer that gives a client its WebSocket.
pub(crate) fn accept(asked: &Asked, protocol: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONNECTION, CONNECTION);
    headers.insert(header::UPGRADE, UPGRADE);
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, asked.accept.clone());
    if let Some(protocol) = asked.chosen(protocol) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    headers
}

/// Our side of a handshake with a provider.
pub(crate) struct Opening {
    key: String,
}

/// Why an answer opens no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// It opens one.
    Given,
    /// It is an answer of another sort.
    Refused,
    /// It claims to, and does not follow the rules.
    Broken,
}

impl Opening {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut nonce = [0; 16];
        rand::rng().fill_bytes(&mut nonce);
        Self {
            key: STANDARD.encode(nonce),
        }
    }

    /// Asks for it in a request's headers.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        // They are about bodies, and there is none.
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::ACCEPT);
        headers.insert(header::CONNECTION, CONNECTION);
        headers.insert(header::UPGRADE, UPGRADE);
        headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        if let Ok(key) = HeaderValue::from_str(&self.key) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key);
        }
    }

    /// What an answer means.
    pub(crate) fn read(&self, status: StatusCode, headers: &HeaderMap) -> Upgrade {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Upgrade::Refused;
        }
        let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        let right = accept.is_some_and(|accept| accept == derive_accept_key(self.key.as_bytes()).as_str());
        // An extension that nobody asked for would make frames unreadable.
        let extended = headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS);
        if right && !extended && has_token(headers, &header::UPGRADE, "websocket") {
            Upgrade::Given
        } else {
            Upgrade::Broken
        }
    }
}

fn model(query: &str) -> Result<String, ApiError> {
    let mut model = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if name == "model" {
            model = Some(value.into_owned());
            continue;
        }
        let known = ELSEWHERE.iter().find(|(known, _)| *known == name);
        let hint = known.map_or("leave it out", |(_, hint)| hint);
        let shown: String = name.chars().take(100).collect();
        let error = Error::unsupported(format!("`{shown}` in the address is not passed on")).hint(hint);
        return Err(ApiError::from(error).param(shown));
    }
    model.filter(|model| !model.is_empty()).ok_or_else(|| {
        ApiError::invalid(
            "missing_model",
            "the address names no model: /v1/realtime?model=…",
        )
        .param("model")
    })
}

/// All subprotocols that a client offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',')
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(query: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get(format!("/v1/realtime{query}"));
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            if !headers.iter().any(|(other, _)| *other == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn refused(query: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let error = Asked::of(&parts(query, headers)).unwrap_err();
        (error.status.as_u16(), error.code.into_owned())
    }

    #[test]
    fn the_key_of_a_browser_goes_nowhere() {
        let offered =
            "realtime, openai-insecure-api-key.sk-stead-secret, openai-beta.realtime-v1, openai-project.p";
        let asked = Asked::of(&parts(
            "?model=a%2Fb",
            &[
                ("sec-websocket-protocol", offered),
                ("openai-beta", "realtime=v1"),
            ],
        ))
        .unwrap();
        assert_eq!(asked.model, "a/b");
        let passed: Vec<(HeaderName, HeaderValue)> = asked.passed();
        assert_eq!(
            passed,
            [
                (PASSED, HeaderValue::from_static("realtime=v1")),
                (
                    header::SEC_WEBSOCKET_PROTOCOL,
                    HeaderValue::from_static("realtime, openai-beta.realtime-v1")
                )
            ]
        );
        let secret = HeaderValue::from_static("openai-insecure-api-key.sk-stead-secret");
        for choice in [None, Some(&secret)] {
            let head = accept(&asked, choice);
            assert_eq!(head[header::SEC_WEBSOCKET_PROTOCOL], "realtime");
            // The example of RFC 6455, section 1.3.
            assert_eq!(head[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
        assert!(!format!("{asked:?}").contains("secret"));
    }

    #[test]
    fn a_client_that_offers_nothing_is_told_nothing() {
        let asked = Asked::of(&parts("?model=m", &[])).unwrap();
        assert!(asked.passed().is_empty());
        let head = accept(&asked, Some(&HeaderValue::from_static("realtime")));
        assert!(!head.contains_key(header::SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn what_is_no_websocket_or_names_no_model_is_refused() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(&str, Headers, u16, &str); 8] = [
            ("?model=m", &[("upgrade", "h2c")], 426, "websocket_required"),
            ("?model=m", &[("connection", "close")], 426, "websocket_required"),
            (
                "?model=m",
                &[("sec-websocket-version", "8")],
                426,
                "websocket_required",
            ),
            (
                "?model=m",
                &[("sec-websocket-key", "AAAA")],
                400,
                "invalid_header",
            ),
            ("", &[], 400, "missing_model"),
            ("?model=", &[], 400, "missing_model"),
            ("?call_id=rtc_1", &[], 501, "unsupported"),
            ("?intent=transcription", &[], 501, "unsupported"),
        ];
        for (query, headers, status, code) in table {
            assert_eq!(refused(query, headers), (status, code.to_owned()), "{query}");
        }
    }

    #[test]
    fn an_answer_opens_a_websocket_only_by_the_rules() {
        let opening = Opening::new();
        let mut asked = HeaderMap::new();
        opening.ask(&mut asked);
        let mut given = HeaderMap::new();
        assert_eq!(opening.read(StatusCode::OK, &given), Upgrade::Refused);
        let status = StatusCode::SWITCHING_PROTOCOLS;
        given.insert(header::UPGRADE, UPGRADE);
        assert_eq!(opening.read(status, &given), Upgrade::Broken);
        let accept = derive_accept_key(asked[header::SEC_WEBSOCKET_KEY].as_bytes());
        given.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
        assert_eq!(opening.read(status, &given), Upgrade::Given);
        let deflate = HeaderValue::from_static("permessage-deflate");
        given.insert(header::SEC_WEBSOCKET_EXTENSIONS, deflate);
        assert_eq!(opening.read(status, &given), Upgrade::Broken);
    }
}
