//! Where a model file comes from: the grammar of `spec.sources`.
//!
//! *Invariant:* nothing here performs I/O.

use std::{fmt, path::PathBuf, str::FromStr};

use url::Url;

/// A source, as `spec.sources` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The text as the person wrote it, pin included.
    pub(crate) text: String,
    /// Where the file is.
    pub(crate) place: Place,
    /// The SHA-256 that this source's file must have, in hex, when it has a pin of its own.
    pub(crate) pin: Option<String>,
}

/// The sorts of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file of a repository on Hugging Face, by its download address.
    HuggingFace(Url),
    /// Any other web address.
    Web(Url),
    /// A file of this machine.
    File(PathBuf),
    /// A file in a wheel, fetched with the machine's own pip.
    Wheel {
        /// The package's name as it was written.
        package: String,
        /// The exact version.
        version: String,
        /// The path in the archive.
        path: String,
    },
}

/// What is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("it begins with none of hf:, https:, http:, file: and pypi: (for example hf:org/repo/file.gguf)")]
    Scheme,
    #[error("a Hugging Face source is hf:org/repo/path/file.gguf, with @revision after it if need be")]
    HuggingFace,
    #[error("it is no valid web address")]
    Url,
    #[error(
        "an address must not carry a user name or password, since everyone who reads the object sees them"
    )]
    Credentials,
    #[error("a file source is an absolute path: file:/models/tiny.gguf")]
    File,
    #[error("a package source is pypi:package==version#path/in/wheel.gguf")]
    Wheel,
    #[error("the package name {0:?} breaks the rules for names of Python packages")]
    Package(String),
    #[error("the version {0:?} is no exact version of a Python package (for example 1.2.3)")]
    Version(String),
    #[error("the path {0:?} is no plain relative path")]
    Path(String),
    #[error("a pin is #sha256= and 64 hex digits in small letters")]
    Pin,
}

const PIN: &str = "#sha256=";

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (rest, pin) = match text.rsplit_once(PIN) {
            Some((rest, pin)) if is_sha256(pin) => (rest, Some(pin.to_owned())),
            Some(_) => return Err(SourceError::Pin),
            None => (text, None),
        };
        let (scheme, rest) = rest.split_once(':').ok_or(SourceError::Scheme)?;
        let place = match scheme {
            "hf" => Place::HuggingFace(hugging_face(rest)?),
            "https" | "http" => Place::Web(web(&format!("{scheme}:{rest}"))?),
            "file" => Place::File(file(rest)?),
            "pypi" => wheel(rest)?,
            _ => return Err(SourceError::Scheme),
        };
        Ok(Self {
            text: text.to_owned(),
            place,
            pin,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text.split(PIN).next().unwrap_or(&self.text))
    }
}

impl Source {
    /// The name of the file at its end, without folders.
    pub(crate) fn file_name(&self) -> &str {
        let path = match &self.place {
            Place::HuggingFace(url) | Place::Web(url) => url.path(),
            Place::File(path) => path.to_str().unwrap_or_default(),
            Place::Wheel { path, .. } => path,
        };
        path.rsplit('/').next().unwrap_or_default()
    }

    /// The path of the folder of an embedding model, which is a safetensors file with others beside it; `None` for
    /// other files.
    pub(crate) fn embedding_folder(&self) -> Option<&str> {
        let path = match &self.place {
            Place::HuggingFace(url) | Place::Web(url) => url.path(),
            Place::File(path) => path.to_str()?,
            Place::Wheel { path, .. } => path,
        };
        let folder = path.strip_suffix(".safetensors")?;
        let name = folder.rfind('/').map_or(0, |slash| slash + 1);
        folder.get(..name)
    }

    /// Whether the file comes over an unprotected connection.
    pub(crate) fn is_plain_http(&self) -> bool {
        matches!(&self.place, Place::Web(url) if url.scheme() == "http")
    }
}

/// Whether the text is a SHA-256 in hex, in small letters.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hugging_face(text: &str) -> Result<Url, SourceError> {
    let (path, revision) = text.rsplit_once('@').unwrap_or((text, "main"));
    let parts: Vec<&str> = path.split('/').collect();
    let [organisation, repository, file @ ..] = parts.as_slice() else {
        return Err(SourceError::HuggingFace);
    };
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let named = plain(organisation) && plain(repository) && !file.is_empty();
    let segments = [*organisation, *repository]
        .into_iter()
        .chain(file.iter().copied());
    let revision_ok = !revision.is_empty() && revision.split('/').all(is_segment);
    if !named || !segments.clone().all(is_segment) || !revision_ok {
        return Err(SourceError::HuggingFace);
    }
    let mut url = Url::parse("https://huggingface.co/").map_err(|_| SourceError::Url)?;
    url.path_segments_mut()
        .map_err(|()| SourceError::Url)?
        .pop_if_empty()
        .extend([*organisation, *repository, "resolve", revision])
        .extend(file.iter().copied());
    Ok(url)
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains('\\') && !segment.chars().any(char::is_control)
}

fn web(text: &str) -> Result<Url, SourceError> {
    let url = Url::parse(text).map_err(|_| SourceError::Url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SourceError::Credentials);
    }
    if url.host_str().is_none_or(str::is_empty) || url.fragment().is_some() {
        return Err(SourceError::Url);
    }
    Ok(url)
}

fn file(text: &str) -> Result<PathBuf, SourceError> {
    let path = text.strip_prefix("//").unwrap_or(text);
    let absolute = path.starts_with('/') && !path.starts_with("//") && !path.contains('\0');
    if !absolute || path.ends_with('/') || path.split('/').any(|part| part == "..") {
        return Err(SourceError::File);
    }
    Ok(PathBuf::from(path))
}

fn wheel(text: &str) -> Result<Place, SourceError> {
    let (requirement, path) = text.split_once('#').ok_or(SourceError::Wheel)?;
    let (package, version) = requirement.split_once("==").ok_or(SourceError::Wheel)?;
    if !is_package_name(package) {
        return Err(SourceError::Package(package.to_owned()));
    }
    if !is_version(version) {
        return Err(SourceError::Version(version.to_owned()));
    }
    if !path.split('/').all(is_segment) || path.contains(':') {
        return Err(SourceError::Path(path.to_owned()));
    }
    Ok(Place::Wheel {
        package: package.to_owned(),
        version: version.to_owned(),
        path: path.to_owned(),
    })
}

/// A name of a Python package: ASCII letters and digits, with `.`, `_` and `-` only between them
/// (the specification of names that PEP 503 normalises).
fn is_package_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    name.len() <= 128 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

/// A version in PEP 440's canonical form, with an optional local part:
/// `[N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local]`.
fn is_version(text: &str) -> bool {
    if text.len() > 64 {
        return false;
    }
    let (public, local) = text
        .split_once('+')
        .map_or((text, None), |(public, local)| (public, Some(local)));
    if local.is_some_and(|local| !is_local(local)) {
        return false;
    }
    let rest = match public.split_once('!') {
        Some((epoch, rest)) if is_number(epoch) => rest,
        Some(_) => return false,
        None => public,
    };
    let (rest, developed) = rest
        .split_once(".dev")
        .map_or((rest, None), |(rest, n)| (rest, Some(n)));
    let (rest, posted) = rest
        .split_once(".post")
        .map_or((rest, None), |(rest, n)| (rest, Some(n)));
    let (release, before) = match rest.find(|character: char| character.is_ascii_alphabetic()) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let before_number = ["rc", "a", "b"].iter().find_map(|tag| before.strip_prefix(tag));
    release.split('.').all(is_number)
        && (before.is_empty() || before_number.is_some_and(is_number))
        && posted.is_none_or(is_number)
        && developed.is_none_or(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_local(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Source, SourceError> {
        text.parse()
    }

    #[test]
    fn each_sort_of_source_is_understood() {
        let pin = "ab".repeat(32);
        let url = |text: &str| Url::parse(text).unwrap();
        let cases = [
            (
                "hf:org/repo/file.gguf".to_owned(),
                Place::HuggingFace(url("https://huggingface.co/org/repo/resolve/main/file.gguf")),
                None,
                "file.gguf",
            ),
            (
                format!("hf:org/repo/sub/a b.gguf@refs/pr/1#sha256={pin}"),
                Place::HuggingFace(url(
                    "https://huggingface.co/org/repo/resolve/refs%2Fpr%2F1/sub/a%20b.gguf",
                )),
                Some(pin.clone()),
                "a%20b.gguf",
            ),
            (
                "https://models.example/a.gguf?x=1".to_owned(),
                Place::Web(url("https://models.example/a.gguf?x=1")),
                None,
                "a.gguf",
            ),
            (
                "file:/models/a.gguf".to_owned(),
                Place::File("/models/a.gguf".into()),
                None,
                "a.gguf",
            ),
            (
                "file:///models/a.gguf".to_owned(),
                Place::File("/models/a.gguf".into()),
                None,
                "a.gguf",
            ),
            (
                format!("pypi:Some_pkg.x==1!2.0rc1.post2.dev3+cpu.1#pkg/m.gguf#sha256={pin}"),
                Place::Wheel {
                    package: "Some_pkg.x".into(),
                    version: "1!2.0rc1.post2.dev3+cpu.1".into(),
                    path: "pkg/m.gguf".into(),
                },
                Some(pin.clone()),
                "m.gguf",
            ),
        ];
        for (text, place, pin, name) in cases {
            let source = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&source.place, &source.pin), (&place, &pin), "{text}");
            assert_eq!(source.file_name(), name);
            assert!(!source.to_string().contains("sha256"));
        }
    }

    #[test]
    fn what_could_reach_elsewhere_or_pass_as_an_option_is_refused() {
        let cases = [
            "tiny.gguf",
            "ftp://x/a",
            "hf:org/file.gguf",
            "hf:org/repo/../x",
            "hf:org/repo/a.gguf@",
            "hf:o rg/r/a",
            "hf:org/repo//a",
            "hf:../repo/a",
            "https://",
            "https://u:p@x.example/a",
            "https://x.example/a#part",
            "file:relative.gguf",
            "file://host/a.gguf",
            "file:/a/../b",
            "file:/folder/",
            "pypi:pkg==1.0",
            "pypi:pkg#a",
            "pypi:-r==1.0#a",
            "pypi:pkg-==1.0#a",
            "pypi:pkg[x]==1.0#a",
            "pypi:pkg==1.0 --index-url#a",
            "pypi:pkg==1.*#a",
            "pypi:pkg==#a",
            "pypi:pkg==1.0+#a",
            "pypi:pkg==1..0#a",
            "pypi:pkg==1.0#../a",
            "pypi:pkg==1.0#/a",
            "pypi:pkg==1.0#a\\b",
            "pypi:pkg==1.0#",
            "https://x.example/a#sha256=abc",
            "hf:org/repo/a#sha256=",
        ];
        for text in cases {
            // `file://host/a.gguf` would be the file of another machine.
            assert!(parse(text).is_err(), "{text} was accepted");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_or_lets_an_option_through(text in "(pypi:|hf:|file:|https:)?.{0,40}") {
            if let Ok(Source { place: Place::Wheel { package, version, .. }, .. }) = parse(&text) {
                prop_assert!(!package.starts_with('-') && !version.starts_with('-'));
                let both = package + &version;
                prop_assert!(!both.contains(char::is_whitespace));
            }
        }
    }
}
