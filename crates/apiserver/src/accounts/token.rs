//! Tokens of service accounts: JSON Web Tokens (RFC 7519) signed with ECDSA over P-256 (`ES256`, RFC 7518), with the claims
//! that Kubernetes documents for bound service account tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    },
};
use serde_json::{Value, json};
use stead_kernel::{Error, Result};

use crate::object::top;

/// Who gives the tokens out, and whom they are for unless something else is asked for.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A key that signs tokens.
pub(crate) struct SigningKey {
    /// By which tokens name it.
    pub(crate) id: String,
    /// In seconds since 1970.
    pub(crate) created: i64,
    document: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    /// A new key.
    pub(crate) fn generate(id: String, created: i64) -> Result<Self> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| Error::internal("no key could be made"))?;
        Self::of(id, created, document.as_ref().to_vec())
    }

    fn of(id: String, created: i64, document: Vec<u8>) -> Result<Self> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &SystemRandom::new())
                .map_err(|_| Error::internal("a stored signing key is damaged"))?;
        Ok(Self {
            id,
            created,
            document,
            pair,
        })
    }

    /// The key as it is sealed and stored.
    pub(crate) fn write(&self) -> Value {
        json!({"id": self.id, "created": self.created, "key": URL_SAFE_NO_PAD.encode(&self.document)})
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(value: &Value) -> Result<Self> {
        let damaged = || Error::internal("a stored signing key is damaged");
        let created = value.get("created").and_then(Value::as_i64).ok_or_else(damaged)?;
        let document = URL_SAFE_NO_PAD.decode(top(value, "key")).map_err(|_| damaged())?;
        Self::of(top(value, "id").into(), created, document)
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message.as_bytes())
            .map_err(|_| Error::internal("a token could not be signed"))?;
        Ok(format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(signature.as_ref())
        ))
    }

    fn signed(&self, message: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(message.as_bytes(), signature).is_ok()
    }
}

/// Whether a text is a token of this issuer, good or not.
pub(crate) fn is_ours(token: &str) -> bool {
    claims(token).is_some_and(|claims| top(&claims, "iss") == ISSUER)
}

fn json_part(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    json_part(claims)
}

/// The claims of a token that one of the keys signed, that is good now, and that is for one of the audiences.
pub(crate) fn verify(
    keys: &[SigningKey],
    token: &str,
    now: i64,
    audiences: &[&str],
) -> std::result::Result<(Value, Vec<String>), &'static str> {
    let (message, signature) = token.rsplit_once('.').ok_or("the token is no JSON Web Token")?;
    let header = message
        .split('.')
        .next()
        .and_then(json_part)
        .ok_or("the token is no JSON Web Token")?;
    if top(&header, "alg") != "ES256" {
        return Err("the token is signed in a way that is not accepted");
    }
    let key = keys
        .iter()
        .find(|key| key.id == top(&header, "kid"))
        .ok_or("the token's key is not known")?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| "the token's signature is wrong")?;
    if !key.signed(message, &signature) {
        return Err("the token's signature is wrong");
    }
    let claims = claims(token).ok_or("the token is no JSON Web Token")?;
    let number = |name| claims.get(name).and_then(Value::as_i64);
    if top(&claims, "iss") != ISSUER {
        return Err("the token is of another issuer");
    }
    if number("exp").is_none_or(|end| end <= now) {
        return Err("the token has expired");
    }
    if number("nbf").is_some_and(|start| start > now) {
        return Err("the token is not good yet");
    }
    let listed = claims.get("aud").and_then(Value::as_array).into_iter().flatten();
    let meant: Vec<String> = listed
        .filter_map(Value::as_str)
        .filter(|audience| audiences.contains(audience))
        .map(str::to_owned)
        .collect();
    if meant.is_empty() {
        return Err("the token is for another audience");
    }
    Ok((claims, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_audience_until_it_expires() {
        let key = SigningKey::generate("one".into(), 0).unwrap();
        let claims =
            json!({"iss": ISSUER, "sub": "system:serviceaccount:a:b", "aud": ["x"], "exp": 100, "nbf": 10});
        let token = key.sign(&claims).unwrap();
        let other = SigningKey::read(&key.write()).unwrap();
        let keys = [other];
        assert!(is_ours(&token));
        assert_eq!(verify(&keys, &token, 50, &["x", "y"]).unwrap().1, ["x"]);
        assert_eq!(
            verify(&keys, &token, 50, &["y"]).unwrap_err(),
            "the token is for another audience"
        );
        assert_eq!(
            verify(&keys, &token, 100, &["x"]).unwrap_err(),
            "the token has expired"
        );
        assert_eq!(
            verify(&keys, &token, 5, &["x"]).unwrap_err(),
            "the token is not good yet"
        );
        let stranger = SigningKey::generate("one".into(), 0).unwrap();
        assert_eq!(
            verify(&[stranger], &token, 50, &["x"]).unwrap_err(),
            "the token's signature is wrong"
        );
        let mut forged = token.clone();
        forged.replace_range(token.len() - 2.., "AA");
        assert!(verify(&keys, &forged, 50, &["x"]).is_err());
        for text in ["", ".", "..", "a.b.c", "eyJ.eyJ.eyJ"] {
            assert!(
                !is_ours(text) && verify(&keys, text, 50, &["x"]).is_err(),
                "{text}"
            );
        }
    }
}
