//! Makes a package of a disk's file where it lies.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;

use super::OvaError;
use super::pack::{CLUSTER, Job, PackInput, PackedOva};
use super::write::{BLOCK, Writer, header};
use crate::image::Progress;
use crate::sys::Cancel;
#[cfg(target_os = "linux")]
use crate::sys::fs::directory;

/// Makes a package of its first file, which is `out`: the file system puts room in front of it, and nothing is copied.
/// `None`, with the file as it was, where the file system cannot, which is known before anything is read. The descriptor should be aligned.
pub fn grow(
    input: &PackInput<'_>,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Option<PackedOva>, OvaError> {
    let job = Job::new(input)?;
    let Some(first) = job.sources.first() else {
        return Ok(None);
    };
    let room = job.needed_room()?;
    if !room.is_multiple_of(CLUSTER) || !inserts_beside(&first.path) {
        return Ok(None);
    }
    let mut grown = false;
    let packed = job.grown(room, out, &mut grown, progress, cancel);
    if grown && packed.is_err() {
        remove(out, room, first.window.len());
    }
    packed
}

impl Job<'_> {
    /// Makes room in front of the first file, which is `out`, and writes what stands before and behind it. The file system
    /// forgets what it has of a file in memory when it makes room in it, so all is read before.
    fn grown(
        &self,
        room: u64,
        mut out: &File,
        grown: &mut bool,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<Option<PackedOva>, OvaError> {
        let mtime = self.input.mtime;
        let front = self.front(cancel)?;
        thread::scope(|scope| {
            let mut writer = Writer::new(scope, out, progress, cancel);
            writer.hold();
            self.head(&mut writer, Some(&front))?;
            for (number, (file, source)) in self.files().enumerate() {
                if number > 0 {
                    writer.file(&file.name, source, mtime, None)?;
                    continue;
                }
                let size = source.window.len();
                writer.bytes(header(&file.name, size, mtime))?;
                writer.there(source)?;
                let held = writer.release();
                if held.len() as u64 != room || !insert(out, room) {
                    return Ok(None);
                }
                *grown = true;
                out.seek(SeekFrom::Start(0)).map_err(OvaError::Write)?;
                out.write_all(&held).map_err(OvaError::Write)?;
                out.seek(SeekFrom::End(0)).map_err(OvaError::Write)?;
                writer.bytes(vec![0; (size.next_multiple_of(BLOCK) - size) as usize])?;
            }
            Ok(Some(self.packed(writer.finish()?, front)))
        })
    }
}

/// Puts `room` bytes in front of a file, where its file system can.
#[cfg(target_os = "linux")]
fn insert(file: &File, room: u64) -> bool {
    use rustix::fs::{FallocateFlags, fallocate};
    fallocate(file, FallocateFlags::INSERT_RANGE, 0, room).is_ok()
}

/// Whether the file system can do that, tried with a file of its own.
#[cfg(target_os = "linux")]
fn inserts_beside(path: &Path) -> bool {
    let tried = tempfile::tempfile_in(directory(path)).and_then(|mut file| {
        file.write_all(&[0; CLUSTER as usize])?;
        Ok(insert(&file, CLUSTER))
    });
    tried.unwrap_or(false)
}

/// Undoes [`insert`]; what cannot be undone leaves a file that [`grow`]'s caller reports as failed anyway.
#[cfg(target_os = "linux")]
fn remove(file: &File, room: u64, size: u64) {
    use rustix::fs::{FallocateFlags, fallocate};
    let _ = file.set_len(room + size);
    let _ = fallocate(file, FallocateFlags::COLLAPSE_RANGE, 0, room);
}

#[cfg(not(target_os = "linux"))]
fn insert(_: &File, _: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn inserts_beside(_: &Path) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn remove(_: &File, _: u64, _: u64) {}
