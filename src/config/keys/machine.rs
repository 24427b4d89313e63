//! Keys of hardware and logins.

use super::key;
use super::vsphere::VSPHERE;
use crate::config::shape::Keys;
use crate::config::shape::Shape::{self, Bool, Duration, Int, List, Size, Text, Word};
use crate::model::{Controller, Firmware, NicAdapter};

/// Hardware.
pub(in crate::config) static MACHINE: Keys = Keys {
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
        key(
            "vsphere",
            Shape::Keys(&VSPHERE),
            "What only vSphere knows; other providers leave it out.",
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
        key(
            "mac",
            Text,
            "The card's own address, `00:50:56:01:02:03`; none: the provider makes one.",
        ),
    ]],
};

/// A login.
pub(in crate::config) static SSH: Keys = Keys {
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
        key(
            "generate_key",
            Bool,
            "Use the project's own key pair, made when it is first needed; `{{ ssh.public_key }}` is its public half.",
        ),
        key("port", Int(1, 65_535), "The guest's port."),
        key(
            "timeout",
            Duration,
            "How long a machine may take until a login works.",
        ),
    ]],
};
