//! What the process's environment says. Nothing else in Stead reads it.

use std::{collections::BTreeMap, path::PathBuf};

use stead_net::ProxySettings;

/// API keys of paid providers that the first start looks for: variable, provider's name, type, address.
pub(crate) const KEY_VARIABLES: [(&str, &str, &str, &str); 8] = [
    ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1"),
    (
        "ANTHROPIC_API_KEY",
        "anthropic",
        "anthropic",
        "https://api.anthropic.com",
    ),
    (
        "MISTRAL_API_KEY",
        "mistral",
        "openai-compatible",
        "https://api.mistral.ai/v1",
    ),
    (
        "GROQ_API_KEY",
        "groq",
        "openai-compatible",
        "https://api.groq.com/openai/v1",
    ),
    (
        "DEEPSEEK_API_KEY",
        "deepseek",
        "openai-compatible",
        "https://api.deepseek.com/v1",
    ),
    (
        "OPENROUTER_API_KEY",
        "openrouter",
        "openai-compatible",
        "https://openrouter.ai/api/v1",
    ),
    (
        "TOGETHER_API_KEY",
        "together",
        "openai-compatible",
        "https://api.together.xyz/v1",
    ),
    ("XAI_API_KEY", "xai", "openai-compatible", "https://api.x.ai/v1"),
];

/// A snapshot of the environment, as far as Stead cares.
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process's environment; values that are no UTF-8 are left out.
    pub(crate) fn read() -> Self {
        let pairs = std::env::vars_os();
        let text =
            pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            variables: text.collect(),
        }
    }

    /// An environment with just these variables, for tests.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let own = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            variables: own.collect(),
        }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The data folder: `STEAD_HOME`, else `/var/lib/stead` for root, else the user's data folder.
    pub(crate) fn data(&self) -> PathBuf {
        if let Some(home) = self.get("STEAD_HOME") {
            return PathBuf::from(home);
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/stead");
        }
        let base = self.get("XDG_DATA_HOME").map(PathBuf::from);
        base.unwrap_or_else(|| self.home().join(".local/share"))
            .join("stead")
    }

    /// Whether this process works for others too: root's, or one that systemd started (`INVOCATION_ID`,
    /// systemd.exec(5)).
    pub(crate) fn is_shared(&self) -> bool {
        rustix::process::geteuid().is_root() || self.get("INVOCATION_ID").is_some()
    }

    fn home(&self) -> PathBuf {
        PathBuf::from(self.get("HOME").unwrap_or("."))
    }

    /// Proxies, in the spelling of curl: lower case wins.
    pub(crate) fn proxy(&self) -> ProxySettings {
        let either = |lower: &str| {
            self.get(lower)
                .or_else(|| self.get(&lower.to_uppercase()))
                .map(str::to_owned)
        };
        ProxySettings {
            // A CGI request header `Proxy:` becomes HTTP_PROXY, so only the lower-case form counts.
            http: self.get("http_proxy").map(str::to_owned),
            https: either("https_proxy"),
            all: either("all_proxy"),
            no_proxy: either("no_proxy"),
        }
    }

    /// Keys of paid providers that are set: provider's name, type, address, key.
    pub(crate) fn provider_keys(&self) -> Vec<(&'static str, &'static str, &'static str, String)> {
        let known = KEY_VARIABLES.into_iter();
        known
            .filter_map(|(variable, name, kind, url)| Some((name, kind, url, self.get(variable)?.to_owned())))
            .collect()
    }

    /// What the command line needs to know.
    pub(crate) fn cli(&self) -> stead_cli::Environment {
        let data = self.data();
        let state = self.get("XDG_STATE_HOME").map(PathBuf::from);
        stead_cli::Environment {
            history: state
                .unwrap_or_else(|| self.home().join(".local/state"))
                .join("stead/history"),
            server: self.get("STEAD_SERVER").map(str::to_owned),
            token: self.get("STEAD_TOKEN").map(str::to_owned),
            ca: self.get("STEAD_CA").map(PathBuf::from),
            no_color: self.get("NO_COLOR").is_some(),
            editor: self
                .get("VISUAL")
                .or_else(|| self.get("EDITOR"))
                .map(str::to_owned),
            version: crate::server::VERSION,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_http_proxy_is_ignored_because_a_request_header_can_set_it() {
        let environment =
            Environment::of(&[("HTTP_PROXY", "http://evil:1"), ("HTTPS_PROXY", "http://good:1")]);
        let proxy = environment.proxy();
        assert_eq!(
            (proxy.http, proxy.https.as_deref()),
            (None, Some("http://good:1"))
        );
    }

    #[test]
    fn empty_keys_are_no_keys() {
        let environment = Environment::of(&[("OPENAI_API_KEY", ""), ("GROQ_API_KEY", "k")]);
        let names: Vec<_> = environment
            .provider_keys()
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(names, ["groq"]);
    }
}
