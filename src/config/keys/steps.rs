//! Keys of the steps of `provision`.

use super::key;
use super::stage::COMMAND;
use crate::config::shape::Shape::{
    self, Any, Bool, Duration, Either, Int, List, Map, OneOrMany, Text, Word,
};
use crate::config::shape::{Key, Keys};
use crate::model::Checkpointing;

static REBOOT_SHAPE: Shape = Shape::Keys(&REBOOT);

/// A step's actions.
pub(in crate::config) const ACTIONS: &[Key] = &[
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
pub(in crate::config) static STEP: Keys = Keys {
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
            key(
                "checkpoint",
                Word(Checkpointing::WORDS),
                "When the running machine is kept after it; none: as the stage says.",
            ),
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

/// What is checked, in a step or a stage.
pub(super) const CHECKS: &[Key] = &[
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
        "vars_files",
        OneOrMany(&Text),
        "JSON or YAML files with variables for templates in gossfiles.",
    ),
    key("vars", Map(&Any), "Variables for templates in gossfiles."),
];

static CHECK: Keys = Keys {
    what: "`check`",
    groups: &[CHECKS],
};
