//! Downloads against real servers on this machine.

mod faults;
mod fetching;
mod media;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::fetch::fetch_with;
use super::transfer::Settings;
use super::{FetchError, FetchRequest, Fetched};
use crate::model::{Checksum, Digest};
use crate::sys::Cancel;

/// A cache, a project and what a fetch says.
struct Bench {
    dir: tempfile::TempDir,
    settings: Settings,
    notices: Mutex<Vec<String>>,
    progress: Mutex<Vec<(u64, Option<u64>)>>,
    stored: Mutex<Vec<(Digest, PathBuf)>>,
    cancel: Cancel,
}

impl Bench {
    fn new() -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            settings: Settings {
                client,
                patience: Duration::from_secs(20),
                backoff: Duration::ZERO,
                tell_every: Duration::ZERO,
                free_space: |_| Ok(u64::MAX),
            },
            notices: Mutex::default(),
            progress: Mutex::default(),
            stored: Mutex::default(),
            cancel: Cancel::new(),
        }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn downloads(&self) -> PathBuf {
        self.dir.path().join("cache/downloads")
    }

    /// The files under `downloads/` but for locks, sorted.
    fn left(&self) -> Vec<String> {
        let Ok(dir) = std::fs::read_dir(self.downloads()) else {
            return Vec::new();
        };
        let mut names: Vec<String> = dir
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock") && name != "index")
            .collect();
        names.sort();
        names
    }

    fn notices(&self) -> String {
        self.notices.lock().unwrap().join("\n")
    }

    async fn fetch(&self, urls: &[&str], checksum: &str) -> Result<Fetched, FetchError> {
        let cache = self.dir.path().join("cache");
        let request = FetchRequest {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            checksum: Checksum::parse(checksum).unwrap(),
            root: self.root(),
            cache: &cache,
            stored: &|digest| {
                let stored = self.stored.lock().unwrap();
                stored
                    .iter()
                    .find(|(d, _)| d == digest)
                    .map(|(_, path)| path.clone())
            },
            progress: &|done, total| self.progress.lock().unwrap().push((done, total)),
            notice: &|text| self.notices.lock().unwrap().push(text),
            cancel: &self.cancel,
        };
        fetch_with(&request, &self.settings).await
    }

    /// Moves what was fetched to where a store would have it.
    fn store(&self, fetched: &Fetched) {
        let path = self.dir.path().join(format!("stored-{}", fetched.digest));
        std::fs::rename(&fetched.path, &path).unwrap();
        self.stored.lock().unwrap().push((fetched.digest, path));
    }
}

/// Bytes that differ everywhere.
fn content(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}
