//! Removes what downloads have left: parts that nobody finished, files with wrong checksums.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::index;
use super::transfer::discard;
use crate::model::Digest;
use crate::sys::{FileLock, LockError};

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The files' names.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes leftovers under `cache/downloads` that nobody has written to within `older_than`; a download under way stays.
/// What is remembered of content that is not `stored` any more goes too. With `dry_run` they are only told.
pub fn sweep(
    cache: &Path,
    older_than: Duration,
    dry_run: bool,
    stored: &dyn Fn(&Digest) -> bool,
) -> io::Result<Swept> {
    if !dry_run {
        forget_gone(cache, stored)?;
    }
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
        let lock = part.map(|key| lock(cache, key));
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

fn lock(cache: &Path, key: &str) -> Result<FileLock, LockError> {
    let path = cache.join("downloads").join(format!("{key}.lock"));
    FileLock::try_acquire(&path, "forge removing old downloads")
}

/// A finished download is remembered a moment before it is stored, under its lock.
fn forget_gone(cache: &Path, stored: &dyn Fn(&Digest) -> bool) -> io::Result<()> {
    for key in index::keys(cache) {
        let gone = |key: &str| index::read(cache, key).is_some_and(|e| !stored(&e.digest));
        if gone(&key) && let Ok(_lock) = lock(cache, &key)
            // looked at again: it may have come meanwhile
            && gone(&key)
        {
            index::forget(cache, &key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(cache: &Path, older_than: Duration, dry_run: bool) -> io::Result<Swept> {
        super::sweep(cache, older_than, dry_run, &|_| true)
    }

    #[test]
    fn what_is_not_there_any_more_is_forgotten() {
        let cache = tempfile::tempdir().unwrap();
        let entry = |content: &[u8]| index::Entry {
            digest: Digest::of(content),
            from: "https://example.com/x".into(),
            etag: None,
            last_modified: None,
        };
        for (key, content) in [("here", b"1"), ("gone", b"2"), ("busy", b"3")] {
            index::write(cache.path(), key, &entry(content)).unwrap();
        }
        let _busy = lock(cache.path(), "busy").unwrap();
        let stored = |digest: &Digest| *digest == Digest::of(b"1");
        for dry_run in [true, false] {
            super::sweep(cache.path(), Duration::ZERO, dry_run, &stored).unwrap();
            let mut keys = index::keys(cache.path());
            keys.sort();
            let left: &[&str] = if dry_run {
                &["busy", "gone", "here"]
            } else {
                &["busy", "here"]
            };
            assert_eq!(keys, left);
        }
        assert_eq!(
            index::origins(cache.path())[&Digest::of(b"1")],
            "https://example.com/x"
        );
    }

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
