//! Writes qcow2 images of one layer: version 3, clusters of 64 KiB, none of zeros.
//!
//! ```text
//! header │ first table │ clusters in the disk's order, each second-level table after what it lists │ refcounts
//! ```

use std::fs::File;
use std::io;

use super::MAGIC;
use crate::image::Progress;
use crate::image::batch::{self, BLOCK, Keeper, Kept};
use crate::image::raw::write_at;
use crate::image::source::BlockSource;
use crate::model::Size;
use crate::sys::Cancel;

/// Why a qcow2 image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The source could not be read.
    #[error("cannot read the disk: {0}")]
    Read(#[source] io::Error),
    /// The image could not be written.
    #[error("cannot write the qcow2 image: {0}")]
    Write(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The disk goes beyond QEMU's limit for the first table.
    #[error("a disk of {0} is too large for qcow2, which ends at 2PiB")]
    TooLarge(Size),
}

/// The cluster's size as a power of two; the same as a block.
const CLUSTER_BITS: u32 = 16;
/// Entries in a second-level table.
const ENTRIES: usize = (BLOCK / 8) as usize;
/// Clusters whose refcounts fit into one cluster; they are of 16 bits.
const COUNTED: u64 = BLOCK / 2;
/// Says that a cluster's refcount is exactly one.
const COPIED: u64 = 1 << 63;
const LARGEST: u64 = 2 << 50;

/// Writes `source` to the empty file `out`; returns the bytes in clusters that hold anything but zeros. `progress` is told how far
/// in the source it is.
pub fn write(
    source: &dyn BlockSource,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Size, WriteError> {
    let size = source.size();
    if size > LARGEST {
        return Err(WriteError::TooLarge(Size::from_bytes(size)));
    }
    let mut file = Output::new(out, size);
    batch::run(
        source,
        Keeper::all(source),
        cancel,
        &mut |blocks, kept: &mut Kept| {
            file.batch(kept)?;
            progress(size.min(blocks.end * BLOCK));
            Ok(())
        },
    )
    .map_err(|stop| stop.of(WriteError::Read, WriteError::Write, WriteError::Cancelled))?;
    let populated = file.finish().map_err(WriteError::Write)?;
    progress(size);
    Ok(Size::from_bytes(populated))
}

struct Output<'a> {
    out: &'a File,
    size: u64,
    /// The place of each second-level table, with its flag.
    first: Vec<u64>,
    /// The next free cluster.
    next: u64,
    populated: u64,
    table: Vec<u64>,
    current: usize,
}

impl<'a> Output<'a> {
    fn new(out: &'a File, size: u64) -> Self {
        // Sectors are the least that QEMU knows.
        let size = size.next_multiple_of(512);
        let tables = size.div_ceil(BLOCK * ENTRIES as u64) as usize;
        let first_table = (tables as u64 * 8).div_ceil(BLOCK).max(1);
        Self {
            out,
            size,
            first: vec![0; tables],
            next: 1 + first_table,
            populated: 0,
            table: vec![0; ENTRIES],
            current: 0,
        }
    }

    fn put(&self, bytes: &[u8], cluster: u64) -> io::Result<()> {
        write_at(self.out, bytes, cluster * BLOCK)
    }

    fn batch(&mut self, kept: &Kept) -> io::Result<()> {
        let (mut blocks, mut bytes) = (&kept.blocks[..], kept.bytes());
        while let Some(first) = blocks.first() {
            let table = *first as usize / ENTRIES;
            if table != self.current {
                self.flush_table()?;
                self.current = table;
            }
            // Tables stand between clusters, so what is written at once stays within one of them.
            let count = blocks.partition_point(|block| *block as usize / ENTRIES == table);
            let (these, content) = (&blocks[..count], &bytes[..count * BLOCK as usize]);
            self.put(content, self.next)?;
            for block in these {
                self.table[*block as usize % ENTRIES] = (self.next * BLOCK) | COPIED;
                self.next += 1;
            }
            self.populated += content.len() as u64;
            (blocks, bytes) = (&blocks[count..], &bytes[content.len()..]);
        }
        Ok(())
    }

    fn flush_table(&mut self) -> io::Result<()> {
        if self.table.iter().all(|entry| *entry == 0) {
            return Ok(());
        }
        self.put(&big(&self.table), self.next)?;
        self.first[self.current] = (self.next * BLOCK) | COPIED;
        self.next += 1;
        self.table.fill(0);
        Ok(())
    }

    /// The tables that are left, the refcounts, and the header last: what is cut short is no image.
    fn finish(mut self) -> io::Result<u64> {
        self.flush_table()?;
        self.put(&big(&self.first), 1)?;
        let used = self.next;
        // Refcounts count themselves.
        let (mut blocks, mut table) = (0, 0);
        loop {
            let all = used + blocks + table;
            let needed = (all.div_ceil(COUNTED), (blocks * 8).div_ceil(BLOCK).max(1));
            if needed == (blocks, table) {
                break;
            }
            (blocks, table) = needed;
        }
        let all = used + blocks + table;
        let places: Vec<u64> = (0..blocks).map(|n| (used + table + n) * BLOCK).collect();
        self.put(&big(&places), used)?;
        for number in 0..blocks {
            let counted = (all - number * COUNTED).min(COUNTED);
            let counts = [0, 1].repeat(counted as usize);
            self.put(&counts, used + table + number)?;
        }
        self.out.set_len(all * BLOCK)?;
        self.put(&self.header(used, table), 0)?;
        Ok(self.populated)
    }

    fn header(&self, refcounts: u64, refcount_clusters: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(112);
        header.extend(MAGIC);
        header.extend(3_u32.to_be_bytes());
        // No backing file.
        header.extend([0; 12]);
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.size.to_be_bytes());
        // Not encrypted.
        header.extend([0; 4]);
        header.extend((self.first.len() as u32).to_be_bytes());
        header.extend(BLOCK.to_be_bytes());
        header.extend((refcounts * BLOCK).to_be_bytes());
        header.extend((refcount_clusters as u32).to_be_bytes());
        // No snapshots, no features.
        header.extend([0; 12 + 24]);
        // Refcounts of 2^4 bits; the header's length.
        header.extend(4_u32.to_be_bytes());
        header.extend(104_u32.to_be_bytes());
        // The end of the header's extensions.
        header.extend([0; 8]);
        header
    }
}

fn big(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
