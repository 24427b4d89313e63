//! A disk whose descriptor names the files with its content, as desktop products and ESXi keep their working disks.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::VmdkError;
use super::descriptor::{Descriptor, ExtentKind};
use super::read::Reader;
use crate::image::source::{BlockSource, RawDisk, Window};

/// More files than this make no disk.
const MOST: usize = 4096;

/// The parts of a disk, in order.
#[derive(Debug)]
pub struct Extents {
    parts: Vec<Part>,
    size: u64,
    files: Vec<PathBuf>,
}

#[derive(Debug)]
struct Part {
    range: Range<u64>,
    source: Content,
}

#[derive(Debug)]
enum Content {
    Zero,
    Flat(RawDisk),
    Sparse(Reader),
}

impl Extents {
    /// Opens the files that `descriptor` names, which lie in `dir`.
    pub fn open(dir: &Path, descriptor: &Descriptor) -> Result<Self, VmdkError> {
        let kind = |what: String| Err(VmdkError::Kind(what));
        if descriptor.has_parent() {
            return kind(super::HAS_PARENT.into());
        }
        if descriptor.extents.is_empty() {
            return kind("its descriptor names no content".into());
        }
        if descriptor.extents.len() > MOST {
            return kind(format!("its descriptor names more than {MOST} files"));
        }
        let mut disk = Self {
            parts: Vec::new(),
            size: 0,
            files: Vec::new(),
        };
        for extent in &descriptor.extents {
            let end = disk.size.checked_add(extent.size);
            let Some(end) = end.filter(|end| *end <= super::header::MAX_CAPACITY) else {
                return kind("its parts together are more than 62TiB".into());
            };
            let source = match &extent.kind {
                ExtentKind::Zero => Content::Zero,
                ExtentKind::Flat { file, offset } => {
                    Content::Flat(disk.flat(dir, file, *offset, extent.size)?)
                }
                ExtentKind::Sparse { file } => {
                    let reader =
                        Reader::open(disk.window(dir, file)?).map_err(|e| within(file, &e))?;
                    if reader.size() < extent.size {
                        return kind(format!(
                            "`{file}` has {} bytes, and its descriptor says {}",
                            reader.size(),
                            extent.size
                        ));
                    }
                    Content::Sparse(reader)
                }
                ExtentKind::Other(name) => {
                    return kind(format!(
                        "its content is kept as `{name}`, which only ESXi reads"
                    ));
                }
            };
            disk.parts.push(Part {
                range: disk.size..end,
                source,
            });
            disk.size = end;
        }
        Ok(disk)
    }

    /// The files with its content.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn window(&mut self, dir: &Path, name: &str) -> Result<Window, VmdkError> {
        // A foreign descriptor must not reach into other places.
        if name.is_empty() || name.contains(['/', '\\']) || name == ".." {
            return Err(VmdkError::Kind(format!(
                "its descriptor names `{name}`, which does not lie beside it"
            )));
        }
        let path = dir.join(name);
        let window = Window::open(&path).map_err(|e| {
            VmdkError::Read(io::Error::new(e.kind(), format!("{}: {e}", path.display())))
        })?;
        self.files.push(path);
        Ok(window)
    }

    fn flat(
        &mut self,
        dir: &Path,
        name: &str,
        offset: u64,
        size: u64,
    ) -> Result<RawDisk, VmdkError> {
        let window = self.window(dir, name)?;
        let have = window.len();
        let part = window.part(offset, size).ok_or_else(|| {
            VmdkError::Kind(format!(
                "`{name}` has {have} bytes, and its descriptor needs {size} from byte {offset} on"
            ))
        })?;
        Ok(RawDisk::new(part))
    }

    /// The part that `offset` lies in.
    fn part(&self, offset: u64) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.range.end <= offset);
        self.parts.get(index)
    }
}

fn within(file: &str, error: &VmdkError) -> VmdkError {
    VmdkError::Kind(format!("`{file}`: {error}"))
}

impl Part {
    fn source(&self) -> Option<&dyn BlockSource> {
        match &self.source {
            Content::Zero => None,
            Content::Flat(disk) => Some(disk),
            Content::Sparse(reader) => Some(reader),
        }
    }
}

impl BlockSource for Extents {
    fn size(&self) -> u64 {
        self.size
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let mut at = from;
        while let Some(part) = self.part(at) {
            let start = part.range.start;
            let found = match part.source() {
                None => None,
                Some(source) => source.next_data(at - start)?,
            };
            if let Some(run) = found
                && start + run.start < part.range.end
            {
                return Ok(Some(start + run.start..part.range.end.min(start + run.end)));
            }
            at = part.range.end;
        }
        Ok(None)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            let Some(part) = self.part(at) else {
                buffer[done..].fill(0);
                return Ok(());
            };
            let left = buffer.len() - done;
            let n = usize::try_from(part.range.end - at).map_or(left, |n| n.min(left));
            let target = &mut buffer[done..done + n];
            match part.source() {
                None => target.fill(0),
                Some(source) => source.read_at(target, at - part.range.start)?,
            }
            done += n;
        }
        Ok(())
    }
}
