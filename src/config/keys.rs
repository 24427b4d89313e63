//! Every key of `builds.toml`, with its shape and a sentence about it.

use crate::model::{Controller, Firmware, NicAdapter, StageKind};

use super::shape::Shape::{
    Any, Bool, Duration, Either, Int, List, Map, OneOrMany, Size, Text, Word,
};
use super::shape::{Key, Keys, Shape};
use super::tree::Table;

const U32: i64 = u32::MAX as i64;

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

static STEP_SHAPE: Shape = Shape::Keys(&STEP);
static REBOOT_SHAPE: Shape = Shape::Keys(&REBOOT);
static PROPERTY_SHAPE: Shape = Either(&Text, &PROPERTY_TABLE);
static PROPERTY_TABLE: Shape = Shape::Keys(&PROPERTY);

/// The file.
pub(super) static FILE: Keys = Keys {
    what: "builds.toml",
    groups: &[&[
        key(
            "version",
            Int(1, 1),
            "The version of the file's language: 1.",
        ),
        key(
            "default",
            OneOrMany(&Shape::Name),
            "What `forge run` builds without a target.",
        ),
        key(
            "project",
            Shape::Keys(&PROJECT),
            "What the project is called.",
        ),
        key(
            "axes",
            Map(&List(&Text)),
            "Variables that multiply stages; the first value of each is its default.",
        ),
        key(
            "providers",
            Map(&Shape::Provider),
            "What runs machines; none: `local`, QEMU on this machine.",
        ),
        key(
            "scopes",
            Map(&Shape::Keys(&SCOPE)),
            "Named sets of variables; a stage sees those that it lists.",
        ),
        key(
            "machine",
            Shape::Keys(&MACHINE),
            "The hardware of the machines that are installed.",
        ),
        key("stages", Map(&Shape::Stage), "The units of work."),
        key(
            "targets",
            Map(&OneOrMany(&Shape::Name)),
            "Named sets of stages; every stage's name is a target too.",
        ),
        key(
            "resources",
            Shape::Keys(&RESOURCES),
            "What the stages that run at one time may use together.",
        ),
    ]],
};

static PROJECT: Keys = Keys {
    what: "[project]",
    groups: &[&[
        key("name", Text, "The project's name: `{{ project.name }}`."),
        key(
            "version",
            Either(&Text, &Shape::Keys(&VERSION)),
            "The project's version: a string, or a command that prints it.",
        ),
    ]],
};

static VERSION: Keys = Keys {
    what: "a version",
    groups: &[&[key(
        "command",
        Text,
        "A shell line whose output is the version.",
    )]],
};

static SCOPE: Keys = Keys {
    what: "a scope",
    groups: &[&[
        key(
            "file",
            Text,
            "A TOML file of variables; the path may use the axes: `vars/{{ axis.os }}.toml`.",
        ),
        key(
            "values",
            Map(&Any),
            "Variables; they go before those of the file.",
        ),
        key(
            "env",
            Map(&Text),
            "Variables that come from the environment: variable = its name there.",
        ),
        key(
            "secret",
            OneOrMany(&Text),
            "Variables that are never shown.",
        ),
        key(
            "secret_in_fingerprint",
            Bool,
            "Whether a changed secret makes the stages that use it run again (a keyed digest of it is kept).",
        ),
    ]],
};

/// Hardware.
pub(super) static MACHINE: Keys = Keys {
    what: "a machine",
    groups: &[&[
        key("cpus", Int(1, 1024), "Virtual CPUs."),
        key(
            "cores_per_socket",
            Int(1, 1024),
            "Cores per socket; divides `cpus`.",
        ),
        key("memory", Size, "Memory: `4GiB`."),
        key("firmware", Word(Firmware::WORDS), "What boots the machine."),
        key(
            "disks",
            List(&Shape::Keys(&DISK)),
            "Disks in order; the first one boots.",
        ),
        key(
            "nics",
            List(&Shape::Keys(&NIC)),
            "Network adapters in order; the first one carries SSH.",
        ),
        key(
            "guest_id",
            Text,
            "vSphere's guest id, also the OVF's `vmw:osType`: `debian12_64Guest`.",
        ),
        key(
            "hardware_version",
            Int(4, 99),
            "The virtual hardware version that the OVF names: 13 is `vmx-13`.",
        ),
    ]],
};

static DISK: Keys = Keys {
    what: "a disk",
    groups: &[&[
        key("size", Size, "The disk's size: `64GiB`."),
        key("controller", Word(Controller::WORDS), "What it hangs on."),
    ]],
};

static NIC: Keys = Keys {
    what: "a network adapter",
    groups: &[&[
        key("adapter", Word(NicAdapter::WORDS), "The card."),
        key(
            "network",
            Text,
            "The network's name, for providers that have named networks and for the OVF.",
        ),
    ]],
};

static RESOURCES: Keys = Keys {
    what: "[resources]",
    groups: &[&[
        key("jobs", Int(1, U32), "Stages at one time."),
        key("machines", Int(1, U32), "Machines at one time."),
        key("memory", Size, "Memory of all machines together."),
    ]],
};

/// The words for `type` of a provider.
pub(super) const PROVIDERS: &[&str] = &["qemu", "vsphere"];

const PROVIDER: &[Key] = &[
    key("type", Word(PROVIDERS), "Which hypervisor."),
    key(
        "scopes",
        OneOrMany(&Shape::Name),
        "The scopes that the provider's settings see.",
    ),
];

/// `type = "qemu"`.
pub(super) static QEMU: Keys = Keys {
    what: "a provider of type `qemu`",
    groups: &[
        PROVIDER,
        &[
            key(
                "accel",
                Word(&["auto", "kvm", "hvf", "whpx", "tcg"]),
                "The accelerator; `auto` takes one that really works.",
            ),
            key("binary", Text, "The emulator: `qemu-system-x86_64`."),
            key("machine_type", Text, "QEMU's machine type: `pc`, `q35`."),
            key("cpu", Text, "QEMU's CPU model."),
            key("firmware_code", Text, "The UEFI firmware's code file."),
            key(
                "firmware_vars",
                Text,
                "The UEFI firmware's template of variables.",
            ),
            key("args", List(&Text), "Further arguments for QEMU."),
        ],
    ],
};

/// `type = "vsphere"`.
pub(super) static VSPHERE: Keys = Keys {
    what: "a provider of type `vsphere`",
    groups: &[
        PROVIDER,
        &[
            key("server", Text, "The vCenter or ESXi host."),
            key("username", Text, "The account."),
            key(
                "password",
                Text,
                "Its password: take it from a secret variable.",
            ),
            key("datacenter", Text, "The datacenter."),
            key("cluster", Text, "The cluster."),
            key("host", Text, "The host."),
            key("datastore", Text, "The datastore."),
            key("folder", Text, "The folder of machines."),
            key("network", Text, "The network."),
            key("resource_pool", Text, "The resource pool."),
            key("insecure", Bool, "Accept any certificate."),
            key(
                "tls_thumbprint",
                Text,
                "The SHA-256 thumbprint of the certificate to accept.",
            ),
        ],
    ],
};

/// The known keys of a provider, if its type is known.
pub(super) fn provider(table: &Table) -> Option<&'static Keys> {
    match table.get("type").and_then(|node| node.as_text()) {
        Some("vsphere") => Some(&VSPHERE),
        Some("qemu") => Some(&QEMU),
        _ => None,
    }
}

/// A login.
pub(super) static SSH: Keys = Keys {
    what: "`ssh`",
    groups: &[&[
        key("user", Text, "The account."),
        key("password", Text, "Its password."),
        key(
            "key_file",
            Text,
            "A private key: absolute, `~/…`, or relative to the project.",
        ),
        key("agent", Bool, "Ask the agent at SSH_AUTH_SOCK."),
        key("port", Int(1, 65_535), "The guest's port."),
        key(
            "timeout",
            Duration,
            "How long a machine may take until a login works.",
        ),
    ]],
};

const STAGE: &[Key] = &[
    key(
        "kind",
        Word(StageKind::NAMES),
        "How it is done; not needed where the stage's name is a kind.",
    ),
    key("from", Shape::Name, "The stage whose result is consumed."),
    key(
        "needs",
        OneOrMany(&Shape::Name),
        "Further stages that must be done before.",
    ),
    key(
        "scopes",
        OneOrMany(&Shape::Name),
        "The scopes whose variables it sees.",
    ),
    key(
        "axes",
        OneOrMany(&Shape::Name),
        "Axes that it takes part in, beside those found in its templates.",
    ),
    key("timeout", Duration, "How long one attempt may take."),
    key(
        "retries",
        Int(0, 100),
        "How often it is tried again after a failure.",
    ),
];

const OVERRIDES: &[Key] = &[key(
    "overrides",
    List(&Any),
    "Settings for some axis values: `when = { os = \"mini\" }` and the keys that are replaced there.",
)];

const WHEN: &[Key] = &[key(
    "when",
    Map(&OneOrMany(&Text)),
    "The axis values at which these settings hold.",
)];

const COMMAND: &[Key] = &[
    key(
        "run",
        OneOrMany(&Text),
        "A line for the shell, or a program and its arguments.",
    ),
    key(
        "inputs",
        OneOrMany(&Text),
        "Files, directories and globs that it reads, relative to the project.",
    ),
    key(
        "outputs",
        Map(&Text),
        "What it writes: name = path relative to the project.",
    ),
    key("env", Map(&Text), "Environment variables."),
    key(
        "pass_env",
        OneOrMany(&Text),
        "Variables of forge's own environment that are passed on.",
    ),
    key(
        "dir",
        Text,
        "The working directory, relative to the project.",
    ),
    key("always", Bool, "Run every time."),
];

const ISO_BASE: &[Key] = &[
    key(
        "provider",
        Shape::Name,
        "The provider; none: the first one.",
    ),
    key(
        "machine",
        Shape::Keys(&MACHINE),
        "Hardware, where it differs from [machine].",
    ),
    key("iso", Shape::Keys(&ISO), "The install medium."),
    key(
        "kickstart",
        Shape::Keys(&KICKSTART),
        "The unattended-install answers.",
    ),
    key("boot", Shape::Keys(&BOOT), "What is typed at boot."),
    key(
        "ssh",
        Shape::Keys(&SSH),
        "How the installed system is reached.",
    ),
    key(
        "shutdown",
        Text,
        "The command that turns it off; none: the power button.",
    ),
];

static ISO: Keys = Keys {
    what: "`iso`",
    groups: &[&[
        key(
            "url",
            Text,
            "Where it is: a URL, a path, or an output of a stage.",
        ),
        key("urls", OneOrMany(&Text), "Mirrors, tried in order."),
        key(
            "checksum",
            Text,
            "`sha256:…` (also sha512, sha1, md5, or bare digits), `file:URL`, or `none`.",
        ),
    ]],
};

static KICKSTART: Keys = Keys {
    what: "`kickstart`",
    groups: &[&[
        key("dir", Text, "The directory with the files."),
        key(
            "via",
            Word(&["floppy", "cd", "http"]),
            "How the installer gets them.",
        ),
        key(
            "template",
            Bool,
            "Whether the files are templates; true if not said.",
        ),
        key("label", Text, "The label of the floppy or CD."),
    ]],
};

static BOOT: Keys = Keys {
    what: "`boot`",
    groups: &[&[
        key("wait", Duration, "A fixed wait before the first key."),
        key(
            "wait_text",
            Text,
            "A regular expression that the text screen must show before the first key.",
        ),
        key("wait_timeout", Duration, "How long to wait for that text."),
        key(
            "keys",
            Text,
            "What is typed: `<tab> text ks=hd:fd0:/ks.cfg<enter>`.",
        ),
        key("interval", Duration, "The time between keys."),
        key(
            "layout",
            Word(&["us", "de", "fr", "gb"]),
            "The guest's keyboard layout.",
        ),
    ]],
};

const CLONE: &[Key] = &[
    key(
        "machine",
        Shape::Keys(&MACHINE),
        "Hardware, where it differs from that of `from`.",
    ),
    key(
        "ssh",
        Shape::Keys(&SSH),
        "How it is reached, where that differs.",
    ),
];

const PROVISION: &[Key] = &[
    key(
        "machine",
        Shape::Keys(&MACHINE),
        "Hardware, where it differs from that of `from`.",
    ),
    key(
        "ssh",
        Shape::Keys(&SSH),
        "How it is reached, where that differs.",
    ),
    key("steps", List(&STEP_SHAPE), "What is done, in order."),
    key(
        "shutdown",
        Text,
        "The command that turns it off; none: that of `from`.",
    ),
];

/// A step's actions.
pub(super) const ACTIONS: &[Key] = &[
    key(
        "upload",
        Shape::Keys(&UPLOAD),
        "Copies a file or a tree into the guest.",
    ),
    key(
        "shell",
        Shape::Keys(&SHELL),
        "Runs a shell script in the guest.",
    ),
    key(
        "local",
        Shape::Keys(&LOCAL),
        "Runs a command on this machine.",
    ),
    key(
        "reboot",
        Either(&Bool, &REBOOT_SHAPE),
        "Restarts the guest and waits until it is back.",
    ),
    key("pause", Duration, "Waits."),
    key(
        "check",
        Shape::Keys(&CHECK),
        "Runs checks and stops when one fails.",
    ),
];

/// A step.
pub(super) static STEP: Keys = Keys {
    what: "a step",
    groups: &[
        ACTIONS,
        &[
            key("name", Text, "What it is called on the screen and in logs."),
            key(
                "retries",
                Int(0, 100),
                "How often it is tried again after a failure.",
            ),
            key("timeout", Duration, "How long one try may take."),
            key("pause_before", Duration, "A pause before it."),
            key("only", Map(&OneOrMany(&Text)), "Only at these axis values."),
            key(
                "except",
                Map(&OneOrMany(&Text)),
                "Not at these axis values.",
            ),
        ],
    ],
};

static UPLOAD: Keys = Keys {
    what: "`upload`",
    groups: &[&[
        key(
            "source",
            Text,
            "A file or directory, relative to the project.",
        ),
        key("to", Text, "Where it goes in the guest."),
    ]],
};

static SHELL: Keys = Keys {
    what: "`shell`",
    groups: &[&[
        key(
            "inline",
            OneOrMany(&Text),
            "The script itself; an array: its lines.",
        ),
        key("script", Text, "A script's file, relative to the project."),
        key("scripts", List(&Text), "Several scripts, in order."),
        key("env", Map(&Text), "Environment variables."),
        key("sudo", Bool, "Run it through sudo."),
        key("interpreter", Text, "What runs inline text: `/bin/sh -eu`."),
        key("dir", Text, "The working directory in the guest."),
        key(
            "valid_exit_codes",
            OneOrMany(&Int(0, 255)),
            "Exit codes that count as success.",
        ),
        key(
            "expect_disconnect",
            Bool,
            "The script may cut the connection.",
        ),
    ]],
};

static LOCAL: Keys = Keys {
    what: "`local`",
    groups: &[COMMAND],
};

static REBOOT: Keys = Keys {
    what: "`reboot`",
    groups: &[&[
        key("command", Text, "The command that restarts the guest."),
        key("timeout", Duration, "How long until it is back."),
    ]],
};

static CHECK: Keys = Keys {
    what: "`check`",
    groups: &[&[
        key(
            "gossfile",
            OneOrMany(&Text),
            "Files with checks, in goss's language.",
        ),
        key(
            "checks",
            Map(&Any),
            "Checks written here, in goss's language.",
        ),
    ]],
};

const EXPORT: &[Key] = &[
    key("name", Text, "The files' base name."),
    key("level", Int(1, 12), "How hard the disks are compressed."),
];

const PACK_OVA: &[Key] = &[
    key(
        "name",
        Text,
        "The appliance's name: `output/NAME/NAME.ova`.",
    ),
    key(
        "properties",
        Map(&PROPERTY_SHAPE),
        "Properties for whoever deploys it.",
    ),
    key("product", Text, "The product's name."),
    key("vendor", Text, "The vendor."),
    key("version", Text, "The product's version."),
    key("annotation", Text, "A note for people."),
    key("eula", Text, "A license to agree to."),
    key("manifest", Map(&Text), "Fields for `manifest.json`."),
];

static PROPERTY: Keys = Keys {
    what: "a property",
    groups: &[&[
        key("value", Text, "Its value."),
        key(
            "user_configurable",
            Bool,
            "Whether whoever deploys the appliance may change it.",
        ),
    ]],
};

const VERIFY: &[Key] = &[
    key(
        "provider",
        Shape::Name,
        "The provider that boots it; none: the first one.",
    ),
    key(
        "ssh",
        Shape::Keys(&SSH),
        "How it is reached, where that differs.",
    ),
    key(
        "gossfile",
        OneOrMany(&Text),
        "Files with checks, in goss's language.",
    ),
    key(
        "checks",
        Map(&Any),
        "Checks written here, in goss's language.",
    ),
    key(
        "retry_timeout",
        Duration,
        "Keep asking this long until all checks hold.",
    ),
    key("sleep", Duration, "The time between tries."),
];

macro_rules! kinds {
    ($($word:literal $what:literal $keys:ident),+ $(,)?) => {
        /// The known keys of a stage of this kind.
        pub(super) fn stage(kind: &str) -> Option<&'static Keys> {
            match kind {
                $($word => {
                    static KEYS: Keys = Keys { what: $what, groups: &[$keys, STAGE, OVERRIDES] };
                    Some(&KEYS)
                })+
                _ => None,
            }
        }

        /// The known keys of an override of a stage of this kind.
        pub(super) fn stage_override(kind: &str) -> Option<&'static Keys> {
            match kind {
                $($word => {
                    static KEYS: Keys = Keys {
                        what: concat!("an override of ", $what),
                        groups: &[WHEN, $keys, STAGE],
                    };
                    Some(&KEYS)
                })+
                _ => None,
            }
        }
    };
}

kinds!(
    "command" "a stage of kind `command`" COMMAND,
    "iso-base" "a stage of kind `iso-base`" ISO_BASE,
    "clone" "a stage of kind `clone`" CLONE,
    "provision" "a stage of kind `provision`" PROVISION,
    "export" "a stage of kind `export`" EXPORT,
    "pack-ova" "a stage of kind `pack-ova`" PACK_OVA,
    "verify" "a stage of kind `verify`" VERIFY,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_keys() {
        for kind in StageKind::NAMES {
            assert!(
                stage(kind).is_some_and(|keys| keys.find("kind").is_some()),
                "{kind}"
            );
            assert!(
                stage_override(kind).is_some_and(|keys| keys.find("overrides").is_none()),
                "{kind}"
            );
        }
        assert!(stage("nope").is_none() && stage_override("nope").is_none());
    }
}
