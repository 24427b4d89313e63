//! The devices that a machine has.

use super::{Client, Element, Ref, VimError};
use crate::model::Size;

/// A device of a machine; `VirtualDevice` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its key.
    pub key: i32,
    /// Its type, such as `VirtualDisk`.
    pub kind: String,
    /// Its label, such as `Hard disk 1`.
    pub label: String,
    /// Its controller's key.
    pub controller: Option<i32>,
    /// Its place on the controller.
    pub unit: Option<i32>,
    /// The type of what is behind it, such as `VirtualDiskFlatVer2BackingInfo`.
    pub backing: Option<String>,
    /// The file behind it, as `[datastore] path`.
    pub file: Option<String>,
    /// How large a disk is.
    pub capacity: Option<Size>,
    /// A network card's address.
    pub mac: Option<String>,
    /// All that the server tells, to be changed and sent back in [`super::DeviceSpec::Raw`].
    pub raw: Element,
}

impl Client {
    /// The devices of a machine.
    pub async fn devices(&self, _vm: &Ref) -> Result<Vec<Device>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
