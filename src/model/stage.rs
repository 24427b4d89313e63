//! Stages as they are meant: every setting typed, every default filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Checkpointing, Checksum, Command, Duration, Hardware, Keys, Layout, Name, PackOva, Ssh,
    StageKey, Text, Trim,
};

/// A stage at one point of its axes.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its identity.
    pub key: StageKey,
    /// Where it is declared, for messages.
    pub origin: Origin,
    /// What it does.
    pub kind: StageKind,
    /// The stage whose artifact it consumes.
    pub from: Option<StageKey>,
    /// All stages it depends on, `from` and those found in templates included; sorted, each once.
    pub needs: Vec<StageKey>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// The pool of `[pools]` that it takes a place of while it runs.
    pub pool: Option<Name>,
}

/// A place in a file of the project.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Relative to the project.
    pub file: String,
    /// The first line is 1.
    pub line: usize,
}

/// What a stage does, with its settings.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub enum StageKind {
    /// Any program.
    Command(Command),
    /// Installs a machine from an ISO.
    IsoBase(Box<IsoBase>),
    /// A linked clone.
    Clone(Clone),
    /// Runs steps inside a machine.
    Provision(Provision),
    /// Writes a machine's disks as files.
    Export(Export),
    /// Makes an appliance of exported disks.
    PackOva(PackOva),
    /// Boots an appliance and checks it.
    Verify(Box<Verify>),
    /// Puts an appliance into a content library.
    Publish(Publish),
}

impl StageKind {
    /// The kinds' names, as they stand in `kind = "…"`.
    pub const NAMES: &'static [&'static str] = &[
        "command",
        "iso-base",
        "clone",
        "provision",
        "export",
        "pack-ova",
        "verify",
        "publish",
    ];

    /// Whether the machine in its artifact is the one that it was given, and another stage's.
    #[must_use]
    pub const fn hands_on_machine(&self) -> bool {
        matches!(self, Self::Clone(_) | Self::Export(_))
    }

    /// The kind's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::IsoBase(_) => "iso-base",
            Self::Clone(_) => "clone",
            Self::Provision(_) => "provision",
            Self::Export(_) => "export",
            Self::PackOva(_) => "pack-ova",
            Self::Verify(_) => "verify",
            Self::Publish(_) => "publish",
        }
    }
}

/// `kind = "iso-base"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct IsoBase {
    /// The provider's name.
    pub provider: Name,
    /// The machine.
    pub hardware: Hardware,
    /// The install medium.
    pub iso: IsoSource,
    /// The unattended-install answers.
    pub kickstart: Option<Kickstart>,
    /// What is typed at boot.
    pub boot: Boot,
    /// How the installed system is reached.
    pub ssh: Ssh,
    /// The command that turns it off; none: the power button.
    pub shutdown: Option<Text>,
    /// Whether the running machine is kept before it is turned off.
    pub checkpoint: Checkpointing,
    /// What the machine is called on a server; none: by project and stage.
    pub vm_name: Option<String>,
}

/// How the address of an item of a content library begins.
pub const LIBRARY: &str = "library://";

/// An install medium.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct IsoSource {
    /// Mirrors in order: `http(s)://`, `file://`, a path, an output of a stage; or its place on a server: `[datastore] path`,
    /// `library://LIBRARY/ITEM`.
    pub urls: Vec<Text>,
    /// What the content must be; none only for the output of a stage.
    pub checksum: Option<Checksum>,
}

/// Files offered to an installer.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Kickstart {
    /// The files, templates already rendered.
    pub files: Vec<MediaFile>,
    /// How the installer gets them.
    pub via: MediaVia,
    /// The volume's label, for floppies and CDs: `OEMDRV`, `cidata`, …
    pub label: String,
}

/// A file on a medium.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub enum MediaFile {
    /// A rendered template.
    Text {
        /// Its path on the medium, with `/`, not starting with one.
        path: String,
        /// Its content.
        content: Text,
    },
    /// A file taken as it is.
    Copy {
        /// Its path on the medium.
        path: String,
        /// Where it lies, relative to the project.
        source: String,
    },
}

/// How an installer gets its files.
#[derive(std::clone::Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaVia {
    /// A FAT12 floppy.
    Floppy,
    /// A second CD.
    Cd,
    /// An HTTP server for this machine alone; `http.ip` and `http.port` in the boot keys.
    Http,
}

/// What happens between power-on and the installer.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Boot {
    /// A fixed wait before the first key.
    pub wait: Option<Duration>,
    /// A regular expression (multi-line) that the text screen must show before the first key.
    pub wait_text: Option<String>,
    /// How long to wait for it.
    pub wait_timeout: Duration,
    /// What is typed. Late values (`http.ip`) are filled in before it is parsed; the literal form has been checked.
    pub keys: Text,
    /// Time between keys; none: the provider's measured pace.
    pub interval: Option<Duration>,
    /// The guest's keyboard layout.
    pub layout: Layout,
}

impl Boot {
    /// Parses keys whose late values have been filled in.
    pub fn parse_keys(text: &str) -> Result<Keys, super::KeyError> {
        Keys::parse(text)
    }
}

impl Stage {
    /// What the stage's machine is called on a server, where that is said.
    #[must_use]
    pub fn vm_name(&self) -> Option<&str> {
        match &self.kind {
            StageKind::IsoBase(kind) => kind.vm_name.as_deref(),
            StageKind::Provision(kind) => kind.vm_name.as_deref(),
            _ => None,
        }
    }

    /// How the guest is reached, in stages that log in to one.
    #[must_use]
    pub const fn ssh(&self) -> Option<&Ssh> {
        match &self.kind {
            StageKind::IsoBase(kind) => Some(&kind.ssh),
            StageKind::Clone(kind) => Some(&kind.ssh),
            StageKind::Provision(kind) => Some(&kind.ssh),
            StageKind::Verify(kind) => Some(&kind.ssh),
            StageKind::Command(_)
            | StageKind::Export(_)
            | StageKind::PackOva(_)
            | StageKind::Publish(_) => None,
        }
    }
}

/// A machine on a provider's server that forge did not make.
#[derive(std::clone::Clone, Debug, PartialEq, Eq)]
pub struct MachineSource {
    /// The provider's name.
    pub provider: Name,
    /// The machine or template: its name, or its path below the datacenter's folder of machines.
    pub vm: String,
    /// The snapshot's name or path; none: the one that the machine stands at, or the machine itself for full clones.
    pub snapshot: Option<String>,
}

/// `kind = "clone"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Clone {
    /// What is cloned, if that is no stage's machine.
    pub source: Option<MachineSource>,
    /// The clone's hardware.
    pub hardware: Hardware,
    /// How it is reached.
    pub ssh: Ssh,
}

/// `kind = "provision"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Provision {
    /// The machine's hardware.
    pub hardware: Hardware,
    /// How it is reached.
    pub ssh: Ssh,
    /// What is done, in order; steps that `only` / `except` leave out at these axis values are gone.
    pub steps: Vec<Step>,
    /// The command that turns it off; none: the power button.
    pub shutdown: Option<Text>,
    /// When the running machine is kept between steps.
    pub checkpoint: Checkpointing,
    /// What is done with the free space of its disks at the end.
    pub trim: Trim,
    /// What the machine is called on a server; none: by project and stage.
    pub vm_name: Option<String>,
}

/// A step of `provision`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Step {
    /// For people: what the user called it, or what it does.
    pub title: String,
    /// What it does.
    pub action: StepAction,
    /// How often it is tried again.
    pub retries: u32,
    /// How long one try may take.
    pub timeout: Option<Duration>,
    /// A pause before it.
    pub pause_before: Option<Duration>,
    /// When the running machine is kept after it; none: as the stage says.
    pub checkpoint: Option<Checkpointing>,
}

/// What a step does.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub enum StepAction {
    /// Copies a file or a tree into the guest.
    Upload {
        /// Relative to the project. The contents of a directory arrive in `to`; a file arrives as `to`, or in it if `to`
        /// ends with `/`.
        source: String,
        /// In the guest.
        to: Text,
    },
    /// Runs a shell script in the guest.
    Shell(Shell),
    /// Runs a command on this machine, with the guest's address in its environment.
    Local(Command),
    /// Restarts the guest and waits for a new boot id.
    Reboot {
        /// The command; none: `reboot`.
        command: Option<Text>,
        /// How long until it is back.
        timeout: Duration,
    },
    /// Waits.
    Pause(Duration),
    /// Runs checks and fails early.
    Check(Checks),
}

/// A `shell` step.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Shell {
    /// The scripts, in order.
    pub scripts: Vec<ShellSource>,
    /// Environment variables.
    pub env: BTreeMap<String, Text>,
    /// Run through sudo (with the login's password if it asks).
    pub sudo: bool,
    /// Exit codes that count as success.
    pub valid_exit_codes: Vec<i32>,
    /// The interpreter for inline text: `/bin/sh -eu`.
    pub interpreter: String,
    /// The working directory in the guest.
    pub dir: Option<Text>,
    /// The script may cut the connection (it reboots, or restarts the network).
    pub expect_disconnect: bool,
}

/// A script.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub enum ShellSource {
    /// Text in `builds.toml`.
    Inline(Text),
    /// A file, relative to the project.
    File(String),
}

/// `kind = "export"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Export {
    /// The files' base name.
    pub name: Text,
    /// The deflate level, 1 to 12.
    pub level: u32,
}

/// `kind = "verify"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Verify {
    /// The provider that boots it.
    pub provider: Name,
    /// How it is reached.
    pub ssh: Ssh,
    /// What must hold.
    pub checks: Checks,
    /// Keep asking this long until all checks hold (services that are still starting).
    pub retry_timeout: Option<Duration>,
    /// Time between tries.
    pub sleep: Duration,
}

/// `kind = "publish"`.
#[derive(std::clone::Clone, Debug, PartialEq)]
pub struct Publish {
    /// The provider on whose server the library is.
    pub provider: Name,
    /// The library's name.
    pub library: Text,
    /// What the appliance is called there; none: its own name.
    pub item: Option<Text>,
}

/// Checks in goss's language, and what their templates see.
#[derive(std::clone::Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Gossfiles, relative to the project.
    pub gossfiles: Vec<String>,
    /// What the gossfiles include, as far as that can be told without the machine.
    pub includes: Vec<String>,
    /// Checks that are written in the stage: a gossfile in JSON.
    pub inline: Option<String>,
    /// The variables of the stage's scopes, without secrets: an object in JSON. Empty where no gossfile is a template.
    pub scopes: String,
    /// Files with variables, relative to the project; they win over scopes, later ones over earlier ones.
    pub vars_files: Vec<String>,
    /// Variables that are written in the stage; they win over all others: an object in JSON.
    pub vars: Option<String>,
}
