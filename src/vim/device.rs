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
    pub async fn devices(&self, vm: &Ref) -> Result<Vec<Device>, VimError> {
        const PATH: &str = "config.hardware.device";
        let properties = self.read(vm, &[PATH]).await?;
        let list = properties.get(PATH).map_or(&[][..], |list| &list.children);
        Ok(list.iter().map(Device::read).collect())
    }
}

impl Device {
    fn read(raw: &Element) -> Self {
        let text = |path| {
            raw.text_of(path)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        let bytes = raw
            .u64_of("capacityInBytes")
            .or_else(|| Some(raw.u64_of("capacityInKB")? << 10));
        Self {
            key: raw.i32_of("key").unwrap_or_default(),
            kind: raw.kind.clone().unwrap_or_default(),
            label: text("deviceInfo.label").unwrap_or_default(),
            controller: raw.i32_of("controllerKey"),
            unit: raw.i32_of("unitNumber"),
            backing: raw.child("backing").and_then(|b| b.kind.clone()),
            file: text("backing.fileName"),
            capacity: bytes.map(Size::from_bytes),
            mac: text("macAddress"),
            raw: raw.clone(),
        }
    }
}
