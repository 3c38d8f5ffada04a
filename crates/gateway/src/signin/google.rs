//! Tokens of Google service accounts: a signed assertion is exchanged for a token that lasts an hour
//! (<https://developers.google.com/identity/protocols/oauth2/service-account#httprest>).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Limited};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use stead_kernel::{Body, Timestamp};
use tokio::sync::Semaphore;

use super::Signer;

/// What a token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// For how long an assertion is good, in seconds; an hour is the most.
const ASSERTION: i64 = 3_600;
/// How long before its end a token is replaced, in seconds.
const MARGIN: i64 = 300;
/// The longest answer of the token's address, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// The key file of a service account, as Google's console gives it.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "token_uri")]
    token_uri: String,
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".into()
}

/// A service account with the token that it has at present.
pub(crate) struct Account {
    /// Of the key file.
    pub(crate) hash: [u8; 32],
    email: String,
    key_id: String,
    token_uri: http::Uri,
    key: RsaKeyPair,
    token: ArcSwapOption<Token>,
    /// One exchange at a time.
    exchange: Semaphore,
}

struct Token {
    header: HeaderValue,
    expires: Timestamp,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

/// The hash of a key file.
pub(crate) fn hash(file: &str) -> [u8; 32] {
    Sha256::digest(file).into()
}

impl Account {
    /// Reads a key file.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    pub(crate) fn read(file: &str) -> Result<Self, String> {
        let hash = hash(file);
        let file: KeyFile = serde_json::from_str(file)
            .map_err(|_| "the credential is no key file of a Google service account (JSON)".to_owned())?;
        let body: String = file
            .private_key
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        let unusable = || "the key file's private_key is no RSA key in PKCS#8 form".to_owned();
        let der = STANDARD.decode(body).map_err(|_| unusable())?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| unusable())?;
        let token_uri = http::Uri::try_from(file.token_uri)
            .map_err(|_| "the key file's token_uri is no address".to_owned())?;
        Ok(Self {
            hash,
            email: file.client_email,
            key_id: file.private_key_id,
            token_uri,
            key,
            token: ArcSwapOption::empty(),
            exchange: Semaphore::new(1),
        })
    }

    /// Puts the token into a request.
    pub(super) async fn sign(&self, request: &mut Request<Body>, signer: &Signer<'_>) -> Result<(), String> {
        let header = self.header(signer).await?;
        request.headers_mut().insert(header::AUTHORIZATION, header);
        Ok(())
    }

    async fn header(&self, signer: &Signer<'_>) -> Result<HeaderValue, String> {
        if let Some(header) = self.current(signer.clock.now()) {
            return Ok(header);
        }
        let permit = self.exchange.acquire().await;
        // Whoever waited finds the token of the one that went first.
        if let Some(header) = self.current(signer.clock.now()) {
            return Ok(header);
        }
        let token = self.exchange(signer).await?;
        let header = token.header.clone();
        self.token.store(Some(Arc::new(token)));
        drop(permit);
        Ok(header)
    }

    fn current(&self, now: Timestamp) -> Option<HeaderValue> {
        let token = self.token.load();
        let token = token.as_ref()?;
        let left = token.expires.as_second() - now.as_second();
        (left > MARGIN).then(|| token.header.clone())
    }

    async fn exchange(&self, signer: &Signer<'_>) -> Result<Token, String> {
        let now = signer.clock.now();
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            self.assertion(now)?
        );
        let request = Request::post(self.token_uri.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .map_err(|_| "the token's address cannot be asked".to_owned())?;
        let response = signer
            .outbound
            .send(request, signer.options)
            .await
            .map_err(|error| format!("Google's token cannot be had: {}", error.full_message()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!(
                "Google gave no token for {} (HTTP {}); check the service account",
                self.email,
                status.as_u16()
            ));
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|_| "the answer with Google's token broke off".to_owned())?;
        let granted: Granted = serde_json::from_slice(&body.to_bytes())
            .map_err(|_| "the answer of the token's address holds no token".to_owned())?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
            .map_err(|_| "Google's token holds letters that no header may hold".to_owned())?;
        header.set_sensitive(true);
        let lasts = jiff::SignedDuration::from_secs(granted.expires_in.clamp(0, ASSERTION));
        Ok(Token {
            header,
            expires: now + lasts,
        })
    }

    /// A JSON Web Token (RFC 7519), signed with RS256.
    fn assertion(&self, now: Timestamp) -> Result<String, String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri.to_string(),
            "iat": now.as_second(), "exp": now.as_second() + ASSERTION,
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the assertion for Google cannot be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
