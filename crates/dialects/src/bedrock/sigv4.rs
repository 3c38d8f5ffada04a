//! Amazon's signature of version 4 over one request, after the IAM User Guide's "Create a signed AWS API request".
//!
//! *Invariants:* pure: the time is passed in. Nothing here keeps, prints or compares a secret.

use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A key of AWS.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// `AKIA…` or, of temporary keys, `ASIA…`.
    pub access_key_id: &'a str,
    /// The secret half.
    pub secret_access_key: &'a str,
    /// What comes with temporary keys.
    pub session_token: Option<&'a str>,
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Where a signature is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `us-east-1`.
    pub region: &'a str,
    /// The service's name in signatures; Bedrock's is [`super::SERVICE`].
    pub service: &'a str,
}

/// A request that is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsigned<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as it is sent, percent-encoded once, with its slash at the front.
    pub path: &'a str,
    /// The query as it is sent, without the question mark; empty for none.
    pub query: &'a str,
    /// The headers that are signed, `host` among them (with its port, unless it is the scheme's own). Those that a
    /// proxy may change (`user-agent`, `connection`) must not be here.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// The headers that sign a request at `time` (seconds since 1970): `authorization`, `x-amz-date` and, with temporary
/// keys, `x-amz-security-token`. They are added to those of the request; AWS refuses them after five minutes.
pub fn sign(
    request: &Unsigned<'_>,
    credentials: &Credentials<'_>,
    scope: Scope<'_>,
    time: i64,
) -> Vec<(&'static str, String)> {
    let stamp = timestamp(time);
    let date = stamp.get(..8).unwrap_or_default();
    let mut added = vec![("x-amz-date", stamp.clone())];
    added.extend(
        credentials
            .session_token
            .map(|token| ("x-amz-security-token", token.to_owned())),
    );
    let own = added.iter().map(|(name, value)| (*name, value.as_str()));
    let headers = canonical_headers(request.headers.iter().copied().chain(own));
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let canonical = canonical_request(request, &headers, &names);
    let range = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!(
        "{ALGORITHM}\n{stamp}\n{range}\n{}",
        hex(&digest(canonical.as_bytes()))
    );
    let key = signing_key(credentials.secret_access_key, date, scope);
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    let id = credentials.access_key_id;
    let authorization =
        format!("{ALGORITHM} Credential={id}/{range}, SignedHeaders={names}, Signature={signature}");
    added.insert(0, ("authorization", authorization));
    added
}

fn canonical_request(request: &Unsigned<'_>, headers: &[(String, String)], names: &str) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        lines.push_str(name);
        lines.push(':');
        lines.push_str(value);
        lines.push('\n');
    }
    format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query),
        hex(&digest(request.body)),
    )
}

/// Names in lower case and in order; values trimmed, inner runs of spaces one space, those of one name joined.
fn canonical_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = headers
        .map(|(name, value)| {
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            (name.to_ascii_lowercase(), words.join(" "))
        })
        .collect();
    all.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut merged: Vec<(String, String)> = Vec::with_capacity(all.len());
    for (name, value) in all {
        match merged.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(',');
                values.push_str(&value);
            }
            _ => merged.push((name, value)),
        }
    }
    merged
}

/// The path without `.`, `..` and empty segments, encoded once more: every service but S3 signs it encoded twice.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &segments {
        out.push('/');
        encode_into(&mut out, segment.as_bytes());
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if out.is_empty() || is_folder {
        out.push('/');
    }
    out
}

/// Pairs in order of their encoded names, then values.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name)), encode(&decode(value)))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Percent-encodes everything but RFC 3986's unreserved characters, as AWS asks for in paths and signatures.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    encode_into(&mut out, bytes);
    out
}

fn encode_into(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            other => {
                out.push('%');
                for nibble in [other >> 4, other & 0x0f] {
                    out.push(
                        char::from_digit(nibble.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase()),
                    );
                }
            }
        }
    }
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = tail
            .get(..2)
            .filter(|pair| *first == b'%' && pair.iter().all(u8::is_ascii_hexdigit))
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    out
}

fn signing_key(secret: &str, date: &str, scope: Scope<'_>) -> [u8; 32] {
    let start = hmac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    [scope.region, scope.service, "aws4_request"]
        .iter()
        .fold(start, |key, part| hmac(&key, part.as_bytes()))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0_u8; BLOCK];
    let hashed = digest(key);
    let key = if key.len() > BLOCK { hashed.as_slice() } else { key };
    for (slot, byte) in padded.iter_mut().zip(key) {
        *slot = *byte;
    }
    let inner = Sha256::new_with_prefix(padded.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new_with_prefix(padded.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .map(|nibble| char::from_digit(nibble.into(), 16).unwrap_or('0'))
        .collect()
}

/// `20150830T123600Z`. The date comes of the day's number by the proleptic Gregorian calendar: years begin in March,
/// so that leap days are at their end.
fn timestamp(time: i64) -> String {
    let (days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Days since the first of March of the year 0; 400 years have 146,097.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
