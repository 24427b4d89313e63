//! A VMDK's directory and its grain tables: proved when the file is opened, read again when they are needed.

use std::sync::Arc;

use super::VmdkError;
use super::header::{Header, SECTOR, TABLE, get32};
use super::read::read;
use crate::image::cache::Cache;
use crate::image::source::Window;

/// The sector of each grain, 0 for one that is not there.
pub(super) type Table = [u32; TABLE];

/// Tables that are kept: 2 MiB, which is 32 GiB of disk.
const KEPT: usize = 1024;

/// Where the grains are.
#[derive(Debug)]
pub(super) struct Tables {
    window: Window,
    /// The sector of each table, 0 for one that is not there.
    directory: Vec<u32>,
    kept: Cache<Table>,
    /// What an entry of 1 means: a grain of zeros, or a place.
    zeros: bool,
    /// Entries that name a grain.
    pub(super) listed: u64,
}

impl Tables {
    /// Reads the directory, and all tables once: what comes later can only fail to be read.
    pub(super) fn open(window: &Window, header: &Header) -> Result<Self, VmdkError> {
        let place = header.directory.saturating_mul(SECTOR);
        let count = header.grains().div_ceil(TABLE as u64);
        // A directory must lie within the file, so a small file cannot claim much memory.
        if count.saturating_mul(4) > window.len().saturating_sub(place) {
            return Err(VmdkError::damaged(
                place,
                "the directory does not lie within the file",
            ));
        }
        let mut bytes = vec![0; count as usize * 4];
        read(window, &mut bytes, place)?;
        let directory: Vec<u32> = bytes.chunks_exact(4).map(|e| get32(e, 0)).collect();
        shared(&directory)?;
        let mut tables = Self {
            window: window.clone(),
            directory,
            kept: Cache::new(KEPT),
            // Streams have it whatever their flags say: no grain can be there.
            zeros: header.compressed() || header.has_zero_grains(),
            listed: 0,
        };
        for number in 0..tables.directory.len() {
            let Some(table) = tables.load(number)? else {
                continue;
            };
            let listed = table
                .iter()
                .filter(|entry| tables.grain_at(**entry).is_some());
            tables.listed += listed.count() as u64;
        }
        Ok(tables)
    }

    /// The sector of a grain; `None` when it is all zeros.
    pub(super) fn grain(&self, number: u64) -> Result<Option<u32>, VmdkError> {
        let table = (number / TABLE as u64) as usize;
        if !self.has(table) {
            return Ok(None);
        }
        let table = self.kept.get(table as u64, || {
            let loaded = self.load(table)?;
            Ok(loaded.unwrap_or_else(|| Arc::new([0; TABLE])))
        })?;
        Ok(self.grain_at(table[(number % TABLE as u64) as usize]))
    }

    /// Whether a table is there.
    pub(super) fn has(&self, table: usize) -> bool {
        self.directory.get(table).is_some_and(|sector| *sector > 0)
    }

    fn grain_at(&self, entry: u32) -> Option<u32> {
        (entry > u32::from(self.zeros)).then_some(entry)
    }

    fn load(&self, number: usize) -> Result<Option<Arc<Table>>, VmdkError> {
        let sector = self.directory[number];
        if sector == 0 {
            return Ok(None);
        }
        let mut bytes = [0; TABLE * 4];
        read(&self.window, &mut bytes, u64::from(sector) * SECTOR)?;
        let mut table = [0; TABLE];
        for (entry, bytes) in table.iter_mut().zip(bytes.chunks_exact(4)) {
            *entry = get32(bytes, 0);
        }
        Ok(Some(Arc::new(table)))
    }
}

/// Refuses a directory that names one table twice: a small file could otherwise describe much data.
fn shared(directory: &[u32]) -> Result<(), VmdkError> {
    let mut sorted = directory.to_vec();
    sorted.sort_unstable();
    match sorted
        .windows(2)
        .find(|pair| pair[0] > 0 && pair[0] == pair[1])
    {
        Some(pair) => Err(VmdkError::damaged(
            u64::from(pair[0]) * SECTOR,
            "two tables share one place",
        )),
        None => Ok(()),
    }
}
