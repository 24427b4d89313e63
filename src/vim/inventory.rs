//! Finding things in the inventory.

use super::{Client, Ref, VimError};

/// An object and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object.
    pub obj: Ref,
    /// Its name as the server writes it: `/` is `%2f`, `\` is `%5c`, `%` is `%25`.
    pub name: String,
}

impl Client {
    /// The object at a path such as `DC/vm/folder/name`; `SearchIndex.FindByInventoryPath`.
    pub async fn find(&self, _inventory_path: &str) -> Result<Option<Ref>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// The machine with an instance uuid; `SearchIndex.FindByUuid`.
    pub async fn find_vm_by_uuid(&self, _instance_uuid: &str) -> Result<Option<Ref>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// What lies in a folder.
    pub async fn children(&self, _folder: &Ref) -> Result<Vec<Found>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Everything of a kind below an object.
    pub async fn list(&self, _root: &Ref, _kind: &str) -> Result<Vec<Found>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// A folder of this name in a folder: a new one, or the one that is there.
    pub async fn create_folder(&self, _parent: &Ref, _name: &str) -> Result<Ref, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Those of the privileges that the account lacks on an object.
    pub async fn privileges(&self, _obj: &Ref, _wanted: &[&str]) -> Result<Vec<String>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
