//! What Linux tells of the machine, in `/proc` (<https://docs.kernel.org/filesystems/proc.html>).

use std::{fs, path::Path};

use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) cpu: String,
    pub(super) cores: usize,
    /// In bytes, as all sizes here.
    pub(super) memory_total: u64,
    pub(super) memory_available: u64,
    pub(super) disk_free: u64,
    pub(super) gpus: Vec<Graphics>,
}

/// A graphics processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Graphics {
    pub(super) name: String,
}

impl Facts {
    /// Reads them; what cannot be read is empty or 0. Blocks.
    pub(super) fn read(data: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = text("/proc/meminfo");
        let disk = rustix::fs::statvfs(data).ok();
        Self {
            cpu: cpu_of(&text("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_total: memory_of(&memory, "MemTotal"),
            memory_available: memory_of(&memory, "MemAvailable"),
            disk_free: disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            gpus: nvidia(Path::new("/proc/driver/nvidia/gpus")),
        }
    }
}

/// The first processor's name: `model name` on x86, the board's `Model` on some of Arm's.
fn cpu_of(text: &str) -> String {
    let named = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| value.trim().to_owned())
    };
    named("model name").or_else(|| named("Model")).unwrap_or_default()
}

/// A line of `/proc/meminfo`, which counts in kibibytes.
fn memory_of(text: &str, name: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kibibytes = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1 << 10)
}

/// Each of NVIDIA's processors has a folder with a file `information`.
fn nvidia(folder: &Path) -> Vec<Graphics> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path().join("information")).ok());
    texts
        .filter_map(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(Graphics {
                name: name.trim().to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_memory_are_read_from_what_linux_tells() {
        let cpu = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.20GHz\n";
        assert_eq!(cpu_of(cpu), "Intel(R) Xeon(R) CPU @ 2.20GHz");
        assert_eq!(cpu_of("processor : 0\nModel : Raspberry Pi 5"), "Raspberry Pi 5");
        assert_eq!(cpu_of(""), "");
        let memory = "MemTotal:       24681484 kB\nMemFree:         1 kB\nMemAvailable:   23455000 kB\n";
        assert_eq!(memory_of(memory, "MemTotal"), 24_681_484 << 10);
        assert_eq!(memory_of(memory, "MemAvailable"), 23_455_000 << 10);
        assert_eq!(memory_of(memory, "Swap"), 0);
    }

    #[test]
    fn graphics_processors_are_found_by_their_driver() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nvidia(&folder.path().join("none")), []);
        let one = folder.path().join("0000:01:00.0");
        fs::create_dir(&one).unwrap();
        fs::write(one.join("information"), "Model: \t\t NVIDIA H200\nIRQ: 1\n").unwrap();
        let expected = Graphics {
            name: "NVIDIA H200".into(),
        };
        assert_eq!(nvidia(folder.path()), [expected]);
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let facts = Facts::read(Path::new("/"));
        assert!(facts.cores > 0 && facts.memory_total > 0 && facts.disk_free > 0);
    }
}
