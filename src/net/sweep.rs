//! Removes what downloads have left: parts that nobody finished, files with wrong checksums.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::transfer::discard;
use crate::sys::FileLock;

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The files' names.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes leftovers under `cache/downloads` that nobody has written to within `older_than`; a download under way stays.
/// With `dry_run` they are only told.
pub fn sweep(cache: &Path, older_than: Duration, dry_run: bool) -> io::Result<Swept> {
    let dir = cache.join("downloads");
    let mut swept = Swept::default();
    let entries = match std::fs::read_dir(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(swept),
        entries => entries?,
    };
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    for name in names {
        let part = name.strip_suffix(".part");
        if part.is_none() && !name.ends_with(".bad") {
            continue;
        }
        // held while the part is looked at and removed: nobody takes it up meanwhile
        let lock = part.map(|key| dir.join(format!("{key}.lock")));
        let lock = lock.map(|lock| FileLock::try_acquire(&lock, "forge removing old downloads"));
        let path = dir.join(&name);
        let Ok(meta) = path.metadata() else { continue };
        let age = SystemTime::now().duration_since(meta.modified()?);
        if matches!(lock, Some(Err(_))) || age.unwrap_or_default() < older_than {
            continue;
        }
        if !dry_run {
            discard(&path).map_err(io::Error::other)?;
        }
        swept.bytes += meta.len();
        swept.files.push(name);
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_what_is_under_way_stays() {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("downloads");
        assert_eq!(
            sweep(cache.path(), Duration::ZERO, false).unwrap(),
            Swept::default()
        );
        std::fs::create_dir(&dir).unwrap();
        for name in [
            "old.part",
            "old.part.json",
            "x.iso.bad",
            "busy.part",
            "note.txt",
        ] {
            std::fs::write(dir.join(name), b"12345").unwrap();
        }
        let _busy = FileLock::try_acquire(&dir.join("busy.lock"), "test").unwrap();
        let hour = Duration::from_secs(3600);
        assert_eq!(sweep(cache.path(), hour, false).unwrap(), Swept::default());
        let expected = Swept {
            files: vec!["old.part".into(), "x.iso.bad".into()],
            bytes: 10,
        };
        assert_eq!(sweep(cache.path(), Duration::ZERO, true).unwrap(), expected);
        assert_eq!(
            sweep(cache.path(), Duration::ZERO, false).unwrap(),
            expected
        );
        assert_eq!(
            sweep(cache.path(), Duration::ZERO, false).unwrap(),
            Swept::default()
        );
        let left = |name: &str| dir.join(name).exists();
        assert!(left("busy.part") && left("note.txt") && !left("old.part.json"));
    }
}
