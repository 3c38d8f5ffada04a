//! The file of master keys: one key of 64 hexadecimal digits a line, the current one first.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use stead_kernel::{Error, Result};
use zeroize::Zeroizing;

use crate::keyring::{Keyring, MasterKey};

/// More than a thousand keys: no such file is larger.
const LIMIT: u64 = 64 << 10;
/// Digits of a key.
const DIGITS: usize = 64;

/// Reads the keys; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Keyring>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
    };
    refuse_shared(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| failed("read", path, error))?;
    parse(&text).map(Some).map_err(|why| {
        Error::unavailable(format!("the key file {} is damaged: {why}", path.display()))
            .hint("restore it from a backup; without it, stored secrets cannot be read")
    })
}

fn refuse_shared(path: &Path, file: &File) -> Result<()> {
    let mode = file
        .metadata()
        .map_err(|error| failed("read", path, error))?
        .mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        let mode = mode & 0o777;
        return Err(Error::forbidden(format!(
            "the key file {path} can be read by others (mode {mode:03o})"
        ))
        .hint(format!("make it private: chmod 600 {path}")));
    }
    Ok(())
}

/// Reads keys from text; the error never repeats a part of it.
fn parse(text: &str) -> Result<Keyring, String> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = key_of(line)
            .ok_or_else(|| format!("line {} is no key of {DIGITS} hexadecimal digits", number + 1))?;
        keys.push(MasterKey::new(key));
    }
    Keyring::new(keys).ok_or_else(|| "it holds no key".into())
}

fn key_of(line: &str) -> Option<Zeroizing<[u8; 32]>> {
    if line.len() != DIGITS {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, digits) in key.iter_mut().zip(line.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let [high, low] = digits else { return None };
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(key)
}

/// Writes a file with this one key; it is there whole after a crash, or not at all.
pub(crate) fn create(path: &Path, key: &[u8; 32]) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str("# Stead's master key: keep it with your backups, and secret.\n");
    for byte in key {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.push('\n');
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial = path.with_extension("partial");
    write_whole(folder, &partial, path, text.as_bytes()).map_err(|error| {
        drop(fs::remove_file(&partial));
        failed("write", path, error)
    })
}

fn write_whole(folder: &Path, partial: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(partial, path)?;
    File::open(folder)?.sync_all()
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot {what} the key file {}", path.display())).because(error)
}
