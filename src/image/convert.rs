//! From one disk image to another.

use std::fs::File;
use std::io::{self, Write};

use super::source::BlockSource;
use super::{Progress, behind, qcow2, raw, vmdk};
use crate::model::{Digest, Size};
use crate::sys::Cancel;

/// What is written.
#[derive(Clone, Debug)]
pub enum Target {
    /// A stream-optimized VMDK.
    Vmdk(vmdk::WriteOptions),
    /// A sparse VMDK, for desktop products.
    VmdkSparse(vmdk::WriteOptions),
    /// A qcow2 image of one layer.
    Qcow2,
    /// The disk's bytes.
    Raw,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The disk's size in the new image.
    pub capacity: Size,
    /// Bytes in blocks that hold something else than zeros, where the format knows it.
    pub populated: Option<Size>,
    /// The file's digest, where it was written from beginning to end.
    pub digest: Option<Digest>,
}

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The source could not be read: it is damaged, or its file system is.
    #[error("cannot read the disk: {0}")]
    Read(#[source] io::Error),
    /// The new image could not be written.
    #[error("{0}")]
    Write(#[source] io::Error),
    /// The format cannot hold the disk.
    #[error("{0}")]
    Unfit(String),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Writes `source` to the empty file `out`, and on to the storage as it goes: to make it durable then takes little more.
pub fn to_file(
    source: &dyn BlockSource,
    target: &Target,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Converted, ConvertError> {
    behind::run(out, progress, |progress| {
        fill(source, target, out, progress, cancel)
    })
    .map_err(ConvertError::Write)?
}

fn fill(
    source: &dyn BlockSource,
    target: &Target,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Converted, ConvertError> {
    match target {
        Target::Vmdk(_) => to_stream(
            source,
            target,
            &mut io::BufWriter::with_capacity(1 << 20, out),
            progress,
            cancel,
        ),
        Target::VmdkSparse(options) => {
            let written = vmdk::write_sparse(source, options, out, progress, cancel)?;
            Ok(Converted {
                capacity: written.capacity,
                populated: Some(written.populated),
                digest: None,
            })
        }
        Target::Qcow2 => Ok(Converted {
            capacity: Size::from_bytes(source.size()),
            populated: Some(qcow2::write(source, out, progress, cancel)?),
            digest: None,
        }),
        Target::Raw => {
            raw::write(source, out, progress, cancel)?;
            Ok(plain(source))
        }
    }
}

/// Writes `source` to `out` in one pass; a sparse VMDK and a qcow2 image cannot be.
pub fn to_stream(
    source: &dyn BlockSource,
    target: &Target,
    out: &mut dyn Write,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Converted, ConvertError> {
    match target {
        Target::Vmdk(options) => {
            let info = vmdk::write(source, options, out, progress, cancel)?;
            Ok(Converted {
                capacity: info.capacity,
                populated: Some(info.populated),
                digest: Some(info.digest),
            })
        }
        Target::Raw => {
            raw::stream(source, out, progress, cancel)?;
            Ok(plain(source))
        }
        Target::VmdkSparse(_) | Target::Qcow2 => Err(ConvertError::Unfit(
            "its tables stand before its data, so it cannot be written to a pipe".into(),
        )),
    }
}

fn plain(source: &dyn BlockSource) -> Converted {
    Converted {
        capacity: Size::from_bytes(source.size()),
        populated: None,
        digest: None,
    }
}

/// What a disk's content id is made from: its size and its beginning, where partition tables and file systems have ids of their
/// own. The same disk has the same identity, whatever its format.
pub fn identity(source: &dyn BlockSource) -> io::Result<Digest> {
    let mut start = vec![0; usize::try_from(source.size().min(BEGINNING)).unwrap_or(0)];
    source.read_at(&mut start, 0)?;
    // Formats round sizes up, with zeros.
    let end = start
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    start.truncate(end);
    start.extend(source.size().next_multiple_of(64 << 10).to_le_bytes());
    Ok(Digest::of(&start))
}

const BEGINNING: u64 = 4 << 20;

impl From<vmdk::VmdkError> for ConvertError {
    fn from(error: vmdk::VmdkError) -> Self {
        use vmdk::VmdkError as E;
        match error {
            E::Read(e) => Self::Read(e),
            E::Write(e) => Self::Write(e),
            E::Cancelled => Self::Cancelled,
            other => Self::Unfit(other.to_string()),
        }
    }
}

impl From<raw::RawError> for ConvertError {
    fn from(error: raw::RawError) -> Self {
        match error {
            raw::RawError::Read(e) => Self::Read(e),
            raw::RawError::Write(e) => Self::Write(e),
            raw::RawError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<qcow2::WriteError> for ConvertError {
    fn from(error: qcow2::WriteError) -> Self {
        match error {
            qcow2::WriteError::Read(e) => Self::Read(e),
            qcow2::WriteError::Write(e) => Self::Write(e),
            qcow2::WriteError::Cancelled => Self::Cancelled,
            other @ qcow2::WriteError::TooLarge(_) => Self::Unfit(other.to_string()),
        }
    }
}
