//! Writes sparse VMDKs, the kind that VMware's desktop products run from: tables in front, twice, and grains as they are.

use std::fs::File;
use std::io;

use super::VmdkError;
use super::descriptor;
use super::header::{AFTER_DESCRIPTOR, GRAIN, GRAIN_SECTORS, Header, SECTOR, TABLE};
use super::write::{WriteOptions, capacity, too_long};
use crate::image::Progress;
use crate::image::batch::{self, Keeper, Kept};
use crate::image::raw::write_at;
use crate::image::source::BlockSource;
use crate::model::Size;
use crate::sys::Cancel;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The disk's size.
    pub capacity: Size,
    /// Bytes in grains that hold anything but zeros.
    pub populated: Size,
}

/// Sectors of a grain table.
const TABLE_SECTORS: u64 = TABLE as u64 * 4 / SECTOR;

/// Writes `source` to the empty file `out`. Of `options` the level and the threads do not matter. `progress` is told how far in
/// the source it is.
pub fn write_sparse(
    source: &dyn BlockSource,
    options: &WriteOptions,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Written, VmdkError> {
    let size = source.size();
    let mut file = Output::new(out, capacity(size)?);
    file.head(options).map_err(VmdkError::Write)?;
    batch::run(
        source,
        Keeper::all(source),
        cancel,
        &mut |blocks, kept: &mut Kept| {
            file.batch(kept)?;
            progress(size.min(blocks.end * GRAIN as u64));
            Ok(())
        },
    )
    .map_err(|stop| stop.of(VmdkError::Read, VmdkError::Write, VmdkError::Cancelled))?;
    file.flush_table().map_err(VmdkError::Write)?;
    progress(size);
    Ok(Written {
        capacity: Size::from_bytes(file.capacity * SECTOR),
        populated: Size::from_bytes(file.populated),
    })
}

struct Output<'a> {
    out: &'a File,
    /// In sectors, like all places here.
    capacity: u64,
    /// The two directories; each is followed by its tables.
    directories: [u64; 2],
    /// Sectors of a directory.
    directory: u64,
    /// Where the next grain goes.
    position: u64,
    populated: u64,
    table: Box<[u32; TABLE]>,
    /// Which table is being filled.
    current: u64,
}

impl<'a> Output<'a> {
    fn new(out: &'a File, capacity: u64) -> Self {
        let tables = capacity.div_ceil(GRAIN_SECTORS * TABLE as u64);
        let directory = (tables * 4).div_ceil(SECTOR);
        let each = directory + tables * TABLE_SECTORS;
        let first = AFTER_DESCRIPTOR;
        Self {
            out,
            capacity,
            directories: [first, first + each],
            directory,
            position: (first + 2 * each).next_multiple_of(GRAIN_SECTORS),
            populated: 0,
            table: Box::new([0; TABLE]),
            current: 0,
        }
    }

    fn put(&self, bytes: &[u8], sector: u64) -> io::Result<()> {
        write_at(self.out, bytes, sector * SECTOR)
    }

    /// Header, descriptor and directories. All tables have their place; those without grains stay holes.
    fn head(&mut self, options: &WriteOptions) -> io::Result<()> {
        let [redundant, directory] = self.directories;
        let header = Header::sparse(self.capacity, (redundant, directory), self.position);
        self.put(&header.encode(), 0)?;
        self.put(
            &descriptor::text("monolithicSparse", self.capacity, options)?,
            1,
        )?;
        let tables = self.capacity.div_ceil(GRAIN_SECTORS * TABLE as u64);
        for start in self.directories {
            let first = start + self.directory;
            let place = |table| u32::try_from(first + table * TABLE_SECTORS);
            let mut bytes = Vec::new();
            for table in 0..tables {
                let place = place(table).map_err(|_| too_long())?;
                bytes.extend(place.to_le_bytes());
            }
            self.put(&bytes, start)?;
        }
        // The file is as long as its tables even when the disk is empty.
        self.out.set_len(self.position * SECTOR)
    }

    fn batch(&mut self, kept: &Kept) -> io::Result<()> {
        let first = self.position;
        for block in &kept.blocks {
            let table = block / TABLE as u64;
            if table != self.current {
                self.flush_table()?;
                self.current = table;
            }
            let place = u32::try_from(self.position).map_err(|_| too_long())?;
            self.table[(block % TABLE as u64) as usize] = place;
            self.position += GRAIN_SECTORS;
            self.populated += GRAIN as u64;
        }
        self.put(kept.bytes(), first)
    }

    fn flush_table(&mut self) -> io::Result<()> {
        if self.table.iter().all(|entry| *entry == 0) {
            return Ok(());
        }
        let bytes: Vec<u8> = self.table.iter().flat_map(|e| e.to_le_bytes()).collect();
        for start in self.directories {
            self.put(
                &bytes,
                start + self.directory + self.current * TABLE_SECTORS,
            )?;
        }
        self.table.fill(0);
        Ok(())
    }
}
