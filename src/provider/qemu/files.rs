//! The files that a machine has of its own: a writable layer for each disk, and the firmware's variables.

use serde_json::{Value, json};

use super::devices::DiskChain;
use super::firmware::Flash;
use super::img::{self, Img};
use super::machine::Drive;
use super::{Qemu, io_error, preflight};
use crate::model::Firmware;
use crate::provider::{DiskSource, LaunchSpec, ProviderError};

/// Makes a writable layer for each disk.
pub(super) async fn make_disks(
    spec: &LaunchSpec,
    run_id: &str,
) -> Result<Vec<DiskChain>, ProviderError> {
    if spec.disks.len() != spec.hardware.disks.len() {
        return Err(ProviderError::Failed(format!(
            "the hardware has {} disks, but content is given for {}",
            spec.hardware.disks.len(),
            spec.disks.len()
        )));
    }
    let img = Img::locate(run_id)?;
    let mut chains = Vec::new();
    for (number, source) in spec.disks.iter().enumerate() {
        let top = spec.work.join(format!("disk{number}.qcow2"));
        let (size, backing, below) = match source {
            DiskSource::New(size) => (*size, None, Value::Null),
            DiskSource::Over { layers, size } => {
                let last = layers.last().map(|layer| (layer.as_path(), "qcow2"));
                (*size, last, img::chain(layers)?)
            }
            DiskSource::Image { path, format } => {
                let size = img.info(path, Some(format)).await?.virtual_size;
                let below = json!({
                    "driver": format,
                    "read-only": true,
                    "file": { "driver": "file", "filename": img::utf8(path)?, "read-only": true },
                });
                (size, Some((path.as_path(), format.as_str())), below)
            }
        };
        img.create(&top, size, backing).await?;
        chains.push(DiskChain { size, top, below });
    }
    Ok(chains)
}

/// Finds the firmware and gives the machine variables of its own.
pub(super) fn make_flash(qemu: &Qemu, spec: &LaunchSpec) -> Result<Option<Flash>, ProviderError> {
    if spec.hardware.firmware == Firmware::Bios {
        return Ok(None);
    }
    let mut flash = preflight::find_firmware(qemu, spec.hardware.firmware)?;
    let own = spec.work.join("efivars.fd");
    let template = spec.nvram.as_deref().unwrap_or(&flash.vars);
    crate::sys::fs::copy(template, &own).map_err(|e| io_error(template, e))?;
    // files of the store are read-only, and so would the copy be
    let file = std::fs::File::open(&own).map_err(|e| io_error(&own, e))?;
    crate::sys::fs::set_default_mode(&file).map_err(|e| io_error(&own, e))?;
    flash.vars = own;
    Ok(Some(flash))
}

/// The disks of a machine that is about to run.
pub(super) fn drives(disks: Vec<DiskChain>) -> Vec<Drive> {
    let drives = disks.into_iter().enumerate();
    let drives = drives.map(|(number, disk)| Drive {
        size: disk.size,
        node: format!("disk{number}"),
        layers: vec![disk.top],
    });
    drives.collect()
}
