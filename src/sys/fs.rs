//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Writes `bytes` to `path` so that readers see the old content or the new one: temporary file, fsync, rename.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole(path, bytes, |file| {
        set_default_mode(file)?;
        file.sync_all()
    })
}

/// [`write_atomic`] for what nobody else may read: mode 0600.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // temporary files are made that way
    write_whole(path, bytes, File::sync_all)
}

/// As [`write_atomic`], for what is quickly made anew: after a power cut it may be gone, or not whole.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole(path, bytes, |_| Ok(()))
}

/// The directory that `path` lies in; that of a bare name is the working directory.
#[must_use]
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// `finish` has the file when all is in it and nobody sees it yet.
fn write_whole(path: &Path, bytes: &[u8], finish: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let dir = directory(path);
    fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new()
        .prefix(&temporary_prefix(std::process::id()))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    finish(file.as_file())?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// How the names of the temporary files begin that the process `pid` makes beside what they become.
#[must_use]
pub fn temporary_prefix(pid: u32) -> String {
    format!(".forge-{pid}-")
}

/// Removes what is under `dir` and called as a temporary file of the process `pid`.
pub(super) fn sweep(dir: &Path, pid: u32) {
    let prefix = temporary_prefix(pid);
    let mut walk = walkdir::WalkDir::new(dir).into_iter();
    while let Some(entry) = walk.next() {
        // what cannot be looked into is not forge's
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        let ours = name.starts_with(&prefix);
        if ours {
            let _ = remove(entry.path());
        }
        if entry.file_type().is_dir() && (ours || name == ".git") {
            walk.skip_current_dir();
        }
    }
}

/// Gives a temporary file (made 0600) the mode that a new file would have had: 0644.
pub fn set_default_mode(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// When a file's content or anything else about it changed last.
#[must_use]
pub fn changed(meta: &fs::Metadata) -> SystemTime {
    let content = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let (seconds, nanos) = (meta.ctime(), meta.ctime_nsec());
        let since = Duration::new(seconds.unsigned_abs(), nanos.try_into().unwrap_or(0));
        content.max(SystemTime::UNIX_EPOCH + since)
    }
    #[cfg(not(unix))]
    content
}

/// Makes `to` a copy of `from`: a reflink where the file system can, else an in-kernel copy. Holes may be filled.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    #[cfg(target_os = "linux")]
    {
        let source = File::open(from)?;
        let target = File::create(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return Ok(source.metadata()?.len());
        }
    }
    fs::copy(from, to)
}

/// Removes a file or a tree; that it is not there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Free space for unprivileged users on the file system of `path`, in bytes.
pub fn free_space(path: &Path) -> io::Result<u64> {
    fs4::available_space(path)
}

/// The paths below `dir` that fit a pattern, sorted, as the pattern writes them: `*`, `?` and `[…]` stand for parts of one name, also
/// of hidden ones.
pub fn glob(dir: &Path, pattern: &str) -> io::Result<Vec<String>> {
    let (rooted, parts) = match pattern.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut found = vec![if rooted {
        "/".to_owned()
    } else {
        String::new()
    }];
    for part in parts.split('/').filter(|part| !part.is_empty()) {
        let matcher = globset::Glob::new(part)
            .map_err(io::Error::other)?
            .compile_matcher();
        let special = part.contains(['*', '?', '[', '{', '\\']);
        let mut next = Vec::new();
        for before in found {
            let join = |name: &str| match before.as_str() {
                "" | "/" => format!("{before}{name}"),
                before => format!("{before}/{name}"),
            };
            if !special {
                next.push(join(part));
                continue;
            }
            let here = if before.is_empty() {
                dir.to_owned()
            } else {
                dir.join(&before)
            };
            let names = std::fs::read_dir(here).into_iter().flatten().flatten();
            let names = names.filter_map(|entry| entry.file_name().into_string().ok());
            next.extend(
                names
                    .filter(|name| matcher.is_match(name))
                    .map(|name| join(&name)),
            );
        }
        found = next;
    }
    found.retain(|path| !path.is_empty() && dir.join(path).symlink_metadata().is_ok());
    found.sort();
    Ok(found)
}

/// Whether the file can be written to by another name: it is a link, or has several names.
#[must_use]
pub fn has_other_names(path: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        meta.is_symlink() || meta.nlink() > 1
    }
    #[cfg(not(unix))]
    meta.is_symlink()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_writes_leave_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn temporary_files_of_one_process_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(deep.join(".forge-12-tree/x")).unwrap();
        for name in [
            "a/.forge-12-x",
            "a/b/.forge-123-x",
            "a/b/out",
            ".forge-12-1",
        ] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        sweep(dir.path(), 12);
        let left = walkdir::WalkDir::new(dir.path()).sort_by_file_name();
        let left = left.into_iter().map(|e| e.unwrap().file_name().to_owned());
        assert_eq!(
            left.skip(1).collect::<Vec<_>>(),
            ["a", "b", ".forge-123-x", "out"]
        );
        sweep(&dir.path().join("nothing"), 12);
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("nothing")).unwrap();
        copy(Path::new("/proc/self/exe"), &dir.path().join("a/b")).unwrap();
        remove(&dir.path().join("a")).unwrap();
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn patterns_find_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/one.yaml", "a/.two.yaml", "b/three.yaml", "b/x.json"] {
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), "").unwrap();
        }
        let find = |pattern: &str| glob(dir.path(), pattern).unwrap();
        assert_eq!(
            find("*/*.yaml"),
            ["a/.two.yaml", "a/one.yaml", "b/three.yaml"]
        );
        assert_eq!(find("b/[tx]*"), ["b/three.yaml", "b/x.json"]);
        assert_eq!(find("b/x.json"), ["b/x.json"]);
        assert!(find("none/*").is_empty() && find("b/none").is_empty());
        let rooted = format!("{}/b/?.json", dir.path().display());
        assert_eq!(
            find(&rooted),
            [format!("{}/b/x.json", dir.path().display())]
        );
    }
}
