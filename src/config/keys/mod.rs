//! Every key of `builds.toml`, with its shape and a sentence about it.

mod appliance;
mod machine;
mod provider;
mod stage;
mod steps;
mod vsphere;

use super::shape::Shape::{Any, Bool, Either, Int, List, Map, OneOrMany, Size, Text};
use super::shape::{Key, Keys, Shape};

pub(super) use appliance::{MANIFEST_DIGESTS, TRANSPORTS};
use machine::MACHINE;
pub(super) use provider::{PROVIDERS, QEMU, VSPHERE, provider};
pub(super) use stage::{stage, stage_override};
pub(super) use steps::ACTIONS;

const U32: i64 = u32::MAX as i64;

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

/// The file.
pub(in crate::config) static FILE: Keys = Keys {
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
            "include",
            OneOrMany(&Text),
            "Other files with sections of the project: paths and globs, relative to it.",
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
            "stage-templates",
            Map(&Map(&Any)),
            "Settings that several stages share: a stage names them with `template`.",
        ),
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
        key(
            "pools",
            Map(&Int(1, U32)),
            "How many of the stages that name a pool run at one time.",
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

static RESOURCES: Keys = Keys {
    what: "[resources]",
    groups: &[&[
        key("jobs", Int(1, U32), "Stages at one time."),
        key("machines", Int(1, U32), "Machines at one time."),
        key("memory", Size, "Memory of all machines together."),
    ]],
};
