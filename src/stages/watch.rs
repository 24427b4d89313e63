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

/// When anything in the machine's directory was last written: its disks and its serial log.
pub(super) fn newest_change(work: &Path) -> Option<SystemTime> {
    let files = walkdir::WalkDir::new(work)
        .into_iter()
        .filter_map(Result::ok);
    // pictures that watching itself makes do not count
    files
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|e| e == "qcow2" || e == "log")
        })
        .filter_map(|file| file.metadata().ok()?.modified().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stillness_starts_anew_with_every_change() {
        let mut stillness = Stillness::new();
        stillness.observe((1, None));
        stillness.since -= Duration::from_secs(100);
        assert!(stillness.observe((1, None)) >= Duration::from_secs(100));
        assert!(stillness.observe((2, None)) < Duration::from_secs(100));
    }
}
