//! Images that lie within another file: the disks of an appliance, read where they are.

use std::path::{Path, PathBuf};

use super::{
    DiskError, DiskFormat, DiskImage, DiskReport, check_vmdk, detect_in, of_vmdk, open_raw,
    open_vmdk, start_of, unchecked,
};
use crate::image::Progress;
use crate::image::source::Window;
use crate::image::vmdk;
use crate::sys::Cancel;

/// A member of an appliance that should be a disk image.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The appliance.
    pub file: PathBuf,
    /// The member's name.
    pub name: String,
    /// Its bytes.
    pub data: Window,
}

impl Packed {
    /// How it is called in messages.
    fn place(&self) -> PathBuf {
        self.file.join(&self.name)
    }

    /// Its format, if it is one that is read without another file.
    fn format(&self) -> Result<DiskFormat, DiskError> {
        let failed = |source| DiskError::Io {
            path: self.place(),
            source,
        };
        let refused = |what: &str| {
            Err(DiskError::Foreign {
                path: self.place(),
                what: what.into(),
            })
        };
        let format = detect_in(&self.data).map_err(failed)?;
        let start = start_of(&self.data).map_err(failed)?;
        match format {
            // It may be laid over others, which it names.
            DiskFormat::Qcow2 => {
                refused("this is a qcow2 image; `forge ova unpack` takes it out, then it is read")
            }
            DiskFormat::Vmdk if start.starts_with(vmdk::MAGICS[1]) => {
                refused("its content is in other files; `forge ova unpack` takes all of them out")
            }
            DiskFormat::Vmdk | DiskFormat::Raw => Ok(format),
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<DiskImage, DiskError> {
        let place = self.place();
        let image = match self.format()? {
            DiskFormat::Vmdk => open_vmdk(&place, self.data.clone()).map_err(of_vmdk(&place))?,
            DiskFormat::Raw | DiskFormat::Qcow2 => open_raw(&place, self.data.clone())?,
        };
        Ok(DiskImage {
            files: vec![self.file.clone()],
            member: Some(self.clone()),
            ..image
        })
    }

    /// [`super::check`] for what lies in an appliance.
    pub fn check(&self, progress: Progress<'_>, cancel: &Cancel) -> Result<DiskReport, DiskError> {
        let place = self.place();
        let format = self.format()?;
        let found = match format {
            DiskFormat::Vmdk => {
                check_vmdk(&place, &self.data, progress, cancel).map_err(of_vmdk(&place))?
            }
            DiskFormat::Raw | DiskFormat::Qcow2 => {
                unchecked(&self.open()?).map_err(|source| DiskError::Io {
                    path: place,
                    source,
                })?
            }
        };
        Ok(DiskReport::new(format, found))
    }

    /// Whether it is the file at `path` that it lies in.
    #[must_use]
    pub fn lies_in(&self, path: &Path) -> bool {
        self.file.canonicalize().is_ok_and(|file| file == path)
    }
}
