//! The store on a real file system.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::model::{Checksum, Digest};

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    Scene { dir, store }
}

impl Scene {
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn what_is_put_is_found_under_its_digest_and_cannot_be_written() {
    let scene = scene();
    let store = &scene.store;
    let moved = scene.file("a", b"content");
    let stored = store.put_file(&moved, Put::Move).unwrap();
    assert_eq!(stored.digest, Digest::of(b"content"));
    assert_eq!(stored.size.bytes(), 7);
    assert!(!moved.exists());
    assert!(store.contains(&stored.digest));
    let path = store.path(&stored.digest);
    assert_eq!(fs::read(&path).unwrap(), b"content");
    assert!(fs::metadata(&path).unwrap().permissions().readonly());

    let copied = scene.file("b", b"other");
    let other = store.put_file(&copied, Put::Copy).unwrap();
    assert!(copied.exists() && store.contains(&other.digest));
    assert_eq!(store.put_bytes(b"other").unwrap(), other);
    let again = scene.file("c", b"other");
    assert_eq!(
        store.put_hashed(&again, &other.digest, Put::Move).unwrap(),
        other
    );
    assert!(!again.exists());
    assert_eq!(store.list().unwrap().len(), 2);
    assert_eq!(count(&store.root().join("staging")), 0);
}

#[test]
fn other_checksums_lead_to_the_content() {
    let scene = scene();
    let digest = scene.store.put_bytes(b"iso").unwrap().digest;
    let sha1 = Checksum::parse("c2883a42e402a2330d9c39b4d1e071cf9b3b5898").unwrap();
    assert_eq!(scene.store.find_checksum(&sha1), None);
    scene.store.remember_checksum(&sha1, &digest).unwrap();
    assert_eq!(scene.store.find_checksum(&sha1), Some(digest));
    scene
        .store
        .remember_checksum(&Checksum::None, &digest)
        .unwrap();
    assert_eq!(scene.store.find_checksum(&Checksum::None), None);
}
