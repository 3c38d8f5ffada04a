//! The admin token: made at the first start, kept in a file of mode 0600 for the CLI of this machine.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
};

use ::http::{HeaderMap, header, request::Parts};
use stead_kernel::{Authenticator, Error, Identity, Principal, Result};

use crate::secret::{self, Digest};

/// The name of the file in the folder of keys.
const FILE: &str = "admin.token";
/// How every admin token begins.
const PREFIX: &str = "stead-admin-";
/// Characters of a whole token.
const LENGTH: usize = PREFIX.len() + 43;

/// Tokens in use by this process: whoever loads the same file gets the same token, so that a rotation is seen by all.
static OPEN: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// The admin token of an installation. Cheap to clone.
#[derive(Clone)]
pub struct AdminToken(Arc<Inner>);

struct Inner {
    path: PathBuf,
    digest: RwLock<Digest>,
}

impl AdminToken {
    /// Reads `admin.token` from the folder of keys, or makes it; the second value says whether it was made.
    ///
    /// # Errors
    /// `Forbidden` when others may read the file; `Unavailable` when it cannot be read or written, or is damaged.
    pub fn load_or_create(keys: &Path) -> Result<(Self, bool)> {
        let path = keys.join(FILE);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|token| token.strong_count() > 0);
        if let Some(inner) = open
            .iter()
            .filter_map(Weak::upgrade)
            .find(|inner| inner.path == path)
        {
            return Ok((Self(inner), false));
        }
        let (text, created) = match read(&path)? {
            Some(text) => (text, false),
            None => (make(&path)?, true),
        };
        let inner = Arc::new(Inner {
            digest: RwLock::new(secret::digest(&text)),
            path,
        });
        open.push(Arc::downgrade(&inner));
        Ok((Self(inner), created))
    }

    /// The token itself, read from its file.
    ///
    /// # Errors
    /// As [`load_or_create`](Self::load_or_create).
    pub fn reveal(&self) -> Result<String> {
        read(&self.0.path)?.ok_or_else(|| damaged(&self.0.path))
    }

    /// Where the token lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Replaces the token, in the file first; the old one is worth nothing when this returns. Blocks for a disk write.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written; the old token stays good then.
    pub fn rotate(&self) -> Result<String> {
        let mut digest = self.0.digest.write().unwrap_or_else(PoisonError::into_inner);
        let text = make(&self.0.path)?;
        *digest = secret::digest(&text);
        Ok(text)
    }

    /// What recognises the token in `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`.
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AdminToken")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl Authenticator for AdminToken {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        let given = credential(&parts.headers)?;
        if !given.starts_with(PREFIX) {
            return None;
        }
        let digest = *self.0.digest.read().unwrap_or_else(PoisonError::into_inner);
        Some(if secret::same(&secret::digest(given), &digest) {
            Identity::Known(Arc::new(Principal::admin()))
        } else {
            Identity::Rejected("the admin token is wrong, or was replaced by a newer one".into())
        })
    }
}

/// The key or token that a request shows in one of the usual headers.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| {
        let value = headers
            .get("x-api-key")
            .or_else(|| headers.get("x-goog-api-key"))?;
        value.to_str().ok().map(str::trim)
    })
}

fn read(path: &Path) -> Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
    };
    let mode = file
        .metadata()
        .map_err(|error| failed("read", path, error))?
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(Error::forbidden(format!(
            "the token file {path} can be read by others (mode {mode:03o})"
        ))
        .hint(format!(
            "make it private: chmod 600 {path}; and replace it: stead token rotate"
        )));
    }
    let mut text = String::new();
    let limit = u64::try_from(LENGTH).unwrap_or(u64::MAX) + 2;
    file.take(limit)
        .read_to_string(&mut text)
        .map_err(|error| failed("read", path, error))?;
    let text = text.trim_end();
    if text.len() != LENGTH || !text.starts_with(PREFIX) {
        return Err(damaged(path));
    }
    Ok(Some(text.to_owned()))
}

/// Writes a new token so that after a crash the file holds the old or the new one.
fn make(path: &Path) -> Result<String> {
    let text = format!("{PREFIX}{}", secret::random());
    let partial = path.with_extension("partial");
    write(&partial, path, &text).map_err(|error| {
        drop(fs::remove_file(&partial));
        failed("write", path, error)
    })?;
    Ok(text)
}

fn write(partial: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // What an earlier crash left may have another mode.
    match fs::remove_file(partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(partial, path)?;
    File::open(folder)?.sync_all()
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot {what} the token file {}", path.display())).because(error)
}

fn damaged(path: &Path) -> Error {
    let path = path.display();
    Error::unavailable(format!("the token file {path} is damaged")).hint(format!(
        "remove it, and the next start makes a new token: rm {path}"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ::http::Request;
    use stead_kernel::Reason;

    use super::*;

    fn ask(token: &AdminToken, header: &str, value: &str) -> Option<Identity> {
        let request = Request::get("/")
            .header(header, value)
            .body(())
            .expect("a request");
        token.authenticator().authenticate(&request.into_parts().0)
    }

    #[test]
    fn the_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys");
        let (token, created) = AdminToken::load_or_create(&keys).expect("made");
        assert!(created);
        let text = token.reveal().expect("there");
        assert_eq!((text.len(), text.starts_with(PREFIX)), (LENGTH, true));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&keys), mode(token.path())), (0o700, 0o600));
        drop(token);
        let (token, created) = AdminToken::load_or_create(&keys).expect("loaded");
        assert_eq!((token.reveal().expect("there"), created), (text, false));
    }

    #[test]
    fn the_token_counts_in_each_usual_header_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let (token, _) = AdminToken::load_or_create(folder.path()).expect("made");
        let text = token.reveal().expect("there");
        for (header, value) in [
            ("authorization", format!("Bearer {text}")),
            ("authorization", format!("bearer  {text}")),
            ("x-api-key", text.clone()),
            ("x-goog-api-key", text.clone()),
        ] {
            assert!(
                matches!(ask(&token, header, &value), Some(Identity::Known(admin)) if admin.is_admin()),
                "{header}"
            );
        }
        let other = format!("{PREFIX}{}", secret::random());
        for (header, value) in [("x-api-key", other.as_str()), ("x-api-key", PREFIX)] {
            assert!(
                matches!(ask(&token, header, value), Some(Identity::Rejected(_))),
                "{value}"
            );
        }
        for (header, value) in [
            ("authorization", "Basic abc"),
            ("x-api-key", "sk-stead-abc"),
            ("cookie", "a=b"),
        ] {
            assert!(ask(&token, header, value).is_none(), "{value}");
        }
    }

    #[test]
    fn a_rotation_is_seen_by_everyone_who_loaded_the_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, _) = AdminToken::load_or_create(folder.path()).expect("made");
        let (two, created) = AdminToken::load_or_create(folder.path()).expect("loaded");
        assert!(!created);
        let old = one.reveal().expect("there");
        let new = two.rotate().expect("rotated");
        assert!(matches!(
            ask(&one, "x-api-key", &old),
            Some(Identity::Rejected(_))
        ));
        assert!(matches!(ask(&one, "x-api-key", &new), Some(Identity::Known(_))));
        assert_eq!(one.reveal().expect("there"), new);
    }

    #[test]
    fn a_rotation_that_cannot_be_written_leaves_the_old_token_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys");
        let (token, _) = AdminToken::load_or_create(&keys).expect("made");
        let old = token.reveal().expect("there");
        // A folder in the place of the draft cannot be removed as a file, for root neither.
        fs::create_dir(keys.join("admin.partial")).expect("made");
        token.rotate().expect_err("no draft");
        assert!(matches!(ask(&token, "x-api-key", &old), Some(Identity::Known(_))));
        assert_eq!(token.reveal().expect("there"), old);
    }

    #[test]
    fn an_unusable_token_file_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        drop(AdminToken::load_or_create(folder.path()).expect("made"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        let error = AdminToken::load_or_create(folder.path()).expect_err("readable by all");
        assert_eq!(error.reason(), Reason::Forbidden);
        assert!(error.get_hint().is_some_and(|hint| hint.contains("chmod 600")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        for text in [
            "",
            "short",
            &"x".repeat(10_000),
            &format!("{PREFIX}{}more", secret::random()),
        ] {
            fs::write(&path, text).expect("written");
            let error = AdminToken::load_or_create(folder.path()).expect_err("damaged");
            assert!(error.message().ends_with("is damaged"), "{error}");
        }
    }
}
