//! Manifests for the composition root: what a folder of files says, without a server.

use std::path::Path;

use serde_json::Value;
use stead_kernel::Result;

use crate::resource::manifest;

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Where it stands, for messages: `providers.yaml, document 2 (line 14)`.
    pub place: String,
    /// The object; apiVersion, kind and metadata.name are there.
    pub value: Value,
}

/// Reads the manifests of a file or a folder (`*.yaml`, `*.yml`, `*.json`; not those of folders below), in order of
/// the files' names. Blocks.
///
/// # Errors
/// `NotFound` for what is not there; `Invalid` with file, line and column for what is no manifest, and for a folder
/// without any.
pub fn read_manifests(path: &Path) -> Result<Vec<Manifest>> {
    let texts = manifest::collect(&[path.to_string_lossy().into_owned()], false)?;
    let mut all = Vec::new();
    for (source, text) in texts {
        let documents = manifest::expand(&source, &text)?.into_iter();
        all.extend(documents.map(|document| Manifest {
            place: document.place(),
            value: document.value,
        }));
    }
    Ok(all)
}

/// Writes objects as one stream of YAML documents.
///
/// # Errors
/// `Internal` for a value that has no YAML form.
pub fn print_manifests(objects: &[Value]) -> Result<String> {
    let texts = objects
        .iter()
        .map(crate::yaml::print)
        .collect::<Result<Vec<_>>>()?;
    Ok(texts.join("---\n"))
}
