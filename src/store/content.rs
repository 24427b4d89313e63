//! Reading, hashing and copying content.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
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

/// Copies `from` to the new file `to`, and hashes the copy: a reflink where the file system can, else the data, holes left
/// as holes.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<FileDigest> {
    let source = File::open(from)?;
    let meta = source.metadata()?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    if reflink(&source, &target) {
        let found = hash(to)?;
        return Ok(FileDigest {
            executable: executable(&meta),
            ..found
        });
    }
    let mut pass = Pass {
        hasher: sha2::Sha256::new(),
        buffer: buffer(meta.len()),
        at: 0,
    };
    target.set_len(meta.len())?;
    while let Some((start, end)) = next_data(&source, pass.at, meta.len())? {
        pass.skip(start);
        pass.copy(&source, &mut target, end)?;
    }
    pass.skip(meta.len());
    Ok(FileDigest {
        digest: Digest::from_bytes(pass.hasher.finalize().into()),
        size: meta.len(),
        executable: executable(&meta),
    })
}

/// [`copy`] without a hash, for a file whose content is known: in the kernel where that can.
pub(super) fn duplicate(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, size) = (File::open(from)?, from.metadata()?.len());
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    if reflink(&source, &target) {
        return Ok(());
    }
    target.set_len(size)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(&source, at, size)? {
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        if io::copy(&mut (&source).take(end - start), &mut target)? < end - start {
            return Err(shorter());
        }
        at = end;
    }
    Ok(())
}

fn shorter() -> io::Error {
    let what = "the file became shorter while it was read";
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

/// One pass over a file that is copied and hashed.
struct Pass {
    hasher: sha2::Sha256,
    buffer: Vec<u8>,
    at: u64,
}

impl Pass {
    /// Hashes the zeros of a hole.
    fn skip(&mut self, to: u64) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        while self.at < to {
            let len = (to - self.at).min(ZEROS.len() as u64);
            self.hasher
                .update(&ZEROS[..usize::try_from(len).unwrap_or(0)]);
            self.at += len;
        }
    }

    fn copy(&mut self, mut source: &File, target: &mut File, end: u64) -> io::Result<()> {
        source.seek(SeekFrom::Start(self.at))?;
        target.seek(SeekFrom::Start(self.at))?;
        while self.at < end {
            let want = (end - self.at).min(self.buffer.len() as u64);
            let want = usize::try_from(want).unwrap_or(self.buffer.len());
            let got = source.read(&mut self.buffer[..want])?;
            if got == 0 {
                return Err(shorter());
            }
            self.hasher.update(&self.buffer[..got]);
            target.write_all(&self.buffer[..got])?;
            self.at += got as u64;
        }
        Ok(())
    }
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

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
