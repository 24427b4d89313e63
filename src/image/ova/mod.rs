//! OVA packages: a descriptor, a manifest and disks in one tar file.
//!
//! [`pack()`] writes them in the order that every importer takes: `NAME.ovf`, `NAME.mf`, then the files in the descriptor's order,
//! as plain USTAR. A [`Package`] is read from an `.ova`, or from an `.ovf` with its files beside it.

mod archive;
mod grow;
mod hash;
mod inspect;
mod manifest;
mod pack;
mod sign;
mod signature;
mod unpack;
mod verify;
mod write;

use std::io;
use std::path::PathBuf;

use super::ovf::OvfError;
use crate::model::Size;

pub use archive::{Format, Member, Package};
pub use grow::grow;
pub use inspect::{DiskSummary, FileSummary, PropertySummary, Summary};
pub use manifest::{Manifest, ManifestEntry};
pub use pack::{ManifestPlace, PackFile, PackInput, PackedOva, aligned, pack};
pub use sign::{SignedOva, sign};
pub use signature::{SignError, Signer};
pub use unpack::UnpackLimits;
pub use verify::{Finding, Importer, Options, Report, Severity, SignatureReport};

/// Why a package could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OvaError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The package could not be written.
    #[error("cannot write the ova: {0}")]
    Write(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The descriptor is no good.
    #[error(transparent)]
    Ovf(#[from] OvfError),
    /// A file name that a package cannot hold.
    #[error("`{name}` is no name for a file in an ova: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The descriptor and the files do not fit together.
    #[error("the descriptor and the files differ: {0}")]
    Mismatch(String),
    /// Not a tar file, or a broken one.
    #[error("the ova is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// There is no descriptor in it.
    #[error("there is no .ovf in it")]
    NoDescriptor,
    /// It cannot be signed.
    #[error("it cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// What is wrong with it would be signed as well.
    #[error("it is not signed: {0}")]
    Unsound(String),
    /// More bytes than may be written.
    #[error("the files are {size} together, more than the {most} that may be unpacked")]
    TooLarge {
        /// What they have.
        size: Size,
        /// What they may have.
        most: Size,
    },
    /// A member that is not unpacked.
    #[error("`{name}` is not unpacked: {why}")]
    Unsafe {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
}

/// Checks a file's name: packages are flat, and what other systems cannot name is refused everywhere.
fn check_name(name: &str) -> Result<(), OvaError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > 100 {
        "it is longer than 100 bytes"
    } else if !name.is_ascii() || name.bytes().any(|b| b.is_ascii_control()) {
        "it has other characters than printable ASCII"
    } else if name.contains(['/', '\\', ':']) {
        "packages have no directories"
    } else if name.starts_with('.') {
        "it starts with a dot"
    } else {
        return Ok(());
    };
    Err(OvaError::Name {
        name: name.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests;
