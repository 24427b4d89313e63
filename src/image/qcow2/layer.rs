//! One qcow2 file: its header, its tables, and where its clusters are.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use libdeflater::Decompressor;

use super::Qcow2Error;
use crate::image::source::Window;

pub(in crate::image) const MAGIC: &[u8; 4] = b"QFI\xfb";

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// Incompatible features: refcounts may be stale (which readers need not mind), the image is known to be corrupt, data lies in
/// another file, the compression has a type, entries are of 128 bits.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED: u64 = 1 << 4;

/// A qcow2 file.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    window: Window,
    size: u64,
    cluster_bits: u32,
    backing: Option<String>,
    /// The second-level tables; `None` where nothing is allocated.
    tables: Arc<Vec<Option<Box<[u64]>>>>,
}

/// Where a part of a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// In the layers below.
    Below,
    /// Nowhere: it is zeros.
    Zero,
    /// At this place in the file.
    Plain(u64),
    /// In the deflated cluster that this entry describes.
    Packed(u64),
}

/// Buffers that are used again.
pub(super) struct Scratch {
    inflate: Decompressor,
    packed: Vec<u8>,
    cluster: Vec<u8>,
    /// The entry that `cluster` holds.
    entry: Option<u64>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            inflate: Decompressor::new(),
            packed: Vec::new(),
            cluster: Vec::new(),
            entry: None,
        }
    }
}

impl Layer {
    pub(super) fn open(path: &Path, window: Window) -> Result<Self, Qcow2Error> {
        let problem = |kind: Problem| match kind {
            Problem::Kind(what) => Qcow2Error::Kind {
                path: path.to_owned(),
                what,
            },
            Problem::Damaged(what) => Qcow2Error::Damaged {
                path: path.to_owned(),
                what,
            },
            Problem::Io(source) => Qcow2Error::Io {
                path: path.to_owned(),
                source,
            },
        };
        let header = Header::read(&window).map_err(problem)?;
        let tables = header.tables(&window).map_err(problem)?;
        Ok(Self {
            size: header.size,
            cluster_bits: header.cluster_bits,
            backing: header.backing(&window).map_err(problem)?,
            tables: Arc::new(tables),
            window,
        })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn backing(&self) -> Option<&str> {
        self.backing.as_deref()
    }

    const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Where the byte at `offset` is, and the end of the cluster (or of the table that is not there).
    pub(super) fn find(&self, offset: u64) -> (Piece, u64) {
        // Beyond a layer's end the disk is zeros, whatever a layer below may have.
        if offset >= self.size {
            return (Piece::Zero, u64::MAX);
        }
        let table_bits = self.cluster_bits * 2 - 3;
        let table = usize::try_from(offset >> table_bits).ok();
        let Some(entries) = table.and_then(|table| self.tables.get(table)?.as_deref()) else {
            let end = ((offset >> table_bits) + 1) << table_bits;
            return (Piece::Below, end.min(self.size));
        };
        let place = (offset >> self.cluster_bits) as usize % entries.len();
        let entry = entries[place];
        let start = offset & !(self.cluster() - 1);
        let end = (start + self.cluster()).min(self.size);
        let piece = match entry {
            _ if entry & COMPRESSED != 0 => Piece::Packed(entry),
            _ if entry & ZERO != 0 => Piece::Zero,
            _ if entry & OFFSET == 0 => Piece::Below,
            _ => Piece::Plain((entry & OFFSET) + (offset - start)),
        };
        (piece, end)
    }

    /// Fills `buffer`, which does not go beyond the cluster, from the piece that `offset` is in.
    pub(super) fn read(
        &self,
        buffer: &mut [u8],
        offset: u64,
        piece: Piece,
        scratch: &mut Scratch,
    ) -> io::Result<()> {
        match piece {
            Piece::Below | Piece::Zero => {
                buffer.fill(0);
                Ok(())
            }
            Piece::Plain(place) => self.read_plain(buffer, place),
            Piece::Packed(entry) => {
                if scratch.entry != Some(entry) {
                    scratch.entry = None;
                    self.unpack(entry, scratch)?;
                    scratch.entry = Some(entry);
                }
                let start = (offset & (self.cluster() - 1)) as usize;
                buffer.copy_from_slice(&scratch.cluster[start..start + buffer.len()]);
                Ok(())
            }
        }
    }

    /// The last cluster may be cut short at the end of the file; the rest is zeros.
    fn read_plain(&self, buffer: &mut [u8], place: u64) -> io::Result<()> {
        let there = self.window.len().saturating_sub(place);
        let n = usize::try_from(there).map_or(buffer.len(), |there| there.min(buffer.len()));
        if n == 0 && !buffer.is_empty() {
            return Err(damaged("a cluster lies beyond the end of the file"));
        }
        let (data, rest) = buffer.split_at_mut(n);
        rest.fill(0);
        self.window.read_exact_at(data, place)
    }

    fn unpack(&self, entry: u64, scratch: &mut Scratch) -> io::Result<()> {
        // The bits below hold the place, those above how many further sectors the data may touch.
        let place_bits = 62 - (self.cluster_bits - 8);
        let place = entry & ((1 << place_bits) - 1);
        let further = (entry & (COMPRESSED - 1)) >> place_bits;
        let len = (further + 1) * 512 - place % 512;
        let len = len.min(self.window.len().saturating_sub(place));
        scratch
            .packed
            .resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.window.read_exact_at(&mut scratch.packed, place)?;
        scratch.cluster.resize(self.cluster() as usize, 0);
        let unpacked = scratch
            .inflate
            .deflate_decompress(&scratch.packed, &mut scratch.cluster);
        match unpacked {
            Ok(n) if n as u64 == self.cluster() => Ok(()),
            Ok(_) => Err(damaged("a compressed cluster is too short")),
            Err(e) => Err(damaged(&format!(
                "a compressed cluster does not unpack: {e}"
            ))),
        }
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the qcow2 image is damaged: {what}"),
    )
}

enum Problem {
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

struct Header {
    size: u64,
    cluster_bits: u32,
    l1_place: u64,
    l1_entries: u32,
    backing: (u64, u32),
}

impl Header {
    fn read(window: &Window) -> Result<Self, Problem> {
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

    fn backing(&self, window: &Window) -> Result<Option<String>, Problem> {
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
        Ok(Some(String::from_utf8_lossy(&name).into_owned()))
    }

    fn tables(&self, window: &Window) -> Result<Vec<Option<Box<[u64]>>>, Problem> {
        let table_bits = self.cluster_bits * 2 - 3;
        let needed = self.size.div_ceil(1 << table_bits);
        if u64::from(self.l1_entries) < needed {
            return Err(Problem::Damaged("its first table is too short".into()));
        }
        // The table lies within the file, so a small file cannot claim much memory.
        let bytes = needed * 8;
        let Some(part) = window.part(self.l1_place, bytes) else {
            return Err(Problem::Damaged(
                "its first table does not lie within the file".into(),
            ));
        };
        let mut seen = HashSet::new();
        let mut tables = Vec::new();
        for entry in part.read_all(bytes)?.chunks_exact(8) {
            let place = get64(entry, 0) & OFFSET;
            if place == 0 {
                tables.push(None);
                continue;
            }
            if !seen.insert(place) {
                return Err(Problem::Damaged("two tables share one place".into()));
            }
            let mut table = vec![0; 1 << self.cluster_bits];
            window.read_exact_at(&mut table, place)?;
            tables.push(Some(
                table.chunks_exact(8).map(|entry| get64(entry, 0)).collect(),
            ));
        }
        Ok(tables)
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
    if compression != 0 {
        return Err("its clusters may be compressed with zstd".to_owned());
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

fn get64(bytes: &[u8], at: usize) -> u64 {
    u64::from(get32(bytes, at)) << 32 | u64::from(get32(bytes, at + 4))
}
