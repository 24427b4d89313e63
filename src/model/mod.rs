//! The nouns of forge, valid by construction: names, sizes, durations, digests, secrets, hardware, stages, artifacts.
//!
//! Nothing here touches the outside: no files, no clock, no network. Everything that the user wrote has been checked by
//! the time it has one of these types, so the layers above never see an invalid name or a size without a unit.

mod appliance;
mod artifact;
mod checkpointing;
mod command;
mod digest;
mod hardware;
mod keys;
mod name;
mod network;
mod project;
mod property;
mod quantity;
mod redact;
mod secret;
mod ssh;
mod stage;
mod text;
mod trim;
mod vsphere;

pub use appliance::{OvfVersion, PackOva, Property, Signing, Variant};
pub use artifact::{Artifact, DiskState, Drives, MachineState, Remote, StoredFile};
pub use checkpointing::Checkpointing;
pub use command::{Command, CommandLine, Discovery, Input};
pub use digest::{Algorithm, Checksum, Digest, DigestError, hex, parse_hex};
pub use hardware::{Controller, Disk, Firmware, Hardware, Nic, NicAdapter};
pub use keys::{Key, KeyAction, KeyError, Keys, Layout};
pub use name::{Name, NameError, StageKey};
pub use network::Network;
pub use project::{Axis, Project, ProviderConfig, ProviderKind, Resources};
pub use property::{PROPERTY_TYPES, is_vmwares_property_type, property_faults};
pub use quantity::{Duration, QuantityError, Size};
pub use redact::{MASK, Redactor};
pub use secret::Secret;
pub use ssh::{Login, PROJECT_KEY, PROJECT_PUBLIC_KEY, Ssh};
pub use stage::{
    Boot, Checks, Clone, Export, IsoBase, IsoSource, Kickstart, LIBRARY, MachineSource, MediaFile,
    MediaVia, Origin, Provision, Publish, Shell, ShellSource, Stage, StageKind, Step, StepAction,
    Verify,
};
pub use text::{Late, Part, RunVar, Text, UnresolvedError};
pub use trim::Trim;
pub use vsphere::{CustomNic, Customization, Provisioning, VsphereHardware};
