//! Whether a machine still does something.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What a machine has looked like, and since when.
pub(super) struct Stillness {
    seen: Option<(u64, Option<SystemTime>)>,
    since: Instant,
}

impl Stillness {
    pub(super) fn new() -> Self {
        Self {
            seen: None,
            since: Instant::now(),
        }
    }

    /// How long it has looked like this.
    pub(super) fn observe(&mut self, now: (u64, Option<SystemTime>)) -> Duration {
        if self.seen.as_ref() != Some(&now) {
            *self = Self {
                seen: Some(now),
                since: Instant::now(),
            };
        }
        self.since.elapsed()
    }
}

/// When the machine's disks or its serial log were last written. What the hypervisor itself says does not count, nor do
/// pictures that watching makes.
pub(super) fn newest_change(work: &Path, serial: Option<&Path>) -> Option<SystemTime> {
    let files = std::fs::read_dir(work).into_iter().flatten();
    let disks = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "qcow2"));
    disks
        .chain(serial.map(Path::to_owned))
        .filter_map(|path| path.metadata().ok()?.modified().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_and_the_serial_log_count_as_change() {
        let dir = tempfile::tempdir().unwrap();
        let serial = dir.path().join("serial.log");
        assert_eq!(newest_change(dir.path(), Some(&serial)), None);
        std::fs::write(dir.path().join("qemu.log"), "chatter").unwrap();
        assert_eq!(newest_change(dir.path(), Some(&serial)), None);
        std::fs::write(&serial, "hello").unwrap();
        assert!(newest_change(dir.path(), Some(&serial)).is_some());
        assert_eq!(newest_change(dir.path(), None), None);
    }

    #[test]
    fn stillness_starts_anew_with_every_change() {
        let mut stillness = Stillness::new();
        stillness.observe((1, None));
        stillness.since -= Duration::from_secs(100);
        assert!(stillness.observe((1, None)) >= Duration::from_secs(100));
        assert!(stillness.observe((2, None)) < Duration::from_secs(100));
    }
}
