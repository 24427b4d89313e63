//! Any disk image that can be read, whatever its format.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::qcow2::{self, Qcow2Error};
use super::source::{BlockSource, RawDisk, Window};
use super::vmdk::{self, VmdkError};

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
}

/// The format of the image at `path`, by its first bytes; what is nothing else is raw.
pub fn detect(path: &Path) -> io::Result<DiskFormat> {
    let window = Window::open(path)?;
    let mut start = [0; 21];
    let n = window.len().min(21) as usize;
    window.read_exact_at(&mut start[..n], 0)?;
    Ok(match &start {
        s if s.starts_with(qcow2::MAGIC) => DiskFormat::Qcow2,
        s if s.starts_with(b"KDMV") || s == b"# Disk DescriptorFile" => DiskFormat::Vmdk,
        _ => DiskFormat::Raw,
    })
}

/// Opens an image of any format. A qcow2 image must not need a backing file; chains are opened by
/// [`qcow2::Chain::open`].
pub fn open(path: &Path) -> Result<(DiskFormat, Box<dyn BlockSource>), DiskError> {
    let failed = |source| DiskError::Io {
        path: path.to_owned(),
        source,
    };
    let format = detect(path).map_err(failed)?;
    let source: Box<dyn BlockSource> = match format {
        DiskFormat::Raw => Box::new(RawDisk::open(path).map_err(failed)?),
        DiskFormat::Qcow2 => Box::new(qcow2::Chain::open(&[path.to_owned()])?),
        DiskFormat::Vmdk => {
            let window = Window::open(path).map_err(failed)?;
            Box::new(
                vmdk::Reader::open(window).map_err(|source| DiskError::Vmdk {
                    path: path.to_owned(),
                    source,
                })?,
            )
        }
    };
    Ok((format, source))
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
mod tests {
    use std::fs::{self, File};
    use std::process::Command;

    use super::*;
    use crate::image::vmdk::WriteOptions;
    use crate::model::Digest;
    use crate::sys::Cancel;

    fn qemu(program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).output();
        let output = output.expect("qemu-utils judge here; `scripts/test` installs them");
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    #[test]
    fn a_chain_becomes_a_vmdk_without_a_raw_copy_and_qemu_agrees() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (base, top, disk) = (path("base.qcow2"), path("top.qcow2"), path("disk.vmdk"));
        qemu("qemu-img", &["create", "-q", "-f", "qcow2", &base, "64M"]);
        let write = ["-c", "write -P 1 0 9M", "-c", "write -P 2 40M 700k"];
        qemu("qemu-io", &[&write[..], &[&base]].concat());
        let create = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base];
        qemu("qemu-img", &[&create[..], &[&top, "64M"]].concat());
        let write = ["-c", "write -P 3 8M 2M", "-c", "write -z 1M 3M"];
        qemu("qemu-io", &[&write[..], &[&top]].concat());
        let chain = qcow2::Chain::open(&[base.clone().into(), top.clone().into()]).unwrap();
        let options = WriteOptions::new("disk.vmdk", Digest::of(b"test"));
        let mut out = File::create(&disk).unwrap();
        let info = vmdk::write(&chain, &options, &mut out, &|_| {}, &Cancel::new()).unwrap();
        // 10 MiB without 3 of zeros, and 700 KiB in 11 grains.
        assert_eq!(info.populated.bytes(), (7 << 20) + 11 * 65_536);
        qemu("qemu-img", &["check", "-q", &disk]);
        qemu("qemu-img", &["compare", "-q", &top, &disk]);
        let (format, source) = open(Path::new(&disk)).unwrap();
        assert_eq!((format, source.size()), (DiskFormat::Vmdk, 64 << 20));
        assert_eq!(detect(Path::new(&base)).unwrap(), DiskFormat::Qcow2);
        assert!(open(Path::new(&base)).is_ok());
        assert!(matches!(
            open(Path::new(&top)),
            Err(DiskError::Qcow2(Qcow2Error::Incomplete { .. }))
        ));
    }

    #[test]
    fn an_error_names_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let message = |path: &Path| match open(path) {
            Ok(_) => panic!("it opened"),
            Err(e) => e.to_string(),
        };
        let name = path.display().to_string();
        assert!(message(&path).starts_with(&format!("{name}: No such file")));
        fs::write(&path, b"# Disk DescriptorFile\n").unwrap();
        assert_eq!(
            message(&path),
            format!("{name}: the vmdk is damaged at byte 0: the file ends too early")
        );
        fs::write(&path, b"short").unwrap();
        assert_eq!(open(&path).unwrap().0.to_string(), "raw");
        let whole = vec![b' '; 600];
        fs::write(&path, [&b"# Disk DescriptorFile"[..], &whole].concat()).unwrap();
        assert_eq!(
            message(&path),
            format!(
                "{name}: not a stream-optimized vmdk: this is a descriptor whose data lies in other files"
            )
        );
    }
}
