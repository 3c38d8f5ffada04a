//! The end of a segment, where frames are put.
//!
//! Frames are copied into memory that the system holds for the file: they are in the file as after a write, whatever
//! happens to this process, without a call for each. Where a file system has no such memory, they are written.
//!
//! *Invariant:* whatever is copied has its place on the disk already, so that a full disk is an error here and no fault
//! of memory; nothing is copied before there is room for all of it.

use std::{fs::File, io, io::Write, ops::Range, sync::Arc};

use memmap2::{MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, fallocate};

/// How much of a file is held in memory, at least.
const WINDOW: u64 = 512 << 10;
/// Where such memory may begin: a multiple of every system's pages.
const ALIGNMENT: u64 = 64 << 10;

/// The file of a segment that is written.
pub(super) struct Tail {
    file: Arc<File>,
    /// Where the next frame goes: what lies before is whole.
    length: u64,
    way: Way,
}

/// How bytes come into the file.
enum Way {
    /// Through a part of it that is held in memory, and where that begins.
    Memory(MmapMut, u64),
    /// By writing at its end.
    Writes,
}

impl Tail {
    /// Goes on with a file that is empty.
    ///
    /// # Errors
    /// When the disk has no room.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let way = match window(&file, 0..WINDOW) {
            Ok(memory) => Way::Memory(memory, 0),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
            Err(_) => {
                // Room that was made already would lie before what is written.
                if file.metadata()?.len() > 0 {
                    file.set_len(0)?;
                }
                Way::Writes
            }
        };
        Ok(Self {
            file: Arc::new(file),
            length: 0,
            way,
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk does not take all of them; then the file must be closed.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match &mut self.way {
            Way::Memory(memory, start) => {
                if end > *start + u64::try_from(memory.len()).unwrap_or_default() {
                    let from = self.length - self.length % ALIGNMENT;
                    let to = end.max(from + WINDOW).next_multiple_of(ALIGNMENT);
                    *memory = window(&self.file, from..to)?;
                    *start = from;
                }
                let at = usize::try_from(self.length - *start).unwrap_or(usize::MAX);
                let place = memory.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
                place.ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
            }
            Way::Writes => (&*self.file).write_all(bytes)?,
        }
        self.length = end;
        Ok(())
    }

    /// How many bytes there are.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The file, to have the disk keep it.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Ends the file where its last frame ends, whatever lies behind.
    pub(super) fn close(self) -> Arc<File> {
        let Self { file, length, way } = self;
        drop(way);
        if let Err(error) = file.set_len(length) {
            tracing::debug!(%error, "a journal segment keeps room that it does not need");
        }
        file
    }
}

/// Holds a part of a file in memory, after the disk has made room for it.
#[expect(unsafe_code, reason = "the file's bytes are memory of this process")]
fn window(file: &File, part: Range<u64>) -> io::Result<MmapMut> {
    let size = part.end - part.start;
    fallocate(file, FallocateFlags::empty(), part.start, size)?;
    let length = usize::try_from(size).unwrap_or(usize::MAX);
    // SAFETY: the folder is locked by this process, which alone makes segments in it, changes them through this one
    // mapping, and shortens them only after it is gone.
    unsafe { MmapOptions::new().offset(part.start).len(length).map_mut(file) }
}
