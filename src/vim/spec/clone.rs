//! `VirtualMachineCloneSpec`, `VirtualMachineRelocateSpec` and `CustomizationSpec`.

use super::ConfigSpec;
use crate::vim::{Element, Ref, Xml};

/// What a clone becomes; `VirtualMachineCloneSpec` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloneSpec {
    /// Where it goes.
    pub location: RelocateSpec,
    /// What changes with respect to the source.
    pub config: Option<ConfigSpec>,
    /// What its guest becomes at the first start.
    pub customization: Option<Customization>,
    /// The snapshot to clone; none: the present state.
    pub snapshot: Option<Ref>,
    /// Whether it is started.
    pub power_on: bool,
    /// Whether it is a template.
    pub template: bool,
}

/// Where a machine goes; `VirtualMachineRelocateSpec` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelocateSpec {
    /// The datastore.
    pub datastore: Option<Ref>,
    /// How its disks are made.
    pub disk_move_type: Option<DiskMove>,
    /// The resource pool.
    pub pool: Option<Ref>,
    /// The host.
    pub host: Option<Ref>,
    /// The identifier of a storage policy.
    pub storage_policy: Option<String>,
}

/// What a guest becomes at its first start; `CustomizationSpec` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customization {
    /// Said here, for Linux.
    Linux(CustomizationLinux),
    /// One that the server keeps, as it was read.
    Kept(Element),
}

/// How the disks of a clone are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMove {
    /// A child of the snapshot's disks: a linked clone.
    CreateNewChild,
    /// A full copy that joins the chain to one disk.
    Consolidate,
}

/// What the guest of a clone becomes at its first start; `CustomizationSpec` with `CustomizationLinuxPrep` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomizationLinux {
    /// Its name, without a domain; none: the machine's name.
    pub host_name: Option<String>,
    /// Its domain.
    pub domain: String,
    /// Its time zone, such as `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// Whether the hardware's clock is in UTC.
    pub hw_clock_utc: Option<bool>,
    /// Domains to search.
    pub dns_suffixes: Vec<String>,
    /// Name servers.
    pub dns_servers: Vec<String>,
    /// One a network card, in order.
    pub nics: Vec<NicAddress>,
}

/// The addresses of a network card; `CustomizationIPSettings` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicAddress {
    /// The IPv4 address and its netmask; none: by DHCP.
    pub ipv4: Option<(String, String)>,
    /// IPv4 gateways.
    pub gateways: Vec<String>,
    /// IPv6 addresses and the lengths of their prefixes.
    pub ipv6: Vec<(String, u8)>,
    /// IPv6 gateways.
    pub ipv6_gateways: Vec<String>,
    /// Name servers.
    pub dns_servers: Vec<String>,
    /// The domain.
    pub dns_domain: Option<String>,
}

impl CloneSpec {
    /// Writes it under a name.
    pub fn write(&self, xml: &mut Xml, name: &str) {
        xml.within(name, |xml| {
            self.location.write(xml, "location");
            xml.element("template", self.template);
            if let Some(config) = &self.config {
                config.write(xml, "config");
            }
            if let Some(customization) = &self.customization {
                match customization {
                    Customization::Linux(linux) => linux.write(xml, "customization"),
                    Customization::Kept(kept) => {
                        xml.copy("customization", kept);
                    }
                }
            }
            xml.element("powerOn", self.power_on)
                .maybe_reference("snapshot", self.snapshot.as_ref());
        });
    }
}

impl RelocateSpec {
    /// Writes it under a name.
    pub fn write(&self, xml: &mut Xml, name: &str) {
        xml.within(name, |xml| {
            xml.maybe_reference("datastore", self.datastore.as_ref())
                .maybe("diskMoveType", self.disk_move_type.map(DiskMove::as_str))
                .maybe_reference("pool", self.pool.as_ref())
                .maybe_reference("host", self.host.as_ref());
            if let Some(policy) = &self.storage_policy {
                xml.typed("profile", "VirtualMachineDefinedProfileSpec", |xml| {
                    xml.element("profileId", policy);
                });
            }
        });
    }
}

impl DiskMove {
    fn as_str(self) -> &'static str {
        match self {
            Self::CreateNewChild => "createNewChildDiskBacking",
            Self::Consolidate => "moveAllDiskBackingsAndConsolidate",
        }
    }
}

impl CustomizationLinux {
    /// Writes it under a name.
    pub fn write(&self, xml: &mut Xml, name: &str) {
        xml.within(name, |xml| {
            xml.typed("identity", "CustomizationLinuxPrep", |xml| {
                match &self.host_name {
                    Some(host) => xml.typed("hostName", "CustomizationFixedName", |xml| {
                        xml.element("name", host);
                    }),
                    None => xml.typed("hostName", "CustomizationVirtualMachineName", |_| {}),
                };
                xml.element("domain", &self.domain)
                    .maybe("timeZone", self.time_zone.as_ref())
                    .maybe("hwClockUTC", self.hw_clock_utc);
            });
            xml.within("globalIPSettings", |xml| {
                each(xml, "dnsSuffixList", &self.dns_suffixes);
                each(xml, "dnsServerList", &self.dns_servers);
            });
            for nic in &self.nics {
                xml.within("nicSettingMap", |xml| {
                    xml.within("adapter", |xml| nic.write(xml));
                });
            }
        });
    }
}

impl NicAddress {
    fn write(&self, xml: &mut Xml) {
        match &self.ipv4 {
            Some((address, mask)) => {
                xml.typed("ip", "CustomizationFixedIp", |xml| {
                    xml.element("ipAddress", address);
                });
                xml.element("subnetMask", mask);
            }
            None => {
                xml.typed("ip", "CustomizationDhcpIpGenerator", |_| {});
            }
        }
        each(xml, "gateway", &self.gateways);
        if !self.ipv6.is_empty() {
            xml.within("ipV6Spec", |xml| {
                for (address, prefix) in &self.ipv6 {
                    xml.typed("ip", "CustomizationFixedIpV6", |xml| {
                        xml.element("ipAddress", address)
                            .element("subnetMask", prefix);
                    });
                }
                each(xml, "gateway", &self.ipv6_gateways);
            });
        }
        each(xml, "dnsServerList", &self.dns_servers);
        xml.maybe("dnsDomain", self.dns_domain.as_ref());
    }
}

fn each(xml: &mut Xml, name: &str, texts: &[String]) {
    for text in texts {
        xml.element(name, text);
    }
}
