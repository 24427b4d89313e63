//! OVF descriptors: what an appliance says about its machine.
//!
//! [`write()`] makes an OVF 1.1 descriptor from forge's own words, in the form that VMware, VirtualBox, virt-v2v and Xen
//! Orchestra take. [`parse`] reads any OVF 1.x (and the usual parts of 2.x) into an [`Envelope`] as it stands;
//! [`to_version_2`] makes OVF 2 of OVF 1. [`Envelope::lower`] turns that into [`Hardware`], or says what stands in the way.

mod adapt;
mod devices;
mod envelope;
mod guest;
mod items;
mod lower;
mod schema;
mod second;
mod template;
mod write;
mod xml;

use crate::model::{Controller, Hardware, Size};

pub use adapt::{Adapted, for_virtualbox};
pub use envelope::{DiskRef, Envelope, FileRef, Item, Network, parse};
pub use lower::{Appliance, ApplianceDisk};
pub(super) use lower::{disk_capacity, first_word};
pub use second::to_version_2;
pub use template::render;
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
    /// License texts that must be accepted.
    pub eulas: Vec<String>,
    /// How it is to be deployed.
    pub deploy: Deploy,
}

/// What whoever deploys an appliance finds beside its hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    /// How properties reach the guest; none: as VMware's tools read them, if there is a property to be set.
    pub transports: Vec<String>,
    /// The hardware versions that it runs on; none: that of the hardware.
    pub hardware_versions: Vec<u32>,
    /// Whether it asks for a virtual TPM.
    pub tpm: bool,
    /// What stands before the keys of its properties, as a vApp knows them: `CLASS.KEY.INSTANCE`.
    pub class: Option<String>,
    /// What stands behind them.
    pub instance: Option<String>,
}

impl Deploy {
    /// `vmx-15`, or several.
    fn families(&self, hardware: &Hardware) -> Vec<String> {
        let one = [hardware.hardware_version];
        let versions = match &self.hardware_versions[..] {
            [] => &one[..],
            several => several,
        };
        versions
            .iter()
            .map(|version| format!("vmx-{version:02}"))
            .collect()
    }

    fn transports(&self, properties: &[Property]) -> Vec<String> {
        if self.transports.is_empty() && properties.iter().any(|p| p.user_configurable) {
            // without one, what deployers enter never reaches the guest
            return vec!["com.vmware.guestInfo".into()];
        }
        self.transports.clone()
    }
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
    /// Its version with everything: build, commit.
    pub full_version: Option<String>,
    /// Where there is more about it.
    pub product_url: Option<String>,
    /// Where there is more about its maker.
    pub vendor_url: Option<String>,
    /// Where it is reached when it runs.
    pub app_url: Option<String>,
    /// Values for the guest, in order.
    pub properties: Vec<Property>,
}

/// A property: a value for the guest, or something that deployers want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether whoever deploys the appliance may change it.
    pub user_configurable: bool,
    /// Its type: one of [`crate::model::PROPERTY_TYPES`].
    pub kind: String,
    /// Whether it is shown as dots.
    pub password: bool,
    /// What values it may have: `MinLen(1) MaxLen(63)`.
    pub qualifiers: Option<String>,
    /// The heading that it stands under.
    pub category: Option<String>,
    /// For people.
    pub label: Option<String>,
    /// For people, longer.
    pub description: Option<String>,
}

impl Property {
    /// What is wrong with its type, its qualifiers or its value, in words.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        crate::model::property_faults(&self.kind, self.qualifiers.as_deref(), &self.value)
    }
}

impl Default for Property {
    fn default() -> Self {
        Self {
            key: String::new(),
            value: String::new(),
            user_configurable: false,
            kind: "string".into(),
            password: false,
            qualifiers: None,
            category: None,
            label: None,
            description: None,
        }
    }
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
    /// Not as the schema has it.
    #[error("the ovf is not as the schema wants it: {0}")]
    Schema(String),
    /// A template that cannot be rendered.
    #[error("the template of the ovf cannot be rendered: {0}")]
    Template(String),
    /// A property that makes no sense.
    #[error("the property `{key}`: {why}")]
    Property {
        /// Its key.
        key: String,
        /// What is wrong.
        why: String,
    },
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
