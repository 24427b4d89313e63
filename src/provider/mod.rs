//! The machine from outside: create, power, type, watch, export. Knows no SSH and no store.
//!
//! A machine's life: `LaunchSpec → Box<dyn Machine>` (running) `→ finish → DiskFiles` (at rest). Dropping a running
//! machine destroys it and all its files; only [`Machine::finish`] hands files out.
//!
//! Stages never ask which provider they have: what differs is data in the specification.

mod appliance;
#[cfg(test)]
pub(crate) mod fake;
mod keyboard;
pub mod qemu;
mod sight;
pub mod vsphere;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::{
    Digest, Drives, Duration, Hardware, Keys, LIBRARY, Layout, MachineSource, Remote, Size,
};
use crate::sys::{Cancel, Journal};

pub use appliance::{Appliance, ApplianceFile, Published};
pub use sight::Sight;

/// Why a machine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The host lacks something; `help` says how to get it. Exit code 3.
    #[error("{message}")]
    Environment {
        /// What is missing.
        message: String,
        /// What to do.
        help: String,
    },
    /// A server went away in the middle, or a transfer broke off: the same may well succeed a moment later. Exit code 3.
    #[error("{message}")]
    Broken {
        /// What broke.
        message: String,
        /// What to do if it does not get better.
        help: String,
    },
    /// The hypervisor refused or failed.
    #[error("{0}")]
    Failed(String),
    /// A wait was over before what it waited for: the message says what that was.
    #[error("{0}")]
    Timeout(String),
    /// The machine turned itself off, or its process ended, while it was needed.
    #[error("{0}")]
    Gone(String),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a disk's content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskSource {
    /// An empty disk of this size.
    New(Size),
    /// A new layer over these, the base first; they are never written to.
    Over {
        /// The layers' files (qcow2).
        layers: Vec<PathBuf>,
        /// The disk's size; at least that of the layers.
        size: Size,
    },
    /// A foreign image, read as it is (a streamOptimized VMDK, say) with a throw-away layer above.
    Image {
        /// The file.
        path: PathBuf,
        /// Its format, as QEMU names it.
        format: String,
    },
}

/// An install medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its file on this host; none: the provider has it already.
    pub path: Option<PathBuf>,
    /// Its content, where that is known.
    pub digest: Option<Digest>,
    /// Its place in the provider's own words: `[datastore1] iso/debian.iso`, `library://images/debian`.
    pub place: Option<String>,
}

impl Medium {
    /// Whether a URL is a place with a provider, and nothing that could be fetched.
    #[must_use]
    pub fn is_place(url: &str) -> bool {
        url.starts_with('[') || url.starts_with(LIBRARY)
    }

    /// A file on this host.
    #[must_use]
    pub fn file(path: PathBuf, digest: Digest) -> Self {
        Self {
            path: Some(path),
            digest: Some(digest),
            place: None,
        }
    }
}

/// Whose a machine is: what is written on it where others can see it, and by which forge knows it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The project.
    pub project: String,
    /// The stage with its axis values: `provision[os=mini]`.
    pub stage: String,
    /// The fingerprint of what it is made from, in hexadecimal; empty for a machine that is thrown away.
    pub fingerprint: String,
    /// What the machine is called once it is done.
    pub name: String,
    /// It becomes a template then, where the provider has such.
    pub template: bool,
}

/// What a machine is started with.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// A name for people: the stage's slug.
    pub name: String,
    /// Whose it is.
    pub mark: Mark,
    /// The machine on the provider's server that this one is a clone of; it has its disks then.
    pub from: Option<Remote>,
    /// That machine itself goes on from there, where it stood at a [`Checkpoint`].
    pub resume: bool,
    /// The descriptor of the appliance that the disks belong to, beside its files; for providers that import appliances.
    pub ovf: Option<PathBuf>,
    /// The hardware.
    pub hardware: Hardware,
    /// Content of the disks, in the hardware's order.
    pub disks: Vec<DiskSource>,
    /// UEFI variables to start from.
    pub nvram: Option<PathBuf>,
    /// CDs in order; with any, the first boot is from the first one.
    pub cds: Vec<Medium>,
    /// A floppy image.
    pub floppy: Option<PathBuf>,
    /// Drives without a medium, in the place of those: what a machine had when it stood at the checkpoint.
    pub empty: Drives,
    /// The guest's SSH port.
    pub ssh_port: u16,
    /// The memory of a [`Checkpoint`] to go on from, instead of booting; the disks are the layers of that checkpoint.
    pub memory: Option<PathBuf>,
    /// An empty directory for the machine's files; the caller removes it (it stands in the journal).
    pub work: PathBuf,
}

impl LaunchSpec {
    /// The drives for removable media that the machine has, with media or without.
    #[must_use]
    pub fn drives(&self) -> Drives {
        Drives {
            cds: self.cds.len().max(self.empty.cds),
            floppy: self.floppy.is_some() || self.empty.floppy,
        }
    }
}

/// Where a guest is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Its SSH port, if that is known.
    pub ssh: Option<SocketAddr>,
    /// What else is seen of the guest, for people: `eth0 00:50:56:aa:bb:cc has fe80::1, outside of 10.0.0.0/8`.
    pub seen: String,
}

/// What the machine's screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// The text, lines separated by `\n` and trimmed at the right; `None` in a graphics mode.
    pub text: Option<String>,
    /// Changes when the picture changes.
    pub fingerprint: u64,
}

/// A disk of a machine at rest, or of one that stands at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// What was written since the machine was started, or since the checkpoint before: layers (qcow2) in the machine's
    /// work directory, the lowest first. Nothing writes to them any more; they may be moved while the machine runs.
    pub layers: Vec<PathBuf>,
}

/// A running machine as it stood at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its disks and firmware variables.
    pub at_rest: AtRest,
    /// Its memory and devices, a file in the machine's work directory; none: they are kept where the machine lives.
    pub memory: Option<PathBuf>,
}

/// What is left of a machine that has been turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRest {
    /// The top layers of the disks, in order.
    pub disks: Vec<DiskFile>,
    /// The UEFI variables.
    pub nvram: Option<PathBuf>,
    /// The machine itself, where it lives on a server; it has no files here then.
    pub remote: Option<Remote>,
}

/// A disk or another file of a machine on a server, as it was written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The file: a streamOptimized VMDK, or the UEFI variables.
    pub path: PathBuf,
    /// Of its content.
    pub digest: Digest,
    /// The disk's size; none: this is no disk.
    pub capacity: Option<Size>,
    /// How much of the disk holds data, as far as that is known.
    pub populated: Option<Size>,
}

/// What surrounds a longer piece of work.
pub struct Work<'a> {
    /// A directory for its files.
    pub dir: &'a Path,
    /// Bytes done, of how many if that is known.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Send + Sync),
    /// Is told what did not go as it should, and goes on nevertheless.
    pub note: &'a (dyn Fn(&str) + Send + Sync),
    /// Asked to stop.
    pub cancel: &'a Cancel,
}

/// How typed keys are checked.
#[derive(Clone, Debug, Default)]
pub struct Typing {
    /// Time between keys; none: the provider's own pace.
    pub interval: Option<Duration>,
    /// The guest's layout.
    pub layout: Layout,
}

/// A number that changes when `content` does.
fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// What runs machines.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Everything that stands in the way of such a machine, at once; empty when it can run.
    async fn preflight(&self, hardware: &Hardware) -> Vec<ProviderError>;

    /// What stands in the way of disks on their way to and from its machines.
    async fn transfers(&self) -> Vec<ProviderError> {
        Vec::new()
    }

    /// A machine of somebody else's that has the name which this one is to get.
    async fn clash(&self, mark: &Mark) -> Option<ProviderError> {
        let _ = mark;
        None
    }

    /// Named parts of the provider's identity that a machine's content depends on, for fingerprints.
    fn identity(&self) -> Vec<(String, String)>;

    /// Starts a machine.
    async fn launch(
        &self,
        spec: LaunchSpec,
        journal: Arc<Journal>,
        cancel: Cancel,
    ) -> Result<Box<dyn Machine>, ProviderError>;

    /// This host's address as the guests of this provider see it.
    async fn host_address(&self) -> Result<String, ProviderError>;

    /// What must be the same for such a machine's checkpoint to be gone on from: the hypervisor's version, the processor,
    /// the devices. `None`: such a machine has no checkpoints while it runs.
    async fn checkpoint_identity(&self, hardware: &Hardware) -> Option<String> {
        let _ = hardware;
        None
    }

    /// [`Provider::checkpoint_identity`] for a plan: as far as it is known without starting a machine or asking a server.
    /// Blocking.
    fn known_checkpoint_identity(&self, hardware: &Hardware) -> Option<String> {
        let _ = hardware;
        None
    }

    /// Whether the provider has an install medium with this content already, so that nobody need fetch it.
    async fn has_medium(&self, digest: &Digest) -> Result<bool, ProviderError> {
        let _ = digest;
        Ok(false)
    }

    /// What stands in the way of an install medium at a place of the provider's.
    async fn preflight_medium(&self, place: &str) -> Option<ProviderError> {
        let _ = place;
        None
    }

    /// The machine that clones are to be made of, which is somebody else's; everything that stands in the way is told.
    async fn locate(
        &self,
        source: &MachineSource,
        hardware: &Hardware,
    ) -> Result<Remote, Vec<ProviderError>> {
        let _ = hardware;
        Err(vec![ProviderError::Environment {
            message: format!(
                "the machine `{}` cannot be cloned: this provider has no machines but forge's own",
                source.vm
            ),
            help: "say `provider = \"…\"` in the stage, or run with `--provider …`: one of type `vsphere`".into(),
        }])
    }

    /// Which of these machines are no longer as they were left, and why.
    async fn lost(&self, machines: &[Remote]) -> Result<Vec<(Remote, String)>, ProviderError> {
        let _ = machines;
        Ok(Vec::new())
    }

    /// Gives a finished machine its name; an older one of the same stage that had it is removed.
    async fn publish(&self, machine: &Remote, mark: &Mark) -> Result<(), ProviderError> {
        let _ = (machine, mark);
        Ok(())
    }

    /// Removes the machine that this stage has left, if it is there and bears that mark; tells whether it was.
    async fn remove(&self, machine: &Remote, stage: &str) -> Result<bool, ProviderError> {
        let _ = (machine, stage);
        Ok(false)
    }

    /// Removes what a forge that was killed has left: the machine that was started under this name, unless it is one of
    /// those that have been recorded since.
    async fn reclaim(&self, name: &str, recorded: &[Remote]) -> Result<(), ProviderError> {
        let _ = (name, recorded);
        Ok(())
    }

    /// Writes a machine's disks, in order, and its UEFI variables if it has any.
    async fn export(
        &self,
        machine: &Remote,
        work: Work<'_>,
    ) -> Result<Vec<Exported>, ProviderError> {
        let _ = (machine, work);
        Err(ProviderError::Failed(
            "this provider has no machines on a server".to_owned(),
        ))
    }

    /// What stands in the way of an appliance with this mark in a content library.
    async fn preflight_library(&self, library: &str, mark: Option<&Mark>) -> Option<ProviderError> {
        let _ = (library, mark);
        None
    }

    /// Puts an appliance into a content library: as a new item, or as a new version of the one that the same stage has put
    /// there before.
    async fn publish_appliance(
        &self,
        appliance: &Appliance,
        work: Work<'_>,
    ) -> Result<Published, ProviderError> {
        let _ = (appliance, work);
        Err(ProviderError::Failed(
            "this provider has no content libraries".to_owned(),
        ))
    }

    /// Waits for what is still being cleaned up, and says good-bye.
    async fn close(&self) {}

    /// Whether its machines live on a server, where others can change them, and not on this host.
    fn on_server(&self) -> bool {
        false
    }

    /// Whether a machine that is about to be turned off can be kept as it runs, for another one to go on from.
    fn keeps_finished(&self) -> bool {
        true
    }

    /// Looks at a machine that another process runs: writes its screen as a PNG file, and returns its text.
    async fn look(&self, sight: &Sight, png: &Path) -> Result<Screen, ProviderError> {
        let _ = (sight, png);
        Err(ProviderError::Failed(
            "this provider's machines cannot be looked at".to_owned(),
        ))
    }

    /// Has a machine that another process runs show its screen over VNC, and tells where: `unix:PATH`.
    async fn vnc(&self, sight: &Sight) -> Result<String, ProviderError> {
        let _ = sight;
        Err(ProviderError::Failed(
            "this provider's machines have no VNC".to_owned(),
        ))
    }

    /// Lets a checkpoint's state on the server go; it is replaced by another one.
    async fn discard(&self, checkpoint: &Remote) -> Result<(), ProviderError> {
        let _ = checkpoint;
        Ok(())
    }

    /// A line for people about how machines run here: `qemu 7.2.22, tcg (kvm: /dev/kvm opens but the probe guest hangs)`.
    async fn describe(&self) -> String;
}

/// A running machine.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Types `keys` and proves, where the screen is text, that they arrived before each `<enter>`.
    async fn type_keys(&mut self, keys: &Keys, typing: &Typing) -> Result<(), ProviderError>;

    /// What the screen shows now.
    async fn screen(&mut self) -> Result<Screen, ProviderError>;

    /// Writes the screen as a PNG file.
    async fn screenshot(&mut self, to: &Path) -> Result<(), ProviderError>;

    /// Where the guest's SSH port is reached, as it becomes known and changes.
    fn addresses(&mut self) -> watch::Receiver<Address>;

    /// Where people see the machine in their browser, if its provider has such a place; they log in there themselves.
    fn console(&self) -> Option<String> {
        None
    }

    /// How another process looks at it.
    fn sight(&self) -> Sight;

    /// The serial console's log, if there is one.
    fn serial_log(&self) -> Option<&Path>;

    /// Presses the power button.
    async fn power_button(&mut self) -> Result<(), ProviderError>;

    /// Returns when the machine is off; `Timeout` if it is not by then. A crash is `Gone`.
    async fn wait_off(&mut self, timeout: Duration) -> Result<(), ProviderError>;

    /// Whether the machine is still on.
    fn is_on(&mut self) -> bool;

    /// Returns when the hypervisor has stopped the guest because of what is wrong on the host, such as a full disk; never
    /// otherwise.
    async fn trouble(&mut self) -> ProviderError {
        std::future::pending().await
    }

    /// How often the guest has been reset, where that can be told: an installer that is done restarts, with one or
    /// several resets.
    fn resets(&self) -> Option<u64> {
        None
    }

    /// Takes all media out of their drives, whether the guest likes it or not; tells which drives there are.
    async fn eject(&mut self) -> Result<Drives, ProviderError> {
        Err(ProviderError::Failed(
            "this provider cannot take media out".to_owned(),
        ))
    }

    /// Stops the machine for a moment and hands out its state; it runs on afterwards, also when this fails. Only for
    /// machines that have a [`Provider::checkpoint_identity`].
    async fn checkpoint(&mut self) -> Result<Checkpoint, ProviderError> {
        Err(ProviderError::Failed(
            "this provider has no checkpoints of running machines".to_owned(),
        ))
    }

    /// Turns it off hard if it is on, and hands out its files.
    async fn finish(self: Box<Self>) -> Result<AtRest, ProviderError>;
}
