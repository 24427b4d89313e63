//! Which disk is meant: an image, or one of an appliance's.

use std::path::Path;

use super::{CliError, disk_error};
use crate::image::disk::{self, DiskImage, Packed};
use crate::image::ova::{OvaError, Package};
use crate::image::source::Window;

/// Where tar writes that a file is one.
const TAR: (&[u8], u64) = (b"ustar", 257);

/// What a path names.
#[derive(Debug)]
pub(super) enum Input {
    /// A disk image.
    Image,
    /// Disks of an appliance: all, or the one that was asked for.
    Appliance(Vec<Packed>),
}

/// Looks into the file at `path`; of an appliance `chosen`, by its number or its file's name, is taken.
pub(super) fn find(path: &Path, chosen: Option<&str>) -> Result<Input, CliError> {
    let shown = path.display();
    if !is_archive(path) {
        return match chosen {
            None => Ok(Input::Image),
            Some(_) => Err(CliError::input(format!(
                "`--disk` is for appliances: {shown} is one disk"
            ))),
        };
    }
    let unreadable = |error: OvaError| CliError::input(format!("cannot read {shown}: {error}"));
    let package = Package::open(path).map_err(unreadable)?;
    let members = package.disks().map_err(unreadable)?;
    if members.is_empty() {
        return Err(CliError::input(format!("{shown} has no disk")));
    }
    let mut disks: Vec<Packed> = members
        .into_iter()
        .map(|member| Packed {
            file: path.to_owned(),
            name: member.bare_name().to_owned(),
            data: member.data.clone(),
        })
        .collect();
    if let Some(chosen) = chosen {
        let place = disks.iter().position(|disk| disk.name == chosen);
        let number = chosen.parse::<usize>().ok();
        let number = number.and_then(|n| n.checked_sub(1));
        let place = place.or(number.filter(|n| *n < disks.len()));
        let Some(place) = place else {
            let message = format!("{shown} has no disk `{chosen}`");
            return Err(CliError::input(message).help(which(&disks)));
        };
        disks = vec![disks.swap_remove(place)];
    }
    Ok(Input::Appliance(disks))
}

fn is_archive(path: &Path) -> bool {
    let mut there = [0; TAR.0.len()];
    // What cannot be read is told by those who need it.
    Window::open(path).is_ok_and(|file| file.read_exact_at(&mut there, TAR.1).is_ok())
        && there == TAR.0
}

fn which(disks: &[Packed]) -> String {
    let each = disks
        .iter()
        .enumerate()
        .map(|(i, disk)| format!("`--disk {}` is {}", i + 1, disk.name));
    each.collect::<Vec<_>>().join(", ")
}

/// Opens the one disk that is meant.
pub(super) fn open(path: &Path, chosen: Option<&str>) -> Result<DiskImage, CliError> {
    match find(path, chosen)? {
        Input::Image => disk::open(path),
        Input::Appliance(disks) => {
            let [only] = &disks[..] else {
                let message = format!("{} has {} disks", path.display(), disks.len());
                return Err(CliError::input(message).help(which(&disks)));
            };
            only.open()
        }
    }
    .map_err(disk_error)
}
