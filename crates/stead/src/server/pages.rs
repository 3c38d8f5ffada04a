//! Gives back what only the start needed.
//!
//! The pages of the program's own file that were read until now count as its memory, though most of them are of code that
//! runs once. They are unmapped when the start is over; what is needed again is mapped again, out of the page cache.

use std::{fs, time::Duration};

/// How long after the start the pages go: what follows it at once still needs some.
const REST: Duration = Duration::from_secs(1);

/// Waits until the start is over, and gives the pages back.
pub(super) async fn give_back() {
    tokio::time::sleep(REST).await;
    unmap_clean();
}

fn unmap_clean() {
    let program = fs::read_link("/proc/self/exe");
    let maps = fs::read_to_string("/proc/self/smaps");
    if let (Ok(program), Ok(maps)) = (program, maps) {
        for range in clean(&maps, &program.to_string_lossy()) {
            unmap(range);
        }
    }
}

/// Where unchanged pages of a file are mapped, out of the text of `/proc/self/smaps`
/// (<https://docs.kernel.org/filesystems/proc.html>): not writable, and none of them
/// a copy of the process's own.
fn clean(maps: &str, file: &str) -> Vec<(usize, usize)> {
    let (mut found, mut open) = (Vec::new(), None);
    for line in maps.lines() {
        if let Some(changed) = line.strip_prefix("Anonymous:") {
            found.extend(open.take().filter(|_| changed.trim() == "0 kB"));
        } else if line.ends_with(file) {
            open = range(line);
        }
    }
    found
}

/// The range of a line such as `5581c0a00000-5581c0c00000 r-xp 00010000 fe:00 1234  /usr/bin/stead`, unless it is writable.
fn range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let may = fields.next()?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    (may.starts_with('r') && !may.contains('w')).then_some((address(from)?, address(to)?))
}

#[expect(unsafe_code, reason = "the kernel is told of pages by their address")]
fn unmap((from, to): (usize, usize)) {
    let start = std::ptr::with_exposed_provenance_mut(from);
    // SAFETY: the range is one mapping of this program's file, none of whose pages can be or was written to, so that
    // whoever reads it again finds the same bytes. That it fails changes nothing.
    let _ = unsafe { libc::madvise(start, to.saturating_sub(from), libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_and_was_not_written_is_given_back() {
        let maps = "\
1000-3000 r--p 00000000 fe:00 7  /opt/stead
Rss: 8 kB
Anonymous:         0 kB
3000-5000 r-xp 00002000 fe:00 7  /opt/stead
Anonymous:         0 kB
5000-6000 r--p 00004000 fe:00 7  /opt/stead
Anonymous:         4 kB
6000-7000 rw-p 00005000 fe:00 7  /opt/stead
Anonymous:         0 kB
7000-8000 r-xp 00000000 fe:00 8  /lib/libc.so.6
Anonymous:         0 kB
";
        assert_eq!(clean(maps, "/opt/stead"), [(0x1000, 0x3000), (0x3000, 0x5000)]);
    }

    #[test]
    fn a_program_goes_on_after_its_pages_are_gone() {
        let before = text_in_memory();
        unmap_clean();
        let after = text_in_memory();
        assert!(after < before / 2, "{after} of {before} kB are left");
    }

    /// How many kB of this program's file are mapped.
    fn text_in_memory() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
