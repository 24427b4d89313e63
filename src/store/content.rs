//! Reading, hashing and copying content.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::Digest as _;

use crate::model::Digest;

/// Big reads: fewer calls, and the kernel reads ahead.
const CHUNK: usize = 1 << 20;

/// A file's content and what else of it enters a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Whether it may be executed.
    pub executable: bool,
}

/// Reads `path` to the end.
pub(super) fn hash(path: &Path) -> io::Result<FileDigest> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = buffer(meta.len());
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(FileDigest {
        digest: Digest::from_bytes(hasher.finalize().into()),
        size,
        executable: executable(&meta),
    })
}

fn buffer(size: u64) -> Vec<u8> {
    // one more than the file, so that a small one ends within the first read
    let len = usize::try_from(size).unwrap_or(CHUNK).saturating_add(1);
    vec![0; len.min(CHUNK)]
}

/// Whether anybody may execute the file.
pub(super) fn executable(meta: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        meta.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = meta;
        false
    }
}

/// Copies `from` to the new file `to`: a reflink where the file system can, else the data, holes left as holes.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    if reflink(&source, &target) {
        return Ok(());
    }
    let size = source.metadata()?.len();
    target.set_len(size)?;
    let mut at = 0;
    let mut buffer = buffer(size);
    while let Some((start, end)) = next_data(&source, at, size)? {
        copy_range(&source, &mut target, start, end, &mut buffer)?;
        at = end;
    }
    Ok(())
}

fn copy_range(
    source: &File,
    target: &mut File,
    start: u64,
    end: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    use std::io::{Seek as _, SeekFrom};
    let mut reader = source;
    reader.seek(SeekFrom::Start(start))?;
    target.seek(SeekFrom::Start(start))?;
    let mut left = end - start;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(buffer.len());
        let want = want.min(buffer.len());
        let got = reader.read(&mut buffer[..want])?;
        if got == 0 {
            // the file became shorter while it was read: the digest, taken of the copy, tells
            break;
        }
        target.write_all(&buffer[..got])?;
        left -= got as u64;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn reflink(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_source: &File, _target: &File) -> bool {
    false
}

/// The next range with data at or after `at`.
#[cfg(target_os = "linux")]
fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    if at >= size {
        return Ok(None);
    }
    match seek(file, SeekFrom::Data(at)) {
        Ok(start) => {
            let end = seek(file, SeekFrom::Hole(start))?;
            Ok(Some((start, end.min(size))).filter(|(start, end)| start < end))
        }
        // nothing but a hole up to the end
        Err(Errno::NXIO) => Ok(None),
        // the file system does not know holes
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some((at, size))),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    Ok((at < size).then_some((at, size)))
}

/// Makes a file's content durable, and then its name.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
