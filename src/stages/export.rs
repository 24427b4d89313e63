//! `kind = "export"`: a machine's disks as stream-optimized VMDK files.

use std::path::PathBuf;

use super::failure::{failure, io};
use super::resolve::Resolver;
use super::{Host, upstream_machine};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::image::qcow2::Chain;
use crate::image::vmdk::{self, VmdkError, WriteOptions};
use crate::model::{Artifact, Digest, DiskState, Export, MachineState, Name, StoredFile};
use crate::store::Put;
use crate::sys::Cancel;

/// The output name of disk `index` (from 0).
pub(super) fn disk_name(index: usize) -> Result<Name, StageFailure> {
    Name::parse(&format!("disk-{}", index + 1)).map_err(|e| failure(e.to_string()))
}

/// The file name of disk `index` (from 0) of the appliance `base`.
pub(super) fn disk_file(base: &str, index: usize) -> String {
    format!("{base}-disk{}.vmdk", index + 1)
}

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Export,
) -> Result<Artifact, ExecError> {
    let machine = upstream_machine(context)?;
    let base = Resolver::new(host, context).text(&kind.name)?;
    let mut artifact = Artifact {
        machine: Some(machine.clone()),
        ..Artifact::default()
    };
    for (index, disk) in machine.disks.iter().enumerate() {
        context.output.step(format!(
            "writing disk {} of {}",
            index + 1,
            machine.disks.len()
        ));
        let (stored, facts) =
            export_disk(host, context, kind, machine, (index, disk), &base).await?;
        let name = disk_name(index)?;
        for (key, value) in facts {
            artifact.facts.insert(format!("{name}.{key}"), value);
        }
        artifact.files.insert(name, stored);
    }
    Ok(artifact)
}

async fn export_disk(
    host: &Host,
    context: &StageContext,
    kind: &Export,
    machine: &MachineState,
    (index, disk): (usize, &DiskState),
    base: &str,
) -> Result<(StoredFile, [(&'static str, String); 2]), ExecError> {
    let controller = machine.hardware.disks.get(index).map(|d| d.controller);
    let identity = Digest::of(
        disk.layers
            .iter()
            .map(Digest::hex)
            .collect::<String>()
            .as_bytes(),
    );
    let options = WriteOptions {
        level: kind.level,
        adapter: controller.map_or(vmdk::Adapter::Scsi, vmdk::Adapter::from),
        ..WriteOptions::new(disk_file(base, index), identity)
    };
    let staging = host.store.staging()?;
    let job = Job {
        layers: disk
            .layers
            .iter()
            .map(|digest| host.store.path(digest))
            .collect(),
        to: staging.path().join("disk.vmdk"),
        options,
        output: context.output.clone(),
        cancel: context.cancel.clone(),
    };
    let path = job.to.clone();
    let written = tokio::task::spawn_blocking(move || job.run()).await;
    let info = written.map_err(|e| failure(e.to_string()))??;
    let stored = host.store.put_hashed(&path, &info.digest, Put::Move)?;
    let facts = [
        ("populated", info.populated.bytes().to_string()),
        ("capacity", info.capacity.bytes().to_string()),
    ];
    Ok((stored, facts))
}

struct Job {
    layers: Vec<PathBuf>,
    to: PathBuf,
    options: WriteOptions,
    output: Output,
    cancel: Cancel,
}

impl Job {
    fn run(self) -> Result<vmdk::VmdkInfo, ExecError> {
        let source = Chain::open(&self.layers).map_err(|e| failure(e.to_string()))?;
        let file = std::fs::File::create(&self.to).map_err(|e| io("write", &self.to, &e))?;
        let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
        let total = crate::image::BlockSource::size(&source);
        let progress = |done: u64| self.output.progress(done, Some(total));
        let info = vmdk::write(&source, &self.options, &mut out, &progress, &self.cancel).map_err(
            |e| match e {
                VmdkError::Cancelled => ExecError::Cancelled,
                VmdkError::Write(error) => io("write", &self.to, &error).into(),
                other => failure(other.to_string()).into(),
            },
        )?;
        let file = out
            .into_inner()
            .map_err(|e| io("write", &self.to, e.error()))?;
        file.sync_all().map_err(|e| io("write", &self.to, &e))?;
        Ok(info)
    }
}
