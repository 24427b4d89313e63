//! Parts of files read at random, and disks as runs of data between zeros.
//!
//! [`Window`] is how every reader here sees its bytes: a file, or a member of an archive. [`BlockSource`] is a disk's content:
//! VMDK and raw writers take any.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A disk's content. Offsets beyond what the source stores read as zeros.
pub trait BlockSource: Send + Sync {
    /// The disk's size in bytes.
    fn size(&self) -> u64;

    /// The first run at or after `from` that may hold something else than zeros; `None` when only zeros follow.
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>>;

    /// Fills `buffer` from `offset`; what lies beyond the end is zeros.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A part of a file, read at random; copies share the file.
#[derive(Clone, Debug)]
pub struct Window {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl Window {
    /// All of the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// All of `file`, as long as it is now.
    pub fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self {
            len: meta.len(),
            file: Arc::new(file),
            start: 0,
        })
    }

    /// The part of `len` bytes from `start`; `None` when it does not lie within this one.
    #[must_use]
    pub fn part(&self, start: u64, len: u64) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= self.len).then(|| Self {
            file: Arc::clone(&self.file),
            start: self.start + start,
            len,
        })
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from `offset`; an error when the window ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = self.start + offset + done as u64;
            match read_some(&self.file, &mut buffer[done..], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// All of it, when it is at most `limit` bytes.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len > limit {
            return Err(io::Error::other(format!(
                "{} bytes, more than the {limit} that are sensible",
                self.len
            )));
        }
        let mut bytes = vec![0; usize::try_from(self.len).map_err(io::Error::other)?];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Copies all of it to the end of `out`, within the kernel where that is possible; file systems that share blocks may
    /// then share them. `progress` gets the size of each piece; `false` stops.
    pub fn copy_to(
        &self,
        out: &File,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<CopyOutcome> {
        let mut done = self.copy_in_kernel(out, progress)?;
        let mut buffer = vec![0; PIECE];
        while done.outcome == CopyOutcome::Whole && done.bytes < self.len {
            let left = usize::try_from(self.len - done.bytes).unwrap_or(usize::MAX);
            let piece = &mut buffer[..left.min(PIECE)];
            self.read_exact_at(piece, done.bytes)?;
            let mut out = out;
            io::Write::write_all(&mut out, piece)?;
            done.bytes += piece.len() as u64;
            if !progress(piece.len() as u64) {
                done.outcome = CopyOutcome::Stopped;
            }
        }
        Ok(done.outcome)
    }

    /// As much as the kernel is willing to copy by itself.
    #[cfg(target_os = "linux")]
    fn copy_in_kernel(
        &self,
        out: &File,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Copied> {
        let mut done = Copied {
            bytes: 0,
            outcome: CopyOutcome::Whole,
        };
        while done.bytes < self.len {
            let mut from = self.start + done.bytes;
            let piece = usize::try_from(self.len - done.bytes).unwrap_or(usize::MAX);
            let piece = piece.min(16 << 20);
            match rustix::fs::copy_file_range(&self.file, Some(&mut from), out, None, piece) {
                Ok(n) if n > 0 => {
                    done.bytes += n as u64;
                    if !progress(n as u64) {
                        done.outcome = CopyOutcome::Stopped;
                        break;
                    }
                }
                Err(e) if e == rustix::io::Errno::NOSPC || e == rustix::io::Errno::IO => {
                    return Err(e.into());
                }
                // Not between these files, or not on this system: the plain way tells what is wrong, if anything is.
                _ => break,
            }
        }
        Ok(done)
    }

    #[cfg(not(target_os = "linux"))]
    fn copy_in_kernel(&self, _: &File, _: &mut dyn FnMut(u64) -> bool) -> io::Result<Copied> {
        Ok(Copied {
            bytes: 0,
            outcome: CopyOutcome::Whole,
        })
    }

    /// Feeds all of it to `consume`, piece by piece, until that says `false`.
    pub fn for_each_piece(
        &self,
        consume: &mut dyn FnMut(&[u8]) -> bool,
    ) -> io::Result<CopyOutcome> {
        let mut buffer = vec![0; PIECE];
        let mut done = 0;
        while done < self.len {
            let left = usize::try_from(self.len - done).unwrap_or(usize::MAX);
            let piece = &mut buffer[..left.min(PIECE)];
            self.read_exact_at(piece, done)?;
            done += piece.len() as u64;
            if !consume(piece) {
                return Ok(CopyOutcome::Stopped);
            }
        }
        Ok(CopyOutcome::Whole)
    }

    /// A reader from the beginning to the end.
    #[must_use]
    pub const fn reader(&self) -> WindowReader<'_> {
        WindowReader {
            window: self,
            position: 0,
        }
    }
}

/// What is read at a time where a file is read from beginning to end.
const PIECE: usize = 256 << 10;

/// Whether all was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOutcome {
    /// All.
    Whole,
    /// The one who was told of the progress said stop.
    Stopped,
}

struct Copied {
    bytes: u64,
    outcome: CopyOutcome,
}

/// Reads a [`Window`] from its beginning to its end.
#[derive(Debug)]
pub struct WindowReader<'a> {
    window: &'a Window,
    position: u64,
}

impl Read for WindowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.window.len - self.position;
        let n = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.window.read_exact_at(&mut buffer[..n], self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// A raw disk image; its holes are found without reading them.
#[derive(Clone, Debug)]
pub struct RawDisk {
    window: Window,
}

impl RawDisk {
    /// The image at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Window::open(path)?))
    }

    /// The image in `window`.
    #[must_use]
    pub const fn new(window: Window) -> Self {
        Self { window }
    }
}

impl BlockSource for RawDisk {
    fn size(&self) -> u64 {
        self.window.len
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        use rustix::fs::{SeekFrom, seek};
        let (file, begin, len) = (&*self.window.file, self.window.start, self.window.len);
        if from >= len {
            return Ok(None);
        }
        let start = match seek(file, SeekFrom::Data(begin + from)) {
            Ok(start) => start - begin,
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            // A file system that does not know its holes has only data.
            Err(rustix::io::Errno::INVAL) => return Ok(Some(from..len)),
            Err(e) => return Err(e.into()),
        };
        if start >= len {
            return Ok(None);
        }
        let end = seek(file, SeekFrom::Hole(begin + start))? - begin;
        Ok(Some(start..end.min(len)))
    }

    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < self.window.len).then(|| from..self.window.len))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let there = self.window.len.saturating_sub(offset);
        let n = buffer
            .len()
            .min(usize::try_from(there).unwrap_or(usize::MAX));
        let (data, beyond) = buffer.split_at_mut(n);
        beyond.fill(0);
        self.window.read_exact_at(data, offset)
    }
}

/// Whether there is nothing but zeros.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    // The chunks keep the inner loop free of branches, so that it becomes vector code.
    let chunks = bytes.chunks_exact(256);
    chunks.remainder().iter().all(|b| *b == 0)
        && chunks
            .into_iter()
            .all(|c| c.iter().fold(0, |a, b| a | b) == 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn a_window_reads_its_part_and_not_a_byte_more() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let window = Window::new(file).unwrap();
        let part = window.part(2, 5).unwrap();
        let mut text = String::new();
        part.reader().read_to_string(&mut text).unwrap();
        assert_eq!(text, "23456");
        let mut byte = [0];
        part.read_exact_at(&mut byte, 4).unwrap();
        assert_eq!(&byte, b"6");
        let beyond = part.read_exact_at(&mut byte, 5).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        assert!(window.part(8, 3).is_none());
        assert!(window.part(u64::MAX, 2).is_none());
        assert!(
            window
                .read_all(9)
                .unwrap_err()
                .to_string()
                .contains("10 bytes, more than the 9")
        );
    }

    #[test]
    fn a_raw_disk_tells_its_holes_and_reads_zeros_beyond_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file_mut().set_len(10 << 20).unwrap();
        file.seek(SeekFrom::Start(4 << 20)).unwrap();
        file.write_all(&[7; 65536]).unwrap();
        let disk = RawDisk::open(file.path()).unwrap();
        let data = disk.next_data(0).unwrap().unwrap();
        assert!(data.contains(&(4 << 20)), "{data:?}");
        let mut buffer = [1; 8];
        disk.read_at(&mut buffer, (10 << 20) - 4).unwrap();
        assert_eq!(buffer, [0; 8]);
        assert_eq!(disk.next_data(10 << 20).unwrap(), None);
    }

    #[test]
    fn zeros_are_told_from_a_single_bit() {
        let mut bytes = vec![0; 65536 + 3];
        assert!(is_zero(&bytes));
        for place in [0, 300, 65535, 65538] {
            bytes[place] = 1;
            assert!(!is_zero(&bytes), "{place}");
            bytes[place] = 0;
        }
    }
}
