//! Leases: a machine's disks as streams over HTTP, out and in.

use std::io;
use std::path::Path;

use super::{Client, Ref, VimError};
use crate::model::Size;
use crate::sys::Cancel;

/// A lease on a machine's disks; `HttpNfcLease` in the API. It is kept alive until it is completed or aborted; dropped
/// without either, it is aborted.
pub struct Lease {
    files: Vec<LeaseFile>,
    entity: Option<Ref>,
}

/// A file of a lease; `HttpNfcLeaseDeviceUrl` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFile {
    /// Which device it is, for OVF descriptors.
    pub key: String,
    /// Which file of an import it is.
    pub import_key: String,
    /// Where it is.
    pub url: String,
    /// Whether it is a disk.
    pub disk: bool,
    /// The server's name for the file.
    pub target: Option<String>,
    /// How large it is, if the server knows.
    pub size: Option<u64>,
    /// The SHA-1 or SHA-256 of the host's certificate.
    pub thumbprint: Option<String>,
}

/// What the server has sent of a file; `HttpNfcLeaseManifestEntry` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Which device it is.
    pub key: String,
    /// Its SHA-1 in hexadecimal digits.
    pub sha1: Option<String>,
    /// Its checksum of the type below.
    pub checksum: Option<String>,
    /// Such as `sha1` or `sha256`.
    pub checksum_type: Option<String>,
    /// The bytes sent.
    pub size: u64,
    /// Whether it is a disk.
    pub disk: bool,
    /// How large the disk is.
    pub capacity: Option<Size>,
    /// How much of it is in use.
    pub populated: Option<Size>,
}

impl Client {
    /// Opens a machine that is off for download; `VirtualMachine.ExportVm`. Returns when it is ready.
    pub async fn export_vm(&self, _vm: &Ref, _cancel: &Cancel) -> Result<Lease, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Opens a snapshot for download; `VirtualMachineSnapshot.ExportSnapshot`. Returns when it is ready.
    pub async fn export_snapshot(
        &self,
        _snapshot: &Ref,
        _cancel: &Cancel,
    ) -> Result<Lease, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}

impl Lease {
    /// What can be transferred.
    #[must_use]
    pub fn files(&self) -> &[LeaseFile] {
        &self.files
    }

    /// The machine: the exported one, or the new one.
    #[must_use]
    pub fn entity(&self) -> Option<&Ref> {
        self.entity.as_ref()
    }

    /// Downloads a file into `to`, which is given the bytes in order; gives how many there were. `progress` is told the
    /// bytes so far.
    pub async fn download(
        &self,
        _file: &LeaseFile,
        _to: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
        _progress: &(dyn Fn(u64) + Send + Sync),
        _cancel: &Cancel,
    ) -> Result<u64, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Uploads a file. `progress` is told the bytes done and all of them.
    pub async fn upload(
        &self,
        _file: &LeaseFile,
        _path: &Path,
        _progress: &(dyn Fn(u64, u64) + Send + Sync),
        _cancel: &Cancel,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// What the server has sent; `HttpNfcLease.HttpNfcLeaseGetManifest`. Empty where the server does not know.
    pub async fn manifest(&self) -> Result<Vec<ManifestEntry>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Ends it well.
    pub async fn complete(self) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Ends it badly: what has been imported is removed.
    pub async fn abort(self, _why: &str) {}
}
