//! Keys of providers.

use super::key;
use crate::config::shape::Shape::{self, Bool, OneOrMany, Text, Word};
use crate::config::shape::{Key, Keys};
use crate::config::tree::Table;

/// The words for `type` of a provider.
pub(in crate::config) const PROVIDERS: &[&str] = &["qemu", "vsphere"];

const PROVIDER: &[Key] = &[
    key("type", Word(PROVIDERS), "Which hypervisor."),
    key(
        "scopes",
        OneOrMany(&Shape::Name),
        "The scopes that the provider's settings see.",
    ),
];

/// `type = "qemu"`.
pub(in crate::config) static QEMU: Keys = Keys {
    what: "a provider of type `qemu`",
    groups: &[
        PROVIDER,
        &[
            key(
                "accelerator",
                Word(&["auto", "kvm", "hvf", "whpx", "tcg"]),
                "The accelerator; `auto` takes one that really works.",
            ),
            key("binary", Text, "The emulator: `qemu-system-x86_64`."),
            key("cpu", Text, "QEMU's CPU model."),
            key(
                "firmware_code",
                Text,
                "The UEFI firmware's code file, instead of the installed one.",
            ),
            key(
                "firmware_vars",
                Text,
                "The template of variables that goes with `firmware_code`.",
            ),
        ],
    ],
};

/// `type = "vsphere"`.
pub(in crate::config) static VSPHERE: Keys = Keys {
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
            key(
                "ca_file",
                Text,
                "Certificates (PEM) to trust beside the system's own, absolute or relative to the project.",
            ),
            key(
                "http_address",
                Text,
                "The address of this host that guests are told, for `kickstart.via = \"http\"`; none: the one that leads to the guest.",
            ),
            key(
                "guest_network",
                Text,
                "The network (CIDR) in which a guest's address is looked for: `10.20.0.0/16`; none: any.",
            ),
            key(
                "guest_nic",
                Text,
                "The adapter whose addresses count: its number from 1, or its MAC address; none: any.",
            ),
            key(
                "address_settle",
                Shape::Duration,
                "How long an address must stay the same before it counts.",
            ),
            key(
                "iso_folder",
                Text,
                "The folder of the datastore where install media are kept; none: `forge`.",
            ),
        ],
    ],
};

/// The known keys of a provider, if its type is known.
pub(in crate::config) fn provider(table: &Table) -> Option<&'static Keys> {
    match table.get("type").and_then(|node| node.as_text()) {
        Some("vsphere") => Some(&VSPHERE),
        Some("qemu") => Some(&QEMU),
        _ => None,
    }
}
