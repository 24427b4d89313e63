//! Reads disks that are chains of qcow2 layers, without QEMU and without a flat copy.
//!
//! Layers are given explicitly, the base first ([`Chain::open`]), or found by what their headers name ([`Chain::follow`]). Read are
//! versions 2 and 3 with plain, zero and compressed clusters (deflate, zstd) of any size; whatever changes the meaning of the
//! data (encryption, an external data file, extended tables, an unknown feature) is refused. [`write()`] makes an image of one layer.

mod check;
mod header;
mod layer;
mod write;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{BlockSource, RawDisk, Window};
pub use check::check;
use header::Backing;
pub(super) use header::MAGIC;
use layer::{Layer, Piece};
pub use write::{WriteError, write};

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
    /// What an image is laid over cannot be read.
    #[error("{} is laid over `{backing}`: {what}", path.display())]
    Backing {
        /// The image.
        path: PathBuf,
        /// What its header names.
        backing: String,
        /// Why it cannot be read.
        what: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// No layers.
    #[error("a disk needs at least one layer")]
    Empty,
}

/// A disk as a chain of layers.
#[derive(Clone)]
pub struct Chain {
    /// The top first.
    layers: Vec<Layer>,
    /// A base of another format.
    base: Option<Arc<dyn BlockSource>>,
    files: Vec<PathBuf>,
}

/// More layers than this are a mistake.
const MOST: usize = 256;

impl Chain {
    /// Opens the layers, the base first; what their headers name as backing files is not looked at.
    pub fn open(layers: &[PathBuf]) -> Result<Self, Qcow2Error> {
        let mut opened = Vec::new();
        for path in layers {
            opened.push(open_layer(path)?);
        }
        match opened.first() {
            None => return Err(Qcow2Error::Empty),
            Some(base) => {
                if let Some(backing) = base.backing() {
                    return Err(Qcow2Error::Incomplete {
                        path: layers[0].clone(),
                        backing: backing.name.clone(),
                    });
                }
            }
        }
        opened.reverse();
        Ok(Self {
            layers: opened,
            base: None,
            files: layers.iter().rev().cloned().collect(),
        })
    }

    /// Opens the image at `top` and all that it is laid over, as the headers name it. Use it for images of people one trusts:
    /// a header may name any file.
    pub fn follow(top: &Path) -> Result<Self, Qcow2Error> {
        let mut chain = Self {
            layers: Vec::new(),
            base: None,
            files: vec![top.to_owned()],
        };
        let mut path = top.to_owned();
        loop {
            let layer = open_layer(&path)?;
            let backing = layer.backing().cloned();
            chain.layers.push(layer);
            let Some(backing) = backing else {
                return Ok(chain);
            };
            let wrong = |what: String| Qcow2Error::Backing {
                path: path.clone(),
                backing: backing.name.clone(),
                what,
            };
            let below = beside(&path, &backing).map_err(wrong)?;
            if chain.files.len() >= MOST || chain.files.contains(&below) {
                return Err(wrong("the chain has no end".into()));
            }
            let window = Window::open(&below).map_err(|e| wrong(e.to_string()))?;
            chain.files.push(below.clone());
            let is_qcow2 = is_qcow2(&window, &backing).map_err(wrong)?;
            if !is_qcow2 {
                chain.base = Some(Arc::new(RawDisk::new(window)));
                return Ok(chain);
            }
            path = below;
        }
    }

    /// The files, the top first.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where the byte at `offset` comes from, and how far that holds.
    fn find(&self, offset: u64) -> io::Result<(Found<'_>, u64)> {
        let mut end = self.size();
        for layer in &self.layers {
            let (piece, until) = layer.find(offset)?;
            end = end.min(until);
            match piece {
                Piece::Below => {}
                Piece::Zero => return Ok((Found::Zero, end)),
                data => return Ok((Found::In(layer, data), end)),
            }
        }
        let Some(base) = &self.base else {
            return Ok((Found::Zero, end));
        };
        Ok(match base.next_data(offset)? {
            Some(run) if run.start <= offset => (Found::Base(base.as_ref()), end.min(run.end)),
            Some(run) => (Found::Zero, end.min(run.start)),
            None => (Found::Zero, end),
        })
    }
}

/// Where a byte of a chain is.
enum Found<'a> {
    Zero,
    In(&'a Layer, Piece),
    Base(&'a dyn BlockSource),
}

fn open_layer(path: &Path) -> Result<Layer, Qcow2Error> {
    let window = Window::open(path).map_err(|source| Qcow2Error::Io {
        path: path.to_owned(),
        source,
    })?;
    Layer::open(path, window)
}

/// The file that a backing name means: it stands beside the image that names it, unless it is absolute.
fn beside(image: &Path, backing: &Backing) -> Result<PathBuf, String> {
    let name = backing.name.strip_prefix("file:").unwrap_or(&backing.name);
    let scheme = name.split_once(':').map(|(scheme, _)| scheme);
    if scheme
        .is_some_and(|s| s.len() > 1 && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
    {
        return Err("only files are read".into());
    }
    Ok(image.parent().unwrap_or(Path::new("")).join(name))
}

fn is_qcow2(window: &Window, backing: &Backing) -> Result<bool, String> {
    match backing.format.as_deref() {
        Some("qcow2") => Ok(true),
        Some("raw") => Ok(false),
        Some(other) => Err(format!(
            "its format is `{other}`, and only qcow2 and raw are read there"
        )),
        None => {
            let mut magic = [0; 4];
            let n = window.len().min(4) as usize;
            window
                .read_exact_at(&mut magic[..n], 0)
                .map_err(|e| e.to_string())?;
            Ok(&magic == MAGIC)
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("files", &self.files)
            .finish_non_exhaustive()
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
            let (found, end) = self.find(start)?;
            if matches!(found, Found::Zero) {
                start = end;
                continue;
            }
            let mut run_end = end;
            while run_end < size && run_end - start < LONGEST_RUN {
                match self.find(run_end)? {
                    (Found::Zero, _) => break,
                    (_, end) => run_end = end,
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
            let (found, end) = self.find(at)?;
            let left = buffer.len() - done;
            let n = usize::try_from(end - at).map_or(left, |run| run.min(left));
            let target = &mut buffer[done..done + n];
            match found {
                Found::Zero => target.fill(0),
                Found::In(layer, piece) => layer.read(target, at, piece, &mut scratch)?,
                Found::Base(base) => base.read_at(target, at)?,
            }
            done += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
