//! A project as it is meant, every reference resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Name, Size, Stage, StageKey, Text};

/// A loaded project: all stages at all values of the axes they take part in.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The directory of `builds.toml`, absolute.
    pub root: PathBuf,
    /// The project's name.
    pub name: String,
    /// The project's version.
    pub version: String,
    /// The axes in file order.
    pub axes: Vec<Axis>,
    /// All stages at all axis values; those that they depend on need not stand before them.
    pub stages: Vec<Stage>,
    /// Targets by name: the stages' names. Every stage name is a target as well, without standing here.
    pub targets: BTreeMap<Name, Vec<Name>>,
    /// What `forge run` builds without a target.
    pub default: Vec<Name>,
    /// The providers by name.
    pub providers: BTreeMap<Name, ProviderConfig>,
    /// What the stages that run at one time may use together.
    pub resources: Resources,
    /// How many of the stages that name a pool run at one time, by its name.
    pub pools: BTreeMap<Name, u32>,
}

impl Project {
    /// The stage with this key.
    #[must_use]
    pub fn stage(&self, key: &StageKey) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.key == *key)
    }
}

/// A variable that multiplies stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its name.
    pub name: Name,
    /// Its values; the first one is the default. Never empty.
    pub values: Vec<String>,
}

/// A provider's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderConfig {
    /// The name in `builds.toml`.
    pub name: Name,
    /// Which one.
    pub kind: ProviderKind,
    /// Its other settings as written, rendered; the provider knows their meaning.
    pub settings: BTreeMap<String, Text>,
    /// Settings that the environment lacks a variable for, and the words for that; they matter only when it is used.
    pub unset: BTreeMap<String, String>,
}

/// Which kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// QEMU on this machine.
    Qemu,
    /// VMware vSphere or ESXi.
    Vsphere,
}

/// Limits for what runs at one time. `None`: derived from the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Stages.
    pub jobs: Option<u32>,
    /// Machines.
    pub machines: Option<u32>,
    /// Memory of all machines together.
    pub memory: Option<Size>,
}
