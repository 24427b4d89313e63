//! VMDK disks, the stream-optimized kind that appliances carry.
//!
//! ```text
//! header │ descriptor │ pad to 64 KiB │ (marker, compressed grain)… │ tables │ … │ directory │ footer │ end of stream
//! ```
//!
//! A grain is 64 KiB of disk; one of zeros is left out. [`write()`] makes one sequential pass, so that it can feed a file, a tar
//! stream or an upload; the tables therefore follow their grains and the header points to a footer. The file ends exactly with
//! the end-of-stream marker: VMware's tools digest up to it, and reject a file that goes on or has none (as `qemu-img` leaves
//! it). [`Reader`] takes this form and the one with tables in front; [`check()`] looks at everything.

mod check;
mod header;
mod read;
mod write;

use std::io;

use crate::model::Size;

pub use check::{CheckReport, Problem, check};
pub use read::{Info, Reader};
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
    #[error("a disk of {0} is too large for a stream-optimized vmdk")]
    TooLarge(Size),
    /// Not a VMDK, or not a kind that is read here.
    #[error("not a stream-optimized vmdk: {0}")]
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
