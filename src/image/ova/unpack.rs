//! Unpacks a package into a directory: all of it or nothing, and never anything outside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{Member, Package};
use super::{OvaError, check_name};
use crate::image::Progress;
use crate::image::source::CopyOutcome;
use crate::model::Size;
use crate::sys::Cancel;

/// What a package that comes from elsewhere may make of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most bytes that all files together may have. Holes count: a file that is nothing else costs its sender nothing.
    pub size: Size,
}

impl UnpackLimits {
    /// For a package that one has made oneself.
    pub const NONE: Self = Self {
        size: Size::from_bytes(u64::MAX),
    };
}

impl Default for UnpackLimits {
    /// More than appliances have.
    fn default() -> Self {
        Self {
            size: Size::from_bytes(256 << 30),
        }
    }
}

impl Package {
    /// Writes all members into `dir`, which is made if need be; existing files are never replaced. `progress` counts the
    /// bytes written.
    pub fn unpack(
        &self,
        dir: &Path,
        limits: UnpackLimits,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<PathBuf>, OvaError> {
        if let Some((offset, what)) = &self.damage {
            return Err(OvaError::Damaged {
                offset: *offset,
                what: what.clone(),
            });
        }
        let mut seen = BTreeSet::new();
        for member in &self.members {
            check_member(member, dir, &mut seen)?;
        }
        let sizes = self.members.iter().map(|member| member.data.len());
        let size = Size::from_bytes(sizes.fold(0, u64::saturating_add));
        if size > limits.size {
            return Err(OvaError::TooLarge {
                size,
                most: limits.size,
            });
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OvaError::Io { path, source }
        };
        let made = Made::directory(dir).map_err(failed(dir))?;
        // Same file system, so that the files appear by rename when all are whole.
        let staging = tempfile::Builder::new()
            .prefix(&crate::sys::fs::temporary_prefix(std::process::id()))
            .tempdir_in(dir)
            .map_err(failed(dir))?;
        let mut done = 0;
        for member in &self.members {
            let path = staging.path().join(&member.name);
            let out = File::create_new(&path).map_err(failed(&path))?;
            let outcome = member.data.copy_to(&out, &mut |n| {
                done += n;
                progress(done);
                !cancel.is_cancelled()
            });
            match outcome {
                Ok(CopyOutcome::Whole) => {}
                Ok(CopyOutcome::Stopped) => return Err(OvaError::Cancelled),
                Err(source) => return Err(OvaError::Io { path, source }),
            }
        }
        let mut paths = Vec::new();
        for member in &self.members {
            let path = dir.join(&member.name);
            // Unlike a rename, a link never replaces what has come into being meanwhile.
            let staged = staging.path().join(&member.name);
            match fs::hard_link(&staged, &path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(exists(&member.name));
                }
                Err(_) => fs::rename(&staged, &path).map_err(failed(&path))?,
                Ok(()) => {}
            }
            paths.push(path);
        }
        made.keep();
        Ok(paths)
    }
}

/// A directory that goes again if it was made here and nothing came of it.
struct Made<'a>(Option<&'a Path>);

impl<'a> Made<'a> {
    fn directory(dir: &'a Path) -> io::Result<Self> {
        let new = !dir.exists();
        fs::create_dir_all(dir)?;
        Ok(Self(new.then_some(dir)))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Some(dir) = self.0 {
            let _ = fs::remove_dir(dir);
        }
    }
}

fn check_member(member: &Member, dir: &Path, seen: &mut BTreeSet<String>) -> Result<(), OvaError> {
    let refuse = |why: String| {
        Err(OvaError::Unsafe {
            name: member.name.clone(),
            why,
        })
    };
    if let Some(special) = member.special {
        return refuse(format!("it is {special}"));
    }
    if let Err(OvaError::Name { why, .. }) = check_name(&member.name) {
        return refuse(why.to_owned());
    }
    if !seen.insert(member.name.to_ascii_lowercase()) {
        return refuse("it is there twice (case does not count)".into());
    }
    if dir.join(&member.name).symlink_metadata().is_ok() {
        return Err(exists(&member.name));
    }
    Ok(())
}

fn exists(name: &str) -> OvaError {
    OvaError::Unsafe {
        name: name.to_owned(),
        why: "there is a file of this name already".into(),
    }
}
