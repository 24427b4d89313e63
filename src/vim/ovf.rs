//! OVF descriptors, made and imported by the server.

use super::{Client, Element, Lease, Ref, VimError};
use crate::sys::Cancel;

/// A file that a descriptor names; `OvfFile` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OvfFile {
    /// The lease's key for it.
    pub device_id: String,
    /// Its name beside the descriptor.
    pub path: String,
    /// How large it is.
    pub size: u64,
}

/// How a descriptor is imported; `OvfCreateImportSpecParams` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportParams {
    /// The new machine's name.
    pub name: String,
    /// Which network each of the descriptor's becomes.
    pub networks: Vec<(String, Ref)>,
    /// Whether the disks' space is taken only when written.
    pub thin: bool,
    /// The host.
    pub host: Option<Ref>,
}

/// What an import needs; `OvfCreateImportSpecResult` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSpec {
    /// `ImportSpec`, to be handed to [`Client::import_vapp`].
    pub spec: Element,
    /// The files to upload.
    pub items: Vec<FileItem>,
    /// What the server finds odd.
    pub warnings: Vec<String>,
}

/// A file to upload; `OvfFileItem` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// The lease's `import_key` for it.
    pub device_id: String,
    /// Its name beside the descriptor.
    pub path: String,
    /// How large it is, if the descriptor tells.
    pub size: Option<u64>,
    /// Whether it is a new file, to be put with `Overwrite`, and not a disk.
    pub create: bool,
}

impl Client {
    /// The OVF descriptor of a machine; `OvfManager.CreateDescriptor`.
    pub async fn create_descriptor(
        &self,
        _vm: &Ref,
        _name: &str,
        _files: &[OvfFile],
    ) -> Result<String, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// What the import of a descriptor needs; `OvfManager.CreateImportSpec`.
    pub async fn create_import_spec(
        &self,
        _ovf: &str,
        _pool: &Ref,
        _datastore: &Ref,
        _params: &ImportParams,
    ) -> Result<ImportSpec, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Opens a new machine for upload; `ResourcePool.ImportVApp`. Returns when it is ready.
    pub async fn import_vapp(
        &self,
        _pool: &Ref,
        _spec: &ImportSpec,
        _folder: Option<&Ref>,
        _host: Option<&Ref>,
        _cancel: &Cancel,
    ) -> Result<Lease, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
