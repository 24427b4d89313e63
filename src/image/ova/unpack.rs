//! Unpacks a package into a directory: all of it or nothing, and never anything outside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{Member, Package};
use super::{OvaError, check_name};
use crate::image::Progress;
use crate::image::source::CopyOutcome;
use crate::sys::Cancel;

impl Package {
    /// Writes all members into `dir`, which is made if need be; existing files are never replaced. `progress` counts the
    /// bytes written.
    pub fn unpack(
        &self,
        dir: &Path,
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
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OvaError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        // Same file system, so that the files appear by rename when all are whole.
        let staging = tempfile::Builder::new()
            .prefix(".forge-")
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
        Ok(paths)
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
