//! A machine's hardware in provider-neutral words.

use serde::{Deserialize, Serialize};

use super::{Size, VsphereHardware};

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
    /// LSI Logic SAS.
    LsilogicSas,
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
    /// The card's own address; none: the provider makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
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

/// Words of the language for the values of a type.
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
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use words;

words!(Firmware, "firmware", Bios => "bios", Efi => "efi", EfiSecure => "efi-secure");
words!(
    Controller, "disk controller",
    Lsilogic => "lsilogic", LsilogicSas => "lsilogic-sas", Pvscsi => "pvscsi", Sata => "sata", Ide => "ide", Nvme => "nvme", Virtio => "virtio",
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
