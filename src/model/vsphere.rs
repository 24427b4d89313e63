//! What only vSphere knows of a machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Size;
use super::hardware::words;

/// What only vSphere knows of a machine; other providers leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VsphereHardware {
    /// CPUs can be added while it runs.
    pub cpu_hot_add: bool,
    /// Memory can be added while it runs.
    pub memory_hot_add: bool,
    /// Of the processors, in MHz.
    pub cpu_reservation: Option<u32>,
    /// Of the memory.
    pub memory_reservation: Option<Size>,
    /// The guest can run machines itself.
    pub nested: bool,
    /// A virtual TPM; vCenter needs a key provider for it.
    pub tpm: bool,
    /// Memory of the video card.
    pub video_memory: Option<Size>,
    /// VMware Tools are brought up to date when the machine is turned on.
    pub tools_upgrade: bool,
    /// VMware Tools set the guest's clock by the host's.
    pub sync_time: bool,
    /// How the disks take their space.
    pub provisioning: Provisioning,
    /// Clones are full copies and share no disk with what they come from.
    pub full_clone: bool,
    /// A finished machine becomes a template.
    pub template: bool,
    /// A note for people.
    pub notes: Option<String>,
    /// Entries of `config.extraConfig`: `disk.EnableUUID`.
    pub extra_config: BTreeMap<String, String>,
    /// Values of the vApp properties that a clone's source has.
    pub vapp_properties: BTreeMap<String, String>,
    /// What a clone's guest is told at its first start.
    pub customization: Option<Box<Customization>>,
}

/// How disks take their space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provisioning {
    /// When it is written.
    #[default]
    Thin,
    /// All at once, cleared when it is written.
    Thick,
    /// All at once, cleared at once.
    Eager,
}

words!(Provisioning, "provisioning", Thin => "thin", Thick => "thick", Eager => "eager");

/// What VMware Tools make of a clone's guest (Linux) at its first start; vSphere's `CustomizationSpec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Customization {
    /// The name of a specification that the server keeps; the rest is not used then.
    pub spec: Option<String>,
    /// The guest's name, without a domain; none: the machine's.
    pub hostname: Option<String>,
    /// Its domain.
    pub domain: String,
    /// Its time zone: `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// Name servers.
    pub dns_servers: Vec<String>,
    /// Domains to search.
    pub dns_suffixes: Vec<String>,
    /// One for each network adapter, in order; those that are left over use DHCP.
    pub nics: Vec<CustomNic>,
}

/// The addresses of a network adapter of a customized guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomNic {
    /// Its address with the length of the network's prefix, `10.20.0.7/24`; none: DHCP.
    pub address: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
}
