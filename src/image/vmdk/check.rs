//! Looks at every byte of a stream-optimized VMDK, in the file's order, and compares the tables with what it found.

use libdeflater::Decompressor;

use super::VmdkError;
use super::header::{GRAIN, GRAIN_SECTORS, Header, Marker, SECTOR};
use super::read::{MAX_PACKED, Reader, read, sector_at, unpack};
use crate::image::Progress;
use crate::image::bits::Bits;
use crate::image::source::{BlockSource as _, Window};
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

/// Reads all of a stream-optimized VMDK: markers, every grain's content, tables, footer, end of stream. An error means that it
/// could not be looked at (unreadable, or no stream-optimized VMDK at all); damage is in the report. `progress` counts bytes of
/// the file.
pub fn check(
    window: &Window,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<CheckReport, VmdkError> {
    let header = Header::decode(&sector_at(window, 0)?)?;
    if !header.compressed() {
        return Err(VmdkError::Kind(
            "its grains are not compressed: this is a sparse vmdk, not a stream-optimized one"
                .into(),
        ));
    }
    look(window, &header, &mut |scan| {
        scan.grains(header.overhead.saturating_mul(SECTOR), progress, cancel)
    })
}

/// Looks at a sparse VMDK's tables, whose grains have no markers: each grain lies within the file, in a place of its own.
pub fn check_sparse(
    window: &Window,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<CheckReport, VmdkError> {
    let header = Header::decode(&sector_at(window, 0)?)?;
    look(window, &header, &mut |scan| scan.plain(progress, cancel))
}

/// Whether a VMDK with a header is stream-optimized, or sparse.
pub fn is_stream(window: &Window) -> Result<bool, VmdkError> {
    Ok(Header::decode(&sector_at(window, 0)?)?.compressed())
}

fn look(
    window: &Window,
    header: &Header,
    grains: &mut dyn FnMut(&mut Scan<'_>) -> Result<(), VmdkError>,
) -> Result<CheckReport, VmdkError> {
    let reader = Reader::open(window.clone());
    let mut scan = Scan {
        window,
        capacity: header.capacity,
        reader: reader.as_ref().ok(),
        grains: 0,
        matched: 0,
        last: None,
        problems: Vec::new(),
    };
    scan.header(header);
    grains(&mut scan)?;
    scan.tables();
    let (grains, mut problems) = (scan.grains, scan.problems);
    let problem = |offset, code, message| Problem {
        offset,
        code,
        message,
        fatal: true,
    };
    match reader {
        Ok(_) => {}
        Err(VmdkError::Damaged { offset, what }) => problems.push(problem(offset, "tables", what)),
        Err(VmdkError::Kind(what)) => problems.push(problem(window.len(), "footer", what)),
        Err(other) => return Err(other),
    }
    Ok(CheckReport {
        capacity: Size::from_bytes(header.capacity * SECTOR),
        populated: Size::from_bytes(grains * GRAIN as u64),
        problems,
    })
}

struct Scan<'a> {
    window: &'a Window,
    /// In sectors.
    capacity: u64,
    /// What the tables say, if they can be read.
    reader: Option<&'a Reader>,
    /// Grains found.
    grains: u64,
    /// Of those, how many the tables have at the same place.
    matched: u64,
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
        if header.compressed() && header.version != 3 {
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
        if header.compressed() && !header.capacity.is_multiple_of(GRAIN_SECTORS) {
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
                    self.place(sector, position)?;
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
    fn place(&mut self, sector: u64, position: u64) -> Result<(), VmdkError> {
        if !sector.is_multiple_of(GRAIN_SECTORS) || sector >= self.capacity {
            let message = format!("a grain for sector {sector}, which no grain starts at");
            self.fatal(position, "grain-place", message);
            return Ok(());
        }
        if self.last.is_some_and(|last| sector <= last) {
            let message = format!("the grain of sector {sector} comes after a later one");
            self.problem(position, "grain-order", message, false);
        }
        self.last = Some(sector);
        self.grains += 1;
        let grain = sector / GRAIN_SECTORS;
        let listed = match self.reader {
            Some(reader) => reader.tables.grain(grain)?,
            None => return Ok(()),
        };
        match listed.map(u64::from) {
            Some(place) if place * SECTOR == position => self.matched += 1,
            Some(place) => {
                let message = format!(
                    "the table puts grain {grain} at sector {place}, not here where one of that number is"
                );
                self.fatal(position, "table", message);
            }
            None => {
                let message = format!("grain {grain} is in no table");
                self.fatal(position, "table", message);
            }
        }
        Ok(())
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

    fn plain(&mut self, progress: Progress<'_>, cancel: &Cancel) -> Result<(), VmdkError> {
        let Some(reader) = self.reader else {
            return Ok(());
        };
        let size = GRAIN as u64;
        let mut taken = Bits::new(self.window.len() / size);
        let mut from = 0;
        while let Some(run) = reader.next_data(from).map_err(VmdkError::Read)? {
            if cancel.is_cancelled() {
                return Err(VmdkError::Cancelled);
            }
            for grain in run.start / size..run.end.div_ceil(size) {
                let Some(sector) = reader.tables.grain(grain)? else {
                    continue;
                };
                let place = u64::from(sector) * SECTOR;
                self.grains += 1;
                self.matched += 1;
                if place + size.min(reader.size() - grain * size) > self.window.len() {
                    let message = format!("grain {grain} lies beyond the end of the file");
                    self.fatal(place, "grain", message);
                    continue;
                }
                let before = taken.set(place / size);
                if before && place.is_multiple_of(size) {
                    let message = format!("grain {grain} shares its place with another one");
                    self.fatal(place, "grain-twice", message);
                }
            }
            progress(self.window.len().min(run.end));
            from = run.end;
        }
        Ok(())
    }

    /// Compares the number of grains, and the descriptor.
    fn tables(&mut self) {
        let Some(reader) = self.reader else {
            return;
        };
        let listed = reader.tables.listed;
        if listed != self.matched {
            let message = format!(
                "the tables list {listed} grains, {} of them are where they say",
                self.matched
            );
            self.fatal(0, "table", message);
        }
        let info = reader.info();
        self.descriptor(&info.descriptor, info.compressed);
    }

    fn descriptor(&mut self, text: &str, compressed: bool) {
        if compressed && !text.contains("createType=\"streamOptimized\"") {
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
