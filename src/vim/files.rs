//! Files of datastores.

use std::fmt;
use std::path::Path;

use super::{Client, Ref, VimError, Waiting};
use crate::model::Size;
use crate::sys::Cancel;

/// A file or folder of a datastore, written `[datastore] path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatastorePath {
    /// The datastore's name.
    pub datastore: String,
    /// The path in it, without a slash at either end; empty: its root.
    pub path: String,
}

impl DatastorePath {
    /// A path in a datastore. Slashes at its ends and double ones are left out.
    #[must_use]
    pub fn new(datastore: impl Into<String>, path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        Self {
            datastore: datastore.into(),
            path: parts.join("/"),
        }
    }

    /// Reads `[datastore] path`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (datastore, path) = text.trim().strip_prefix('[')?.split_once(']')?;
        Some(Self::new(datastore, path.trim()))
    }

    /// The folder it lies in, and its name; none for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str)> {
        if self.path.is_empty() {
            return None;
        }
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        Some((Self::new(&self.datastore, folder), name))
    }

    /// Something in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::new(&self.datastore, &format!("{}/{name}", self.path))
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return write!(f, "[{}]", self.datastore);
        }
        write!(f, "[{}] {}", self.datastore, self.path)
    }
}

impl Client {
    /// How large a file is; none if there is no such file. `HostDatastoreBrowser.SearchDatastore_Task`, for the browser
    /// that is the `browser` property of a datastore.
    pub async fn file_size(
        &self,
        _browser: &Ref,
        _file: &DatastorePath,
        _cancel: &Cancel,
    ) -> Result<Option<Size>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Makes a folder and those above it; one that is there is fine. `FileManager.MakeDirectory`.
    pub async fn make_directory(
        &self,
        _datacenter: &Ref,
        _folder: &DatastorePath,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Uploads a file; `datacenter_path` is the datacenter's place in the inventory. `progress` is told the bytes done and
    /// all of them.
    pub async fn upload(
        &self,
        _datacenter_path: &str,
        _to: &DatastorePath,
        _from: &Path,
        _progress: &(dyn Fn(u64, u64) + Send + Sync),
        _cancel: &Cancel,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Uploads a small file from memory.
    pub async fn upload_bytes(
        &self,
        _datacenter_path: &str,
        _to: &DatastorePath,
        _bytes: &[u8],
        _cancel: &Cancel,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Downloads a file; gives its size.
    pub async fn download(
        &self,
        _datacenter_path: &str,
        _from: &DatastorePath,
        _to: &Path,
        _cancel: &Cancel,
    ) -> Result<u64, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Moves a file over what may be there; `FileManager.MoveDatastoreFile_Task`.
    pub async fn move_file(
        &self,
        _datacenter: &Ref,
        _from: &DatastorePath,
        _to: &DatastorePath,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Deletes a file, or a folder with all in it; one that is not there is fine. `FileManager.DeleteDatastoreFile_Task`.
    pub async fn delete_file(
        &self,
        _datacenter: &Ref,
        _file: &DatastorePath,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
