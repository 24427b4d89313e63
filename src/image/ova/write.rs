//! Writes the bytes of a package in one pass: each piece of a file is read once, written once, and digested on the way by
//! threads of their own.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::OvaError;
use super::hash::Hasher;
use crate::image::Progress;
use crate::image::source::{CopyOutcome, Window};
use crate::model::{Algorithm, Digest, Size};
use crate::sys::Cancel;

/// tar's block.
pub(super) const BLOCK: u64 = 512;
/// tar's record: packages are padded to it.
const RECORD: u64 = 10 << 10;
/// What is read at a time: large enough that a thread is seldom woken, small enough to stay in the processor's cache.
const PIECE: usize = 512 << 10;
/// How many pieces a digesting thread may be behind.
const BEHIND: usize = 4;
/// What eleven octal digits can say.
pub(super) const USTAR_MOST: u64 = (8 << 30) - 1;

/// A file to be packed.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) window: Window,
}

type Piece = Arc<Vec<u8>>;

/// A package being written; its digest is computed beside it.
pub(super) struct Writer<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    out: &'a File,
    digester: Digester<'scope>,
    pool: Pool,
    position: u64,
    /// What is not written yet, while nothing is.
    held: Option<Vec<u8>>,
    progress: Progress<'a>,
    cancel: &'a Cancel,
}

impl<'scope, 'env, 'a> Writer<'scope, 'env, 'a> {
    /// Writes to the end of `out`, which is empty.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        out: &'a File,
        progress: Progress<'a>,
        cancel: &'a Cancel,
    ) -> Self {
        let pool = Pool::new();
        Self {
            scope,
            out,
            digester: Digester::start(scope, Algorithm::Sha256, pool.back.clone()),
            pool,
            position: 0,
            held: None,
            progress,
            cancel,
        }
    }

    /// Writes a small file with its header.
    pub(super) fn member(&mut self, name: &str, bytes: &[u8], mtime: u64) -> Result<(), OvaError> {
        let mut block = header(name, bytes.len() as u64, mtime);
        block.extend_from_slice(bytes);
        block.resize(block.len().next_multiple_of(BLOCK as usize), 0);
        self.bytes(block)
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: Vec<u8>) -> Result<(), OvaError> {
        let mut out = self.out;
        match &mut self.held {
            Some(held) => held.extend(&bytes),
            None => out.write_all(&bytes).map_err(OvaError::Write)?,
        }
        self.pass(&Arc::new(bytes), None);
        Ok(())
    }

    /// Writes no headers and small files from now on, but keeps them.
    pub(super) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// What was kept; all is written again from now on.
    pub(super) fn release(&mut self) -> Vec<u8> {
        self.held.take().unwrap_or_default()
    }

    fn pass(&mut self, piece: &Piece, tap: Option<&Digester<'scope>>) {
        self.position += piece.len() as u64;
        self.digester.give(piece);
        if let Some(tap) = tap {
            tap.give(piece);
        }
        (self.progress)(self.position);
    }

    /// Writes a file with its header and padding; with an algorithm, its digest is told.
    pub(super) fn file(
        &mut self,
        name: &str,
        source: &Source,
        mtime: u64,
        tap: Option<Algorithm>,
    ) -> Result<Option<String>, OvaError> {
        let size = source.window.len();
        self.bytes(header(name, size, mtime))?;
        let tap =
            tap.map(|algorithm| Digester::start(self.scope, algorithm, self.pool.back.clone()));
        if shares_blocks(self.out) {
            self.share(source, tap.as_ref())?;
        } else {
            self.copy(source, tap.as_ref(), |mut out, piece| out.write_all(piece))?;
        }
        self.bytes(vec![0; (size.next_multiple_of(BLOCK) - size) as usize])?;
        Ok(tap.map(Digester::finish))
    }

    /// Digests a file that lies in the package already.
    pub(super) fn there(&mut self, source: &Source) -> Result<(), OvaError> {
        self.copy(source, None, |_, _| Ok(()))
    }

    fn copy(
        &mut self,
        source: &Source,
        tap: Option<&Digester<'scope>>,
        write: impl Fn(&File, &[u8]) -> io::Result<()>,
    ) -> Result<(), OvaError> {
        let size = source.window.len();
        let mut at = 0;
        while at < size {
            if self.cancel.is_cancelled() {
                return Err(OvaError::Cancelled);
            }
            let mut piece = self.pool.take();
            piece.resize(PIECE.min(usize::try_from(size - at).unwrap_or(PIECE)), 0);
            let read = source.window.read_exact_at(&mut piece, at);
            read.map_err(|e| unreadable(&source.path, e))?;
            write(self.out, &piece).map_err(OvaError::Write)?;
            at += piece.len() as u64;
            self.pass(&Arc::new(piece), tap);
        }
        Ok(())
    }

    /// Lets the file system share the file's blocks, then reads them for the digests.
    fn share(&mut self, source: &Source, tap: Option<&Digester<'scope>>) -> Result<(), OvaError> {
        let cancel = self.cancel;
        let outcome = source
            .window
            .copy_to(self.out, &mut |_| !cancel.is_cancelled());
        match outcome.map_err(OvaError::Write)? {
            CopyOutcome::Stopped => Err(OvaError::Cancelled),
            CopyOutcome::Whole => self.copy(source, tap, |_, _| Ok(())),
        }
    }

    /// Ends the tar file; its size and its digest.
    pub(super) fn finish(mut self) -> Result<(Size, Digest), OvaError> {
        let end = (self.position + 2 * BLOCK).next_multiple_of(RECORD);
        self.bytes(vec![0; (end - self.position) as usize])?;
        let digest = Digest::parse(&self.digester.finish());
        let digest = digest.map_err(|e| OvaError::Write(io::Error::other(e)))?;
        Ok((Size::from_bytes(end), digest))
    }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> OvaError {
    OvaError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Whether files on this file system can have blocks in common.
#[cfg(target_os = "linux")]
fn shares_blocks(out: &File) -> bool {
    const SHARING: [i64; 4] = [
        0x9123_683e, // btrfs
        0x5846_5342, // xfs
        0xca45_1a4e, // bcachefs
        0x2fc1_2fc1, // zfs
    ];
    rustix::fs::fstatfs(out).is_ok_and(|stat| SHARING.contains(&{ stat.f_type }))
}

#[cfg(not(target_os = "linux"))]
fn shares_blocks(_: &File) -> bool {
    false
}

/// Buffers that come back when all threads are through with them.
struct Pool {
    back: Sender<Piece>,
    returned: Receiver<Piece>,
}

impl Pool {
    fn new() -> Self {
        let (back, returned) = channel();
        Self { back, returned }
    }

    fn take(&self) -> Vec<u8> {
        // of two threads the later one gives back what nobody else holds
        let free = self
            .returned
            .try_iter()
            .find_map(|piece| Arc::try_unwrap(piece).ok());
        free.unwrap_or_default()
    }
}

/// A thread that digests what it is given.
struct Digester<'scope> {
    pieces: SyncSender<Piece>,
    thread: ScopedJoinHandle<'scope, String>,
}

impl<'scope> Digester<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, algorithm: Algorithm, back: Sender<Piece>) -> Self {
        let (pieces, given) = sync_channel::<Piece>(BEHIND);
        let thread = scope.spawn(move || {
            let mut hasher = Hasher::new(algorithm);
            for piece in given {
                hasher.update(&piece);
                let _ = back.send(piece);
            }
            hasher.hex()
        });
        Self { pieces, thread }
    }

    fn give(&self, piece: &Piece) {
        // it ends before its sender only by a panic, which `finish` passes on
        let _ = self.pieces.send(Arc::clone(piece));
    }

    fn finish(self) -> String {
        drop(self.pieces);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A member's header as plain ustar; sizes beyond what that can say are in GNU's binary form.
pub(super) fn header(name: &str, size: u64, mtime: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // `check_name` has seen to it that the name fits.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::image::ova::Package;

    #[test]
    fn a_member_beyond_8_gib_is_readable() {
        let size = 9 << 30;
        // The content is a hole, and so is the end of the archive.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&header("d.vmdk", size, 0)).unwrap();
        file.as_file().set_len(size + 3 * BLOCK).unwrap();
        let package = Package::of_archive(&Window::open(file.path()).unwrap());
        assert_eq!(package.damage, None);
        assert_eq!(package.members[0].data.len(), size);
        assert!(package.members[0].binary_size);
        let listing = Command::new("tar").arg("-tvf").arg(file.path()).output();
        let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
        assert!(listing.contains(&format!(" {size} ")), "{listing}");
    }

    #[test]
    fn a_full_disk_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let cancel = Cancel::new();
        let error = std::thread::scope(|scope| {
            let mut writer = Writer::new(scope, &full, &|_| {}, &cancel);
            writer.member("a", b"x", 0).unwrap_err()
        });
        let message = error.to_string();
        assert!(
            message.starts_with("cannot write the ova: No space left"),
            "{message}"
        );
    }
}
