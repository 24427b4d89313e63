//! Any disk image that can be read, whatever its format.

mod packed;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Progress;
use super::qcow2::{self, Qcow2Error};
use super::source::{BlockSource, RawDisk, Window};
use super::vmdk::{self, CheckReport, Descriptor, Problem, VmdkError};
use crate::model::Size;
use crate::sys::Cancel;

pub use packed::Packed;

/// The format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's.
    Vmdk,
}

/// Why a disk image could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An image of a format that is not read here.
    #[error("{}: {what}", path.display())]
    Foreign {
        /// The image.
        path: PathBuf,
        /// What it is, and what reads it.
        what: String,
    },
    /// Trouble with a qcow2 image.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// Trouble with a VMDK.
    #[error("{}: {source}", path.display())]
    Vmdk {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        source: VmdkError,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// What [`check`] found.
#[derive(Clone, Debug)]
pub struct DiskReport {
    /// The image's format.
    pub format: DiskFormat,
    /// The disk's size.
    pub capacity: Size,
    /// Bytes of data that the tables list; for a raw disk what is no hole.
    pub populated: Size,
    /// Everything that is wrong; empty for a good image.
    pub problems: Vec<Problem>,
}

/// An opened image.
pub struct DiskImage {
    /// Its format.
    pub format: DiskFormat,
    /// The disk's content.
    pub source: Box<dyn BlockSource>,
    /// What it is made of: the image, then what it is laid over or what its descriptor names.
    pub files: Vec<PathBuf>,
    /// What is special to VMDKs.
    pub vmdk: Option<VmdkFacts>,
    /// The member of the appliance that it is; none for a file of its own.
    pub member: Option<Packed>,
}

/// What a VMDK says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct VmdkFacts {
    /// `streamOptimized`, `monolithicSparse`, `monolithicFlat`, …
    pub create_type: Option<String>,
    /// The content's id.
    pub cid: Option<String>,
    /// The parent's content's id; `ffffffff` where there is none.
    pub parent_cid: Option<String>,
    /// What the disk hangs on.
    pub adapter: Option<String>,
    /// The header's version; none for a descriptor on its own.
    pub version: Option<u32>,
    /// Whether the tables follow the grains; none for a descriptor on its own.
    pub tables_at_end: Option<bool>,
    /// Grains of 64 KiB that are there; none for a descriptor on its own.
    pub grains: Option<u64>,
    /// Whether grains are deflated.
    pub compressed: bool,
}

fn start_of(window: &Window) -> io::Result<[u8; 1024]> {
    let mut start = [0; 1024];
    let n = window.len().min(1024) as usize;
    window.read_exact_at(&mut start[..n], 0)?;
    Ok(start)
}

/// The format of an image, by its first bytes; what is nothing else is raw.
fn detect_in(window: &Window) -> io::Result<DiskFormat> {
    let start = start_of(window)?;
    Ok(if start.starts_with(qcow2::MAGIC) {
        DiskFormat::Qcow2
    } else if vmdk::MAGICS.iter().any(|magic| start.starts_with(magic)) {
        DiskFormat::Vmdk
    } else {
        DiskFormat::Raw
    })
}

/// Formats that would otherwise pass for raw disks, which nobody wants.
fn foreign(window: &Window) -> io::Result<Option<&'static str>> {
    let start = start_of(window)?;
    let word = |at: usize, magic: &[u8]| start[at..].starts_with(magic);
    let mut tail = [0; 8];
    if window.len() >= 1024 {
        window.read_exact_at(&mut tail, window.len() - 512)?;
    }
    Ok(if word(0, b"vhdxfile") {
        Some("this is a VHDX, which is not read here; `qemu-img convert` makes a raw disk of it")
    } else if word(0, b"conectix") || &tail == b"conectix" {
        Some("this is a VHD, which is not read here; `qemu-img convert` makes a raw disk of it")
    } else if word(64, &[0x7f, 0x10, 0xda, 0xbe]) {
        Some("this is a VDI, which is not read here; `qemu-img convert` makes a raw disk of it")
    } else if word(0, b"QED\0") {
        Some(
            "this is a QED image, which is not read here; `qemu-img convert` makes a raw disk of it",
        )
    } else if word(257, b"ustar") {
        Some("this is a tar file, such as an OVA; `forge ova unpack` takes its disks out")
    } else if word(0, &[0x1f, 0x8b]) {
        Some("this is compressed with gzip; unpack it first")
    } else if word(0, &[0xfd, b'7', b'z', b'X', b'Z']) {
        Some("this is compressed with xz; unpack it first")
    } else if word(0, &[0x28, 0xb5, 0x2f, 0xfd]) {
        Some("this is compressed with zstd; unpack it first")
    } else {
        None
    })
}

/// Opens an image of any format with all that it is made of: for a qcow2 image what it is laid over, for a descriptor what it
/// names. An image may thus name other files of its user's; open those of strangers with care.
pub fn open(path: &Path) -> Result<DiskImage, DiskError> {
    let failed = |source| DiskError::Io {
        path: path.to_owned(),
        source,
    };
    let window = Window::open(path).map_err(failed)?;
    let format = detect_in(&window).map_err(failed)?;
    match format {
        DiskFormat::Raw => open_raw(path, window),
        DiskFormat::Qcow2 => {
            let chain = qcow2::Chain::follow(path)?;
            Ok(DiskImage {
                format,
                files: chain.files().to_vec(),
                source: Box::new(chain),
                vmdk: None,
                member: None,
            })
        }
        DiskFormat::Vmdk => open_vmdk(path, window).map_err(of_vmdk(path)),
    }
}

fn open_raw(path: &Path, window: Window) -> Result<DiskImage, DiskError> {
    let path = path.to_owned();
    match foreign(&window) {
        Err(source) => Err(DiskError::Io { path, source }),
        Ok(Some(what)) => Err(DiskError::Foreign {
            path,
            what: what.into(),
        }),
        Ok(None) => Ok(DiskImage {
            format: DiskFormat::Raw,
            source: Box::new(RawDisk::new(window)),
            files: vec![path],
            vmdk: None,
            member: None,
        }),
    }
}

fn of_vmdk(path: &Path) -> impl FnOnce(VmdkError) -> DiskError {
    let path = path.to_owned();
    move |error| match error {
        VmdkError::Cancelled => DiskError::Cancelled,
        source => DiskError::Vmdk { path, source },
    }
}

/// Looks at every table and every byte of data of the image at `path`, of all files that it is made of. An error means that it
/// could not be looked at; damage is in the report. `progress` counts bytes.
pub fn check(
    path: &Path,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<DiskReport, DiskError> {
    let failed = |source| DiskError::Io {
        path: path.to_owned(),
        source,
    };
    let window = Window::open(path).map_err(failed)?;
    let format = detect_in(&window).map_err(failed)?;
    let found = match format {
        DiskFormat::Qcow2 => qcow2::check(path, progress, cancel).map_err(|e| match e {
            Qcow2Error::Cancelled => DiskError::Cancelled,
            other => other.into(),
        })?,
        DiskFormat::Vmdk => check_vmdk(path, &window, progress, cancel).map_err(of_vmdk(path))?,
        DiskFormat::Raw => unchecked(&open_raw(path, window)?).map_err(failed)?,
    };
    Ok(DiskReport::new(format, found))
}

/// What there is to say of an image that has nothing to be wrong.
fn unchecked(image: &DiskImage) -> io::Result<CheckReport> {
    Ok(CheckReport {
        capacity: Size::from_bytes(image.source.size()),
        populated: image.data()?,
        problems: Vec::new(),
    })
}

fn check_vmdk(
    path: &Path,
    window: &Window,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<CheckReport, VmdkError> {
    let start = start_of(window).map_err(VmdkError::Read)?;
    if start.starts_with(vmdk::MAGICS[1]) {
        // All that it names is opened, and thereby looked at.
        return unchecked(&open_vmdk(path, window.clone())?).map_err(VmdkError::Read);
    }
    match vmdk::is_stream(window)? {
        true => vmdk::check(window, progress, cancel),
        false => vmdk::check_sparse(window, progress, cancel),
    }
}

/// More than this is no descriptor.
const LONGEST_DESCRIPTOR: u64 = 1 << 20;

fn open_vmdk(path: &Path, window: Window) -> Result<DiskImage, VmdkError> {
    let start = start_of(&window).map_err(VmdkError::Read)?;
    let mut image = if start.starts_with(vmdk::MAGICS[1]) {
        let text = window
            .read_all(LONGEST_DESCRIPTOR)
            .map_err(VmdkError::Read)?;
        let descriptor = Descriptor::parse(&String::from_utf8_lossy(&text));
        let disk = vmdk::Extents::open(path.parent().unwrap_or(Path::new("")), &descriptor)?;
        DiskImage {
            format: DiskFormat::Vmdk,
            files: disk.files().to_vec(),
            source: Box::new(disk),
            vmdk: Some(VmdkFacts::new(descriptor)),
            member: None,
        }
    } else {
        let reader = vmdk::Reader::open(window)?;
        let info = reader.info();
        let descriptor = Descriptor::parse(&info.descriptor);
        if descriptor.has_parent() {
            return Err(VmdkError::Kind(vmdk::HAS_PARENT.into()));
        }
        DiskImage {
            format: DiskFormat::Vmdk,
            files: Vec::new(),
            source: Box::new(reader),
            vmdk: Some(VmdkFacts {
                version: Some(info.version),
                tables_at_end: Some(info.streamed),
                grains: Some(info.populated.bytes() >> 16),
                compressed: info.compressed,
                ..VmdkFacts::new(descriptor)
            }),
            member: None,
        }
    };
    image.files.insert(0, path.to_owned());
    Ok(image)
}

impl DiskReport {
    fn new(format: DiskFormat, found: CheckReport) -> Self {
        Self {
            format,
            capacity: found.capacity,
            populated: found.populated,
            problems: found.problems,
        }
    }
}

impl VmdkFacts {
    fn new(descriptor: Descriptor) -> Self {
        Self {
            create_type: descriptor.create_type,
            cid: descriptor.cid,
            parent_cid: descriptor.parent_cid,
            adapter: descriptor.adapter,
            version: None,
            tables_at_end: None,
            grains: None,
            compressed: false,
        }
    }
}

impl DiskImage {
    /// Bytes in runs that may hold something else than zeros, as the tables and holes tell it; no content is read.
    pub fn data(&self) -> io::Result<Size> {
        let (mut from, mut bytes) = (0, 0);
        while let Some(run) = self.source.next_data(from)? {
            bytes += run.end - run.start;
            from = run.end;
        }
        Ok(Size::from_bytes(bytes))
    }
}

impl fmt::Debug for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskImage")
            .field("format", &self.format)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
        })
    }
}

#[cfg(test)]
mod tests;
