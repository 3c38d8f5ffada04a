//! How far the journal is shipped, kept in a file of its own.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

const NAME: &str = "shipped";

/// A place in the journal: everything before it is in the event store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Reads the place; the beginning when there is none. Shipping twice does no harm, so neither does garbage here.
pub(super) fn load(folder: &Path) -> Position {
    std::fs::read(folder.join(NAME))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Writes the place so that a reader finds the old one or the new one, whole.
pub(super) fn save(folder: &Path, position: Position) -> io::Result<()> {
    let temporary = folder.join("shipped.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(&position)?)?;
    file.sync_data()?;
    std::fs::rename(&temporary, folder.join(NAME))?;
    File::open(folder)?.sync_data()
}
