//! Amazon's signature over each request to Bedrock.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Request};
use stead_dialects::bedrock::{
    SERVICE,
    sigv4::{Credentials, Scope, Unsigned, sign},
};
use stead_kernel::{Body, Timestamp};

/// The region of an address that names none.
const DEFAULT_REGION: &str = "us-east-1";

/// A key of AWS, and where it is used.
pub(crate) struct Keys {
    access_key_id: String,
    secret_access_key: Box<str>,
    session_token: Option<String>,
    region: String,
}

impl Keys {
    /// The key in a Secret; `None` when the Secret holds none, but perhaps an API key of Bedrock.
    pub(crate) fn of(secret: &BTreeMap<String, Vec<u8>>, host: &str) -> Option<Self> {
        let text = |name: &str| {
            let value = std::str::from_utf8(secret.get(name)?).ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        Some(Self {
            access_key_id: text("access-key-id")?,
            secret_access_key: text("secret-access-key")?.into(),
            session_token: text("session-token"),
            region: text("region").unwrap_or_else(|| region(host).to_owned()),
        })
    }

    /// The secret half, to take it out of what others say.
    pub(crate) fn secret(&self) -> &str {
        &self.secret_access_key
    }

    pub(super) fn sign(
        &self,
        request: &mut Request<Body>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), String> {
        let uri = request.uri();
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let unsigned = Unsigned {
            method: request.method().as_str(),
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers: &[("host", &host), ("content-type", "application/json")],
            body,
        };
        let credentials = Credentials {
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            session_token: self.session_token.as_deref(),
        };
        let scope = Scope {
            region: &self.region,
            service: SERVICE,
        };
        for (name, value) in sign(&unsigned, &credentials, scope, now.as_second()) {
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| "the key of AWS holds letters that no header may hold".to_owned())?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(())
    }
}

/// The region in an address of Bedrock: `bedrock-runtime.REGION.amazonaws.com`, also behind a private endpoint's name.
fn region(host: &str) -> &str {
    let mut labels = host
        .split('.')
        .skip_while(|label| !label.starts_with("bedrock-runtime"));
    labels.next();
    labels.next().unwrap_or(DEFAULT_REGION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_address() {
        let cases = [
            ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
            ("bedrock-runtime-fips.us-west-2.amazonaws.com", "us-west-2"),
            ("vpce-1.bedrock-runtime.us-west-2.vpce.amazonaws.com", "us-west-2"),
            ("localhost", "us-east-1"),
        ];
        for (host, expected) in cases {
            assert_eq!(region(host), expected, "{host}");
        }
    }

    #[test]
    fn a_secret_with_one_key_is_no_key_pair() {
        let secret = BTreeMap::from([("api-key".to_owned(), b"k".to_vec())]);
        assert!(Keys::of(&secret, "x").is_none());
        let secret = BTreeMap::from([
            ("access-key-id".to_owned(), b"AKIA\n".to_vec()),
            ("secret-access-key".to_owned(), b"s".to_vec()),
        ]);
        assert_eq!(Keys::of(&secret, "x").unwrap().access_key_id, "AKIA");
    }
}
