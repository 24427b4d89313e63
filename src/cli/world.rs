//! The real files, environment and programs, for `config`.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{PathKind, World};

/// This machine.
pub(crate) struct RealWorld;

impl World for RealWorld {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry.map_err(|e| {
                e.into_io_error()
                    .unwrap_or_else(|| io::Error::other("a loop of links"))
            })?;
            if entry.file_type().is_dir() {
                continue;
            }
            if let Ok(relative) = entry.path().strip_prefix(dir) {
                files.push(relative.to_owned());
            }
        }
        Ok(files)
    }

    fn find(&self, dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
        let kept = |name: &std::ffi::OsStr| !matches!(name.to_str(), Some(".git" | ".forge"));
        let walk = walkdir::WalkDir::new(dir).max_depth(depth).min_depth(1);
        let mut files = Vec::new();
        for entry in walk
            .into_iter()
            .filter_entry(|entry| kept(entry.file_name()))
        {
            let entry = entry?;
            if !entry.file_type().is_dir() {
                files.extend(entry.path().strip_prefix(dir).map(Path::to_owned));
            }
        }
        Ok(files)
    }

    fn kind(&self, path: &Path) -> io::Result<PathKind> {
        let meta = std::fs::metadata(path)?;
        Ok(if meta.is_dir() {
            PathKind::Directory
        } else {
            PathKind::File
        })
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn command(&self, line: &str, dir: &Path) -> Result<String, String> {
        let output = std::process::Command::new("sh")
            .args(["-c", line])
            .current_dir(dir)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|e| format!("cannot start sh: {e}"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{line}` failed: {}", stderr.trim()));
        }
        match String::from_utf8(output.stdout) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(_) => Err(format!("`{line}` printed what is not UTF-8")),
        }
    }
}
