//! Install media on the datastore: ISO files under the digest of their content, each uploaded once.

use std::path::Path;

use super::hardware::Media;
use super::place::Place;
use super::settings::Settings;
use super::{Lab, library_iso, translate};
use crate::model::Digest;
use crate::provider::{LaunchSpec, ProviderError};
use crate::sys::Cancel;
use crate::vim::{DatastorePath, Waiting};

/// Where install media are kept when nothing is said.
const FOLDER: &str = "forge";

fn folder(settings: &Settings, place: &Place) -> DatastorePath {
    let name = settings.iso_folder.as_deref().unwrap_or(FOLDER);
    place.file(name.trim_matches('/'))
}

/// Where an ISO with this content is kept.
pub(super) fn iso(settings: &Settings, place: &Place, digest: &Digest) -> DatastorePath {
    folder(settings, place).join(&format!("{}.iso", digest.hex()))
}

/// The files of the machine `name` alone, which are removed with it: its floppy, its own CD, and the part of an ISO that it
/// may be uploading for all.
pub(super) fn own(settings: &Settings, place: &Place, name: &str) -> [DatastorePath; 3] {
    let folder = folder(settings, place);
    ["flp", "iso", "part"].map(|kind| folder.join(&format!("{name}.{kind}")))
}

/// Puts the media of a machine on the datastore: the first CD to stay, what else there is for this machine alone.
pub(super) async fn place(
    lab: &Lab,
    settings: &Settings,
    name: &str,
    spec: &LaunchSpec,
    cancel: &Cancel,
) -> Result<Media, ProviderError> {
    let mut media = Media::default();
    if spec.cds.is_empty() && spec.floppy.is_none() {
        return Ok(media);
    }
    let folder = folder(settings, &lab.place);
    let made = lab.client.make_directory(&lab.place.datacenter, &folder);
    made.await.map_err(translate)?;
    let [floppy, own_cd, part] = own(settings, &lab.place, name);
    for (index, medium) in spec.cds.iter().enumerate() {
        if let Some(there) = &medium.place {
            media.cds.push(library_iso::find(lab, there).await?);
            continue;
        }
        let kept = medium.digest.filter(|_| index == 0);
        let to = match &kept {
            Some(digest) => iso(settings, &lab.place, digest),
            None => own_cd.clone(),
        };
        if let Some(path) = &medium.path {
            match kept {
                Some(_) => upload_once(lab, path, &to, &part, cancel).await?,
                None => upload(lab, path, &to, cancel).await?,
            }
        }
        media.cds.push(to.to_string());
    }
    if let Some(path) = &spec.floppy {
        upload(lab, path, &floppy, cancel).await?;
        media.floppy = Some(floppy.to_string());
    }
    Ok(media)
}

async fn upload(
    lab: &Lab,
    from: &Path,
    to: &DatastorePath,
    cancel: &Cancel,
) -> Result<(), ProviderError> {
    let nobody = |_: u64, _: u64| {};
    let done = lab
        .client
        .upload(&lab.place.datacenter_path, to, from, &nobody, cancel);
    done.await.map_err(translate)
}

/// Uploads a file under a name that says what its content is, unless it is there whole. It is `part` until it is complete,
/// so that two builds at once do no harm: the later one moves the same content over it.
async fn upload_once(
    lab: &Lab,
    from: &Path,
    to: &DatastorePath,
    part: &DatastorePath,
    cancel: &Cancel,
) -> Result<(), ProviderError> {
    let size = std::fs::metadata(from)
        .map_err(|source| ProviderError::Io {
            path: from.to_owned(),
            source,
        })?
        .len();
    let there = lab.client.file_size(&lab.place.browser, to, cancel).await;
    if there
        .map_err(translate)?
        .is_some_and(|there| there.bytes() == size)
    {
        return Ok(());
    }
    let done = async {
        upload(lab, from, part, cancel).await?;
        let waiting = Waiting::quiet(cancel);
        let moved = lab
            .client
            .move_file(&lab.place.datacenter, part, to, &waiting);
        moved.await.map_err(translate)
    };
    let result = done.await;
    if result.is_err() {
        remove(lab, part).await;
    }
    result
}

/// Removes a file if it is there; that it stays hurts nobody.
pub(super) async fn remove(lab: &Lab, file: &DatastorePath) {
    let cancel = Cancel::new();
    let waiting = Waiting::quiet(&cancel);
    let _ = lab
        .client
        .delete_file(&lab.place.datacenter, file, &waiting)
        .await;
}
