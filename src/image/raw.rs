//! Raw disk images: what any [`BlockSource`] becomes when it is written out, holes kept.

use std::fs::File;
use std::io;

use super::Progress;
use super::batch::{self, BLOCK, Blocks, Stop, Worker};
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

/// Writes `source` to the empty file `out`. `progress` is told how far it is.
pub fn write(
    source: &dyn BlockSource,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<(), RawError> {
    let size = source.size();
    out.set_len(size).map_err(RawError::Write)?;
    let workers = (0..batch::default_threads().get())
        .map(|_| Loader { source })
        .collect();
    let result = batch::run(
        source,
        workers,
        cancel,
        &mut |blocks, data: &mut Vec<u8>| {
            for (block, bytes) in blocks.zip(data.chunks(BLOCK as usize)) {
                if !is_zero(bytes) {
                    write_at(out, bytes, block * BLOCK)?;
                }
                progress(size.min((block + 1) * BLOCK));
            }
            Ok(())
        },
    );
    match result {
        Ok(()) => progress(size),
        Err(Stop::Source(e)) => return Err(RawError::Read(e)),
        Err(Stop::Sink(e)) => return Err(RawError::Write(e)),
        Err(Stop::Cancelled) => return Err(RawError::Cancelled),
    }
    Ok(())
}

struct Loader<'a> {
    source: &'a dyn BlockSource,
}

impl Worker<Vec<u8>> for Loader<'_> {
    fn work(&mut self, blocks: Blocks, data: &mut Vec<u8>) -> io::Result<()> {
        let start = blocks.start * BLOCK;
        let len = (blocks.end * BLOCK).min(self.source.size()) - start;
        data.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.source.read_at(data, start)
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::image::source::RawDisk;

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
