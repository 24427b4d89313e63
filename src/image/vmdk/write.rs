//! One pass from a disk to a stream-optimized VMDK: workers compress, one thread writes and digests.

use std::io::{self, Write};
use std::num::NonZero;

use libdeflater::{CompressionLvl, Compressor};
use sha2::Digest as _;

use super::VmdkError;
use super::descriptor;
use super::header::{
    DIRECTORY_AT_END, GRAIN, GRAIN_SECTORS, Header, MAX_CAPACITY, Marker, OVERHEAD, SECTOR, TABLE,
};
use crate::image::Progress;
use crate::image::batch::{self, Blocks, Worker};
use crate::image::source::{BlockSource, is_zero};
use crate::model::{Controller, Digest, Size};
use crate::sys::Cancel;

/// How a VMDK is written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The deflate level, 1 to 12. 5 is as small as `qemu-img` at a third of the work.
    pub level: u32,
    /// The file's final name; the descriptor names its own file.
    pub name: String,
    /// What the disk hangs on.
    pub adapter: Adapter,
    /// What the disk's content id is made from. The content itself is not known before the header is written; the
    /// fingerprint of what made it is as good.
    pub identity: Digest,
    /// Threads that compress; none: one per CPU.
    pub threads: Option<NonZero<usize>>,
}

/// The adapter that a VMDK's descriptor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// `lsilogic`: also for paravirtual SCSI and NVMe.
    Scsi,
    /// `ide`: also for SATA.
    Ide,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmdkInfo {
    /// The disk's size: the source's, rounded up to whole grains of 64 KiB.
    pub capacity: Size,
    /// Bytes in grains that hold anything but zeros: OVF's `populatedSize`.
    pub populated: Size,
    /// The file's size.
    pub size: Size,
    /// The file's digest.
    pub digest: Digest,
}

impl From<Controller> for Adapter {
    fn from(controller: Controller) -> Self {
        match controller {
            Controller::Lsilogic
            | Controller::LsilogicSas
            | Controller::Pvscsi
            | Controller::Nvme
            | Controller::Virtio => Self::Scsi,
            Controller::Sata | Controller::Ide => Self::Ide,
        }
    }
}

impl WriteOptions {
    /// Level 5, SCSI, a thread per CPU.
    #[must_use]
    pub fn new(name: impl Into<String>, identity: Digest) -> Self {
        Self {
            level: 5,
            name: name.into(),
            adapter: Adapter::Scsi,
            identity,
            threads: None,
        }
    }
}

/// Writes `source` to `out` as a stream-optimized VMDK. `progress` is told how far in the source it is.
pub fn write(
    source: &dyn BlockSource,
    options: &WriteOptions,
    out: &mut dyn Write,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<VmdkInfo, VmdkError> {
    let size = source.size();
    let capacity = capacity(size)?;
    let level = i32::try_from(options.level)
        .ok()
        .filter(|level| *level > 0)
        .and_then(|level| CompressionLvl::new(level).ok())
        .ok_or(VmdkError::Level(options.level))?;
    let mut file = Output::new(out, capacity);
    file.head(options).map_err(VmdkError::Write)?;
    let threads = options.threads.unwrap_or_else(batch::default_threads);
    let workers = (0..threads.get())
        .map(|_| Packer {
            source,
            compressor: Compressor::new(level),
            input: Vec::new(),
        })
        .collect();
    batch::run(
        source,
        workers,
        cancel,
        &mut |blocks, packed: &mut Packed| {
            let end = blocks.end;
            file.batch(blocks, packed)?;
            progress(size.min(end * GRAIN as u64));
            Ok(())
        },
    )
    .map_err(|stop| stop.of(VmdkError::Read, VmdkError::Write, VmdkError::Cancelled))?;
    let info = file.finish().map_err(VmdkError::Write)?;
    progress(size);
    Ok(info)
}

/// The sectors of a disk of `size` bytes: whole grains, and at least one.
pub(super) fn capacity(size: u64) -> Result<u64, VmdkError> {
    if size > MAX_CAPACITY {
        return Err(VmdkError::TooLarge(Size::from_bytes(size)));
    }
    Ok(size.div_ceil(GRAIN as u64).max(1) * GRAIN_SECTORS)
}

/// Compressed grains with their markers, ready to be written.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    /// For each block of the batch: whether it is there, and how many sectors it takes.
    sectors: Vec<u32>,
}

struct Packer<'a> {
    source: &'a dyn BlockSource,
    compressor: Compressor,
    input: Vec<u8>,
}

impl Worker<Packed> for Packer<'_> {
    fn work(&mut self, blocks: Blocks, packed: &mut Packed) -> io::Result<()> {
        packed.bytes.clear();
        packed.sectors.clear();
        let count = usize::try_from(blocks.end - blocks.start).map_err(io::Error::other)?;
        self.input.resize(count * GRAIN, 0);
        self.source
            .read_at(&mut self.input, blocks.start * GRAIN as u64)?;
        let bound = self.compressor.zlib_compress_bound(GRAIN);
        // Once, at its full size: growing would take up to twice of that.
        let most = (12 + bound).next_multiple_of(SECTOR as usize);
        packed.bytes.reserve_exact(count * most);
        for (block, grain) in blocks.zip(self.input.chunks_exact(GRAIN)) {
            if is_zero(grain) {
                packed.sectors.push(0);
                continue;
            }
            let start = packed.bytes.len();
            packed.bytes.resize(start + 12 + bound, 0);
            let len = self
                .compressor
                .zlib_compress(grain, &mut packed.bytes[start + 12..])
                .map_err(io::Error::other)?;
            let marker = &mut packed.bytes[start..start + 12];
            marker[..8].copy_from_slice(&(block * GRAIN_SECTORS).to_le_bytes());
            marker[8..].copy_from_slice(&(len as u32).to_le_bytes());
            let sectors = (12 + len).div_ceil(SECTOR as usize);
            packed.bytes.truncate(start + 12 + len);
            packed.bytes.resize(start + sectors * SECTOR as usize, 0);
            packed.sectors.push(sectors as u32);
        }
        Ok(())
    }
}

/// Sector numbers in tables are of 32 bits.
pub(super) fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "a vmdk cannot grow beyond 2 TiB",
    )
}

/// The file so far: where it is, its digest, and the tables that are still to come.
struct Output<'a> {
    out: &'a mut dyn Write,
    hash: sha2::Sha256,
    /// In sectors.
    position: u64,
    /// In sectors.
    capacity: u64,
    populated: u64,
    directory: Vec<u32>,
    table: Box<[u32; TABLE]>,
    /// Which table is being filled.
    current: usize,
}

impl<'a> Output<'a> {
    fn new(out: &'a mut dyn Write, capacity: u64) -> Self {
        let tables = capacity.div_ceil(GRAIN_SECTORS * TABLE as u64);
        Self {
            out,
            hash: sha2::Sha256::new(),
            position: 0,
            capacity,
            populated: 0,
            directory: vec![0; usize::try_from(tables).unwrap_or(0)],
            table: Box::new([0; TABLE]),
            current: 0,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        debug_assert_eq!(bytes.len() as u64 % SECTOR, 0);
        self.hash.update(bytes);
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64 / SECTOR;
        // All offsets in the tables are 32-bit sector numbers.
        if self.position > u64::from(u32::MAX) {
            return Err(too_long());
        }
        Ok(())
    }

    fn head(&mut self, options: &WriteOptions) -> io::Result<()> {
        self.put(&Header::new(self.capacity, DIRECTORY_AT_END).encode())?;
        let mut text = descriptor::text("streamOptimized", self.capacity, options)?;
        text.resize(((OVERHEAD - 1) * SECTOR) as usize, 0);
        self.put(&text)
    }

    fn batch(&mut self, blocks: Blocks, packed: &Packed) -> io::Result<()> {
        let mut bytes = packed.bytes.as_slice();
        for (block, sectors) in blocks.zip(&packed.sectors) {
            if *sectors == 0 {
                continue;
            }
            let (table, entry) = (block as usize / TABLE, block as usize % TABLE);
            if table != self.current {
                self.flush_table()?;
                self.current = table;
            }
            self.table[entry] = self.position as u32;
            self.populated += GRAIN as u64;
            let (grain, rest) = bytes.split_at(*sectors as usize * SECTOR as usize);
            self.put(grain)?;
            bytes = rest;
        }
        Ok(())
    }

    fn flush_table(&mut self) -> io::Result<()> {
        if self.table.iter().all(|entry| *entry == 0) {
            return Ok(());
        }
        let sectors = TABLE as u64 * 4 / SECTOR;
        self.put(&Marker::Table { sectors }.encode())?;
        self.directory[self.current] = self.position as u32;
        let bytes: Vec<u8> = self.table.iter().flat_map(|e| e.to_le_bytes()).collect();
        self.put(&bytes)?;
        self.table.fill(0);
        Ok(())
    }

    fn finish(mut self) -> io::Result<VmdkInfo> {
        self.flush_table()?;
        let mut bytes: Vec<u8> = self
            .directory
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect();
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        let sectors = bytes.len() as u64 / SECTOR;
        self.put(&Marker::Directory { sectors }.encode())?;
        let directory = self.position;
        self.put(&bytes)?;
        self.put(&Marker::Footer { sectors: 1 }.encode())?;
        self.put(&Header::new(self.capacity, directory).encode())?;
        self.put(&Marker::End.encode())?;
        self.out.flush()?;
        Ok(VmdkInfo {
            capacity: Size::from_bytes(self.capacity * SECTOR),
            populated: Size::from_bytes(self.populated),
            size: Size::from_bytes(self.position * SECTOR),
            digest: Digest::from_bytes(self.hash.finalize().into()),
        })
    }
}
