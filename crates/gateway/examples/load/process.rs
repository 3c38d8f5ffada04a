//! What a process and its descendants take, as `/proc` tells.

/// A line of the table of processes.
struct Entry {
    pid: u32,
    parent: u32,
    /// Processor time so far, in seconds.
    seconds: f64,
}

/// Seconds of processor time that a process and its descendants have taken so far.
pub(super) fn processor_time(root: u32) -> f64 {
    family(root).iter().map(|entry| entry.seconds).sum()
}

/// Bytes of memory that a process and its descendants have in use.
pub(super) fn memory(root: u32) -> u64 {
    family(root).iter().map(|entry| resident(entry.pid)).sum()
}

fn family(root: u32) -> Vec<Entry> {
    let mut others: Vec<Entry> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect();
    let mut found: Vec<Entry> = Vec::new();
    let mut wanted = vec![root];
    while let Some(pid) = wanted.pop() {
        wanted.extend(
            others
                .iter()
                .filter(|entry| entry.parent == pid)
                .map(|entry| entry.pid),
        );
        if let Some(place) = others.iter().position(|entry| entry.pid == pid) {
            found.push(others.swap_remove(place));
        }
    }
    found
}

/// `man 5 proc_pid_stat`; a tick is 10 ms.
fn stat(pid: u32) -> Option<Entry> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |place: usize| fields.get(place)?.parse::<u32>().ok();
    Some(Entry {
        pid,
        parent: number(1)?,
        seconds: f64::from(number(11)? + number(12)?) / 100.0,
    })
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}
