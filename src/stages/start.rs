//! What a machine is started from: install media, the layers of another machine, a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Host;
use super::failure::io;
use crate::engine::StageFailure;
use crate::model::{Drives, Hardware, MachineState, Remote, Ssh};
use crate::provider::{DiskSource, LaunchSpec, Mark, Medium, Provider};

/// What a machine is started from.
pub(crate) struct Start<'a> {
    /// The provider's name in `builds.toml`.
    pub name: String,
    pub provider: &'a Arc<dyn Provider>,
    pub hardware: Hardware,
    pub disks: Vec<DiskSource>,
    pub nvram: Option<PathBuf>,
    pub cds: Vec<Medium>,
    pub floppy: Option<Vec<u8>>,
    pub ssh_port: u16,
    /// A checkpoint's memory to go on from, and the drives that the machine had there.
    pub memory: Option<(PathBuf, Drives)>,
    /// The machine on a server that this one is a clone of.
    pub from: Option<Remote>,
    /// That machine goes on itself, from a checkpoint.
    pub resume: bool,
    /// An appliance's descriptor, beside its files.
    pub ovf: Option<PathBuf>,
}

impl<'a> Start<'a> {
    /// From a machine at rest: new layers over its own.
    pub(crate) fn over(
        host: &'a Host,
        state: &MachineState,
        hardware: &Hardware,
        ssh: &Ssh,
    ) -> Result<Self, StageFailure> {
        // as long as forge runs, no collection takes them from under the machine
        host.store.use_all(state.digests())?;
        let disks = hardware
            .disks
            .iter()
            .enumerate()
            .map(|(index, disk)| match state.disks.get(index) {
                Some(below) => DiskSource::Over {
                    layers: below
                        .layers
                        .iter()
                        .map(|digest| host.store.path(digest))
                        .collect(),
                    size: disk.size,
                },
                None => DiskSource::New(disk.size),
            })
            .collect();
        Ok(Self {
            name: state.provider.clone(),
            provider: host.provider(&state.provider)?,
            hardware: hardware.clone(),
            disks,
            nvram: state.nvram.as_ref().map(|digest| host.store.path(digest)),
            cds: Vec::new(),
            floppy: None,
            ssh_port: ssh.port,
            memory: None,
            from: state.remote.clone(),
            resume: false,
            ovf: None,
        })
    }

    /// What the provider is told; the machine's files go into `dir`.
    pub(super) fn spec(
        self,
        name: String,
        mark: Mark,
        dir: &Path,
    ) -> Result<LaunchSpec, StageFailure> {
        let floppy = match self.floppy {
            Some(bytes) => {
                let path = dir.join("floppy.img");
                std::fs::write(&path, bytes).map_err(|e| io("write", &path, &e))?;
                Some(path)
            }
            None => None,
        };
        let work = dir.join("machine");
        std::fs::create_dir_all(&work).map_err(|e| io("create", &work, &e))?;
        let (memory, empty) = match self.memory {
            Some((memory, drives)) => (Some(memory), drives),
            None => (None, Drives::default()),
        };
        Ok(LaunchSpec {
            name,
            mark,
            from: self.from,
            resume: self.resume,
            ovf: self.ovf,
            hardware: self.hardware,
            disks: self.disks,
            nvram: self.nvram,
            cds: self.cds,
            floppy,
            ssh_port: self.ssh_port,
            empty,
            memory,
            work,
        })
    }
}
