//! Reads disks that are chains of qcow2 layers, without QEMU and without a flat copy.
//!
//! The layers are given explicitly, the base first; what a layer's header names as its backing file is not followed. Read are
//! versions 2 and 3 with plain, zero and deflated clusters of any size; whatever changes the meaning of the data (encryption,
//! an external data file, extended tables, an unknown feature) is refused.

mod layer;

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::source::{BlockSource, Window};
pub(super) use layer::MAGIC;
use layer::{Layer, Piece};

/// Why a chain of layers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// A layer could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The layer.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a qcow2 image, or one with a feature that is not read here.
    #[error("{}: not a qcow2 image that can be read: {what}", path.display())]
    Kind {
        /// The layer.
        path: PathBuf,
        /// What it has.
        what: String,
    },
    /// Its tables make no sense.
    #[error("{}: the qcow2 image is damaged: {what}", path.display())]
    Damaged {
        /// The layer.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The base needs another layer below it.
    #[error("{}: the base of the chain needs `{backing}` below it", path.display())]
    Incomplete {
        /// The base.
        path: PathBuf,
        /// What its header names.
        backing: String,
    },
    /// No layers.
    #[error("a disk needs at least one layer")]
    Empty,
}

/// A disk as a chain of layers.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The top first.
    layers: Vec<Layer>,
}

impl Chain {
    /// Opens the layers, the base first.
    pub fn open(layers: &[PathBuf]) -> Result<Self, Qcow2Error> {
        let mut opened = Vec::new();
        for path in layers {
            let window = Window::open(path).map_err(|source| Qcow2Error::Io {
                path: path.clone(),
                source,
            })?;
            opened.push(Layer::open(path, window)?);
        }
        match opened.first() {
            None => return Err(Qcow2Error::Empty),
            Some(base) => {
                if let Some(backing) = base.backing() {
                    return Err(Qcow2Error::Incomplete {
                        path: layers[0].clone(),
                        backing: backing.to_owned(),
                    });
                }
            }
        }
        opened.reverse();
        Ok(Self { layers: opened })
    }

    /// Where the byte at `offset` comes from, and how far that holds.
    fn find(&self, offset: u64) -> (Option<(&Layer, Piece)>, u64) {
        let mut end = self.size();
        for layer in &self.layers {
            let (piece, until) = layer.find(offset);
            end = end.min(until);
            match piece {
                Piece::Below => {}
                Piece::Zero => return (None, end),
                data => return (Some((layer, data)), end),
            }
        }
        (None, end)
    }
}

/// Runs of data are told apart at this size at the latest, so that they are found while others are read.
const LONGEST_RUN: u64 = 64 << 20;

impl BlockSource for Chain {
    fn size(&self) -> u64 {
        self.layers.first().map_or(0, Layer::size)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let size = self.size();
        let mut start = from;
        while start < size {
            let (piece, end) = self.find(start);
            if piece.is_none() {
                start = end;
                continue;
            }
            let mut run_end = end;
            while run_end < size && run_end - start < LONGEST_RUN {
                match self.find(run_end) {
                    (Some(_), end) => run_end = end,
                    (None, _) => break,
                }
            }
            return Ok(Some(start..run_end));
        }
        Ok(None)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        let mut scratch = layer::Scratch::default();
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            if at >= self.size() {
                buffer[done..].fill(0);
                return Ok(());
            }
            let (piece, end) = self.find(at);
            let left = buffer.len() - done;
            let n = usize::try_from(end - at).map_or(left, |run| run.min(left));
            let target = &mut buffer[done..done + n];
            match piece {
                None => target.fill(0),
                Some((layer, piece)) => layer.read(target, at, piece, &mut scratch)?,
            }
            done += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
