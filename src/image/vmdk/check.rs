//! Looks at every byte of a stream-optimized VMDK, in the file's order, and compares the tables with what it found.

use std::collections::HashMap;

use libdeflater::Decompressor;

use super::VmdkError;
use super::header::{GRAIN, GRAIN_SECTORS, Header, Marker, SECTOR, TABLE};
use super::read::{MAX_PACKED, Reader, read, sector_at, unpack};
use crate::image::Progress;
use crate::image::source::Window;
use crate::model::Size;
use crate::sys::Cancel;

/// More problems than this say nothing new.
const ENOUGH: usize = 20;

/// What is wrong with a VMDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file.
    pub offset: u64,
    /// A short, stable name: `end-of-stream`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// Whether some reader refuses the file or reads it wrongly; otherwise it is only unusual.
    pub fatal: bool,
}

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The disk's size.
    pub capacity: Size,
    /// Bytes in grains that are there.
    pub populated: Size,
    /// Everything that is wrong; empty for a good file.
    pub problems: Vec<Problem>,
}

/// Reads all of a VMDK: markers, every grain's content, tables, footer, end of stream. An error means that it could not be
/// looked at (unreadable, or no stream-optimized VMDK at all); damage is in the report. `progress` counts bytes of the file.
pub fn check(
    window: &Window,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<CheckReport, VmdkError> {
    let header = Header::decode(&sector_at(window, 0)?)?;
    let mut scan = Scan {
        window,
        capacity: header.capacity,
        grains: HashMap::new(),
        last: None,
        problems: Vec::new(),
    };
    scan.header(&header);
    scan.grains(header.overhead.saturating_mul(SECTOR), progress, cancel)?;
    match Reader::open(window.clone()) {
        Ok(reader) => {
            scan.tables(&reader);
            scan.descriptor(&reader.info().descriptor);
        }
        Err(VmdkError::Damaged { offset, what }) => scan.fatal(offset, "tables", what),
        Err(VmdkError::Kind(what)) => scan.fatal(window.len(), "footer", what),
        Err(other) => return Err(other),
    }
    Ok(CheckReport {
        capacity: Size::from_bytes(header.capacity * SECTOR),
        populated: Size::from_bytes(scan.grains.len() as u64 * GRAIN as u64),
        problems: scan.problems,
    })
}

struct Scan<'a> {
    window: &'a Window,
    /// In sectors.
    capacity: u64,
    /// The sector in the file of each grain found.
    grains: HashMap<u64, u32>,
    last: Option<u64>,
    problems: Vec<Problem>,
}

impl Scan<'_> {
    fn problem(&mut self, offset: u64, code: &'static str, message: String, fatal: bool) {
        if self.problems.len() < ENOUGH {
            self.problems.push(Problem {
                offset,
                code,
                message,
                fatal,
            });
        }
    }

    fn fatal(&mut self, offset: u64, code: &'static str, message: impl Into<String>) {
        self.problem(offset, code, message.into(), true);
    }

    fn header(&mut self, header: &Header) {
        if header.version != 3 {
            let message = format!("version {}; ESXi takes only 3", header.version);
            self.fatal(4, "version", message);
        }
        if !header.newlines_intact() {
            self.fatal(
                73,
                "newlines",
                "a transfer in text mode has changed line ends",
            );
        }
        if header.unclean {
            let message = "it was not closed cleanly".to_owned();
            self.problem(72, "unclean", message, false);
        }
        if !header.capacity.is_multiple_of(GRAIN_SECTORS) {
            let message = format!(
                "the disk's {} sectors are no multiple of 64 KiB; VMware's converter hangs on the last grain",
                header.capacity
            );
            self.fatal(12, "capacity", message);
        }
    }

    /// Goes from marker to marker until the end of the stream.
    fn grains(
        &mut self,
        start: u64,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<(), VmdkError> {
        let (mut inflate, mut packed) = (Decompressor::new(), Vec::new());
        let mut grain = vec![0; GRAIN];
        let mut position = start;
        while position.saturating_add(SECTOR) <= self.window.len() {
            if cancel.is_cancelled() {
                return Err(VmdkError::Cancelled);
            }
            progress(position);
            let marker = Marker::decode(&sector_at(self.window, position)?);
            let sectors = match marker {
                Marker::Grain { sector, bytes } => {
                    if bytes > MAX_PACKED {
                        let message = format!("a grain of {bytes} compressed bytes");
                        self.fatal(position, "grain", message);
                        return Ok(());
                    }
                    packed.resize(bytes as usize, 0);
                    match read(self.window, &mut packed, position + 12) {
                        Err(VmdkError::Damaged { offset, what }) => {
                            self.fatal(offset, "truncated", what);
                            return Ok(());
                        }
                        other => other?,
                    }
                    if let Err(VmdkError::Damaged { offset, what }) =
                        unpack(&mut inflate, &packed, &mut grain, position)
                    {
                        self.fatal(offset, "grain", what);
                    }
                    self.place(sector, position);
                    (u64::from(bytes) + 12).div_ceil(SECTOR)
                }
                Marker::End => {
                    self.end(position);
                    return Ok(());
                }
                Marker::Table { sectors }
                | Marker::Directory { sectors }
                | Marker::Footer { sectors } => sectors.saturating_add(1),
                Marker::Progress { .. } => 1,
                Marker::Unknown { kind } => {
                    let message = format!("a marker of unknown kind {kind}");
                    self.fatal(position, "marker", message);
                    return Ok(());
                }
            };
            position = position.saturating_add(sectors.saturating_mul(SECTOR));
        }
        self.fatal(
            self.window.len(),
            "end-of-stream",
            "the end-of-stream marker is missing (qemu-img leaves it out); VMware's tools reject the file's digest",
        );
        Ok(())
    }

    /// Notes a grain, which should come after all that were before.
    fn place(&mut self, sector: u64, position: u64) {
        if !sector.is_multiple_of(GRAIN_SECTORS) || sector >= self.capacity {
            let message = format!("a grain for sector {sector}, which no grain starts at");
            self.fatal(position, "grain-place", message);
            return;
        }
        if self.last.is_some_and(|last| sector <= last) {
            let message = format!("the grain of sector {sector} comes after a later one");
            self.problem(position, "grain-order", message, false);
        }
        self.last = Some(sector);
        let file_sector = (position / SECTOR) as u32;
        if self
            .grains
            .insert(sector / GRAIN_SECTORS, file_sector)
            .is_some()
        {
            let message = format!("the grain of sector {sector} is there twice");
            self.fatal(position, "grain-twice", message);
        }
    }

    fn end(&mut self, position: u64) {
        let beyond = self.window.len() - position - SECTOR;
        if beyond > 0 {
            let message = format!(
                "{beyond} bytes follow the end of the stream; VMware's tools reject the file's digest"
            );
            self.fatal(position + SECTOR, "end-of-stream", message);
        }
    }

    fn tables(&mut self, reader: &Reader) {
        let mut listed = 0;
        for (number, table) in reader.tables.iter().enumerate() {
            for (entry, sector) in table.iter().flat_map(|t| t.iter()).enumerate() {
                if *sector <= 1 {
                    continue;
                }
                listed += 1;
                let grain = (number * TABLE + entry) as u64;
                if self.grains.get(&grain) != Some(sector) {
                    let message =
                        format!("the table puts grain {grain} at sector {sector}, where it is not");
                    self.fatal(u64::from(*sector) * SECTOR, "table", message);
                }
            }
        }
        if listed < self.grains.len() {
            let message = format!(
                "the tables list {listed} grains, the file has {}",
                self.grains.len()
            );
            self.fatal(0, "table", message);
        }
    }

    fn descriptor(&mut self, text: &str) {
        if !text.contains("createType=\"streamOptimized\"") {
            let message = "the descriptor does not say `createType=\"streamOptimized\"`".to_owned();
            self.problem(SECTOR, "descriptor", message, false);
        }
        let extent = text
            .lines()
            .find_map(|line| line.strip_prefix("RW "))
            .and_then(|line| line.split(' ').next())
            .and_then(|sectors| sectors.parse::<u64>().ok());
        if extent != Some(self.capacity) {
            let message = match extent {
                Some(sectors) => format!(
                    "the descriptor's extent has {sectors} sectors, the header {}",
                    self.capacity
                ),
                None => "the descriptor names no extent".to_owned(),
            };
            self.fatal(SECTOR, "descriptor", message);
        }
    }
}
