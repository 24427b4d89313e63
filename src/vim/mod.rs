//! The vim25 API of vCenter and ESXi, 6.5 and later.
//!
//! A [`Client`] is a session that logs in again by itself; copies of it are cheap. Requests are written with [`Xml`] in
//! the order of the API's schema, answers are read as [`Element`]s. [`Client::task`] starts a task and waits for it,
//! [`Client::watch`] waits for properties; both go on through broken connections and ended sessions. A server that was
//! there before is waited for while it restarts ([`WhileAway`]). What is named here after a method of the API does what
//! that does. Content libraries and tags are reached by vCenter's REST API, with a session of its own that the client
//! begins and ends by itself.
//!
//! A password is shown to nobody but the server: no message, log or `Debug` of this module holds one.

mod away;
mod client;
mod console;
mod content;
mod device;
mod element;
mod endpoint;
mod environment;
mod error;
mod fetch;
mod files;
mod http;
mod inventory;
mod lease;
mod library;
mod library_update;
mod machine;
mod ovf;
mod policy;
mod power;
mod property;
mod rest;
mod session;
mod soap;
mod spec;
mod tags;
mod task;
mod tls;
mod watch;
mod wire;
mod xml;

pub use away::WhileAway;
pub use client::Client;
pub use console::{KeyEvent, Modifiers, Question};
pub use content::{About, ApiType, Content};
pub use device::Device;
pub use element::{Element, Ref};
pub use endpoint::{Endpoint, Trust};
pub use error::{Fault, VimError};
pub use files::DatastorePath;
pub use inventory::Found;
pub use lease::{Lease, LeaseFile, ManifestEntry};
pub use library::{Library, LibraryFile, LibraryItem};
pub use library_update::{LibraryPush, LibraryUpdate};
pub use ovf::{FileItem, ImportParams, ImportSpec, OvfFile};
pub use property::Properties;
pub use spec::{
    BootDevice, CloneSpec, ConfigSpec, Customization, CustomizationLinux, DeviceChange, DeviceSpec,
    DiskMove, DiskSpec, FileOperation, NetworkBacking, NicAddress, NicKind, NicSpec, Operation,
    RelocateSpec, ScsiKind, ToolsSpec,
};
pub use tags::Named;
pub use task::Waiting;
pub use xml::Xml;

#[cfg(test)]
mod tests;
