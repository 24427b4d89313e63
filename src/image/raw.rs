//! Raw disk images: what any [`BlockSource`] becomes when it is written out, holes kept.

use std::fs::File;
use std::io::{self, Write};

use super::Progress;
use super::batch::{self, BLOCK, Blocks, Loader, Stop, Worker};
use super::source::{BlockSource, is_zero};
use crate::sys::Cancel;

/// Why a raw image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// The source could not be read.
    #[error("cannot read the disk: {0}")]
    Read(#[source] io::Error),
    /// The image could not be written.
    #[error("cannot write the raw image: {0}")]
    Write(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Writes `source` to the empty file `out`; zeros become holes. `progress` is told how far it is.
pub fn write(
    source: &dyn BlockSource,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<(), RawError> {
    let size = source.size();
    out.set_len(size).map_err(RawError::Write)?;
    let worker = |_| Copier {
        source,
        out,
        data: Vec::new(),
    };
    let workers = (0..batch::default_threads().get()).map(worker).collect();
    let result = batch::run(source, workers, cancel, &mut |blocks,
                                                           failed: &mut Option<
        io::Error,
    >| {
        progress(size.min(blocks.end * BLOCK));
        failed.take().map_or(Ok(()), Err)
    });
    finish(result)?;
    progress(size);
    Ok(())
}

/// Writes `source` to `out` from beginning to end, zeros and all: for a pipe. `progress` is told how far it is.
pub fn stream(
    source: &dyn BlockSource,
    out: &mut dyn Write,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<(), RawError> {
    let size = source.size();
    let mut done = 0;
    let result = batch::run(
        source,
        Loader::all(source),
        cancel,
        &mut |blocks, data: &mut Vec<u8>| {
            zeros(out, blocks.start * BLOCK - done)?;
            out.write_all(data)?;
            done = blocks.start * BLOCK + data.len() as u64;
            progress(done);
            Ok(())
        },
    );
    finish(result)?;
    zeros(out, size - done)
        .and_then(|()| out.flush())
        .map_err(RawError::Write)?;
    progress(size);
    Ok(())
}

fn zeros(out: &mut dyn Write, mut count: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; BLOCK as usize];
    while count > 0 {
        let n = count.min(BLOCK);
        out.write_all(&ZEROS[..n as usize])?;
        count -= n;
    }
    Ok(())
}

fn finish(result: Result<(), Stop<io::Error>>) -> Result<(), RawError> {
    result.map_err(|stop| stop.of(RawError::Read, RawError::Write, RawError::Cancelled))
}

/// Blocks that are read and written in one go: what was just read is still in the processor's cache.
const RUN: usize = 4 * BLOCK as usize;

/// Reads and writes; places in the file do not depend on the order.
struct Copier<'a> {
    source: &'a dyn BlockSource,
    out: &'a File,
    data: Vec<u8>,
}

impl Worker<Option<io::Error>> for Copier<'_> {
    fn work(&mut self, blocks: Blocks, failed: &mut Option<io::Error>) -> io::Result<()> {
        let (mut at, end) = (
            blocks.start * BLOCK,
            (blocks.end * BLOCK).min(self.source.size()),
        );
        while at < end {
            let n = RUN.min(usize::try_from(end - at).unwrap_or(RUN));
            self.data.resize(n, 0);
            self.source.read_at(&mut self.data, at)?;
            if let Err(error) = write_data(self.out, &self.data, at) {
                *failed = Some(error);
                return Ok(());
            }
            at += n as u64;
        }
        Ok(())
    }
}

/// Writes what is not zeros.
fn write_data(out: &File, data: &[u8], offset: u64) -> io::Result<()> {
    let block = BLOCK as usize;
    let is_data = |start: usize| !is_zero(&data[start..data.len().min(start + block)]);
    let mut start = 0;
    while start < data.len() {
        let mut end = start;
        while end < data.len() && is_data(end) {
            end += block;
        }
        if end > start {
            write_at(
                out,
                &data[start..end.min(data.len())],
                offset + start as u64,
            )?;
            start = end;
        } else {
            start += block;
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::source::RawDisk;

    #[test]
    fn a_pipe_gets_every_byte_and_a_file_only_what_is_not_zeros() {
        for (size, runs) in [
            (0, &[][..]),
            (700, &[(0, 700)]),
            (
                5_000_000,
                &[(70_000, 100), (65_536 * 9, 65_536 * 3), (4_999_990, 10)],
            ),
        ] {
            let mut source = tempfile::NamedTempFile::new().unwrap();
            let mut expected = vec![0; size];
            for (at, len) in runs {
                expected[*at..at + len].fill(7);
                write_at(source.as_file(), &vec![7; *len], *at as u64).unwrap();
            }
            source.as_file_mut().set_len(size as u64).unwrap();
            let disk = RawDisk::open(source.path()).unwrap();
            let mut piped = Vec::new();
            stream(&disk, &mut piped, &|_| {}, &Cancel::new()).unwrap();
            assert!(piped == expected, "{size}");
            let target = tempfile::NamedTempFile::new().unwrap();
            write(&disk, target.as_file(), &|_| {}, &Cancel::new()).unwrap();
            assert!(std::fs::read(target.path()).unwrap() == expected, "{size}");
        }
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let disk = RawDisk::open(std::path::Path::new(file!())).unwrap();
        let error = stream(&disk, &mut full, &|_| {}, &Cancel::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write the raw image: No space"),
            "{error}"
        );
    }

    #[test]
    fn an_error_says_which_side_failed() {
        let mut source = tempfile::NamedTempFile::new().unwrap();
        source.write_all(&[1; 100_000]).unwrap();
        let disk = RawDisk::open(source.path()).unwrap();
        let read_only = File::open(source.path()).unwrap();
        let error = write(&disk, &read_only, &|_| {}, &Cancel::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write the raw image: "),
            "{error}"
        );
        let target = tempfile::NamedTempFile::new().unwrap();
        source.as_file().set_len(10).unwrap();
        let error = write(&disk, target.as_file(), &|_| {}, &Cancel::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read the disk: "),
            "{error}"
        );
        let cancel = Cancel::new();
        cancel.cancel(crate::sys::CancelKind::Now);
        let error = write(&disk, target.as_file(), &|_| {}, &cancel).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }
}
