//! A qcow2 file's header and first table.

use std::io;

use crate::image::source::Window;

pub(in crate::image) const MAGIC: &[u8; 4] = b"QFI\xfb";

/// The place in an entry of a table.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Incompatible features: refcounts may be stale (which readers need not mind), the image is known to be corrupt, data lies in
/// another file, the compression has a type, entries are of 128 bits.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED: u64 = 1 << 4;

/// QEMU's own limit for the first table.
const LONGEST_FIRST: u64 = 32 << 20;

/// What an image is laid over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backing {
    /// As its header names it.
    pub(super) name: String,
    /// Its format, where the header says it.
    pub(super) format: Option<String>,
}

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Deflate,
    Zstd,
}

/// What is wrong with an image whose path is not known here.
pub(super) enum Problem {
    Kind(String),
    Damaged(String),
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("the file ends too early".into()),
            _ => Self::Io(e),
        }
    }
}

/// What stands at the beginning of the file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) size: u64,
    /// The cluster's size as a power of two.
    pub(super) cluster_bits: u32,
    /// The first table: where it is, and its entries.
    pub(super) l1_place: u64,
    pub(super) l1_entries: u32,
    backing: (u64, u32),
    pub(super) compression: Compression,
    /// Where extensions of the header begin.
    length: u64,
    /// The place of the refcount table, and its clusters.
    pub(super) refcounts: (u64, u32),
    /// Refcounts are of so many bits, as a power of two.
    pub(super) refcount_order: u32,
    /// Internal snapshots, which are not read.
    pub(super) snapshots: u32,
}

/// The extension that holds the backing file's format.
const BACKING_FORMAT: u32 = 0xe279_2aca;

impl Header {
    pub(super) fn read(window: &Window) -> Result<Self, Problem> {
        let kind = |what: String| Err(Problem::Kind(what));
        let mut bytes = [0; 112];
        let n = window.len().min(112) as usize;
        window.read_exact_at(&mut bytes[..n], 0)?;
        if &bytes[..4] != MAGIC {
            return kind("it does not start with `QFI`".into());
        }
        if n < 72 {
            return Err(Problem::Damaged("the file ends too early".into()));
        }
        let version = get32(&bytes, 4);
        if !(2..=3).contains(&version) {
            return kind(format!("version {version} is not known"));
        }
        if version == 3 {
            features(&bytes).map_err(Problem::Kind)?;
        }
        if get32(&bytes, 32) != 0 {
            return kind("it is encrypted".into());
        }
        let header = Self {
            size: get64(&bytes, 24),
            cluster_bits: get32(&bytes, 20),
            l1_entries: get32(&bytes, 36),
            l1_place: get64(&bytes, 40),
            backing: (get64(&bytes, 8), get32(&bytes, 16)),
            compression: match version {
                3 if get32(&bytes, 100) > 104 && bytes[104] == 1 => Compression::Zstd,
                _ => Compression::Deflate,
            },
            refcounts: (get64(&bytes, 48), get32(&bytes, 56)),
            refcount_order: if version == 3 { get32(&bytes, 96) } else { 4 },
            snapshots: get32(&bytes, 60),
            length: if version == 3 {
                u64::from(get32(&bytes, 100))
            } else {
                72
            },
        };
        let bits = header.cluster_bits;
        if !(9..=21).contains(&bits) {
            return kind(format!("clusters of 2^{bits} bytes"));
        }
        // QEMU's own limits; they keep all sums below within 64 bits.
        if header.size > 1 << 60 {
            return kind(format!("a size of {} bytes", header.size));
        }
        Ok(header)
    }

    pub(super) fn backing(&self, window: &Window) -> Result<Option<Backing>, Problem> {
        let (place, len) = self.backing;
        if place == 0 || len == 0 {
            return Ok(None);
        }
        if len > 1023 {
            return Err(Problem::Damaged(
                "the backing file's name is too long".into(),
            ));
        }
        let mut name = vec![0; len as usize];
        window.read_exact_at(&mut name, place)?;
        Ok(Some(Backing {
            name: String::from_utf8_lossy(&name).into_owned(),
            format: self.backing_format(window, place)?,
        }))
    }

    /// Goes through the header's extensions, which end before `end`.
    fn backing_format(&self, window: &Window, end: u64) -> Result<Option<String>, Problem> {
        let mut at = self.length;
        while at + 8 <= end {
            let mut head = [0; 8];
            window.read_exact_at(&mut head, at)?;
            let (kind, len) = (get32(&head, 0), u64::from(get32(&head, 4)));
            if kind == 0 || at + 8 + len > end {
                return Ok(None);
            }
            if kind == BACKING_FORMAT && len <= 64 {
                let mut name = vec![0; len as usize];
                window.read_exact_at(&mut name, at + 8)?;
                return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
            }
            at += 8 + len.next_multiple_of(8);
        }
        Ok(None)
    }

    /// The places of the second-level tables, 0 where nothing is allocated.
    pub(super) fn tables(&self, window: &Window) -> Result<Vec<u64>, Problem> {
        let table_bits = self.cluster_bits * 2 - 3;
        let needed = self.size.div_ceil(1 << table_bits);
        if u64::from(self.l1_entries) < needed {
            return Err(Problem::Damaged("its first table is too short".into()));
        }
        let bytes = needed * 8;
        if bytes > LONGEST_FIRST {
            return Err(Problem::Kind("its first table is longer than 32MiB".into()));
        }
        // The table lies within the file, so a small file cannot claim much memory.
        let Some(part) = window.part(self.l1_place, bytes) else {
            return Err(Problem::Damaged(
                "its first table does not lie within the file".into(),
            ));
        };
        let places = part.read_all(bytes)?;
        let places: Vec<u64> = places
            .chunks_exact(8)
            .map(|e| get64(e, 0) & OFFSET)
            .collect();
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if sorted
            .windows(2)
            .any(|pair| pair[0] > 0 && pair[0] == pair[1])
        {
            return Err(Problem::Damaged("two tables share one place".into()));
        }
        let last = sorted.last().copied().unwrap_or(0);
        if last > 0 && window.part(last, 1 << self.cluster_bits).is_none() {
            return Err(Problem::Damaged("the file ends too early".into()));
        }
        Ok(places)
    }
}

/// Refuses what changes the meaning of the data.
fn features(header: &[u8; 112]) -> Result<(), String> {
    let features = get64(header, 72);
    let length = get32(header, 100);
    let compression = if length > 104 { header[104] } else { 0 };
    for (bit, what) in [
        (CORRUPT, "it is marked as corrupt"),
        (EXTERNAL, "its data lies in another file"),
        (EXTENDED, "it has subclusters"),
    ] {
        if features & bit != 0 {
            return Err(what.to_owned());
        }
    }
    if compression > 1 {
        return Err(format!("the unknown compression {compression}"));
    }
    let unknown = features & !(DIRTY | COMPRESSION_TYPE);
    if unknown != 0 {
        return Err(format!("the unknown features {unknown:#x}"));
    }
    Ok(())
}

fn get32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .fold(0, |n, b| n << 8 | u32::from(*b))
}

pub(super) fn get64(bytes: &[u8], at: usize) -> u64 {
    u64::from(get32(bytes, at)) << 32 | u64::from(get32(bytes, at + 4))
}
