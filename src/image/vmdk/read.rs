//! Reads VMDKs through their tables, stream-optimized or sparse.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use libdeflater::{DecompressionError, Decompressor};

use super::VmdkError;
use super::header::{
    DESCRIPTOR_SPACE, DIRECTORY_AT_END, GRAIN, GRAIN_SECTORS, Header, Marker, SECTOR, TABLE,
};
use super::tables::Tables;
use crate::image::source::{BlockSource, Window};
use crate::model::Size;

/// The longest compressed grain that is sensible: zlib adds a few bytes to what it cannot compress.
pub(super) const MAX_PACKED: u32 = GRAIN as u32 + 4096;

/// What a VMDK says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The disk's size.
    pub capacity: Size,
    /// Bytes in grains that are there.
    pub populated: Size,
    /// The file's size.
    pub size: Size,
    /// The format's version; ESXi wants 3.
    pub version: u32,
    /// Whether the tables come after the grains.
    pub streamed: bool,
    /// Whether the grains are deflated: a stream-optimized VMDK, not a sparse one.
    pub compressed: bool,
    /// The descriptor's text.
    pub descriptor: String,
}

/// A VMDK opened for reading; the disk's content is had through [`BlockSource`].
#[derive(Clone, Debug)]
pub struct Reader {
    window: Window,
    header: Header,
    streamed: bool,
    pub(super) tables: Arc<Tables>,
    descriptor: String,
}

impl Reader {
    /// Reads header, descriptor and tables.
    pub fn open(window: Window) -> Result<Self, VmdkError> {
        let first = Header::decode(&sector_at(&window, 0)?)?;
        let streamed = first.directory == DIRECTORY_AT_END;
        let header = if streamed {
            footer(&window)?
        } else {
            first.clone()
        };
        if header.capacity != first.capacity || header.compressed() != first.compressed() {
            return Err(VmdkError::damaged(
                window.len().saturating_sub(2 * SECTOR),
                format!(
                    "the footer says {} sectors, the header {}",
                    header.capacity, first.capacity
                ),
            ));
        }
        Ok(Self {
            descriptor: read_descriptor(&window, &first)?,
            tables: Arc::new(Tables::open(&window, &header)?),
            window,
            header: first,
            streamed,
        })
    }

    /// What it says about itself.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            capacity: Size::from_bytes(self.header.capacity * SECTOR),
            populated: Size::from_bytes(self.tables.listed * GRAIN as u64),
            size: Size::from_bytes(self.window.len()),
            version: self.header.version,
            streamed: self.streamed,
            compressed: self.header.compressed(),
            descriptor: self.descriptor.clone(),
        }
    }

    fn read_grain(
        &self,
        number: u64,
        inflate: &mut Decompressor,
        packed: &mut Vec<u8>,
        grain: &mut [u8],
    ) -> Result<(), VmdkError> {
        let Some(sector) = self.tables.grain(number)? else {
            grain.fill(0);
            return Ok(());
        };
        let offset = u64::from(sector) * SECTOR;
        if !self.header.compressed() {
            return self.read_plain(number, offset, grain);
        }
        let mut head = [0; 16];
        read(&self.window, &mut head, offset)?;
        let Marker::Grain {
            sector: place,
            bytes,
        } = Marker::decode(&head)
        else {
            return Err(VmdkError::damaged(offset, "here should be a grain"));
        };
        if place != number * GRAIN_SECTORS {
            return Err(VmdkError::damaged(
                offset,
                format!("a grain of sector {place} stands where {number} belongs"),
            ));
        }
        if bytes > MAX_PACKED {
            return Err(VmdkError::damaged(
                offset,
                format!("a grain of {bytes} compressed bytes"),
            ));
        }
        packed.resize(bytes as usize, 0);
        read(&self.window, packed, offset + 12)?;
        unpack(inflate, packed, grain, offset)?;
        grain[self.there(number)..].fill(0);
        Ok(())
    }

    /// The bytes of a grain that lie on the disk: the last grain may go beyond its end.
    fn there(&self, number: u64) -> usize {
        let left = self.size().saturating_sub(number * GRAIN as u64);
        left.min(GRAIN as u64) as usize
    }

    /// A grain of a sparse VMDK. The disk's last one may be cut short with the disk, and then with the file.
    fn read_plain(&self, number: u64, offset: u64, grain: &mut [u8]) -> Result<(), VmdkError> {
        let there = self.there(number);
        grain[there..].fill(0);
        read(&self.window, &mut grain[..there], offset)
    }

    fn find_data(&self, from: u64) -> Result<Option<Range<u64>>, VmdkError> {
        let grains = self.header.grains();
        let mut start = from / GRAIN as u64;
        while start < grains && self.tables.grain(start)?.is_none() {
            let table = start as usize / TABLE;
            start = if self.tables.has(table) {
                start + 1
            } else {
                (table as u64 + 1) * TABLE as u64
            };
        }
        if start >= grains {
            return Ok(None);
        }
        let mut end = start + 1;
        // Not farther than the next table's end: runs are found while others are read.
        let stop = grains.min(start.next_multiple_of(TABLE as u64) + TABLE as u64);
        while end < stop && self.tables.grain(end)?.is_some() {
            end += 1;
        }
        let size = GRAIN as u64;
        Ok(Some(
            (start * size).max(from)..(end * size).min(self.size()),
        ))
    }
}

/// As an error of a disk that is read.
fn unreadable(error: VmdkError) -> io::Error {
    match error {
        VmdkError::Read(e) => e,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// Inflates a grain; a short one (the last grain of a disk that is no multiple of 64 KiB) is filled up with zeros.
pub(super) fn unpack(
    inflate: &mut Decompressor,
    packed: &[u8],
    grain: &mut [u8],
    offset: u64,
) -> Result<(), VmdkError> {
    match inflate.zlib_decompress(packed, grain) {
        Ok(n) if n > 0 && (n as u64).is_multiple_of(SECTOR) => {
            grain[n..].fill(0);
            Ok(())
        }
        Ok(n) => Err(VmdkError::damaged(
            offset,
            format!("a grain unpacks to {n} bytes"),
        )),
        Err(DecompressionError::BadData) => Err(VmdkError::damaged(
            offset,
            "a grain does not unpack: it is no zlib stream, or not the one that its checksum is of",
        )),
        Err(DecompressionError::InsufficientSpace) => Err(VmdkError::damaged(
            offset,
            "a grain unpacks to more than 64 KiB",
        )),
    }
}

impl BlockSource for Reader {
    fn size(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.size() {
            return Ok(None);
        }
        self.find_data(from).map_err(unreadable)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut inflate, mut packed) = (Decompressor::new(), Vec::new());
        let mut partial = Vec::new();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (number, skip) = (at / GRAIN as u64, (at % GRAIN as u64) as usize);
            let n = (GRAIN - skip).min(buffer.len() - done);
            let target = &mut buffer[done..done + n];
            if n == GRAIN {
                self.read_grain(number, &mut inflate, &mut packed, target)
            } else {
                partial.resize(GRAIN, 0);
                self.read_grain(number, &mut inflate, &mut packed, &mut partial)
                    .map(|()| target.copy_from_slice(&partial[skip..skip + n]))
            }
            .map_err(unreadable)?;
            done += n;
        }
        Ok(())
    }
}

pub(super) fn sector_at(window: &Window, offset: u64) -> Result<[u8; SECTOR as usize], VmdkError> {
    let mut sector = [0; SECTOR as usize];
    read(window, &mut sector, offset)?;
    Ok(sector)
}

/// Reads, and tells a file that ends too early from one that cannot be read.
pub(super) fn read(window: &Window, buffer: &mut [u8], offset: u64) -> Result<(), VmdkError> {
    window
        .read_exact_at(buffer, offset)
        .map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                VmdkError::damaged(offset.min(window.len()), "the file ends too early")
            }
            _ => VmdkError::Read(e),
        })
}

fn footer(window: &Window) -> Result<Header, VmdkError> {
    let missing = |offset| VmdkError::damaged(offset, "no footer before the end of the file");
    let start = window
        .len()
        .checked_sub(3 * SECTOR)
        .ok_or_else(|| missing(0))?;
    if Marker::decode(&sector_at(window, start)?) != (Marker::Footer { sectors: 1 }) {
        return Err(missing(start));
    }
    let header = Header::decode(&sector_at(window, start + SECTOR)?)?;
    if header.directory == DIRECTORY_AT_END {
        return Err(missing(start));
    }
    Ok(header)
}

fn read_descriptor(window: &Window, header: &Header) -> Result<String, VmdkError> {
    let (start, sectors) = header.descriptor;
    if start == 0 || sectors == 0 {
        return Ok(String::new());
    }
    let bytes = sectors
        .saturating_mul(SECTOR)
        .min(4 * DESCRIPTOR_SPACE as u64);
    let mut text = vec![0; bytes as usize];
    read(window, &mut text, start.saturating_mul(SECTOR))?;
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}
