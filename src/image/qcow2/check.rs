//! Looks at a qcow2 image and all that it is laid over: tables, clusters, refcounts.

use std::io;
use std::path::{Path, PathBuf};

use super::header::{OFFSET, get64};
use super::layer::{COMPRESSED, Layer, Piece, Scratch};
use super::{BlockSource as _, Chain, Qcow2Error};
use crate::image::Progress;
use crate::image::bits::Bits;
use crate::image::vmdk::{CheckReport, Problem};
use crate::model::Size;
use crate::sys::Cancel;

/// More problems than this say nothing new.
const ENOUGH: usize = 20;

/// Reads all tables and all compressed clusters of the image at `path` and of the qcow2 images below it; each cluster must lie
/// within its file, in a place of its own, and be counted. `progress` counts bytes of the files.
pub fn check(
    path: &Path,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<CheckReport, Qcow2Error> {
    let chain = Chain::follow(path)?;
    let mut problems = Vec::new();
    let mut populated = 0;
    let many = chain.layers.len() > 1;
    for (layer, path) in chain.layers.iter().zip(&chain.files) {
        let mut scan = Scan {
            layer,
            used: Bits::new((layer.window().len() >> layer.header().cluster_bits) + 1),
            prefix: if many {
                format!("{}: ", path.display())
            } else {
                String::new()
            },
            clusters: 0,
            problems: Vec::new(),
        };
        scan.run(progress, cancel).map_err(|stop| match stop {
            Stop::Cancelled => Qcow2Error::Cancelled,
            Stop::Io(source) => io_error(path, source),
        })?;
        populated += scan.clusters << layer.header().cluster_bits;
        problems.append(&mut scan.problems);
    }
    Ok(CheckReport {
        capacity: Size::from_bytes(chain.size()),
        populated: Size::from_bytes(populated),
        problems,
    })
}

fn io_error(path: &Path, source: io::Error) -> Qcow2Error {
    Qcow2Error::Io {
        path: PathBuf::from(path),
        source,
    }
}

enum Stop {
    Cancelled,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Scan<'a> {
    layer: &'a Layer,
    used: Bits,
    /// Names the file where there are several.
    prefix: String,
    clusters: u64,
    problems: Vec<Problem>,
}

impl Scan<'_> {
    fn problem(&mut self, offset: u64, code: &'static str, message: &str, fatal: bool) {
        if self.problems.len() < ENOUGH {
            self.problems.push(Problem {
                offset,
                code,
                message: format!("{}{message}", self.prefix),
                fatal,
            });
        }
    }

    const fn bits(&self) -> u32 {
        self.layer.header().cluster_bits
    }

    /// Takes clusters for something; they must lie within the file and belong to nothing else.
    fn take(&mut self, place: u64, bytes: u64, what: &str) {
        let cluster = 1 << self.bits();
        if !place.is_multiple_of(cluster) {
            let message = format!("{what} does not begin with a cluster");
            self.problem(place, "cluster", &message, true);
            return;
        }
        if place >= self.layer.window().len() {
            let message = format!("{what} lies beyond the end of the file");
            self.problem(place, "cluster", &message, true);
            return;
        }
        for number in place >> self.bits()..(place + bytes).div_ceil(cluster) {
            if self.used.set(number) {
                let message = format!("{what} shares its cluster with something else");
                self.problem(number << self.bits(), "cluster-twice", &message, true);
            }
        }
    }

    fn run(&mut self, progress: Progress<'_>, cancel: &Cancel) -> Result<(), Stop> {
        self.take(0, 1, "the header");
        let header = self.layer.header();
        let (place, bytes) = (header.l1_place, u64::from(header.l1_entries) * 8);
        if bytes > 0 {
            self.take(place, bytes, "the first table");
        }
        let mut scratch = Scratch::default();
        let mut cluster = vec![0; 1 << self.bits()];
        // Compressed clusters share theirs, so they are noted last.
        let mut shared = Vec::new();
        for (number, place) in self.layer.tables().iter().enumerate() {
            if *place == 0 {
                continue;
            }
            if cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            self.take(*place, 1, "a table");
            let Some(entries) = self.layer.table(number as u64)? else {
                continue;
            };
            for (index, entry) in entries.iter().enumerate() {
                if entry & COMPRESSED != 0 {
                    self.clusters += 1;
                    let (place, bytes) = self.layer.packed(*entry);
                    shared.push((place, bytes));
                    let virtual_place = ((number << (self.bits() - 3)) + index) as u64;
                    let piece = Piece::Packed(*entry);
                    let read = self.layer.read(
                        &mut cluster,
                        virtual_place << self.bits(),
                        piece,
                        &mut scratch,
                    );
                    if let Err(error) = read {
                        self.problem(place, "cluster", &error.to_string(), true);
                    }
                } else if entry & OFFSET != 0 {
                    self.clusters += 1;
                    self.take(entry & OFFSET, 1, "a cluster");
                }
                progress(self.clusters << self.bits());
            }
        }
        for (place, bytes) in shared {
            let end = (place + bytes).min(self.layer.window().len());
            for number in place >> self.bits()..end.div_ceil(1 << self.bits()) {
                self.used.set(number);
            }
        }
        if header.snapshots == 0 {
            self.refcounts()?;
        }
        Ok(())
    }

    /// What is used must be counted, or QEMU writes over it; what is counted and not used is only wasted.
    fn refcounts(&mut self) -> Result<(), Stop> {
        let header = self.layer.header();
        let ((place, clusters), order) = (header.refcounts, header.refcount_order);
        let bytes = u64::from(clusters) << self.bits();
        let table = self
            .layer
            .window()
            .part(place, bytes)
            .filter(|_| order <= 6 && bytes <= 64 << 20);
        let Some(table) = table else {
            self.problem(
                place,
                "refcounts",
                "the refcounts do not lie within the file",
                true,
            );
            return Ok(());
        };
        self.take(place, bytes, "the refcounts");
        let blocks: Vec<u64> = table
            .read_all(bytes)?
            .chunks_exact(8)
            .map(|e| get64(e, 0))
            .collect();
        for block in blocks.iter().filter(|block| **block > 0) {
            self.take(*block, 1, "the refcounts");
        }
        let (uncounted, wasted) = self.count(&blocks, order)?;
        if uncounted > 0 {
            let message = format!(
                "{uncounted} clusters are used but not counted; QEMU would write over them"
            );
            self.problem(place, "refcounts", &message, true);
        }
        if wasted > 0 {
            let message =
                format!("{wasted} clusters are counted but not used; they only take room");
            self.problem(place, "leak", &message, false);
        }
        Ok(())
    }

    /// How many clusters are used but not counted, and the other way round.
    fn count(&self, blocks: &[u64], order: u32) -> Result<(u64, u64), Stop> {
        let cluster = 1_u64 << self.bits();
        let per_block = (cluster * 8) >> order;
        let last = self.layer.window().len().div_ceil(cluster);
        let (mut uncounted, mut wasted) = (0_u64, 0_u64);
        for first in (0..last).step_by(per_block as usize) {
            let block = blocks
                .get((first / per_block) as usize)
                .copied()
                .unwrap_or(0);
            let counts = match self.layer.window().part(block, cluster) {
                Some(part) if block > 0 => part.read_all(cluster)?,
                _ => vec![0; cluster as usize],
            };
            for number in first..last.min(first + per_block) {
                match (
                    self.used.has(number),
                    counted(&counts, number - first, order),
                ) {
                    (true, false) => uncounted += 1,
                    (false, true) => wasted += 1,
                    _ => {}
                }
            }
        }
        Ok((uncounted, wasted))
    }
}

/// Whether the refcount `index`, of 2^`order` bits, is not zero.
fn counted(counts: &[u8], index: u64, order: u32) -> bool {
    let index = index as usize;
    if order < 3 {
        let bits = 1_usize << order;
        let byte = counts[index * bits / 8];
        return byte >> (index * bits % 8) & ((1 << bits) - 1) as u8 != 0;
    }
    let bytes = 1_usize << (order - 3);
    counts[index * bytes..(index + 1) * bytes]
        .iter()
        .any(|b| *b != 0)
}
