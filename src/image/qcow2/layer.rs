//! One qcow2 file: its header, its tables, and where its clusters are.

use std::io;
use std::path::Path;
use std::sync::Arc;

use libdeflater::Decompressor;

use super::Qcow2Error;
use super::header::{Backing, Compression, Header, OFFSET, Problem, get64};
use crate::image::cache::Cache;
use crate::image::source::Window;

pub(super) const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// A qcow2 file.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    window: Window,
    header: Header,
    backing: Option<Backing>,
    tables: Arc<Tables>,
}

/// The tables that say where clusters are.
#[derive(Debug)]
struct Tables {
    /// The place of each second-level table, 0 where nothing is allocated.
    first: Vec<u64>,
    kept: Cache<[u64]>,
}

/// Bytes of tables that are kept for each layer.
const KEPT: usize = 4 << 20;

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
            backing: header.backing(&window).map_err(problem)?,
            tables: Arc::new(Tables {
                first: tables,
                kept: Cache::new((KEPT >> header.cluster_bits).max(2)),
            }),
            header,
            window,
        })
    }

    /// What its header says.
    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) const fn size(&self) -> u64 {
        self.header.size
    }

    pub(super) const fn backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }

    /// The places of the second-level tables, 0 where nothing is allocated.
    pub(super) fn tables(&self) -> &[u64] {
        &self.tables.first
    }

    /// The file.
    pub(super) const fn window(&self) -> &Window {
        &self.window
    }

    const fn cluster(&self) -> u64 {
        1 << self.header.cluster_bits
    }

    /// Where the byte at `offset` is, and the end of the cluster (or of the table that is not there).
    pub(super) fn find(&self, offset: u64) -> io::Result<(Piece, u64)> {
        // Beyond a layer's end the disk is zeros, whatever a layer below may have.
        if offset >= self.header.size {
            return Ok((Piece::Zero, u64::MAX));
        }
        let table_bits = self.header.cluster_bits * 2 - 3;
        let Some(entries) = self.table(offset >> table_bits)? else {
            let end = ((offset >> table_bits) + 1) << table_bits;
            return Ok((Piece::Below, end.min(self.header.size)));
        };
        let place = (offset >> self.header.cluster_bits) as usize % entries.len();
        let entry = entries[place];
        let start = offset & !(self.cluster() - 1);
        let end = (start + self.cluster()).min(self.header.size);
        let piece = match entry {
            _ if entry & COMPRESSED != 0 => Piece::Packed(entry),
            _ if entry & ZERO != 0 => Piece::Zero,
            _ if entry & OFFSET == 0 => Piece::Below,
            _ => Piece::Plain((entry & OFFSET) + (offset - start)),
        };
        Ok((piece, end))
    }

    /// Where the deflated cluster of `entry` begins, and how many bytes it may take.
    pub(super) const fn packed(&self, entry: u64) -> (u64, u64) {
        // The bits below hold the place, those above how many further sectors the data may touch.
        let place_bits = 62 - (self.header.cluster_bits - 8);
        let place = entry & ((1 << place_bits) - 1);
        let further = (entry & (COMPRESSED - 1)) >> place_bits;
        (place, (further + 1) * 512 - place % 512)
    }

    /// The second-level table `number`, unless nothing is allocated there.
    pub(super) fn table(&self, number: u64) -> io::Result<Option<Arc<[u64]>>> {
        let first = usize::try_from(number).ok();
        let place = match first.and_then(|n| self.tables.first.get(n)) {
            Some(place) if *place > 0 => *place,
            _ => return Ok(None),
        };
        let load = || {
            let mut table = vec![0; 1 << self.header.cluster_bits];
            self.window
                .read_exact_at(&mut table, place)
                .map_err(|e| match e.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        damaged("a table lies beyond the end of the file")
                    }
                    _ => e,
                })?;
            Ok(table.chunks_exact(8).map(|entry| get64(entry, 0)).collect())
        };
        self.tables.kept.get(number, load).map(Some)
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
        let (place, len) = self.packed(entry);
        let len = len.min(self.window.len().saturating_sub(place));
        scratch
            .packed
            .resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.window.read_exact_at(&mut scratch.packed, place)?;
        scratch.cluster.resize(self.cluster() as usize, 0);
        let unpacked = match self.header.compression {
            Compression::Deflate => scratch
                .inflate
                .deflate_decompress(&scratch.packed, &mut scratch.cluster)
                .map_err(|_| "it is no deflate stream of one cluster".to_owned()),
            Compression::Zstd => unpack_zstd(&scratch.packed, &mut scratch.cluster),
        };
        match unpacked {
            Ok(n) if n as u64 == self.cluster() => Ok(()),
            Ok(_) => Err(damaged("a compressed cluster is too short")),
            Err(e) => Err(damaged(&format!(
                "a compressed cluster does not unpack: {e}"
            ))),
        }
    }
}

/// What follows the frame belongs to others, so it is read as a stream that ends when the cluster is full.
fn unpack_zstd(packed: &[u8], cluster: &mut [u8]) -> Result<usize, String> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| e.to_string())?;
    io::Read::read_exact(&mut reader, cluster).map_err(|e| e.to_string())?;
    Ok(cluster.len())
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the qcow2 image is damaged: {what}"),
    )
}
