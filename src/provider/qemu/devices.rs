//! QEMU's command line for a machine: pure, so that every device is checked without starting anything.
//!
//! Nothing is left to QEMU's defaults (`-nodefaults`): a machine has what its hardware says, a VGA card, a serial port
//! and a random number generator, without which a guest waits ten seconds for entropy at every boot.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::firmware::Flash;
use super::img;
use crate::model::{Controller, Drives, Firmware, Hardware, NicAdapter, Size};
use crate::provider::ProviderError;

/// Boot order while a CD is in: CDs first, then disks. [`once_booted`] turns it round for the boots after the first.
const FIRST_DISK: usize = 50;
/// Where CDs go after the first boot.
const LAST: usize = 100;
/// SCSI targets are told apart by these; LSI's card shows no disk without a name. The last digits count the disks.
const WORLD_WIDE_NAME: u64 = 0x5000_c500_15ea_7100;

/// A disk's content: the writable top layer above what it is laid over.
#[derive(Clone, Debug)]
pub(super) struct DiskChain {
    pub(super) size: Size,
    pub(super) top: PathBuf,
    pub(super) below: Value,
}

/// All that the command line depends on.
#[derive(Clone, Debug)]
pub(super) struct Invocation<'a> {
    pub(super) name: &'a str,
    pub(super) hardware: &'a Hardware,
    pub(super) disks: &'a [DiskChain],
    pub(super) cds: &'a [PathBuf],
    pub(super) floppy: Option<&'a Path>,
    /// The drives for those; what has no medium is empty.
    pub(super) drives: Drives,
    /// The code flash and the machine's own variables.
    pub(super) flash: Option<&'a Flash>,
    pub(super) accelerator: &'a str,
    pub(super) cpu: &'a str,
    pub(super) control: &'a Path,
    /// For those who look from outside of the process that runs the machine.
    pub(super) sight: &'a Path,
    /// The serial line's other end, and its log.
    pub(super) line: &'a Path,
    pub(super) serial: &'a Path,
    /// It waits for its memory instead of booting.
    pub(super) incoming: bool,
}

/// The QEMU devices that `hardware` needs.
pub(super) fn device_names(hardware: &Hardware) -> Vec<&'static str> {
    let mut names = vec!["virtio-rng-pci", "VGA"];
    for disk in &hardware.disks {
        names.extend(match disk.controller {
            Controller::Lsilogic | Controller::LsilogicSas => &["mptsas1068", "scsi-hd"][..],
            Controller::Pvscsi => &["pvscsi", "scsi-hd"],
            Controller::Sata => &["ich9-ahci", "ide-hd"],
            Controller::Ide => &["ide-hd"],
            Controller::Nvme => &["nvme"],
            Controller::Virtio => &["virtio-blk-pci"],
        });
    }
    names.extend(hardware.nics.iter().map(|nic| adapter(nic.adapter)));
    names.sort_unstable();
    names.dedup();
    names
}

/// What of `hardware` no machine can have, for people.
pub(super) fn impossible(hardware: &Hardware) -> Option<String> {
    let count = |kind| {
        hardware
            .disks
            .iter()
            .filter(|d| d.controller == kind)
            .count()
    };
    for (kind, limit) in [
        // two of the four places are kept for CDs
        (Controller::Ide, 2),
        (Controller::Sata, 6),
        (Controller::Lsilogic, 8),
        (Controller::LsilogicSas, 8),
        (Controller::Pvscsi, 64),
    ] {
        if count(kind) > limit {
            return Some(format!(
                "{} disks at a `{kind}` controller: it has room for {limit}",
                count(kind)
            ));
        }
    }
    (hardware.firmware == Firmware::EfiSecure && count(Controller::Ide) > 0)
        .then(|| "an `ide` disk does not go with `efi-secure` firmware".to_owned())
}

fn adapter(adapter: NicAdapter) -> &'static str {
    match adapter {
        NicAdapter::E1000 => "e1000",
        NicAdapter::E1000e => "e1000e",
        NicAdapter::Vmxnet3 => "vmxnet3",
        NicAdapter::Virtio => "virtio-net-pci",
    }
}

/// The chipset: `pc` has the IDE ports and boots BIOS guests quickest, `q35` is what UEFI expects.
fn is_pc(hardware: &Hardware) -> bool {
    hardware.firmware == Firmware::Bios
        || hardware
            .disks
            .iter()
            .any(|d| d.controller == Controller::Ide)
}

/// What QEMU calls it.
pub(super) fn chipset(hardware: &Hardware) -> &'static str {
    if is_pc(hardware) { "pc" } else { "q35" }
}

/// The floppy drive's name.
pub(super) const FLOPPY: &str = "floppy0";

/// The name of a CD drive.
pub(super) fn cd(number: usize) -> String {
    format!("cd{number}")
}

/// The properties to set right after the start, as (device, boot index): the order holds from the next reset on.
pub(super) fn once_booted(cds: usize) -> impl Iterator<Item = (String, usize)> {
    (0..cds).map(|n| (cd(n), LAST + n))
}

/// The command line, without the program.
pub(super) fn command_line(machine: &Invocation<'_>) -> Result<Vec<OsString>, ProviderError> {
    let mut line = Line::default();
    line.basics(machine)?;
    line.disks(machine)?;
    line.media(machine)?;
    line.nics(machine.hardware);
    Ok(line.0)
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.push(option.into());
        self.0.push(value.into());
    }

    fn basics(&mut self, machine: &Invocation<'_>) -> Result<(), ProviderError> {
        let hardware = machine.hardware;
        self.0.push("-nodefaults".into());
        self.0.push("-no-user-config".into());
        self.add("-name", format!("guest={}", escaped(machine.name)));
        let mut chipset = chipset(hardware).to_owned();
        if let Some(flash) = machine.flash {
            for (node, file) in [("code", &flash.code), ("vars", &flash.vars)] {
                self.add_json(
                    "-blockdev",
                    &json!({
                        "driver": "file", "node-name": node, "filename": img::utf8(file)?, "read-only": node == "code",
                    }),
                );
            }
            chipset += ",pflash0=code,pflash1=vars";
        }
        if hardware.firmware == Firmware::EfiSecure {
            chipset += ",smm=on";
            self.add("-global", "driver=cfi.pflash01,property=secure,value=on");
            // without this the firmware hangs as it wakes up from a suspend that no build needs
            self.add("-global", "ICH9-LPC.disable_s3=1");
        }
        self.add("-machine", chipset);
        let threads = match (machine.accelerator, hardware.cpus) {
            ("tcg", 2..) => ",thread=multi",
            _ => "",
        };
        self.add("-accel", format!("{}{threads}", machine.accelerator));
        self.add("-cpu", machine.cpu);
        let cores = hardware.cores_per_socket.max(1);
        self.add(
            "-smp",
            format!(
                "cpus={},sockets={},cores={cores},threads=1",
                hardware.cpus,
                (hardware.cpus / cores).max(1)
            ),
        );
        self.add("-m", format!("size={}M", hardware.memory.mib()));
        self.add("-display", "none");
        // no server before somebody asks for one
        self.add("-vnc", "none");
        self.add("-vga", "std");
        self.sockets(machine)?;
        self.add("-device", "virtio-rng-pci");
        // the control connection is made and the forwarding set up before the guest's first instruction
        self.0.push("-S".into());
        if machine.incoming {
            self.add("-incoming", "defer");
        }
        Ok(())
    }

    /// The serial line, which is logged whether anybody is at its other end or not, and the control sockets: forge's own,
    /// and one for those who look.
    fn sockets(&mut self, machine: &Invocation<'_>) -> Result<(), ProviderError> {
        let path = |path| Ok::<_, ProviderError>(escaped(img::utf8(path)?));
        let (line, log) = (path(machine.line)?, path(machine.serial)?);
        let socket = "server=on,wait=off";
        self.add(
            "-chardev",
            format!("socket,id=serial,path={line},{socket},logfile={log},logappend=off"),
        );
        self.add("-serial", "chardev:serial");
        self.add("-qmp", format!("unix:{}", path(machine.control)?));
        self.add("-qmp", format!("unix:{},{socket}", path(machine.sight)?));
        Ok(())
    }

    fn disks(&mut self, machine: &Invocation<'_>) -> Result<(), ProviderError> {
        let disks = &machine.hardware.disks;
        for (kind, controller) in [
            (Controller::Lsilogic, "mptsas1068,id=lsilogic"),
            (Controller::LsilogicSas, "mptsas1068,id=lsilogic-sas"),
            (Controller::Pvscsi, "pvscsi,id=pvscsi"),
            (Controller::Sata, "ich9-ahci,id=sata"),
        ] {
            if disks.iter().any(|disk| disk.controller == kind) {
                self.add("-device", controller);
            }
        }
        for (number, (disk, chain)) in disks.iter().zip(machine.disks).enumerate() {
            self.add_json(
                "-blockdev",
                &writable(&format!("disk{number}"), &chain.top, &chain.below)?,
            );
            // its place among those at the same controller
            let place = disks[..number]
                .iter()
                .filter(|other| other.controller == disk.controller)
                .count();
            let device = match disk.controller {
                kind @ (Controller::Lsilogic | Controller::LsilogicSas) => format!(
                    "scsi-hd,bus={kind}.0,scsi-id={place},wwn={:#x}",
                    WORLD_WIDE_NAME + number as u64
                ),
                Controller::Pvscsi => format!("scsi-hd,bus=pvscsi.0,scsi-id={place}"),
                Controller::Sata => format!("ide-hd,bus=sata.{place}"),
                Controller::Ide => format!("ide-hd,bus=ide.{},unit={}", place / 2, place % 2),
                Controller::Nvme => format!("nvme,serial=disk{number}"),
                Controller::Virtio => "virtio-blk-pci".to_owned(),
            };
            let index = FIRST_DISK + number;
            self.add(
                "-device",
                format!("{device},id=drive{number},drive=disk{number},bootindex={index}"),
            );
        }
        Ok(())
    }

    fn media(&mut self, machine: &Invocation<'_>) -> Result<(), ProviderError> {
        for number in 0..machine.drives.cds {
            let mut medium = String::new();
            if let Some(iso) = machine.cds.get(number) {
                self.add_json("-blockdev", &read_only(&format!("iso{number}"), iso)?);
                medium = format!(",drive=iso{number}");
            }
            // pc: the second channel; q35: its six SATA ports
            let place = match is_pc(machine.hardware) {
                true => format!("bus=ide.1,unit={number}"),
                false => format!("bus=ide.{number}"),
            };
            self.add(
                "-device",
                format!(
                    "ide-cd,{place},id={}{medium},bootindex={number}",
                    cd(number)
                ),
            );
        }
        if machine.drives.floppy {
            let mut medium = "";
            if let Some(floppy) = machine.floppy {
                self.add_json("-blockdev", &read_only("diskette", floppy)?);
                medium = ",drive=diskette";
            }
            if !is_pc(machine.hardware) {
                self.add("-device", "isa-fdc,id=fdc");
            }
            self.add(
                "-device",
                format!("floppy,id={FLOPPY}{medium},drive-type=144"),
            );
        }
        Ok(())
    }

    fn nics(&mut self, hardware: &Hardware) {
        for (number, nic) in hardware.nics.iter().enumerate() {
            // each network is its own, and the first has the addresses that people know
            let net = match number {
                0 => String::new(),
                _ => format!(",net=10.0.{}.0/24", 2 + number),
            };
            self.add("-netdev", format!("user,id=net{number}{net}"));
            // no boot from the network: its ROM costs seconds under translation
            let own = || format!("52:54:00:12:34:{:02x}", 0x56 + number);
            let (card, mac) = (adapter(nic.adapter), nic.mac.clone().unwrap_or_else(own));
            self.add(
                "-device",
                format!("{card},netdev=net{number},mac={mac},romfile="),
            );
        }
    }

    fn add_json(&mut self, option: &str, value: &Value) {
        self.add(option, value.to_string());
    }
}

/// A disk's block node: the layer `top` over `below`. Writes are not flushed to the host's disk (a build that dies is
/// thrown away); what the guest discards or zeroes takes no room.
pub(super) fn writable(node: &str, top: &Path, below: &Value) -> Result<Value, ProviderError> {
    Ok(json!({
        "driver": "qcow2",
        "node-name": node,
        "cache": { "direct": false, "no-flush": true },
        "discard": "unmap",
        "detect-zeroes": "unmap",
        "file": {
            "driver": "file",
            "filename": img::utf8(top)?,
            "cache": { "direct": false, "no-flush": true },
            "discard": "unmap",
        },
        "backing": below,
    }))
}

fn read_only(node: &str, file: &Path) -> Result<Value, ProviderError> {
    Ok(json!({
        "driver": "raw",
        "node-name": node,
        "read-only": true,
        "file": { "driver": "file", "filename": img::utf8(file)?, "read-only": true },
    }))
}

/// QEMU's option lists are split at commas; a doubled one stands for itself.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
mod tests;
