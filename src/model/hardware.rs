//! A machine's hardware in provider-neutral words.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Size;

/// The hardware of a machine: what `[machine]` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Virtual CPUs, at least one.
    pub cpus: u32,
    /// Cores per socket; divides `cpus`.
    pub cores_per_socket: u32,
    /// Memory.
    pub memory: Size,
    /// What boots the machine.
    pub firmware: Firmware,
    /// Disks in order; the first one boots.
    pub disks: Vec<Disk>,
    /// Network adapters in order; the first one carries SSH.
    pub nics: Vec<Nic>,
    /// vSphere's guest id, such as `debian12_64Guest`; also the OVF's `vmw:osType`.
    pub guest_id: Option<String>,
    /// The virtual hardware version (`vmx-NN`) that the OVF names.
    pub hardware_version: u32,
    /// What only vSphere knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsphere: Option<Box<VsphereHardware>>,
}

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
    /// How the disks take their space.
    pub provisioning: Provisioning,
    /// A note for people.
    pub notes: Option<String>,
    /// Entries of `config.extraConfig`: `disk.EnableUUID`.
    pub extra_config: BTreeMap<String, String>,
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

/// What boots a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// A PC BIOS.
    Bios,
    /// UEFI without secure boot.
    Efi,
    /// UEFI with secure boot.
    EfiSecure,
}

/// A virtual disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size; a multiple of 1 MiB.
    pub size: Size,
    /// What it hangs on.
    pub controller: Controller,
}

/// A disk controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// LSI Logic parallel SCSI.
    Lsilogic,
    /// VMware's paravirtual SCSI.
    Pvscsi,
    /// AHCI.
    Sata,
    /// Parallel ATA.
    Ide,
    /// NVM Express.
    Nvme,
    /// virtio-blk; QEMU only.
    Virtio,
}

/// A network adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// The card.
    pub adapter: NicAdapter,
    /// The network's name, for providers that have named networks and for the OVF.
    pub network: String,
}

/// A network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NicAdapter {
    /// Intel 82545EM.
    E1000,
    /// Intel 82574L.
    E1000e,
    /// VMware's paravirtual card.
    Vmxnet3,
    /// virtio-net; QEMU only.
    Virtio,
}

macro_rules! words {
    ($type:ty, $what:literal, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            #[doc = concat!("The words for ", $what, ", as users write them.")]
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            #[doc = concat!("The ", $what, " that `word` names.")]
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// As users write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(Provisioning, "provisioning", Thin => "thin", Thick => "thick", Eager => "eager");
words!(Firmware, "firmware", Bios => "bios", Efi => "efi", EfiSecure => "efi-secure");
words!(
    Controller, "disk controller",
    Lsilogic => "lsilogic", Pvscsi => "pvscsi", Sata => "sata", Ide => "ide", Nvme => "nvme", Virtio => "virtio",
);
words!(NicAdapter, "network adapter", E1000 => "e1000", E1000e => "e1000e", Vmxnet3 => "vmxnet3", Virtio => "virtio");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_to_its_value_and_back() {
        for word in Controller::WORDS {
            assert_eq!(Controller::from_word(word).unwrap().as_str(), *word);
        }
        for word in NicAdapter::WORDS {
            assert_eq!(NicAdapter::from_word(word).unwrap().as_str(), *word);
        }
        for word in Firmware::WORDS {
            assert_eq!(Firmware::from_word(word).unwrap().as_str(), *word);
        }
        assert_eq!(Controller::from_word("scsi"), None);
    }
}
