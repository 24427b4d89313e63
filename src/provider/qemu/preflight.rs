//! What stands in the way of a machine, all of it at once, with the fix.

use std::path::Path;

use super::asked::{self, Question};
use super::{Qemu, boot_probe, devices, firmware, img};
use crate::model::{Controller, Firmware, Hardware};
use crate::provider::ProviderError;
use crate::sys::fs;

/// Below this much free space no build comes to an end.
const LEAST_SPACE: u64 = 1 << 30;

pub(super) async fn check(qemu: &Qemu, hardware: &Hardware) -> Vec<ProviderError> {
    let mut unmet = Vec::new();
    match qemu.binary() {
        Ok(binary) => unmet.extend(missing_devices(qemu, &binary, hardware).await),
        Err(error) => unmet.push(error),
    }
    unmet.extend(img::Img::locate(qemu.journal.run_id()).err());
    if hardware.firmware != Firmware::Bios {
        unmet.extend(find_firmware(qemu, hardware.firmware).err());
    }
    if unmet.is_empty() {
        unmet.extend(unbootable(qemu, hardware).await);
    }
    unmet.extend(
        devices::impossible(hardware).map(|message| ProviderError::Environment {
            message,
            help: "move some of the disks to another controller".to_owned(),
        }),
    );
    unmet.extend(missing_memory(hardware, host_memory()));
    unmet.extend(missing_space(&qemu.cache));
    unmet
}

/// Only asked when a machine can be started at all.
async fn unbootable(qemu: &Qemu, hardware: &Hardware) -> Option<ProviderError> {
    let controller = hardware.disks.first()?.controller;
    match boot_probe::can_boot_from(qemu, hardware.firmware, controller).await {
        Ok(true) => None,
        Ok(false) => Some(no_driver(hardware.firmware, controller)),
        Err(error) => Some(error),
    }
}

fn no_driver(firmware: Firmware, controller: Controller) -> ProviderError {
    ProviderError::Environment {
        message: format!(
            "the `{firmware}` firmware of this host cannot boot from a disk at a `{controller}` controller"
        ),
        help: "put the first disk at a `sata` or `nvme` controller, which VMware has too; \
               distributions leave the other drivers out of their firmware"
            .to_owned(),
    }
}

pub(super) fn find_firmware(qemu: &Qemu, kind: Firmware) -> Result<firmware::Flash, ProviderError> {
    if let Some(flash) = qemu.own_flash() {
        let missing = [&flash.code, &flash.vars]
            .into_iter()
            .find(|file| !file.is_file());
        return match missing {
            None => Ok(flash.clone()),
            Some(file) => Err(ProviderError::Environment {
                message: format!("there is no firmware file `{}`", file.display()),
                help: "correct `firmware_code` and `firmware_vars` of the provider, or leave them out to use \
                       the installed firmware"
                    .to_owned(),
            }),
        };
    }
    let prefixes: Vec<_> = firmware::PREFIXES.iter().map(Path::new).collect();
    firmware::find(kind, &prefixes).ok_or_else(|| ProviderError::Environment {
        message: format!("no `{kind}` firmware for qemu is installed"),
        help: "install it: `apt install ovmf` (Debian, Ubuntu), `dnf install edk2-ovmf` (Fedora, RHEL), \
               `brew install qemu` (macOS)"
            .to_owned(),
    })
}

async fn missing_devices(qemu: &Qemu, binary: &Path, hardware: &Hardware) -> Option<ProviderError> {
    let known = asked::remembered(binary, &qemu.cache, Question::Devices);
    if known.is_some_and(|known| missing_in(&known, hardware).is_none()) {
        return None;
    }
    match asked::ask(
        binary,
        &qemu.cache,
        Question::Devices,
        qemu.journal.run_id(),
    )
    .await
    {
        Ok(known) => missing_in(&known, hardware),
        Err(error) => Some(error),
    }
}

/// `known` is what `-device help` prints: lines with `name "pvscsi"`.
fn missing_in(known: &str, hardware: &Hardware) -> Option<ProviderError> {
    let missing: Vec<_> = devices::device_names(hardware)
        .into_iter()
        .filter(|name| !known.contains(&format!("name \"{name}\"")))
        .map(|name| format!("`{name}`"))
        .collect();
    (!missing.is_empty()).then(|| ProviderError::Environment {
        message: format!("this qemu lacks the devices {}", missing.join(", ")),
        help: "choose another controller or network adapter, or install a qemu with all devices; \
               Red Hat's leaves out most of VMware's"
            .to_owned(),
    })
}

fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn missing_memory(hardware: &Hardware, host: Option<u64>) -> Option<ProviderError> {
    let host = host?;
    (hardware.memory.bytes() > host).then(|| ProviderError::Environment {
        message: format!(
            "the machine wants {} of memory, this host has {}",
            hardware.memory,
            crate::model::Size::from_bytes(host)
        ),
        help: "give the machine less memory".to_owned(),
    })
}

fn missing_space(dir: &Path) -> Option<ProviderError> {
    // a directory that is not there yet will be on its parent's file system
    let free = dir.ancestors().find_map(|dir| fs::free_space(dir).ok())?;
    (free < LEAST_SPACE).then(|| ProviderError::Environment {
        message: format!(
            "only {} are free at `{}`",
            crate::model::Size::from_bytes(free),
            dir.display()
        ),
        help: "free some space (`forge cache gc`), or set FORGE_CACHE_DIR to a larger disk"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Disk, Size};

    fn hardware() -> Hardware {
        Hardware {
            cpus: 1,
            cores_per_socket: 1,
            memory: Size::from_mib(2048),
            firmware: Firmware::Bios,
            disks: vec![Disk {
                size: Size::from_mib(64),
                controller: Controller::Pvscsi,
            }],
            nics: Vec::new(),
            guest_id: None,
            hardware_version: 13,
            vsphere: None,
        }
    }

    #[test]
    fn a_device_that_this_qemu_lacks_is_named() {
        let known =
            "name \"scsi-hd\", bus SCSI\nname \"VGA\", bus PCI\nname \"virtio-rng-pci\", bus PCI\n";
        let error = missing_in(known, &hardware()).unwrap();
        assert_eq!(error.to_string(), "this qemu lacks the devices `pvscsi`");
        let known = format!("{known}name \"pvscsi\", bus PCI\n");
        assert!(missing_in(&known, &hardware()).is_none());
    }

    #[test]
    fn a_firmware_without_a_driver_is_told_with_a_way_out() {
        let error = no_driver(Firmware::Efi, Controller::Pvscsi);
        assert_eq!(
            error.to_string(),
            "the `efi` firmware of this host cannot boot from a disk at a `pvscsi` controller"
        );
        assert!(
            matches!(error, ProviderError::Environment { help, .. } if help.contains("`nvme`"))
        );
    }

    #[test]
    fn more_memory_than_the_host_has_is_told() {
        let error = missing_memory(&hardware(), Some(1 << 30)).unwrap();
        assert_eq!(
            error.to_string(),
            "the machine wants 2GiB of memory, this host has 1GiB"
        );
        assert!(missing_memory(&hardware(), Some(1 << 31)).is_none());
        assert!(missing_memory(&hardware(), None).is_none());
    }
}
