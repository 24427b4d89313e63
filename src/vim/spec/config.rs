//! `VirtualMachineConfigSpec`.

use super::DeviceChange;
use crate::vim::{Element, Xml};

/// What a machine is made as, or changed to; `VirtualMachineConfigSpec` in the API. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigSpec {
    /// Its name.
    pub name: Option<String>,
    /// The hardware's version, such as `vmx-14`.
    pub version: Option<String>,
    /// The kind of guest, such as `centos7_64Guest`.
    pub guest_id: Option<String>,
    /// Notes.
    pub annotation: Option<String>,
    /// Where its files lie: `[datastore]`, or with a path.
    pub vm_path_name: Option<String>,
    /// How VMware Tools behave.
    pub tools: Option<ToolsSpec>,
    /// Whether virtualization-based security is on.
    pub vbs: Option<bool>,
    /// Whether the machine has an I/O memory management unit.
    pub iommu: Option<bool>,
    /// The number of CPUs.
    pub cpus: Option<u32>,
    /// How many of them sit in a socket.
    pub cores_per_socket: Option<u32>,
    /// The memory in MiB.
    pub memory_mib: Option<u64>,
    /// Whether memory can be added while it runs.
    pub memory_hot_add: Option<bool>,
    /// Whether CPUs can be added while it runs.
    pub cpu_hot_add: Option<bool>,
    /// Devices to add, change and remove, in order.
    pub devices: Vec<DeviceChange>,
    /// CPU time that is kept for it, in MHz.
    pub cpu_reservation_mhz: Option<u64>,
    /// The most CPU time it gets, in MHz; -1: no limit.
    pub cpu_limit_mhz: Option<i64>,
    /// Memory that is kept for it, in MiB.
    pub memory_reservation_mib: Option<u64>,
    /// Settings by key; an empty value removes a key.
    pub extra: Vec<(String, String)>,
    /// How long the firmware waits before it boots, in milliseconds.
    pub boot_delay_ms: Option<u64>,
    /// Whether the next start ends in the firmware's set-up.
    pub enter_setup: Option<bool>,
    /// Whether Secure Boot is on.
    pub secure_boot: Option<bool>,
    /// Whether a failed boot is tried again, and after how many milliseconds.
    pub boot_retry: Option<u64>,
    /// What it boots from, first to last; [`BootDevice::Default`] alone: back to the firmware's own order.
    pub boot_order: Vec<BootDevice>,
    /// `bios` or `efi`.
    pub firmware: Option<String>,
    /// Whether all its memory is kept for it.
    pub memory_reservation_locked: Option<bool>,
    /// Whether the guest can run machines of its own.
    pub nested_hv: Option<bool>,
    /// The identifier of a storage policy.
    pub storage_policy: Option<String>,
    /// `VmConfigSpec` as it should be written: vApp properties.
    pub vapp: Option<Element>,
}

/// How VMware Tools behave; `ToolsConfigInfo` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsSpec {
    /// `manual` or `upgradeAtPowerCycle`.
    pub upgrade_policy: Option<String>,
    /// Whether the guest's clock may be set by the host at all.
    pub sync_time_allowed: Option<bool>,
    /// Whether it is set now and then.
    pub sync_time: Option<bool>,
}

/// A device to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// The disk with this key.
    Disk(i32),
    /// The CD-ROM drives.
    Cdrom,
    /// The network card with this key.
    Ethernet(i32),
    /// The floppy drive.
    Floppy,
    /// The firmware's own order.
    Default,
}

impl ConfigSpec {
    /// Writes it under a name.
    pub fn write(&self, xml: &mut Xml, name: &str) {
        xml.within(name, |xml| self.write_inside(xml));
    }

    /// Writes it under a name where the schema wants its type told.
    pub fn write_typed(&self, xml: &mut Xml, name: &str) {
        xml.typed(name, "VirtualMachineConfigSpec", |xml| {
            self.write_inside(xml);
        });
    }

    fn write_inside(&self, xml: &mut Xml) {
        xml.maybe("name", self.name.as_ref())
            .maybe("version", self.version.as_ref())
            .maybe("guestId", self.guest_id.as_ref())
            .maybe("annotation", self.annotation.as_ref());
        if let Some(path) = &self.vm_path_name {
            xml.within("files", |xml| {
                xml.element("vmPathName", path);
            });
        }
        if let Some(tools) = &self.tools {
            tools.write(xml);
        }
        if self.vbs.is_some() || self.iommu.is_some() {
            xml.within("flags", |xml| {
                xml.maybe("vvtdEnabled", self.iommu)
                    .maybe("vbsEnabled", self.vbs);
            });
        }
        xml.maybe("numCPUs", self.cpus)
            .maybe("numCoresPerSocket", self.cores_per_socket)
            .maybe("memoryMB", self.memory_mib)
            .maybe("memoryHotAddEnabled", self.memory_hot_add)
            .maybe("cpuHotAddEnabled", self.cpu_hot_add);
        for change in &self.devices {
            change.write(xml);
        }
        allocation(
            xml,
            "cpuAllocation",
            self.cpu_reservation_mhz,
            self.cpu_limit_mhz,
        );
        allocation(xml, "memoryAllocation", self.memory_reservation_mib, None);
        for (key, value) in &self.extra {
            xml.typed("extraConfig", "OptionValue", |xml| {
                xml.element("key", key).value("value", "string", value);
            });
        }
        self.write_boot(xml);
        if let Some(vapp) = &self.vapp {
            xml.copy("vAppConfig", vapp);
        }
        xml.maybe("firmware", self.firmware.as_ref())
            .maybe(
                "memoryReservationLockedToMax",
                self.memory_reservation_locked,
            )
            .maybe("nestedHVEnabled", self.nested_hv);
        if let Some(policy) = &self.storage_policy {
            xml.typed("vmProfile", "VirtualMachineDefinedProfileSpec", |xml| {
                xml.element("profileId", policy);
            });
        }
    }

    fn write_boot(&self, xml: &mut Xml) {
        if self.boot_delay_ms.is_none()
            && self.enter_setup.is_none()
            && self.secure_boot.is_none()
            && self.boot_retry.is_none()
            && self.boot_order.is_empty()
        {
            return;
        }
        xml.within("bootOptions", |xml| {
            xml.maybe("bootDelay", self.boot_delay_ms)
                .maybe("enterBIOSSetup", self.enter_setup)
                .maybe("efiSecureBootEnabled", self.secure_boot)
                .maybe("bootRetryEnabled", self.boot_retry.map(|_| true))
                .maybe("bootRetryDelay", self.boot_retry);
            for device in &self.boot_order {
                device.write(xml);
            }
        });
    }
}

impl ToolsSpec {
    fn write(&self, xml: &mut Xml) {
        xml.within("tools", |xml| {
            xml.maybe("toolsUpgradePolicy", self.upgrade_policy.as_ref())
                .maybe("syncTimeWithHostAllowed", self.sync_time_allowed)
                .maybe("syncTimeWithHost", self.sync_time);
        });
    }
}

impl BootDevice {
    fn write(self, xml: &mut Xml) {
        let (kind, key) = match self {
            Self::Disk(key) => ("VirtualMachineBootOptionsBootableDiskDevice", Some(key)),
            Self::Cdrom => ("VirtualMachineBootOptionsBootableCdromDevice", None),
            Self::Ethernet(key) => ("VirtualMachineBootOptionsBootableEthernetDevice", Some(key)),
            Self::Floppy => ("VirtualMachineBootOptionsBootableFloppyDevice", None),
            Self::Default => ("VirtualMachineBootOptionsBootableDevice", None),
        };
        xml.typed("bootOrder", kind, |xml| {
            xml.maybe("deviceKey", key);
        });
    }
}

fn allocation(xml: &mut Xml, name: &str, reservation: Option<u64>, limit: Option<i64>) {
    if reservation.is_some() || limit.is_some() {
        xml.within(name, |xml| {
            xml.maybe("reservation", reservation).maybe("limit", limit);
        });
    }
}
