//! Who imports appliances, as far as it is known what they refuse or change.

use std::fmt;

use serde::Serialize;

/// A program that appliances are imported with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Importer {
    /// ESXi by itself.
    Esxi,
    /// vCenter, its content library too.
    Vcenter,
    /// VMware Workstation and Fusion.
    Workstation,
    /// VMware's ovftool.
    Ovftool,
    /// VirtualBox.
    Virtualbox,
    /// virt-v2v, and with it oVirt and `OpenStack`.
    VirtV2v,
    /// Tools beside: COT, vmdk-convert.
    Others,
}

/// All of them.
pub(super) const EVERYBODY: &[Importer] = &[
    Importer::Esxi,
    Importer::Vcenter,
    Importer::Workstation,
    Importer::Ovftool,
    Importer::Virtualbox,
    Importer::VirtV2v,
    Importer::Others,
];

impl Importer {
    /// The words of the command line; some mean more than one.
    pub const WORDS: &'static [&'static str] = &[
        "esxi",
        "vcenter",
        "vsphere",
        "workstation",
        "fusion",
        "ovftool",
        "virtualbox",
        "virt-v2v",
        "others",
    ];

    /// Those that a word means.
    pub fn parse(word: &str) -> Option<&'static [Self]> {
        Some(match word {
            "esxi" => &[Self::Esxi],
            "vcenter" => &[Self::Vcenter],
            "vsphere" => &[Self::Esxi, Self::Vcenter],
            "workstation" | "fusion" => &[Self::Workstation],
            "ovftool" => &[Self::Ovftool],
            "virtualbox" => &[Self::Virtualbox],
            "virt-v2v" => &[Self::VirtV2v],
            "others" => &[Self::Others],
            _ => return None,
        })
    }
}

impl fmt::Display for Importer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Esxi => "ESXi",
            Self::Vcenter => "vCenter",
            Self::Workstation => "Workstation",
            Self::Ovftool => "ovftool",
            Self::Virtualbox => "VirtualBox",
            Self::VirtV2v => "virt-v2v",
            Self::Others => "others",
        })
    }
}

/// A list for people.
pub(super) fn list(importers: &[Importer]) -> String {
    if importers == EVERYBODY {
        return "everybody".into();
    }
    let names: Vec<String> = importers.iter().map(ToString::to_string).collect();
    names.join(", ")
}
