//! VMDK disks: the stream-optimized kind that appliances carry, and the others that are one's working disks.
//!
//! ```text
//! header │ descriptor │ pad to 64 KiB │ (marker, compressed grain)… │ tables │ … │ directory │ footer │ end of stream
//! ```
//!
//! A grain is 64 KiB of disk; one of zeros is left out. [`write()`] makes one sequential pass, so that it can feed a file, a tar
//! stream or an upload; the tables therefore follow their grains and the header points to a footer. The file ends exactly with
//! the end-of-stream marker: VMware's tools digest up to it, and reject a file that goes on or has none (as `qemu-img` leaves
//! it). [`Reader`] takes this form and the one with tables in front; [`check()`] looks at everything.
//!
//! A sparse VMDK ([`write_sparse()`]) has the same tables, before its grains and twice, and grains as they are. A disk may also be
//! a descriptor that names the files with its content, flat or sparse: [`Extents`].

mod check;
mod descriptor;
mod extents;
mod header;
mod read;
mod sparse;
mod tables;
mod write;

use std::io;

use crate::model::Size;

pub use check::{CheckReport, Problem, check, check_sparse, is_stream};
pub use descriptor::{Descriptor, Extent, ExtentKind};
pub use extents::Extents;
pub use read::{Info, Reader};
pub use sparse::{Written, write_sparse};
pub use write::{Adapter, VmdkInfo, WriteOptions, write};

/// Why a VMDK could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum VmdkError {
    /// The source or the file could not be read.
    #[error("cannot read the disk: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write the vmdk: {0}")]
    Write(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The deflate level does not exist.
    #[error("compression level {0} is not between 1 and 12")]
    Level(u32),
    /// The disk or its compressed form goes beyond what the format can address.
    #[error("a disk of {0} is too large for a vmdk, which ends at 62TiB")]
    TooLarge(Size),
    /// Not a VMDK, or not a kind that is read here.
    #[error("not a vmdk that can be read: {0}")]
    Kind(String),
    /// It is one, but something in it is wrong.
    #[error("the vmdk is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// How VMDKs begin: with a header, as a descriptor, or as ESX's own sparse kind, which is only recognized.
pub(super) const MAGICS: [&[u8]; 3] = [b"KDMV", header::DESCRIPTOR_START, b"COWD"];

/// Why a snapshot's disk is refused.
pub(super) const HAS_PARENT: &str =
    "it holds only what differs from another disk (a snapshot's); merge the snapshots first";

impl VmdkError {
    fn damaged(offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            offset,
            what: what.into(),
        }
    }
}

#[cfg(test)]
mod tests;
