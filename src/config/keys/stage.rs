//! Keys of stages, by kind.

use super::appliance::{EXPORT, PACK_OVA};
use super::key;
use super::machine::{MACHINE, SSH};
use super::steps::{CHECKS, STEP};
use crate::config::shape::Shape::{
    self, Any, Bool, Duration, Int, List, Map, OneOrMany, Text, Word,
};
use crate::config::shape::{Key, Keys};
use crate::model::{Checkpointing, StageKind, Trim};

static STEP_SHAPE: Shape = Shape::Keys(&STEP);

const STAGE: &[Key] = &[
    key(
        "kind",
        Word(StageKind::NAMES),
        "How it is done; not needed where the stage's name is a kind.",
    ),
    key(
        "template",
        Shape::Name,
        "The template of [stage-templates] whose settings it has, but for its own.",
    ),
    key(
        "params",
        Map(&Any),
        "Values for `{{ params.NAME }}` in its settings and its template's.",
    ),
    key(
        "foreach",
        OneOrMany(&Text),
        "Files, paths and globs: there is such a stage for each of them, and `{{ each.path }}` in it.",
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
    key(
        "pool",
        Shape::Name,
        "The pool of [pools] that it takes a place of while it runs.",
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

/// What runs a program.
pub(super) const COMMAND: &[Key] = &[
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
        "gitignore",
        Bool,
        "Leave out of `inputs` what `.gitignore` files leave out.",
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

/// How it tells what it has read beside its inputs.
const DISCOVERY: &[Key] = &[
    key(
        "depfile",
        Text,
        "A file with a rule of Make that it writes: what it has read counts as its input from then on.",
    ),
    key(
        "deps",
        Word(&["gcc", "msvc"]),
        "How it tells what it has read: `gcc`, a `depfile`; `msvc`, lines of its output as of `/showIncludes`.",
    ),
    key(
        "deps_prefix",
        Text,
        "How those lines begin; `Note: including file:` if not said.",
    ),
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
    key(
        "checkpoint",
        Word(Checkpointing::WORDS),
        "Whether the running machine is kept before it is turned off, so that `provision` goes on from there.",
    ),
    key(
        "vm_name",
        Text,
        "What the machine is called on a server; none: the project's name and the stage's.",
    ),
];

static ISO: Keys = Keys {
    what: "`iso`",
    groups: &[&[
        key(
            "url",
            Text,
            "Where it is: a URL, a path, an output of a stage, or `[datastore] path` and `library://LIBRARY/ITEM` on vSphere.",
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
        "source",
        Shape::Keys(&SOURCE),
        "A machine on the provider's server, instead of `from`.",
    ),
    key(
        "provider",
        Shape::Name,
        "The provider that has `source`; none: the first one.",
    ),
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

static SOURCE: Keys = Keys {
    what: "`source`",
    groups: &[&[
        key(
            "vm",
            Text,
            "The machine or template: its name, or its path below the datacenter's folder of machines.",
        ),
        key(
            "snapshot",
            Text,
            "Its snapshot; none: the one that it stands at.",
        ),
    ]],
};

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
    key(
        "checkpoint",
        Word(Checkpointing::WORDS),
        "When the running machine is kept between steps, so that a later run goes on from there.",
    ),
    key(
        "trim",
        Word(Trim::WORDS),
        "What is done with the free space of the disks before the machine is turned off.",
    ),
    key(
        "vm_name",
        Text,
        "What the machine is called on a server; none: the project's name and the stage's.",
    ),
];

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
];

/// How long checks are asked again.
const RETRIES: &[Key] = &[
    key(
        "retry_timeout",
        Duration,
        "Keep asking this long until all checks hold.",
    ),
    key("sleep", Duration, "The time between tries."),
];

const PUBLISH: &[Key] = &[
    key(
        "provider",
        Shape::Name,
        "The provider on whose server the library is; none: the first one of type `vsphere`.",
    ),
    key("library", Text, "The content library's name."),
    key(
        "item",
        Text,
        "What the appliance is called there; none: its own name.",
    ),
];

macro_rules! kinds {
    ($($word:literal $what:literal $($keys:ident)+),+ $(,)?) => {
        /// The known keys of a stage of this kind.
        pub(in crate::config) fn stage(kind: &str) -> Option<&'static Keys> {
            match kind {
                $($word => {
                    static KEYS: Keys = Keys { what: $what, groups: &[$($keys,)+ STAGE, OVERRIDES] };
                    Some(&KEYS)
                })+
                _ => None,
            }
        }

        /// The known keys of an override of a stage of this kind.
        pub(in crate::config) fn stage_override(kind: &str) -> Option<&'static Keys> {
            match kind {
                $($word => {
                    static KEYS: Keys = Keys {
                        what: concat!("an override of ", $what),
                        groups: &[WHEN, $($keys,)+ STAGE],
                    };
                    Some(&KEYS)
                })+
                _ => None,
            }
        }
    };
}

kinds!(
    "command" "a stage of kind `command`" COMMAND DISCOVERY,
    "iso-base" "a stage of kind `iso-base`" ISO_BASE,
    "clone" "a stage of kind `clone`" CLONE,
    "provision" "a stage of kind `provision`" PROVISION,
    "export" "a stage of kind `export`" EXPORT,
    "pack-ova" "a stage of kind `pack-ova`" PACK_OVA,
    "verify" "a stage of kind `verify`" VERIFY CHECKS RETRIES,
    "publish" "a stage of kind `publish`" PUBLISH,
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
