//! Whether the UEFI firmware can boot from a disk controller: asked once per firmware file, by letting it look for a
//! system.
//!
//! Distributions build OVMF without the drivers for VMware's SCSI controllers (Debian 12 has neither), and nothing in
//! the file tells. A firmware with a driver reads the disk as it looks for something to boot; one without never does.
//! A second disk at a SATA controller, which every build knows, tells when it has looked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;

use super::machine::QemuMachine;
use super::{Qemu, io_error, preflight, start};
use crate::model::{Controller, Disk, Drives, Firmware, Hardware, Size};
use crate::provider::{DiskSource, LaunchSpec, Machine as _, Mark, ProviderError};
use crate::sys::{Cancel, fs};

/// Firmware that has not looked at its disks by then is not judged.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much later than the known disk the other one may be looked at.
const GRACE: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(50);

/// Whether `firmware` reads disks at `controller`.
pub(super) async fn can_boot_from(
    qemu: &Qemu,
    firmware: Firmware,
    controller: Controller,
) -> Result<bool, ProviderError> {
    let known = !matches!(
        controller,
        Controller::Pvscsi | Controller::Lsilogic | Controller::LsilogicSas
    );
    if firmware == Firmware::Bios || known {
        return Ok(true);
    }
    let key = key(qemu, firmware, controller)?;
    if let Some(answer) = remembered(qemu).get(&key) {
        return Ok(*answer);
    }
    let answer = probe(qemu, firmware, controller).await?;
    // an answer that cannot be kept is asked for again
    let _ = remember(qemu, firmware, controller, answer);
    Ok(answer)
}

fn file(qemu: &Qemu) -> PathBuf {
    qemu.cache.join("qemu-firmware.json")
}

fn key(qemu: &Qemu, firmware: Firmware, controller: Controller) -> Result<String, ProviderError> {
    let code = preflight::find_firmware(qemu, firmware)?.code;
    Ok(format!("{} {controller}", stamp(&code)))
}

fn remembered(qemu: &Qemu) -> BTreeMap<String, bool> {
    std::fs::read(file(qemu))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Keeps an answer for the runs to come.
pub(super) fn remember(
    qemu: &Qemu,
    firmware: Firmware,
    controller: Controller,
    answer: bool,
) -> Result<(), ProviderError> {
    let mut answers = remembered(qemu);
    answers.insert(key(qemu, firmware, controller)?, answer);
    let bytes = serde_json::to_vec(&answers).unwrap_or_default();
    fs::write_atomic(&file(qemu), &bytes).map_err(|e| io_error(&file(qemu), e))
}

fn stamp(code: &Path) -> String {
    let stamp = std::fs::metadata(code)
        .and_then(|meta| Ok((meta.len(), meta.modified()?)))
        .ok()
        .and_then(|(size, time)| Some((size, time.duration_since(UNIX_EPOCH).ok()?.as_secs())));
    format!("{} {stamp:?}", code.display())
}

async fn probe(
    qemu: &Qemu,
    firmware: Firmware,
    controller: Controller,
) -> Result<bool, ProviderError> {
    let journal = &qemu.journal;
    let dir = journal
        .scratch("a firmware probe")
        .map_err(|e| io_error(&std::env::temp_dir(), e))?;
    let size = Size::from_mib(8);
    let spec = LaunchSpec {
        name: "firmware-probe".to_owned(),
        hardware: Hardware {
            cpus: 1,
            cores_per_socket: 1,
            memory: Size::from_mib(256),
            firmware,
            disks: [controller, Controller::Sata]
                .map(|controller| Disk { size, controller })
                .into(),
            nics: Vec::new(),
            guest_id: None,
            hardware_version: 13,
            vsphere: None,
        },
        disks: vec![DiskSource::New(size); 2],
        nvram: None,
        mark: Mark::default(),
        from: None,
        resume: false,
        ovf: None,
        cds: Vec::new(),
        floppy: None,
        empty: Drives::default(),
        ssh_port: 22,
        memory: None,
        work: dir.path().to_owned(),
    };
    let mut machine = start(qemu, &spec, journal, Cancel::new()).await?;
    watch(&mut machine).await
}

async fn watch(machine: &mut QemuMachine) -> Result<bool, ProviderError> {
    let start = Instant::now();
    let mut looked = None;
    loop {
        let statistics = machine.command("query-blockstats", Value::Null).await?;
        if reads(&statistics, "disk0") > 0 {
            return Ok(true);
        }
        if looked.is_none() && reads(&statistics, "disk1") > 0 {
            looked = Some(Instant::now());
        }
        // found nothing to boot, it has ended in its shell: it has looked everywhere
        let serial = machine.serial_log().map(std::fs::read);
        let shell = serial.is_some_and(|log| {
            log.is_ok_and(|log| log.windows(6).any(|window| window == b"Shell>"))
        });
        if looked.is_some_and(|looked| shell || looked.elapsed() > GRACE) {
            return Ok(false);
        }
        if start.elapsed() > PATIENCE {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How often the disk of this name has been read.
fn reads(statistics: &Value, node: &str) -> u64 {
    let disks = statistics.as_array().map_or(&[][..], Vec::as_slice);
    disks
        .iter()
        .find(|disk| disk["node-name"] == node)
        .and_then(|disk| disk["stats"]["rd_operations"].as_u64())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::qemu::{Accelerator, Settings};

    fn qemu(cache: &Path) -> Qemu {
        let settings = Settings {
            accelerator: Accelerator::Tcg,
            ..Settings::default()
        };
        {
            let journal = crate::sys::Journal::open(&cache.join("journal"), "test-run").unwrap();
            Qemu::new(settings, cache, std::sync::Arc::new(journal))
        }
    }

    #[tokio::test]
    async fn vm_a_firmware_with_a_driver_is_told_from_one_without() {
        let dir = tempfile::tempdir().unwrap();
        let qemu = qemu(dir.path());
        // every build has this driver, so that the probe must see it read
        assert!(probe(&qemu, Firmware::Efi, Controller::Nvme).await.unwrap());
        let scsi = can_boot_from(&qemu, Firmware::Efi, Controller::Pvscsi);
        let scsi = scsi.await.unwrap();
        let start = Instant::now();
        let again = can_boot_from(&qemu, Firmware::Efi, Controller::Pvscsi);
        assert_eq!(again.await.unwrap(), scsi);
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_every_firmware_knows_is_not_asked() {
        let qemu = qemu(Path::new("/no/cache"));
        for (firmware, controller) in [
            (Firmware::Bios, Controller::Pvscsi),
            (Firmware::Efi, Controller::Sata),
            (Firmware::EfiSecure, Controller::Nvme),
        ] {
            assert!(can_boot_from(&qemu, firmware, controller).await.unwrap());
        }
    }
}
