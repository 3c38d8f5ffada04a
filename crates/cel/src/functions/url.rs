//! Kubernetes' URLs: absolute ones and absolute paths, split as Go's `net/url` does (RFC 3986).

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Function, global, member};
use crate::{
    fault::Fault,
    value::{Key, Opaque, Value},
};

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    /// With the port.
    host: String,
    path: String,
    query: String,
    source: String,
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    global("url", &["string -> url"], |args, budget| match args {
        [Value::String(text)] => {
            budget.charge_bytes(text.len())?;
            match Url::parse(text) {
                Some(url) => Ok(Value::Opaque(Opaque::Url(Arc::new(url)))),
                None => Err(Fault::new(format!(
                    "URL parse error during conversion from string: parse {text:?}: invalid URI for request"
                ))),
            }
        }
        _ => Err(Fault::NoOverload),
    }),
    global("isURL", &["string -> bool"], |args, budget| match args {
        [Value::String(text)] => {
            budget.charge_bytes(text.len())?;
            Ok(Value::Bool(Url::parse(text).is_some()))
        }
        _ => Err(Fault::NoOverload),
    }),
    member("getScheme", &["url -> string"], |args, _| {
        Ok(of(args)?.scheme.as_str().into())
    }),
    member("getHost", &["url -> string"], |args, _| {
        Ok(of(args)?.host.as_str().into())
    }),
    member("getHostname", &["url -> string"], |args, _| {
        Ok(of(args)?.hostname().into())
    }),
    member("getPort", &["url -> string"], |args, _| {
        Ok(of(args)?.port().into())
    }),
    member("getEscapedPath", &["url -> string"], |args, _| {
        Ok(of(args)?.path.as_str().into())
    }),
    member(
        "getQuery",
        &["url -> map<string, list<string>>"],
        |args, budget| {
            let url = of(args)?;
            budget.charge_items(url.query.len())?;
            Ok(Value::Map(Arc::new(url.parameters())))
        },
    ),
];

fn of(args: &[Value]) -> Result<&Url, Fault> {
    match args {
        [Value::Opaque(Opaque::Url(url))] => Ok(url),
        _ => Err(Fault::NoOverload),
    }
}

impl Url {
    /// Splits a URL; `None` when it is neither absolute nor an absolute path.
    pub(crate) fn parse(source: &str) -> Option<Self> {
        if source.chars().any(|letter| letter.is_control() || letter == ' ') {
            return None;
        }
        let text = source.split('#').next().unwrap_or_default();
        let (scheme, rest) = if text.starts_with('/') {
            ("", text)
        } else {
            let (scheme, rest) = text.split_once(':')?;
            let mut letters = scheme.chars();
            let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic());
            let others =
                letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'));
            if !first || !others || rest.is_empty() {
                return None;
            }
            (scheme, rest)
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(after) if !scheme.is_empty() => after.split_at(after.find('/').unwrap_or(after.len())),
            _ => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if !is_host(host) || !is_escaped(path) || (scheme.is_empty() && !path.starts_with('/')) {
            return None;
        }
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_owned(),
            // Without slashes it is opaque, and has no path.
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                String::new()
            },
            query: query.to_owned(),
            source: source.to_owned(),
        })
    }

    fn hostname(&self) -> &str {
        if let Some(inner) = self.host.strip_prefix('[') {
            return inner.split(']').next().unwrap_or_default();
        }
        self.host.split(':').next().unwrap_or_default()
    }

    fn port(&self) -> &str {
        let after = self.host.rsplit_once(']').map_or(&*self.host, |(_, after)| after);
        after.rsplit_once(':').map(|(_, port)| port).unwrap_or_default()
    }

    fn parameters(&self) -> BTreeMap<Key, Value> {
        let mut parameters: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for pair in self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
                parameters
                    .entry(Key::String(name.into()))
                    .or_default()
                    .push(value.into());
            }
        }
        parameters
            .into_iter()
            .map(|(name, values)| (name, values.into()))
            .collect()
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, after)) if address.split('%').next().is_some_and(is_v6) => {
                match after.strip_prefix(':') {
                    Some(port) => ("", port),
                    None if after.is_empty() => ("", ""),
                    None => return false,
                }
            }
            _ => return false,
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let allowed = |letter: char| {
        letter.is_ascii_alphanumeric() || !letter.is_ascii() || "-._~%!$&'()*+,;=\"<>".contains(letter)
    };
    name.chars().all(allowed) && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_v6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Whether every `%` begins an escape.
fn is_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let mut digits = after.bytes();
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        hex(digits.next()) && hex(digits.next())
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                bytes.push(u8::try_from(value).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
