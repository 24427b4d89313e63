//! The nouns of forge, valid by construction: names, sizes, durations, digests, secrets, hardware, stages, artifacts.
//!
//! Nothing here touches the outside: no files, no clock, no network. Everything that the user wrote has been checked by
//! the time it has one of these types, so the layers above never see an invalid name or a size without a unit.

mod artifact;
mod check;
mod digest;
mod hardware;
mod keys;
mod name;
mod network;
mod project;
mod quantity;
mod redact;
mod secret;
mod ssh;
mod stage;
mod text;
mod vsphere;

pub use artifact::{Artifact, DiskState, Drives, MachineState, Remote, StoredFile};
pub use check::{Check, CheckSet, Comparison, Matcher, Pattern, PatternKind, Resource};
pub use digest::{Algorithm, Checksum, Digest, DigestError};
pub use hardware::{Controller, Disk, Firmware, Hardware, Nic, NicAdapter};
pub use keys::{Key, KeyAction, KeyError, Keys, Layout};
pub use name::{Name, NameError, StageKey};
pub use network::Network;
pub use project::{Axis, Project, ProviderConfig, ProviderKind, Resources};
pub use quantity::{Duration, QuantityError, Size};
pub use redact::{MASK, Redactor};
pub use secret::Secret;
pub use ssh::{Login, PROJECT_KEY, PROJECT_PUBLIC_KEY, Ssh};
pub use stage::{
    Boot, CheckSource, Checkpointing, Clone, Command, CommandLine, Export, Input, IsoBase,
    IsoSource, Kickstart, MachineSource, MediaFile, MediaVia, Origin, PackOva, Property, Provision,
    Publish, Shell, ShellSource, Stage, StageKind, Step, StepAction, Verify,
};
pub use text::{Late, Part, RunVar, Text, UnresolvedError};
pub use vsphere::{CustomNic, Customization, Provisioning, VsphereHardware};
