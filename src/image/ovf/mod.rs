//! OVF descriptors: what an appliance says about its machine.
//!
//! [`write()`] makes an OVF 1.1 descriptor from forge's own words, in the form that VMware, VirtualBox, virt-v2v and Xen
//! Orchestra take. [`parse`] reads any OVF 1.x (and the usual parts of 2.x) into an [`Envelope`] as it stands;
//! [`Envelope::lower`] turns that into [`Hardware`], or says what stands in the way.

mod devices;
mod envelope;
mod guest;
mod items;
mod lower;
mod write;
mod xml;

use crate::model::{Controller, Hardware, Size};

pub use envelope::{DiskRef, Envelope, FileRef, Item, Network, parse};
pub(super) use lower::disk_capacity;
pub use lower::{Appliance, ApplianceDisk};
pub use write::{Written, write};

/// The format URI of a stream-optimized VMDK.
pub const STREAM_OPTIMIZED: &str =
    "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// What an OVF is written from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The machine's name.
    pub name: String,
    /// The machine.
    pub hardware: Hardware,
    /// The files of its disks, in the hardware's order.
    pub disks: Vec<DiskFile>,
    /// The file with the UEFI variables, as VMware writes them.
    pub nvram: Option<NvramFile>,
    /// What it is, for people and for those who deploy it.
    pub product: Product,
    /// A note for people.
    pub annotation: Option<String>,
    /// License text that must be accepted.
    pub eula: Option<String>,
}

/// A disk's file within an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// The file's name.
    pub href: String,
    /// The file's size.
    pub size: Size,
    /// The disk's size.
    pub capacity: Size,
    /// Bytes of the disk that are not zeros.
    pub populated: Size,
}

/// The file with a machine's UEFI variables within an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvramFile {
    /// The file's name.
    pub href: String,
    /// The file's size.
    pub size: Size,
}

/// A product section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// The product's name.
    pub name: String,
    /// Who makes it.
    pub vendor: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Values for the guest, in order.
    pub properties: Vec<Property>,
}

/// A property: a value for the guest, or something that deployers want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Property {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether whoever deploys the appliance may change it.
    pub user_configurable: bool,
    /// For people.
    pub label: Option<String>,
    /// For people, longer.
    pub description: Option<String>,
}

/// Why an OVF could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OvfError {
    /// Not well-formed XML.
    #[error("the ovf is no well-formed xml (byte {offset}): {what}")]
    Xml {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Well-formed, but not an OVF.
    #[error("not an ovf: {0}")]
    NotOvf(String),
    /// Something needed is not there.
    #[error("the ovf has no {what} in {place}")]
    Missing {
        /// What.
        what: &'static str,
        /// Where.
        place: String,
    },
    /// A value that makes no sense.
    #[error("the ovf says `{value}` for {what}; expected {expected}")]
    Value {
        /// The value.
        value: String,
        /// What it stands for.
        what: String,
        /// What would do.
        expected: &'static str,
    },
    /// A reference that leads nowhere.
    #[error("{what} of the ovf refers to `{target}`, which does not exist")]
    Dangling {
        /// What refers.
        what: String,
        /// To what.
        target: String,
    },
    /// Something that forge does not run.
    #[error("the ovf describes {0}, which forge does not run")]
    Unsupported(String),
    /// As many disk files as disks are needed.
    #[error("the machine has {disks} disk(s), but there are files for {files}")]
    DiskCount {
        /// Disks of the hardware.
        disks: usize,
        /// Files given.
        files: usize,
    },
    /// More disks than the controllers take.
    #[error("{disks} disks on {controller} controllers; an ovf can describe {most}")]
    TooManyDisks {
        /// The kind.
        controller: Controller,
        /// How many there are.
        disks: usize,
        /// How many there can be.
        most: usize,
    },
    /// Text with control characters.
    #[error("{0} has a character that xml cannot hold")]
    Text(String),
    /// Two things with one name.
    #[error("two {what} are called `{name}`")]
    Twice {
        /// What.
        what: &'static str,
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests;
