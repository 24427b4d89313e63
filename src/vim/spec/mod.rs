//! What a machine should be: specifications that write themselves in the order of the API's schema.

mod clone;
mod config;
mod device;
mod hardware;

pub use clone::{CloneSpec, Customization, CustomizationLinux, DiskMove, NicAddress, RelocateSpec};
pub use config::{BootDevice, ConfigSpec, ToolsSpec};
pub use device::{
    DeviceChange, DeviceSpec, DiskSpec, FileOperation, NetworkBacking, NicKind, NicSpec, Operation,
    ScsiKind,
};
