//! Appliances in a provider's content library.

use std::path::PathBuf;

use super::Mark;
use crate::model::{Digest, Size};

/// An appliance on its way into a content library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// The library's name.
    pub library: String,
    /// Whose it is; its name is what it is called there.
    pub mark: Mark,
    /// Its files: descriptor, manifest, disks.
    pub files: Vec<ApplianceFile>,
}

/// A file of an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplianceFile {
    /// What the descriptor calls it.
    pub name: String,
    /// Where it lies on this host.
    pub path: PathBuf,
    /// Its size.
    pub size: Size,
    /// Its content.
    pub digest: Digest,
}

/// An appliance that is in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its identifier on the server.
    pub id: String,
    /// Its version there: counts the changes of its content.
    pub version: String,
}
