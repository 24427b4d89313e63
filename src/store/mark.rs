//! The mark by which one `stat` tells whether an object is as it was put.
//!
//! An object's modification time keeps its seconds; its nanoseconds are derived from the digest and the size. A write
//! moves the time on, and other content, another size or another name needs another mark. That a write lands on the
//! right nanosecond by chance has odds of one to a thousand million; `forge cache verify` reads the content.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::Digest;

/// The nanoseconds that the modification time of an object has: what any write, and any other name or size, changes.
fn mark_of(digest: &Digest, size: u64) -> u32 {
    let mut bytes = digest.as_bytes().to_vec();
    bytes.extend_from_slice(&size.to_le_bytes());
    let hash = Digest::of(&bytes);
    let head = hash.as_bytes();
    u32::from_le_bytes([head[0], head[1], head[2], head[3]]) % 1_000_000_000
}

pub(super) fn mark(file: &File, digest: &Digest, size: u64) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let secs = now.map_or(0, |now| now.as_secs());
    file.set_modified(UNIX_EPOCH + Duration::new(secs, mark_of(digest, size)))
}

/// Whether a modification time with these nanoseconds is the mark of an object of this size.
pub(super) fn is_mark(nanos: u32, digest: &Digest, size: u64) -> bool {
    nanos == mark_of(digest, size)
}

pub(super) fn has_mark(meta: &Metadata, digest: &Digest) -> bool {
    meta.modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .is_some_and(|time| is_mark(time.subsec_nanos(), digest, meta.len()))
}
