//! From a descriptor as written to the machine that it means.

use super::envelope::{DiskRef, Envelope, FileRef, Item};
use super::{OvfError, Product};
use crate::model::{Controller, Disk, Firmware, Hardware, Nic, NicAdapter, Size};

/// The machine of an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// Its name.
    pub name: String,
    /// Its hardware, as far as forge has words for it.
    pub hardware: Hardware,
    /// The files of the disks, in the hardware's order.
    pub disks: Vec<ApplianceDisk>,
    /// What it is.
    pub product: Product,
    /// A note for people.
    pub annotation: Option<String>,
    /// License texts.
    pub eulas: Vec<String>,
    /// What the hardware has beside that, or was read as something similar.
    pub notes: Vec<String>,
}

/// A disk of an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplianceDisk {
    /// Its size.
    pub capacity: Size,
    /// Its file; none: an empty disk.
    pub file: Option<FileRef>,
    /// The URI of the file's format.
    pub format: String,
}

impl Envelope {
    /// The machine, or what is in the way.
    pub fn lower(&self) -> Result<Appliance, OvfError> {
        match self.machines {
            0 => {
                return Err(OvfError::Missing {
                    what: "`VirtualSystem`",
                    place: "its envelope".into(),
                });
            }
            1 => {}
            n => return Err(OvfError::Unsupported(format!("{n} machines at once"))),
        }
        let mut notes = Vec::new();
        let items: Vec<&Item> = self.items.iter().filter(|i| self.applies(i)).collect();
        let cpu = quantity(&items, "3", "CPU item")?;
        let cpus = whole(&cpu.0, "the number of CPUs")?;
        let memory = quantity(&items, "4", "memory item")?;
        let mut disks = Vec::new();
        let mut hardware_disks = Vec::new();
        for item in items.iter().filter(|i| i.kind == "17") {
            let disk = self.disk(item)?;
            hardware_disks.push(Disk {
                size: disk.capacity,
                controller: controller(item, &items, &mut notes)?,
            });
            disks.push(disk);
        }
        let nics = items.iter().filter(|i| i.kind == "10");
        let nics: Vec<Nic> = nics.map(|item| nic(item, &mut notes)).collect();
        notes.extend(items.iter().filter_map(|item| left_out(item)));
        let cores_per_socket = cpu
            .1
            .cores_per_socket
            .as_deref()
            .and_then(|cores| cores.parse().ok())
            .filter(|cores| *cores > 0 && u32::is_multiple_of(cpus, *cores))
            .unwrap_or(1);
        Ok(Appliance {
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            hardware: Hardware {
                cpus,
                cores_per_socket,
                memory: size(&memory.0, memory.1.units.as_deref(), "the memory")?,
                firmware: self.firmware()?,
                disks: hardware_disks,
                nics,
                guest_id: self.os_type.clone(),
                hardware_version: self.hardware_version(&mut notes),
                vsphere: None,
            },
            disks,
            product: self.product.clone(),
            annotation: self.annotation.clone(),
            eulas: self.eulas.clone(),
            notes,
        })
    }

    fn applies(&self, item: &Item) -> bool {
        match (&item.configuration, &self.configuration) {
            (None, _) => true,
            (Some(of), Some(default)) => of.split_whitespace().any(|o| o == default),
            (Some(_), None) => false,
        }
    }

    /// The value of one of VMware's settings.
    pub(in crate::image) fn setting(&self, key: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_str())
    }

    fn firmware(&self) -> Result<Firmware, OvfError> {
        let secure = self.setting("bootOptions.efiSecureBootEnabled") == Some("true");
        match self.setting("firmware") {
            None | Some("bios") => Ok(Firmware::Bios),
            Some("efi") if secure => Ok(Firmware::EfiSecure),
            Some("efi") => Ok(Firmware::Efi),
            Some(other) => Err(OvfError::Value {
                value: other.to_owned(),
                what: "the firmware".into(),
                expected: "`bios` or `efi`",
            }),
        }
    }

    /// The numbers of its VMware hardware families: 15 of `vmx-15`.
    pub(in crate::image) fn hardware_versions(&self) -> impl Iterator<Item = u32> {
        let families = self.system_types.iter();
        families.filter_map(|family| family.strip_prefix("vmx-")?.parse().ok())
    }

    /// The first `vmx-NN`; a descriptor for another hypervisor gets the one that most can run.
    fn hardware_version(&self, notes: &mut Vec<String>) -> u32 {
        self.hardware_versions().next().unwrap_or_else(|| {
            if let Some(family) = self.system_types.first() {
                notes.push(format!(
                    "the hardware family `{family}` is read as `vmx-15`"
                ));
            }
            15
        })
    }

    fn disk(&self, item: &Item) -> Result<ApplianceDisk, OvfError> {
        let label = item.name.clone().unwrap_or_else(|| item.instance.clone());
        let Some(resource) = item.host_resources.first() else {
            let number = item.quantity.as_deref().ok_or(OvfError::Missing {
                what: "`HostResource`",
                place: format!("disk `{label}`"),
            })?;
            let what = format!("the size of disk `{label}`");
            return Ok(ApplianceDisk {
                capacity: size(number, item.units.as_deref(), &what)?,
                file: None,
                format: String::new(),
            });
        };
        let dangling = || OvfError::Dangling {
            what: format!("disk `{label}`"),
            target: resource.clone(),
        };
        let path = resource.strip_prefix("ovf:").unwrap_or(resource);
        if let Some(id) = path.strip_prefix("/disk/") {
            let disk = self
                .disks
                .iter()
                .find(|d| d.id == id)
                .ok_or_else(dangling)?;
            return self.resolve(disk);
        }
        Err(dangling())
    }

    fn resolve(&self, disk: &DiskRef) -> Result<ApplianceDisk, OvfError> {
        let file = match &disk.file {
            None => None,
            Some(id) => {
                let file = self.files.iter().find(|file| file.id == *id);
                Some(file.ok_or_else(|| OvfError::Dangling {
                    what: format!("disk `{}`", disk.id),
                    target: id.clone(),
                })?)
            }
        };
        Ok(ApplianceDisk {
            capacity: disk_capacity(self, disk)?,
            file: file.cloned(),
            format: disk.format.clone(),
        })
    }
}

/// A disk's size; it may be the value of a property.
pub(in crate::image) fn disk_capacity(
    envelope: &Envelope,
    disk: &DiskRef,
) -> Result<Size, OvfError> {
    let what = format!("the capacity of disk `{}`", disk.id);
    let written = disk.capacity.as_str();
    let key = written
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let number = match key {
        None => written,
        Some(key) => {
            let mut properties = envelope.product.properties.iter();
            let property = properties.find(|p| p.key == key);
            let property = property.ok_or_else(|| OvfError::Dangling {
                what: what.clone(),
                target: written.to_owned(),
            })?;
            property.value.as_str()
        }
    };
    size(number, disk.units.as_deref(), &what)
}

fn quantity<'a>(
    items: &[&'a Item],
    kind: &str,
    what: &'static str,
) -> Result<(String, &'a Item), OvfError> {
    let missing = OvfError::Missing {
        what,
        place: "its hardware".into(),
    };
    let item = items
        .iter()
        .find(|i| i.kind == kind)
        .ok_or(missing.clone())?;
    let quantity = item.quantity.clone().ok_or(missing)?;
    Ok((quantity, item))
}

fn whole(text: &str, what: &str) -> Result<u32, OvfError> {
    let number = text.trim().parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| OvfError::Value {
        value: text.to_owned(),
        what: what.to_owned(),
        expected: "a whole number above 0",
    })
}

/// A size in OVF's programmatic units (`byte * 2^20`) or in the words that older writers use.
fn size(number: &str, units: Option<&str>, what: &str) -> Result<Size, OvfError> {
    let factor = match units.map(str::trim) {
        None | Some("") => Some(1),
        Some(text) => unit(text),
    };
    let factor = factor.ok_or_else(|| OvfError::Value {
        value: units.unwrap_or_default().to_owned(),
        what: format!("the unit of {what}"),
        expected: "a unit such as `byte * 2^20`",
    })?;
    let bytes = number.trim().parse::<u64>().ok();
    bytes
        .and_then(|n| n.checked_mul(factor))
        .map(Size::from_bytes)
        .ok_or_else(|| OvfError::Value {
            value: number.to_owned(),
            what: what.to_owned(),
            expected: "a whole number that makes a sensible size",
        })
}

fn unit(text: &str) -> Option<u64> {
    match text.to_ascii_lowercase().as_str() {
        "byte" | "bytes" => return Some(1),
        "kb" | "kilobytes" => return Some(1 << 10),
        "mb" | "megabytes" => return Some(1 << 20),
        "gb" | "gigabytes" => return Some(1 << 30),
        "tb" | "terabytes" => return Some(1 << 40),
        _ => {}
    }
    let mut factors = text.split('*').map(str::trim);
    if factors.next() != Some("byte") {
        return None;
    }
    factors.try_fold(1_u64, |product, factor| {
        let number: u64 = match factor.split_once('^') {
            None => factor.parse().ok()?,
            Some((base, power)) => {
                let base: u64 = base.trim().parse().ok()?;
                base.checked_pow(power.trim().parse().ok()?)?
            }
        };
        product.checked_mul(number)
    })
}

fn controller(
    item: &Item,
    items: &[&Item],
    notes: &mut Vec<String>,
) -> Result<Controller, OvfError> {
    let label = item.name.as_deref().unwrap_or(&item.instance);
    let Some(parent) = &item.parent else {
        return Err(OvfError::Missing {
            what: "`Parent` (its controller)",
            place: format!("disk `{label}`"),
        });
    };
    let parent = items
        .iter()
        .find(|i| i.instance == *parent)
        .ok_or_else(|| OvfError::Dangling {
            what: format!("disk `{label}`"),
            target: parent.clone(),
        })?;
    let subtype = parent.subtype.as_deref().unwrap_or_default();
    // The widest-spread card stands in for what forge has no word for.
    let mut instead = |controller: Controller| {
        notes.push(format!(
            "the controller `{subtype}` is read as {controller}"
        ));
        controller
    };
    let lower = subtype.to_ascii_lowercase();
    Ok(match parent.kind.as_str() {
        "5" => Controller::Ide,
        "6" => match lower.as_str() {
            "virtualscsi" => Controller::Pvscsi,
            "lsilogic" | "" => Controller::Lsilogic,
            "lsilogicsas" => Controller::LsilogicSas,
            _ => instead(Controller::Lsilogic),
        },
        "20" => match lower.as_str() {
            "vmware.nvme.controller" => Controller::Nvme,
            "virtioscsi" => Controller::Virtio,
            "ahci" | "vmware.sata.ahci" | "" => Controller::Sata,
            _ => instead(Controller::Sata),
        },
        other => {
            return Err(OvfError::Value {
                value: other.to_owned(),
                what: format!("the resource type of the controller of disk `{label}`"),
                expected: "5 (IDE), 6 (SCSI) or 20 (SATA, NVMe)",
            });
        }
    })
}

/// The wanted one of the cards that a subtype names: the first.
pub(in crate::image) fn first_word(subtype: &str) -> String {
    let first = subtype.split([' ', ',']).next().unwrap_or_default();
    first.to_ascii_lowercase()
}

fn nic(item: &Item, notes: &mut Vec<String>) -> Nic {
    let subtype = item.subtype.as_deref().unwrap_or_default();
    let adapter = match first_word(subtype).as_str() {
        "e1000e" => NicAdapter::E1000e,
        "vmxnet3" => NicAdapter::Vmxnet3,
        "e1000" | "" => NicAdapter::E1000,
        "virtio" => NicAdapter::Virtio,
        _ => {
            notes.push(format!("the network card `{subtype}` is read as e1000"));
            NicAdapter::E1000
        }
    };
    Nic {
        adapter,
        network: item.connection.clone().unwrap_or_default(),
        mac: None,
    }
}

/// A note about hardware that forge does not give its machines.
fn left_out(item: &Item) -> Option<String> {
    let what = match item.kind.as_str() {
        "3" | "4" | "5" | "6" | "10" | "17" | "20" => return None,
        "14" => "a floppy drive",
        "15" | "16" => "a CD drive",
        "23" => "a USB controller",
        "24" => "a video card",
        "35" => "a sound card",
        _ => match &item.subtype {
            Some(subtype) => return Some(format!("`{subtype}` is left out")),
            None => "a device of unknown kind",
        },
    };
    Some(format!("{what} is left out"))
}
