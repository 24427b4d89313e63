//! What the stat cache trusts.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::store::StatCache;

/// A clock that is `seconds` after the file's last change.
fn after_change(path: &Path, seconds: i64) -> i64 {
    let meta = fs::metadata(path).unwrap();
    meta.ctime() * 1_000_000_000 + meta.ctime_nsec() + seconds * 1_000_000_000
}

struct File {
    dir: tempfile::TempDir,
    db: Db,
    path: PathBuf,
}

fn file(content: &str) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, content).unwrap();
    let db = open(dir.path());
    File { dir, db, path }
}

impl File {
    fn cache(&self, seconds_after_change: i64) -> StatCache<'_> {
        self.db
            .stat_cache_at(after_change(&self.path, seconds_after_change))
    }

    /// Has the cache claim something that a read would refute.
    fn forge_entry(&self) {
        let lie = Digest::of(b"a lie");
        self.db
            .with(|db| db.execute("UPDATE stat SET digest = ?1", [lie.as_bytes()]))
            .unwrap();
    }

    fn reopened(self) -> Self {
        let db = open(self.dir.path());
        Self { db, ..self }
    }
}

#[test]
fn a_file_that_has_not_changed_is_not_read() {
    let file = file("content");
    let found = file.cache(5).digest(&file.path).unwrap();
    assert_eq!(
        (found.digest, found.size, found.executable),
        (Digest::of(b"content"), 7, false)
    );
    file.forge_entry();
    let file = file.reopened();
    let found = file.cache(6).digest(&file.path).unwrap();
    assert_eq!(found.digest, Digest::of(b"a lie"), "it was read");
}

#[test]
fn a_file_that_changed_just_before_it_was_read_is_read_again() {
    for seconds in [-5, 0, 1] {
        let file = file("content");
        file.cache(seconds).digest(&file.path).unwrap();
        file.forge_entry();
        let file = file.reopened();
        let found = file.cache(6).digest(&file.path).unwrap();
        assert_eq!(found.digest, Digest::of(b"content"), "after {seconds} s");
        // that was late enough
        file.forge_entry();
        let file = file.reopened();
        let found = file.cache(7).digest(&file.path).unwrap();
        assert_eq!(found.digest, Digest::of(b"a lie"));
    }
}

#[test]
fn every_kind_of_change_is_seen() {
    let changes: [fn(&Path); 4] = [
        |path| fs::write(path, "other..").unwrap(),
        |path| fs::write(path, "longer than before").unwrap(),
        |path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap(),
        |path| {
            // another file with the same size and times
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let other = path.with_extension("new");
            fs::write(&other, "another").unwrap();
            fs::File::open(&other)
                .unwrap()
                .set_modified(modified)
                .unwrap();
            fs::rename(other, path).unwrap();
        },
    ];
    for change in changes {
        let file = file("content");
        file.cache(5).digest(&file.path).unwrap();
        change(&file.path);
        let found = file.cache(5).digest(&file.path).unwrap();
        let content = fs::read(&file.path).unwrap();
        assert_eq!(found.digest, Digest::of(&content));
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(found.executable, mode & 0o111 != 0);
    }
}

#[test]
fn handles_share_what_is_known_before_it_is_written() {
    let file = file("content");
    let first = file.cache(5);
    first.digest(&file.path).unwrap();
    let second = file.cache(6);
    assert_eq!(
        second.digest(&file.path).unwrap().digest,
        Digest::of(b"content")
    );
    let rows = || -> i64 {
        file.db
            .with(|db| db.query_row("SELECT count(*) FROM stat", [], |row| row.get(0)))
            .unwrap()
    };
    assert_eq!(rows(), 0);
    first.flush();
    assert_eq!(rows(), 1);
    assert!(second.digest(&file.dir.path().join("none")).is_err());
}
