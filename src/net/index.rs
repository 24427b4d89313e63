//! What has been fetched before: from a checksum, or from an address without one, to the digest in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Algorithm, Checksum, Digest};

/// What is remembered of a finished download.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The content.
    pub(super) digest: Digest,
    /// Where it came from, passwords masked.
    pub(super) from: String,
    /// The server's mark of this version, for addresses without a checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// The server's date of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
}

/// The digest of the content with this checksum, as far as it can be told without the network: at once for SHA-256,
/// from memory for the others once they have been fetched. Whether the store has that content is the store's to say.
#[must_use]
pub fn known(cache: &Path, checksum: &Checksum) -> Option<Digest> {
    let Checksum::Hex { algorithm, hex } = checksum else {
        return None;
    };
    if *algorithm == Algorithm::Sha256 {
        return Digest::parse(hex).ok();
    }
    Some(read(cache, &key(*algorithm, hex))?.digest)
}

/// The key of a checksum, safe in file names.
pub(super) fn key(algorithm: Algorithm, hex: &str) -> String {
    format!("{algorithm}-{hex}")
}

pub(super) fn read(cache: &Path, key: &str) -> Option<Entry> {
    serde_json::from_slice(&std::fs::read(file(cache, key)).ok()?).ok()
}

pub(super) fn write(cache: &Path, key: &str, entry: &Entry) -> std::io::Result<()> {
    crate::sys::fs::write_atomic(&file(cache, key), &serde_json::to_vec_pretty(entry)?)
}

/// Where contents came from that have been fetched: addresses, passwords masked.
#[must_use]
pub fn origins(cache: &Path) -> BTreeMap<Digest, String> {
    let entries = keys(cache).into_iter();
    let entries = entries.filter_map(|key| read(cache, &key));
    entries.map(|entry| (entry.digest, entry.from)).collect()
}

/// The keys of all that is remembered.
pub(super) fn keys(cache: &Path) -> Vec<String> {
    let files = std::fs::read_dir(cache.join("downloads/index"));
    let names = files.into_iter().flatten().flatten();
    let names = names.filter_map(|file| file.file_name().into_string().ok());
    names
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .collect()
}

pub(super) fn forget(cache: &Path, key: &str) -> std::io::Result<()> {
    crate::sys::fs::remove(&file(cache, key))
}

fn file(cache: &Path, key: &str) -> PathBuf {
    cache.join("downloads/index").join(format!("{key}.json"))
}
