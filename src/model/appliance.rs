//! What is handed out of a machine: `pack-ova`, and what an appliance says to those who deploy it.

use std::collections::BTreeMap;

use super::hardware::words;
use super::{Algorithm, Text};

/// `kind = "pack-ova"`.
#[derive(Clone, Debug, PartialEq)]
pub struct PackOva {
    /// The appliance's name: `output/NAME/NAME.ova`.
    pub name: Text,
    /// Product properties (`ovf:key` = value), in file order.
    pub properties: Vec<Property>,
    /// Product name.
    pub product: Text,
    /// Vendor.
    pub vendor: Option<Text>,
    /// Product version.
    pub version: Text,
    /// Its version with everything: build, commit.
    pub full_version: Option<Text>,
    /// Where there is more about it.
    pub product_url: Option<Text>,
    /// Where there is more about its maker.
    pub vendor_url: Option<Text>,
    /// Where it is reached when it runs.
    pub app_url: Option<Text>,
    /// What stands before and behind the properties' keys, as a vApp knows them.
    pub class: Option<Text>,
    /// See `class`.
    pub instance: Option<Text>,
    /// A note for people.
    pub annotation: Option<Text>,
    /// License texts.
    pub eulas: Vec<Text>,
    /// How properties reach the guest; none: as VMware's tools read them.
    pub transports: Vec<String>,
    /// The hardware versions that it runs on; none: the machine's.
    pub hardware_versions: Vec<u32>,
    /// Whether it asks for a virtual TPM.
    pub tpm: bool,
    /// The manifest's digests: SHA-256 or SHA-512.
    pub digest: Algorithm,
    /// Whose importers it is made for.
    pub variant: Variant,
    /// The version of OVF that the descriptor is written in.
    pub ovf: OvfVersion,
    /// Who signs it.
    pub sign: Option<Signing>,
    /// A minijinja template of the descriptor, relative to the project.
    pub template: Option<String>,
    /// Fields for `manifest.json`.
    pub manifest: BTreeMap<String, Text>,
}

/// Whose importers an appliance is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// VMware's; VirtualBox makes of it what it can.
    #[default]
    Vmware,
    /// VirtualBox: what it would refuse or change is something else from the start. VMware's take it too.
    Virtualbox,
}

words!(Variant, "variant of an appliance", Vmware => "vmware", Virtualbox => "virtualbox");

/// A version of OVF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OvfVersion {
    /// What every importer reads.
    #[default]
    First,
    /// With elements of their own for drives and network cards.
    Second,
}

words!(OvfVersion, "version of OVF", First => "1.1", Second => "2.0");

/// A signature's key and certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Signing {
    /// The file with the private key, PEM.
    pub key_file: Text,
    /// The file with the certificate, PEM; those that lead to its authority behind it.
    pub certificate: Text,
}

/// A product property.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Text,
    /// Whether whoever deploys the appliance may change it.
    pub user_configurable: bool,
    /// Its type: `string`, `boolean`, `uint16`, …
    pub kind: String,
    /// Whether it is shown as dots.
    pub password: bool,
    /// What values it may have: `MinLen(1) MaxLen(63)`.
    pub qualifiers: Option<String>,
    /// The heading that it stands under.
    pub category: Option<Text>,
    /// For people.
    pub label: Option<Text>,
    /// For people, longer.
    pub description: Option<Text>,
}
