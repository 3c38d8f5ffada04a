//! The text of a key: how it is made, recognised and hashed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use rand::Rng;
use sha2::{Digest, Sha256};

/// How every key begins, so that scanners find leaked ones.
pub(crate) const PREFIX: &str = "sk-stead-";

/// How the subprotocol of a WebSocket begins in which browsers, which can set no header, put a key
/// (<https://platform.openai.com/docs/guides/realtime-websocket>).
pub(crate) const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// The SHA-256 of a whole key.
pub(crate) type Hash = [u8; 32];

/// A new key with 256 random bits.
pub(crate) fn generate() -> String {
    let mut random = [0_u8; 32];
    rand::rng().fill_bytes(&mut random);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The hash of a whole key.
pub(crate) fn hash(key: &[u8]) -> Hash {
    Sha256::digest(key).into()
}

/// The hash as resources spell it.
pub(crate) fn print(hash: &Hash) -> String {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in hash {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The hash that [`print`] wrote; `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<Hash> {
    let digits = text.strip_prefix("sha256:")?.as_bytes();
    let mut hash = Hash::default();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            value = value * 16 + u8::try_from(nibble).ok()?;
        }
        *byte = value;
    }
    // Hex in capitals names the same hash, but resources have one spelling.
    (!digits.iter().any(u8::is_ascii_uppercase)).then_some(hash)
}

/// The key that a request carries, in any of the four places where SDKs put one. One that was made elsewhere may begin
/// as it likes.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .find_map(|value| bearer(value.as_bytes()));
    bearer
        .or_else(|| headers.get("x-api-key").map(http::HeaderValue::as_bytes))
        .or_else(|| headers.get("x-goog-api-key").map(http::HeaderValue::as_bytes))
        .or_else(|| subprotocol(headers))
        .map(<[u8]>::trim_ascii)
        .filter(|key| !key.is_empty())
}

/// The key among the subprotocols of a WebSocket.
fn subprotocol(headers: &HeaderMap) -> Option<&[u8]> {
    let mut offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    offers.find_map(|offer| {
        let mut names = offer
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii);
        names.find_map(|name| name.strip_prefix(KEY_PROTOCOL.as_bytes()))
    })
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_has_256_random_bits_and_a_prefix() {
        let key = generate();
        assert_eq!(key.len(), PREFIX.len() + 43);
        assert!(key.starts_with("sk-stead-"));
        assert_ne!(key, generate());
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = hash(b"abc");
        let text = print(&hash);
        assert_eq!(
            text,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(parse(&text), Some(hash));
        for bad in [
            text.to_uppercase(),
            text.replace("ba78", "BA78"),
            text[..70].into(),
            format!("{text}0"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert_eq!(parse(&text.replace("ba", "+a")), None);
    }

    #[test]
    fn a_key_is_found_in_every_place_where_sdks_put_it() {
        let table = [
            ("authorization", "Bearer sk-stead-x", true),
            ("authorization", "bearer  sk-stead-x", true),
            ("authorization", "Basic sk-stead-x", false),
            ("authorization", "Bearer stead-admin-x", false),
            ("x-api-key", "sk-stead-x", true),
            ("x-goog-api-key", "sk-stead-x", true),
            (
                "sec-websocket-protocol",
                "realtime, openai-insecure-api-key.sk-stead-x, openai-beta.realtime-v1",
                true,
            ),
            ("sec-websocket-protocol", "realtime", false),
            ("x-other", "sk-stead-x", false),
        ];
        for (name, value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let found = from_headers(&headers) == Some(b"sk-stead-x");
            assert_eq!(found, expected, "{name}: {value}");
        }
    }
}
