//! Trees: directories that are kept as one tar file.

use std::fs::File;
use std::io;
use std::path::Path;

/// Whether all that the stored tree has is there, as large as it was. That nobody has written over it is not asked: that
/// would read everything, each time.
pub fn is_whole(stored: &Path, path: &Path) -> io::Result<bool> {
    let mut archive = tar::Archive::new(File::open(stored)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let Ok(meta) = path.join(entry.path()?).symlink_metadata() else {
            return Ok(false);
        };
        let kind = entry.header().entry_type();
        let same = if kind.is_dir() {
            meta.is_dir()
        } else if kind.is_symlink() {
            meta.is_symlink()
        } else {
            meta.is_file() && meta.len() == entry.size()
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}
