//! Where the server is and what proves who we are.
//!
//! *Invariant:* the admin token of this machine goes only to the server that runs on the same data folder, and no
//! token leaves the machine unencrypted.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use stead_kernel::{Error, Result};
use url::{Host, Url};

/// What to do when nothing runs.
pub(crate) const START: &str = "start it with: stead up";

/// What was said about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finder {
    pub(crate) data: PathBuf,
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) version: &'static str,
}

/// A server to speak to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The address that requests go to, without a path's end: `http://127.0.0.1:7832/`.
    pub(crate) base: Url,
    /// The address for clients that insist on TLS.
    pub(crate) https: Option<Url>,
    /// Certificates to trust (PEM) instead of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The bearer token.
    pub(crate) token: Option<String>,
    /// Whether it runs on this machine and this data folder.
    pub(crate) own: bool,
}

/// What a running server writes about itself.
#[derive(Debug, Deserialize)]
struct Running {
    pid: u32,
    http: Option<String>,
    https: Option<String>,
    ca: Option<PathBuf>,
}

impl Finder {
    /// Finds the server.
    ///
    /// # Errors
    /// `Unavailable` when none runs here and none was named; `Invalid` for an address that is none; `Forbidden` for
    /// a token file that cannot be read.
    pub(crate) fn find(&self) -> Result<Target> {
        let named = self.server.as_deref().map(address).transpose()?;
        let running = self.running();
        let target = match (named, running) {
            (Some(base), Ok(running)) if running.is_at(&base) => self.own(&running, Some(base))?,
            (Some(base), _) => self.other(base)?,
            (None, running) => self.own(&running?, None)?,
        };
        if target.token.is_some() && target.base.scheme() == "http" && !is_loopback(&target.base) {
            return Err(
                Error::forbidden(format!("a token is not sent unencrypted to {}", target.base))
                    .hint("give an https address"),
            );
        }
        Ok(target)
    }

    fn own(&self, running: &Running, named: Option<Url>) -> Result<Target> {
        let https = running.https.as_deref().map(address).transpose()?;
        let http = running
            .http
            .as_deref()
            .map(address)
            .transpose()?
            .filter(is_loopback);
        let Some(base) = named.or(http).or_else(|| https.clone()) else {
            return Err(Error::unavailable("the running server did not say where it listens").hint(START));
        };
        let token = match self.given_token()? {
            Some(token) => Some(token),
            None => read_token(&self.data.join("keys").join("admin.token"), true)?,
        };
        let ca = self.ca.clone().or_else(|| running.ca.clone());
        Ok(Target {
            base,
            https,
            ca,
            token,
            own: true,
        })
    }

    fn other(&self, base: Url) -> Result<Target> {
        let https = (base.scheme() == "https").then(|| base.clone());
        Ok(Target {
            base,
            https,
            ca: self.ca.clone(),
            token: self.given_token()?,
            own: false,
        })
    }

    fn given_token(&self) -> Result<Option<String>> {
        match (&self.token_file, &self.token) {
            (Some(file), _) => read_token(file, false),
            (None, token) => Ok(token.as_deref().map(|token| token.trim().to_owned())),
        }
    }

    /// What the server on the data folder wrote when it began.
    fn running(&self) -> Result<Running> {
        let file = self.data.join("run").join("server.json");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(
                    Error::forbidden(format!("{} belongs to someone else", self.data.display()))
                        .hint("name the server: --server URL --token-file FILE")
                        .because(error),
                );
            }
            Err(_) => {
                return Err(
                    Error::unavailable(format!("no server is running on {}", self.data.display()))
                        .hint(format!("{START}, or name one with: --server URL")),
                );
            }
        };
        let running: Running = serde_json::from_str(&text).map_err(|error| {
            Error::unavailable(format!("{} is damaged", file.display()))
                .because(error)
                .hint("start the server again: stead up")
        })?;
        if running.has_ended() {
            return Err(Error::unavailable(format!(
                "no server is running on {}: process {} has ended",
                self.data.display(),
                running.pid
            ))
            .hint(START));
        }
        Ok(running)
    }
}

impl Running {
    fn is_at(&self, base: &Url) -> bool {
        [&self.http, &self.https]
            .into_iter()
            .flatten()
            .any(|own| address(own).is_ok_and(|own| own == *base))
    }

    /// After a kill, another program may listen on the port by now, and must not be sent the admin token.
    fn has_ended(&self) -> bool {
        let processes = Path::new("/proc");
        processes.join("self").exists() && !processes.join(self.pid.to_string()).exists()
    }
}

fn address(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::invalid(format!("{text:?} is no server address: {why}"))
            .hint("write it as https://stead.example.org or http://127.0.0.1:7832")
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let mut url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid("a server address holds no credentials").hint("use --token-file FILE"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it ends with the path"));
    }
    // A server that listens everywhere is reached here.
    let everywhere = match url.host() {
        Some(Host::Ipv4(ip)) if ip.is_unspecified() => Some("127.0.0.1"),
        Some(Host::Ipv6(ip)) if ip.is_unspecified() => Some("[::1]"),
        _ => None,
    };
    if everywhere.is_some() {
        url.set_host(everywhere)
            .map_err(|error| wrong(&error.to_string()))?;
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn read_token(file: &Path, optional: bool) -> Result<Option<String>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if optional && error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(
                Error::forbidden(format!("the token in {} cannot be read", file.display()))
                    .because(error)
                    .hint("name another file: --token-file FILE"),
            );
        }
    };
    if text.is_empty() || text.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(Error::invalid(format!(
            "{} does not hold one token",
            file.display()
        )));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(data: &Path, server: Option<&str>) -> Finder {
        Finder {
            data: data.into(),
            server: server.map(str::to_owned),
            token: None,
            token_file: None,
            ca: None,
            version: "0",
        }
    }

    fn data_folder(pid: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("run")).unwrap();
        std::fs::create_dir_all(folder.path().join("keys")).unwrap();
        let running = format!(r#"{{"pid":{pid},"http":"http://127.0.0.1:7","https":"https://127.0.0.1:7"}}"#);
        std::fs::write(folder.path().join("run/server.json"), running).unwrap();
        std::fs::write(folder.path().join("keys/admin.token"), "stead-admin-x\n").unwrap();
        folder
    }

    #[test]
    fn the_admin_token_goes_to_no_other_server() {
        let folder = data_folder(std::process::id());
        let token = |server| finder(folder.path(), server).find().unwrap().token;
        assert_eq!(token(None).as_deref(), Some("stead-admin-x"));
        assert_eq!(
            token(Some("http://127.0.0.1:7")).as_deref(),
            Some("stead-admin-x")
        );
        assert_eq!(token(Some("127.0.0.1:7/")).as_deref(), Some("stead-admin-x"));
        assert_eq!(token(Some("http://127.0.0.1:8")), None);
        assert_eq!(token(Some("https://stead.example.org")), None);
    }

    #[test]
    fn no_token_leaves_the_machine_unencrypted() {
        let folder = tempfile::tempdir().unwrap();
        let mut finder = finder(folder.path(), Some("http://10.1.2.3:7832"));
        assert!(finder.find().is_ok());
        finder.token = Some("secret-token".into());
        let error = finder.find().err().unwrap();
        assert_eq!(error.reason(), stead_kernel::Reason::Forbidden);
        assert!(!error.full_message().contains("secret-token"));
    }

    #[test]
    fn a_server_that_was_killed_is_not_trusted_to_be_there() {
        // No process has the largest number.
        let folder = data_folder(u32::MAX);
        let error = finder(folder.path(), None).find().err().unwrap();
        assert_eq!(error.reason(), stead_kernel::Reason::Unavailable);
        assert_eq!(error.get_hint(), Some(START));
    }

    #[test]
    fn bad_addresses_are_refused_with_a_sentence() {
        for bad in [
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/?q",
            "::",
            "http://x y",
        ] {
            assert!(finder(Path::new("/nowhere"), Some(bad)).find().is_err(), "{bad}");
        }
    }
}
