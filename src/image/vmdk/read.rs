//! Reads stream-optimized VMDKs through their tables.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use libdeflater::Decompressor;

use super::VmdkError;
use super::header::{
    DESCRIPTOR_SPACE, DIRECTORY_AT_END, GRAIN, GRAIN_SECTORS, Header, Marker, SECTOR, TABLE, get32,
};
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
    /// The descriptor's text.
    pub descriptor: String,
}

/// A stream-optimized VMDK opened for reading; the disk's content is had through [`BlockSource`].
#[derive(Clone, Debug)]
pub struct Reader {
    window: Window,
    pub(super) header: Header,
    pub(super) streamed: bool,
    /// Per table, the sector of each grain; `None` for a table that is not there.
    pub(super) tables: Vec<Option<Box<[u32; TABLE]>>>,
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
        if header.capacity != first.capacity {
            return Err(VmdkError::damaged(
                window.len().saturating_sub(2 * SECTOR),
                format!(
                    "the footer says {} sectors, the header {}",
                    header.capacity, first.capacity
                ),
            ));
        }
        let descriptor = read_descriptor(&window, &first)?;
        let tables = read_tables(&window, &header)?;
        Ok(Self {
            window,
            header: first,
            streamed,
            tables,
            descriptor,
        })
    }

    /// What it says about itself.
    #[must_use]
    pub fn info(&self) -> Info {
        let grains: usize = self
            .tables
            .iter()
            .flatten()
            .map(|table| table.iter().filter(|entry| **entry > 1).count())
            .sum();
        Info {
            capacity: Size::from_bytes(self.header.capacity * SECTOR),
            populated: Size::from_bytes(grains as u64 * GRAIN as u64),
            size: Size::from_bytes(self.window.len()),
            version: self.header.version,
            streamed: self.streamed,
            descriptor: self.descriptor.clone(),
        }
    }

    /// The sector of a grain; `None` when it is all zeros. An entry of 1 is an explicit grain of zeros.
    fn grain(&self, number: u64) -> Option<u32> {
        let number = usize::try_from(number).ok()?;
        let entry = self.tables.get(number / TABLE)?.as_ref()?[number % TABLE];
        (entry > 1).then_some(entry)
    }

    fn read_grain(
        &self,
        number: u64,
        inflate: &mut Decompressor,
        packed: &mut Vec<u8>,
        grain: &mut [u8],
    ) -> Result<(), VmdkError> {
        let Some(sector) = self.grain(number) else {
            grain.fill(0);
            return Ok(());
        };
        let offset = u64::from(sector) * SECTOR;
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
        unpack(inflate, packed, grain, offset)
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
        Err(e) => Err(VmdkError::damaged(
            offset,
            format!("a grain does not unpack: {e}"),
        )),
    }
}

impl BlockSource for Reader {
    fn size(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let grains = self.header.grains();
        let mut start = from / GRAIN as u64;
        while start < grains && self.grain(start).is_none() {
            let table = start as usize / TABLE;
            start = match self.tables.get(table) {
                Some(Some(_)) => start + 1,
                _ => (table as u64 + 1) * TABLE as u64,
            };
        }
        if start >= grains {
            return Ok(None);
        }
        let mut end = start + 1;
        while end < grains && self.grain(end).is_some() {
            end += 1;
        }
        let size = GRAIN as u64;
        Ok(Some(
            (start * size).max(from)..(end * size).min(self.size()),
        ))
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
            .map_err(|e| match e {
                VmdkError::Read(e) => e,
                other => io::Error::new(io::ErrorKind::InvalidData, other),
            })?;
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

type Tables = Vec<Option<Box<[u32; TABLE]>>>;

fn read_tables(window: &Window, header: &Header) -> Result<Tables, VmdkError> {
    let place = header.directory.saturating_mul(SECTOR);
    let count = header.grains().div_ceil(TABLE as u64);
    // A directory must lie within the file, so a small file cannot claim much memory.
    if count.saturating_mul(4) > window.len().saturating_sub(place) {
        return Err(VmdkError::damaged(
            place,
            "the directory does not lie within the file",
        ));
    }
    let mut directory = vec![0; count as usize * 4];
    read(window, &mut directory, place)?;
    let mut seen = HashSet::new();
    directory
        .chunks_exact(4)
        .map(|entry| {
            let sector = get32(entry, 0);
            if sector == 0 {
                return Ok(None);
            }
            let offset = u64::from(sector) * SECTOR;
            if !seen.insert(sector) {
                return Err(VmdkError::damaged(offset, "two tables share one place"));
            }
            let mut bytes = [0; TABLE * 4];
            read(window, &mut bytes, offset)?;
            let mut table = Box::new([0; TABLE]);
            for (entry, bytes) in table.iter_mut().zip(bytes.chunks_exact(4)) {
                *entry = get32(bytes, 0);
            }
            Ok(Some(table))
        })
        .collect()
}
